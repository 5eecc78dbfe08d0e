"""Whether an adapter does anything: the same picture and words to the base and to the adapter have to give other answers.

Engines have loaded adapters without applying a single one of their matrices, and answered as the base would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image

from xray_agent_tools.detector.package import load_package
from xray_agent_tools.errors import Misconfigured
from xray_agent_tools.explainer.picture import QWEN2_5_VL, data_uri
from xray_servers.vlm.endpoint import Endpoint, NoAnswer

_QUESTION = "Which items does this X-ray scan of a bag show, and where do they lie? Answer in one sentence."
_TOKENS = 24
_TIMES_THE_NOISE = 5.0
_LEAST_DIFFERENCE = 1e-3
_NOT_APPLIED = (
    "see whether the engine's log says that it loaded the adapter's modules, and whether it was trained on this base; "
    "or merge it with `xray-train merge`, and serve the merged model"
)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a model says to the probe.

    Attributes:
        text: its words.
        logprobs: of its tokens, in order; empty where the engine gives none.
    """

    text: str
    logprobs: tuple[float, ...]


def differ(base: Heard, again: Heard, adapter: Heard) -> bool:
    """Whether an adapter's answer is another than its base's, beyond what the base itself varies by.

    Args:
        base: what the base says.
        again: what it says to the same question once more.
        adapter: what the adapter says.
    """
    if base.text == again.text:
        noise = _distance(base, again)
        changed = adapter.text != base.text
        return changed or _distance(base, adapter) > max(_LEAST_DIFFERENCE, _TIMES_THE_NOISE * noise)
    # A base that answers in two ways proves nothing by a third; only its first token can be compared.
    noise = _distance(base, again, tokens=1)
    return _distance(base, adapter, tokens=1) > max(_LEAST_DIFFERENCE, _TIMES_THE_NOISE * noise)


def _distance(one: Heard, other: Heard, *, tokens: int | None = None) -> float:
    """The largest difference of two answers' log-probabilities, token by token."""
    pairs = list(zip(one.logprobs, other.logprobs, strict=False))[:tokens]
    return max((abs(first - second) for first, second in pairs), default=0.0)


def check_adapter(endpoint: Endpoint, *, base: str, adapter: str, timeout_s: float = 120.0) -> None:
    """Ask base and adapter the same.

    Args:
        endpoint: where both are served.
        base: what the base is called there.
        adapter: what the adapter is called there.
        timeout_s: seconds for each answer.

    Raises:
        Misconfigured: the adapter changes nothing, or one of them does not answer.
    """
    heard = [_ask(endpoint, model, timeout_s) for model in (base, base, adapter)]
    if not differ(*heard):
        raise Misconfigured(
            f"the adapter {adapter!r} is served, but changes nothing: it answers exactly as its base", hint=_NOT_APPLIED
        )


def _ask(endpoint: Endpoint, model: str, timeout_s: float) -> Heard:
    try:
        answer = endpoint.complete(_request(model), timeout_s=timeout_s)
    except NoAnswer as error:
        raise Misconfigured(
            f"the model {model!r} does not answer the probe: {error}", hint="see the engine's log for what went wrong"
        ) from error
    try:
        choice = answer["choices"][0]
        text = choice["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise Misconfigured(
            f"the answer of {model!r} to the probe cannot be read", hint="see that the port is the engine's"
        ) from error
    return Heard(str(text or ""), _logprobs(choice))


def _logprobs(choice: Mapping[str, Any]) -> tuple[float, ...]:
    given = choice.get("logprobs") or {}
    values = [entry.get("logprob") for entry in given.get("content") or ()]
    return tuple(float(x) if isinstance(x, int | float) and math.isfinite(x) else 0.0 for x in values)


def _request(model: str) -> Mapping[str, Any]:
    content = [
        {"type": "image_url", "image_url": {"url": _picture()}},
        {"type": "text", "text": _QUESTION},
    ]
    return {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "temperature": 0,
        "seed": 0,
        "max_tokens": _TOKENS,
        "logprobs": True,
        "top_logprobs": 1,
    }


def _picture() -> str:
    """The canary scan of the embedded detector, with its known threat."""
    picture = Image.open(BytesIO(load_package("default").canary_bytes()))
    return data_uri(QWEN2_5_VL.show(picture))
