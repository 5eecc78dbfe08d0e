"""Requests for chat completions, as real clients send them. Fields that are not named here are accepted and ignored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from xray_servers.http.openai.conversation import AnswerFormat, OfferedTool

MOST_MESSAGES = 2000
"""Messages of one conversation."""

MOST_PARTS = 100
"""Parts of one message."""

MOST_TOOLS = 128
"""Functions that a caller can offer, as in OpenAI's own API."""


def _as_object(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


def _as_parts(value: object) -> object:
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


class ImageUrl(BaseModel):
    """Where a picture is: a data URI, a scan_id, or an address whose host the operator allows."""

    url: str


class TextPart(BaseModel):
    """Words."""

    type: Literal["text", "input_text", "output_text"]
    text: str


class RefusalPart(BaseModel):
    """Words of an assistant that refused."""

    type: Literal["refusal"]
    refusal: str


class ImagePart(BaseModel):
    """A picture."""

    type: Literal["image_url", "input_image"]
    image_url: Annotated[ImageUrl, BeforeValidator(_as_object, json_schema_input_type=ImageUrl | str)]


def _without_mapping(schema: dict[str, Any]) -> None:
    """Take out what points into this schema's own definitions, which are not there where it is inlined."""
    schema.pop("discriminator", None)


Part = Annotated[TextPart | RefusalPart | ImagePart, Field(discriminator="type", json_schema_extra=_without_mapping)]
_Parts = Annotated[list[Part], Field(max_length=MOST_PARTS)]
Content = Annotated[_Parts | None, BeforeValidator(_as_parts, json_schema_input_type=str | _Parts | None)]
"""What a message says: a text, or a list of parts."""


class FunctionSent(BaseModel):
    """A call as it was made earlier."""

    name: str
    arguments: str = ""


class CallSent(BaseModel):
    """A call that an assistant made earlier."""

    id: str
    function: FunctionSent

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {"id": self.id, "type": "function", "function": self.function.model_dump()}


class Message(BaseModel):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content = None
    name: str | None = None
    tool_calls: Annotated[list[CallSent], Field(max_length=MOST_TOOLS)] | None = None
    tool_call_id: str | None = None

    def plain(self) -> dict[str, Any]:
        """As plain data, with one spelling for what clients write in several ways."""
        optional = {"name": self.name, "tool_call_id": self.tool_call_id}
        calls = {"tool_calls": [call.plain() for call in self.tool_calls]} if self.tool_calls else {}
        given = {name: value for name, value in optional.items() if value is not None}
        return {"role": self.role, "content": self._plain_content(), **given, **calls}

    def _plain_content(self) -> str | list[dict[str, Any]] | None:
        parts = self.content
        if parts is None:
            return None
        texts = [part for part in parts if isinstance(part, TextPart)]
        return texts[0].text if len(texts) == len(parts) == 1 else [_plain_part(part) for part in parts]


def _plain_part(part: TextPart | RefusalPart | ImagePart) -> dict[str, Any]:
    if isinstance(part, ImagePart):
        return {"type": "image_url", "image_url": {"url": part.image_url.url}}
    return {"type": "text", "text": part.text if isinstance(part, TextPart) else part.refusal}


class Function(BaseModel):
    """A function that the caller offers."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    def offered(self) -> OfferedTool:
        """As every model here understands it."""
        return OfferedTool(self.name, self.description or "", self.parameters or {}, self.strict or False)


class Tool(BaseModel):
    """Something that the caller offers; only functions can be called."""

    type: str
    function: Function | None = None


class FunctionName(BaseModel):
    """Name of a function."""

    name: str


class NamedFunction(BaseModel):
    """One function of those offered."""

    type: Literal["function"]
    function: FunctionName


class Allowed(BaseModel):
    """Some functions of those offered."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedFunction], Field(max_length=MOST_TOOLS)]


class AllowedTools(BaseModel):
    """A choice among some functions of those offered."""

    type: Literal["allowed_tools"]
    allowed_tools: Allowed


ToolChoice = Literal["none", "auto", "required"] | NamedFunction | AllowedTools
"""Whether functions may or must be called, and which."""


class JsonSchema(BaseModel):
    """A schema that the answer has to follow."""

    name: str = ""
    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")


class ResponseFormat(BaseModel):
    """What the answer has to be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    def wanted(self) -> AnswerFormat:
        """As every model here understands it."""
        given = self.json_schema or JsonSchema()
        return AnswerFormat(self.type, given.name, given.schema_)


class StreamOptions(BaseModel):
    """What a stream holds besides the answer."""

    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """A request for a chat completion."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    n: Literal[1] | None = None
    tools: Annotated[list[Tool], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    response_format: ResponseFormat | None = None

    @property
    def most_tokens(self) -> int | None:
        """Longest answer, whichever of its two names it came under."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def with_usage(self) -> bool:
        """Whether a stream ends with what it took."""
        return bool(self.stream_options and self.stream_options.include_usage)
