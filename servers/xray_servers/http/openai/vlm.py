"""The same chat face, with explanations that a vision-language model words."""

from __future__ import annotations

from dataclasses import replace

from xray_agent_tools.errors import ExplainerUnavailable
from xray_servers.http.callers import Caller
from xray_servers.http.decisions import Decisions
from xray_servers.http.openai.conversation import Completion, Conversation
from xray_servers.http.openai.screener import ScreenerModel

_CREATED = 1_795_392_000
_OVERVIEW = "What does the scan show?"


class VlmModel:
    """Answers as ``xray-screener`` does, but in the words of the desk's vision-language model.

    Each of its claims cites detections; what it says without them is given as a disagreement. A scan alone gets an
    explanation, too. A declaration is compared by the policy's rules, and no model words that.
    """

    def __init__(self, decisions: Decisions) -> None:
        """Use what makes and records decisions, on a desk that has such a model."""
        self._screener = ScreenerModel(decisions, grounded=False)

    @property
    def model_id(self) -> str:
        """Its name for clients."""
        return "xray-vlm"

    @property
    def created(self) -> int:
        """When its answers got their present form, in seconds since 1970."""
        return _CREATED

    async def complete(self, conversation: Conversation, caller: Caller) -> Completion:
        """Answer a conversation by one call of a tool.

        Raises:
            Refused: there is no scan, or the answer cannot have the form or the length that is asked for.
            ExplainerUnavailable: the vision-language model cannot be reached, or its endpoint fails.
            XrayToolsError: what the tool raises.
        """
        asked = conversation if conversation.text else replace(conversation, text=_OVERVIEW)
        try:
            return await self._screener.complete(asked, caller)
        except ExplainerUnavailable as error:
            raise ExplainerUnavailable(
                error.message, hint="try again, or ask the model xray-screener, whose words are computed"
            ) from error
