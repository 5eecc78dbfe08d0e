"""``/v1/responses``, as OpenAI's Responses API and the Open Responses specification have it.

Nothing is kept from one request to the next: ``store`` is false in every answer, and a conversation is sent whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import AfterValidator, BaseModel, BeforeValidator, Discriminator, Field, Tag
from starlette.responses import JSONResponse, Response

from xray_servers.http.bodies import json_body
from xray_servers.http.callers import Caller
from xray_servers.http.documented import SCREENING, body, decision, errors
from xray_servers.http.errors import Refused
from xray_servers.http.openai.chat import conversation_of, record_header
from xray_servers.http.openai.models import Screening, model_named
from xray_servers.http.openai.response_events import events, finished
from xray_servers.http.openai.schemas import (
    MOST_MESSAGES,
    MOST_TOOLS,
    Allowed,
    AllowedTools,
    CallSent,
    ChatRequest,
    Content,
    Function,
    FunctionName,
    FunctionSent,
    JsonSchema,
    Message,
    NamedFunction,
    ResponseFormat,
    Tool,
)
from xray_servers.http.openai.streaming import stream_of
from xray_servers.http.remote import RemoteImages
from xray_servers.http.service import Service

_EXAMPLE = {
    "model": "xray-screener",
    "input": [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Where is the gun?"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo..."},
            ],
        }
    ],
}
_ANSWER = decision("A response, or a stream of its events.", content={"text/event-stream": {}})
_GIVEN_BACK: dict[str, Any] = {
    "instructions": None,
    "tools": [],
    "tool_choice": "auto",
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "max_tool_calls": None,
    "temperature": 1.0,
    "top_p": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "user": None,
    "safety_identifier": None,
    "prompt_cache_key": None,
}
"""Fields that come back as they were sent, or else as here."""

_NEVER = {
    "error": None,
    "previous_response_id": None,
    "store": False,
    "background": False,
    "truncation": "disabled",
    "reasoning": None,
    "service_tier": "default",
    "top_logprobs": 0,
}
_PARAMS = {"messages": "input", "response_format": "text.format", "max_tokens": "max_output_tokens"}


def _as_items(value: object) -> object:
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


def _kind_of(value: object) -> str | None:
    """What kind an item or a choice is of; a message need not say so."""
    if isinstance(value, str):
        return "mode"
    if not isinstance(value, Mapping):
        return getattr(value, "type", None)
    kind = value.get("type") or ("message" if "role" in value else None)
    return kind if isinstance(kind, str) else None


def _finite(value: dict[str, Any]) -> dict[str, Any]:
    """JSON of a stranger's that can be given back: its parser reads numbers that no JSON has."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise ValueError("holds a number that JSON does not have") from None
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_finite)]


class MessageItem(BaseModel):
    """Something said."""

    type: Literal["message"] | None = None
    role: Literal["system", "developer", "user", "assistant"]
    content: Content

    def said(self) -> Message:
        """As chat completions have it."""
        return Message.model_construct(role=self.role, content=self.content)


class CallItem(BaseModel):
    """A call of a function that a model made earlier."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str

    def sent(self) -> CallSent:
        """As chat completions have it."""
        return CallSent(id=self.call_id, function=FunctionSent(name=self.name, arguments=self.arguments))


class ResultItem(BaseModel):
    """What the caller's own run of a function gave."""

    type: Literal["function_call_output"]
    call_id: str
    output: Content

    def said(self) -> Message:
        """As chat completions have it."""
        return Message.model_construct(role="tool", tool_call_id=self.call_id, content=self.output)


class ReasoningItem(BaseModel):
    """Thoughts of another model; they are accepted and left out."""

    type: Literal["reasoning"]


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[ResultItem, Tag("function_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")],
    Discriminator(
        _kind_of,
        custom_error_type="unsupported_item",
        custom_error_message="an item has to be a message, a function_call, a function_call_output or a reasoning "
        "item, in full: items are not stored here, so a reference to one leads nowhere",
    ),
]
_Items = Annotated[list[Item], Field(min_length=1, max_length=MOST_MESSAGES)]
Input = Annotated[_Items, BeforeValidator(_as_items, json_schema_input_type=str | _Items)]
"""A conversation: what its user says, or a list of items."""


class FunctionTool(BaseModel):
    """A function that the caller offers."""

    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None

    def as_chat(self) -> Tool:
        """As chat completions have it."""
        return Tool(type=self.type, function=Function(**self.model_dump(exclude={"type"})))


class FunctionChoice(BaseModel):
    """One function of those offered."""

    type: Literal["function"]
    name: str

    def as_chat(self) -> NamedFunction:
        """As chat completions have it."""
        return NamedFunction(type=self.type, function=FunctionName(name=self.name))


