"""What the conformance suite calls by name: tools, resources and prompts added to a server of our own making.

The names, arguments and answers are the suite's. At 2025-11-25 a tool that asks the client needs a session to ask
through; at 2026-07-28 the question travels in the answer. The same resolvers serve both.
"""

from __future__ import annotations

import inspect
import io
import json
import wave
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import anyio
import click
import uvicorn
from mcp.server import MCPServer, ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.server.mcpserver import Audio, Context, Elicit, Image, ListRoots, Resolve, Sample
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ToolsListChanged
from mcp.types import (
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    EmptyResult,
    InputRequiredResult,
    ListRootsResult,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from PIL import Image as Picture
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel
from xray_servers.desk import DeskLimits, ScreeningDesk
from xray_servers.mcp.application import build_server
from xray_servers.mcp.http import HttpSettings, http_app
from xray_servers.screening import ScreeningSettings

Request = Context[Any, Any]

STEP_S = 0.05
"""Pause between two messages of one call, in seconds; the suite wants them apart."""

FULL_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
"""A schema with the 2020-12 keywords that a listing must keep."""


def _pixel() -> Image:
    buffer = io.BytesIO()
    Picture.new("RGB", (1, 1), "red").save(buffer, "PNG")
    return Image(data=buffer.getvalue(), format="png")


def _click() -> Audio:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(b"\0\0")
    return Audio(data=buffer.getvalue(), format="wav")


def _embedded(uri: str, text: str, mime_type: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def _titled(*values: str) -> list[dict[str, str]]:
    return [{"const": value, "title": value.title()} for value in values]


class Person(BaseModel):
    """A name."""

    name: str


class Colour(BaseModel):
    """A favourite colour."""

    color: str


class Consent(BaseModel):
    """Yes or no."""

    ok: bool


class Background(BaseModel):
    """What a prompt shall build on."""

    context: str


class Contact(BaseModel):
    """How to reach a user."""

    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


class Defaults(BaseModel):
    """A default for each primitive type (SEP-1034)."""

    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Literal["active", "inactive", "pending"] = "active"
    verified: bool = True


class Choices(BaseModel):
    """Each way to offer a choice (SEP-1330)."""

    model_config = ConfigDict(alias_generator=to_camel)

    untitled_single: Literal["option1", "option2", "option3"]
    titled_single: Annotated[str, WithJsonSchema({"type": "string", "oneOf": _titled("value1", "value2", "value3")})]
    legacy_enum: Annotated[
        str, WithJsonSchema({"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]})
    ]
    untitled_multi: list[Literal["option1", "option2", "option3"]]
    titled_multi: Annotated[
        list[str], WithJsonSchema({"type": "array", "items": {"anyOf": _titled("value1", "value2", "value3")}})
    ]


def ask_name() -> Elicit[Person]:
    return Elicit("What is your name?", Person)


def ask_colour(person: Annotated[Person, Resolve(ask_name)]) -> Elicit[Colour]:
    return Elicit(f"What is your favourite colour, {person.name}?", Colour)


def ask_consent() -> Elicit[Consent]:
    return Elicit("Please confirm", Consent)


def ask_contact(message: str) -> Elicit[Contact]:
    return Elicit(message, Contact)


def ask_defaults() -> Elicit[Defaults]:
    return Elicit("Please review the defaults", Defaults)


def ask_choices() -> Elicit[Choices]:
    return Elicit("Please choose", Choices)


def sample(prompt: str) -> Sample:
    return Sample([SamplingMessage(role="user", content=TextContent(type="text", text=prompt))], max_tokens=100)


def sample_capital() -> Sample:
    return sample("What is the capital of France?")


def list_roots() -> ListRoots:
    return ListRoots()


def ask_name_if_able(ctx: Request) -> Elicit[Person] | None:
    return ask_name() if ctx.client_capabilities and ctx.client_capabilities.elicitation else None


def sample_if_able(ctx: Request) -> Sample | None:
    return sample_capital() if ctx.client_capabilities and ctx.client_capabilities.sampling else None


Named = Annotated[Person, Resolve(ask_name)]
Confirmed = Annotated[Consent, Resolve(ask_consent)]
Capital = Annotated[CreateMessageResult, Resolve(sample_capital)]
Roots = Annotated[ListRootsResult, Resolve(list_roots)]


def test_simple_text() -> str:
    """Answers with one line of text."""
    return "This is a simple text response for testing."


def test_image_content() -> Image:
    """Answers with a picture."""
    return _pixel()


def test_audio_content() -> Audio:
    """Answers with a sound."""
    return _click()


def test_embedded_resource() -> EmbeddedResource:
    """Answers with an embedded resource."""
    return _embedded("test://embedded-resource", "This is an embedded resource content.")


def test_multiple_content_types() -> list[Any]:
    """Answers with text, a picture and an embedded resource."""
    data = json.dumps({"test": "data", "value": 123})
    resource = _embedded("test://mixed-content-resource", data, "application/json")
    return ["Multiple content types test:", _pixel(), resource]


def test_error_handling() -> str:
    """Always fails."""
    raise ToolError("This tool intentionally returns an error for testing")


async def test_tool_with_logging(ctx: Request) -> str:
    """Sends three log messages."""
    for message in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.log("info", message)
        await anyio.sleep(STEP_S)
    return "Three messages were logged."


async def test_logging_tool(ctx: Request) -> str:
    """Sends a log message to a client that asked for them."""
    await ctx.log("info", "A message")
    return "A message was logged."


async def test_tool_with_progress(ctx: Request) -> str:
    """Reports progress at 0, 50 and 100 of 100."""
    for progress in (0, 50, 100):
        await ctx.report_progress(progress, total=100)
        await anyio.sleep(STEP_S)
    return "Progress was reported."


async def test_reconnection(ctx: Request) -> str:
    """Closes the stream of its own call where that can be resumed, then answers."""
    await ctx.close_sse_stream()
    return "Answered after the stream was closed."


def test_sampling(prompt: str, answer: Annotated[CreateMessageResult, Resolve(sample)]) -> str:
    """Has the client's model answer a prompt."""
    return f"LLM response: {answer.content}"


def test_elicitation(message: str, contact: Annotated[Contact, Resolve(ask_contact)]) -> str:
    """Asks the user for a name and an address."""
    return f"User response: {contact}"


def test_elicitation_sep1034_defaults(answer: Annotated[Defaults, Resolve(ask_defaults)]) -> str:
    """Asks the user with a default in each field."""
    return f"Elicitation completed: {answer}"


def test_elicitation_sep1330_enums(answer: Annotated[Choices, Resolve(ask_choices)]) -> str:
    """Asks the user to choose, in each way there is."""
    return f"Elicitation completed: {answer}"


def test_missing_capability(answer: Capital) -> str:
    """Needs a client that can sample."""
    return f"LLM response: {answer.content}"


def test_streaming_elicitation(person: Named) -> str:
    """Asks the user for a name."""
    return f"Hello, {person.name}!"


def test_custom_header(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    """Takes an argument that also travels in a header (SEP-2243)."""
    return f"Region {region}"


def json_schema_2020_12_tool() -> str:
    """Tool with JSON Schema 2020-12 features."""
    return "Listed for its schema."


def test_input_required_result_elicitation(ctx: Request) -> str | InputRequiredResult:
    """Greets the user by name; asks for it under a fixed key."""
    answer = _accepted(ctx, "user_name")
    return f"Hello, {answer['name']}!" if answer else _question("user_name", "What is your name?", Person)


def test_input_required_result_sampling(answer: Capital) -> str:
    """Has the client's model name a capital."""
    return f"LLM response: {answer.content}"


def test_input_required_result_list_roots(roots: Roots) -> str:
    """Counts the client's roots."""
    return f"{len(roots.roots)} roots"


def test_input_required_result_request_state(consent: Confirmed) -> str:
    """Asks, and knows the call again by its state."""
    return f"state-ok: {consent.ok}"


def test_input_required_result_tampered_state(consent: Confirmed) -> str:
    """Asks; a state that was tampered with is refused."""
    return f"state-ok: {consent.ok}"


def test_input_required_result_multiple_inputs(person: Named, answer: Capital, roots: Roots) -> str:
    """Asks the user, the client's model and the client in one round."""
    return f"{person.name}: {answer.content} {len(roots.roots)} roots"


def test_input_required_result_multi_round(person: Named, colour: Annotated[Colour, Resolve(ask_colour)]) -> str:
    """Asks the user twice, one question after the other."""
    return f"{person.name} likes {colour.color}."


def test_input_required_result_capabilities(
    person: Annotated[Person | None, Resolve(ask_name_if_able)],
    answer: Annotated[CreateMessageResult | None, Resolve(sample_if_able)],
) -> str:
    """Asks only what the client can answer."""
    return f"{person} {answer}"


TOOLS: tuple[Callable[..., object], ...] = (
    test_simple_text,
    test_image_content,
    test_audio_content,
    test_embedded_resource,
    test_multiple_content_types,
    test_error_handling,
    test_tool_with_logging,
    test_logging_tool,
    test_tool_with_progress,
    test_reconnection,
    test_sampling,
    test_elicitation,
    test_elicitation_sep1034_defaults,
    test_elicitation_sep1330_enums,
    test_missing_capability,
    test_streaming_elicitation,
    test_custom_header,
    json_schema_2020_12_tool,
    test_input_required_result_elicitation,
    test_input_required_result_sampling,
    test_input_required_result_list_roots,
    test_input_required_result_request_state,
    test_input_required_result_tampered_state,
    test_input_required_result_multiple_inputs,
    test_input_required_result_multi_round,
    test_input_required_result_capabilities,
)


def test_simple_prompt() -> str:
    """A prompt without arguments."""
    return "This is a simple prompt for testing."


def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """A prompt with two arguments."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


def test_prompt_with_embedded_resource(resource_uri: Annotated[str, Field(alias="resourceUri")]) -> list[Any]:
    """A prompt that embeds a resource."""
    resource = _embedded(resource_uri, "Embedded resource content for testing.")
    return [resource, "Please process the embedded resource above."]


def test_prompt_with_image() -> list[Any]:
    """A prompt that shows a picture."""
    return [_pixel(), "Please analyze the image above."]


def test_input_required_result_prompt(ctx: Request) -> str | InputRequiredResult:
    """A prompt that asks for its context."""
    answer = _accepted(ctx, "user_context")
    return f"Context: {answer['context']}" if answer else _question("user_context", "Which context?", Background)


PROMPTS: tuple[Callable[..., Any], ...] = (
    test_simple_prompt,
    test_prompt_with_arguments,
    test_prompt_with_embedded_resource,
    test_prompt_with_image,
    test_input_required_result_prompt,
)


def add_fixtures(server: MCPServer[Any]) -> None:
    """Add everything that the suite calls by name.

    Subscriptions and log levels have no public hook on ``MCPServer``, so their handlers go to the server underneath, as
    the ``mcp`` package advises for methods that 2026-07-28 removed.
    """
    for tool in TOOLS:
        server.add_tool(tool, description=inspect.getdoc(tool), structured_output=False)
    for prompt in PROMPTS:
        server.add_prompt(Prompt.from_function(prompt))
    _add_resources(server)
    _add_changes(server)
    server.middleware.append(_list_full_schema)


def _add_resources(server: MCPServer[Any]) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:
        """A text."""
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:
        """A picture."""
        return _pixel().data or b""

    @server.resource("test://watched-resource", mime_type="text/plain")
    def watched_resource() -> str:
        """A text to subscribe to."""
        return "Watched."

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:  # noqa: A002 - the suite's name
        """Data of one id."""
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def _add_changes(server: MCPServer[Any]) -> None:
    bus = InMemorySubscriptionBus()

    @server.tool(structured_output=False)
    async def test_trigger_tool_change() -> str:
        """Announces a change of the list of tools."""
        await bus.publish(ToolsListChanged())
        return "Announced."

    @server.tool(structured_output=False)
    async def test_trigger_prompt_change() -> str:
        """Announces a change of the list of prompts."""
        await bus.publish(PromptsListChanged())
        return "Announced."

    async def accept(ctx: ServerRequestContext[Any], params: BaseModel) -> EmptyResult:
        return EmptyResult()

    below = server._lowlevel_server
    below.add_request_handler("subscriptions/listen", SubscriptionsListenRequestParams, ListenHandler(bus))
    below.add_request_handler("resources/subscribe", SubscribeRequestParams, accept)
    below.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, accept)
    below.add_request_handler("logging/setLevel", SetLevelRequestParams, accept)


async def _list_full_schema(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    result = await call_next(ctx)
    if ctx.method == "tools/list" and isinstance(result, dict):
        for tool in result["tools"]:
            if tool["name"] == json_schema_2020_12_tool.__name__:
                tool["inputSchema"] = FULL_SCHEMA
    return result


def _accepted(ctx: Request, key: str) -> dict[str, Any] | None:
    answer = (ctx.input_responses or {}).get(key)
    return answer.content if isinstance(answer, ElicitResult) and answer.action == "accept" else None


def _question(key: str, message: str, model: type[BaseModel]) -> InputRequiredResult:
    params = ElicitRequestFormParams(message=message, requested_schema=model.model_json_schema())
    return InputRequiredResult(input_requests={key: ElicitRequest(params=params)})


@click.command()
@click.option("--port", type=int, required=True, help="Port on loopback.")
@click.option("--sessions", is_flag=True, help="Keep sessions, as 2025-11-25 needs to ask the client.")
def main(port: int, sessions: bool) -> None:
    """Serve our application with the fixtures added."""
    with TemporaryDirectory() as shelf:
        desk = ScreeningDesk(ScreeningSettings(roots=(), shelf=Path(shelf)), DeskLimits(warm=False))
        server = build_server(desk, uploads="/scans")
        add_fixtures(server)
        app = http_app(server, desk, HttpSettings(stateless=not sessions))
        uvicorn.run(app, host="127.0.0.1", port=port, access_log=False)


if __name__ == "__main__":
    main()