class AllowedChoice(BaseModel):
    """A choice among some functions of those offered."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"] = "auto"
    tools: Annotated[list[FunctionChoice], Field(max_length=MOST_TOOLS)]

    def as_chat(self) -> AllowedTools:
        """As chat completions have it."""
        tools = [tool.as_chat() for tool in self.tools]
        return AllowedTools(type=self.type, allowed_tools=Allowed(mode=self.mode, tools=tools))


Choice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("mode")]
    | Annotated[FunctionChoice, Tag("function")]
    | Annotated[AllowedChoice, Tag("allowed_tools")],
    Discriminator(
        _kind_of,
        custom_error_type="unsupported_choice",
        custom_error_message="has to be none, auto, required, a function, or allowed_tools: there are no other tools",
    ),
]
"""Whether functions may or must be called, and which."""


class Format(BaseModel):
    """What the answer has to be."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str = ""
    description: str | None = None
    schema_: JsonObject = Field(default_factory=dict, alias="schema")
    strict: bool | None = False

    def as_chat(self) -> ResponseFormat:
        """As chat completions have it."""
        schema = JsonSchema.model_validate({"name": self.name, "schema": self.schema_})
        return ResponseFormat(type=self.type, json_schema=schema)

    def given_back(self) -> dict[str, Any]:
        """As it comes back in a response."""
        return self.model_dump(by_alias=True, include=None if self.type == "json_schema" else {"type"})


class TextOptions(BaseModel):
    """How the answer is written."""

    format: Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]
"""The caller's own notes, which are given back."""


class ResponseRequest(BaseModel):
    """A request for a response.

    Fields that are not named here are accepted and ignored. Those of sampling, ``parallel_tool_calls``,
    ``max_tool_calls`` and the caller's identifiers are given back, and have no effect.
    """

    model: str
    input: Input
    instructions: str | None = None
    stream: bool | None = None
    tools: Annotated[list[FunctionTool], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: Choice | None = None
    text: TextOptions | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    metadata: Metadata | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    prompt: Any = None
    background: bool | None = None

    @property
    def format(self) -> Format:
        """What the answer has to be."""
        return (self.text and self.text.format) or Format()

    def as_chat(self) -> ChatRequest:
        """As chat completions have it; everything in it has been checked."""
        return ChatRequest.model_construct(
            model=self.model,
            messages=list(self._messages()),
            tools=[tool.as_chat() for tool in self.tools or ()],
            tool_choice=self.tool_choice if isinstance(self.tool_choice, str | None) else self.tool_choice.as_chat(),
            response_format=self.format.as_chat(),
            max_completion_tokens=self.max_output_tokens,
        )

    def _messages(self) -> Iterator[Message]:
        if self.instructions is not None:
            yield Message(role="system", content=self.instructions)
        yield from _messages_of(self.input)


Asked = Annotated[ResponseRequest, Depends(json_body(ResponseRequest))]
"""The body, read after the caller is known."""


def router(service: Service, remote: RemoteImages) -> APIRouter:
    """The route of responses.

    Args:
        service: what it works with.
        remote: gets pictures from hosts that the operator allows.
    """
    routes = APIRouter(prefix="/v1", tags=["openai"])

    @routes.post(
        "/responses",
        summary="Ask about a scan by OpenAI's Responses API",
        responses=_ANSWER | errors(*SCREENING),
        openapi_extra=body(ResponseRequest, _EXAMPLE),
    )
    async def respond(caller: Screening, asked: Asked) -> Response:
        model = model_named(service, asked.model)
        _refuse_what_needs_memory(asked)
        head = _head(caller, model.model_id, asked)
        with _own_names():
            completion = await model.complete(await conversation_of(asked.as_chat(), remote.fetch), caller)
        headers = record_header(completion)
        if asked.stream:
            return stream_of(events(head, completion), headers)
        return JSONResponse(finished(head, completion), headers=headers)

    return routes


def _messages_of(items: Iterable[Item]) -> Iterator[Message]:
    """Items as messages; calls that follow one another were made in one message."""
    said = (item for item in items if not isinstance(item, ReasoningItem))
    for made, group in groupby(said, key=lambda item: isinstance(item, CallItem)):
        if made:
            calls = [item.sent() for item in group if isinstance(item, CallItem)]
            yield Message.model_construct(role="assistant", tool_calls=calls)
        else:
            yield from (item.said() for item in group if isinstance(item, MessageItem | ResultItem))


def _refuse_what_needs_memory(asked: ResponseRequest) -> None:
    if asked.previous_response_id is not None:
        raise Refused(
            400,
            "previous_response_not_found",
            "responses are not stored here, so there is none to go on from",
            hint="send the whole conversation in input",
            param="previous_response_id",
        )
    for name in ("conversation", "prompt", "background"):
        if getattr(asked, name):
            raise Refused(
                400,
                "unsupported_parameter",
                f"{name} is not supported: nothing is stored here, and a response is made at once",
                hint=f"leave {name} out, and send the whole conversation in input",
                param=name,
            )


@contextmanager
def _own_names() -> Iterator[None]:
    """Refusals name the fields of chat completions; here these have other names."""
    try:
        yield
    except Refused as refusal:
        refusal.param = _PARAMS.get(refusal.param or "", refusal.param)
        raise


def _head(caller: Caller, model: str, asked: ResponseRequest) -> dict[str, Any]:
    """What is known of a response before there is an answer."""
    sent = asked.model_dump(include=set(_GIVEN_BACK))
    return {
        "id": f"resp_{caller.request_id}",
        "object": "response",
        "created_at": int(time.time()),
        "model": model,
        "text": {"format": asked.format.given_back()},
        **{name: default if sent[name] is None else sent[name] for name, default in _GIVEN_BACK.items()},
        **_NEVER,
    }
