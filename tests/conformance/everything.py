"""A server with everything that the harnesses ask for, in both eras: `python -m tests.conformance.everything PORT`."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import anyio
import mcp_types as types
import uvicorn
from mcp import MCPError
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import NotificationOptions
from mcp.server.models import InitializationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourceUpdated,
    ToolsListChanged,
)

from tests.conformance.content import (
    DEFAULTS,
    ENUMS,
    MIXED,
    PNG,
    SCHEMA,
    WAV,
    ask,
    form,
    prompt_of,
    roots,
    sample,
    text,
)

Context: TypeAlias = ServerRequestContext[Any, Any]
Answer: TypeAlias = types.CallToolResult | types.InputRequiredResult
Run: TypeAlias = Callable[[Context, types.CallToolRequestParams], Awaitable[Answer]]

STEP: Final = 0.05
"""Seconds between two things a tool tells of, as the scenarios ask for."""

TOOLS: Final[dict[str, tuple[types.Tool, Run]]] = {}
BUS: Final = InMemorySubscriptionBus()
WAITING: Final[list[str]] = []
SUBSCRIBED: Final[dict[str, dict[str, ServerSession]]] = {}
"""By resource: the sessions of the handshake era that subscribed to it."""


def tool(name: str, schema: dict[str, Any] | None = None) -> Callable[[Run], Run]:
    """Register what a tool does; its docstring describes it."""

    def register(run: Run) -> Run:
        described = types.Tool(name=name, description=run.__doc__, input_schema=schema or {"type": "object"})
        TOOLS[name] = described, run
        return run

    return register


def done(*contents: types.ContentBlock) -> types.CallToolResult:
    return types.CallToolResult(content=list(contents))


# ------------------------------------------------------------------------------------------------------- plain answers


@tool("test_simple_text")
async def simple_text(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    """Answers with text."""
    return done(text("This is a simple text response for testing."))


@tool("test_image_content")
async def image(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    """Answers with an image."""
    return done(types.ImageContent(type="image", data=PNG, mime_type="image/png"))


@tool("test_audio_content")
async def audio(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    """Answers with sound."""
    return done(types.AudioContent(type="audio", data=WAV, mime_type="audio/wav"))


@tool("test_embedded_resource")
async def embedded(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    """Answers with a resource."""
    contents = types.TextResourceContents(
        uri="test://embedded-resource", mime_type="text/plain", text="This is an embedded resource content."
    )
    return done(types.EmbeddedResource(type="resource", resource=contents))


@tool("test_multiple_content_types")
async def mixed(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    """Answers with text, an image and a resource."""
    return done(
        text("Multiple content types test:"),
        types.ImageContent(type="image", data=PNG, mime_type="image/png"),
        types.EmbeddedResource(type="resource", resource=MIXED),
    )


@tool("test_error_handling")
async def failing(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    """Fails."""
    words = text("This tool intentionally returns an error for testing")
    return types.CallToolResult(content=[words], is_error=True)


@tool("json_schema_2020_12_tool", SCHEMA)
async def schema_of(_ctx: Context, params: types.CallToolRequestParams) -> Answer:
    """Has an input schema that uses JSON Schema 2020-12."""
    return done(text(f"JSON Schema 2020-12 tool called with: {params.arguments}"))


@tool("test_custom_headers", {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}})
async def custom_header(_ctx: Context, params: types.CallToolRequestParams) -> Answer:
    """Has an argument that is mirrored in a header."""
    return done(text(f"region: {(params.arguments or {}).get('region')}"))


# ------------------------------------------------------------------------------------------- what is told on the way


@tool("test_tool_with_logging")
async def logging(ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    """Logs three lines."""
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message("info", words, related_request_id=ctx.request_id)
        await anyio.sleep(STEP)
    return done(text("Logged."))


@tool("test_logging_tool")
async def logging_if_wanted(ctx: Context, params: types.CallToolRequestParams) -> Answer:
    """Logs three lines to those who want to hear of it."""
    return await logging(ctx, params)


@tool("test_tool_with_progress")
async def progressing(ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    """Reports progress three times."""
    for progress in (0, 50, 100):
        await ctx.session.report_progress(progress, 100)
        await anyio.sleep(STEP)
    return done(text("Progressed."))


@tool("test_reconnection")
async def reconnection(ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    """Closes its stream and goes on, where the transport can."""
    if ctx.close_sse_stream is not None:
        await ctx.close_sse_stream()
    await anyio.sleep(STEP)
    return done(text("Reconnection test completed successfully."))


@tool("test_wait")
async def wait(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    """Waits until it is cancelled."""
    WAITING.append("waits")
    try:
        await anyio.sleep_forever()
    finally:
        WAITING.append("cancelled")
    return done()


@tool("test_waiting")
async def waiting(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    """Says what became of those who waited."""
    return done(text(" ".join(WAITING)))


@tool("test_trigger_tool_change")
async def change_tools(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    """Changes the list of tools."""
    name = "test_comes_and_goes"
    if TOOLS.pop(name, None) is None:
        described = types.Tool(name=name, description="Comes and goes.", input_schema={"type": "object"})
        TOOLS[name] = described, simple_text
    await BUS.publish(ToolsListChanged())
    return done(text("Changed."))


@tool("test_trigger_prompt_change")
async def change_prompts(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    """Changes the list of prompts."""
    await BUS.publish(PromptsListChanged())
    return done(text("Changed."))


@tool("test_update_resource")
async def update_resource(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    """Tells those who subscribed that the watched resource has changed."""
    uri = "test://watched-resource"
    await BUS.publish(ResourceUpdated(uri=uri))
    for session in SUBSCRIBED.get(uri, {}).values():
        await session.send_resource_updated(uri)
    return done(text("Updated."))


# ------------------------------------------------------------------------- questions back, in the handshake era's way


@tool("test_sampling", form(prompt="string"))
async def sampling(ctx: Context, params: types.CallToolRequestParams) -> Answer:
    """Has the client's model answer."""
    prompt = (params.arguments or {})["prompt"]
    message = types.SamplingMessage(role="user", content=text(prompt))
    found = await ctx.session.create_message([message], max_tokens=100, related_request_id=ctx.request_id)
    return done(text(f"LLM response: {getattr(found.content, 'text', '')}"))


async def elicited(ctx: Context, message: str, schema: dict[str, Any], words: str) -> Answer:
    found = await ctx.session.elicit_form(message, schema, ctx.request_id)
    return done(text(f"{words}: action={found.action}, content={found.content}"))


@tool("test_elicitation", form(message="string"))
async def elicitation(ctx: Context, params: types.CallToolRequestParams) -> Answer:
    """Asks the user for a name and an address."""
    message = (params.arguments or {})["message"]
    return await elicited(ctx, message, form(username="string", email="string"), "User response")


@tool("test_elicitation_sep1034_defaults")
async def elicitation_defaults(ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    """Asks the user for values that have defaults."""
    return await elicited(ctx, "Please check these", DEFAULTS, "Elicitation completed")


@tool("test_elicitation_sep1330_enums")
async def elicitation_enums(ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    """Asks the user to choose."""
    return await elicited(ctx, "Please choose", ENUMS, "Elicitation completed")


# ------------------------------------------------------------------------ questions back, as results (2026-07-28)


def required(requests: Mapping[str, types.InputRequest], state: str | None = None) -> types.InputRequiredResult:
    return types.InputRequiredResult(input_requests=dict(requests), request_state=state)


def answer(params: types.InputResponseRequestParams, key: str) -> dict[str, Any] | None:
    """What a user entered; None where the client sent no such answer."""
    found = (params.input_responses or {}).get(key)
    return found.content or {} if isinstance(found, types.ElicitResult) and found.action == "accept" else None


@tool("test_input_required_result_elicitation")
async def input_elicitation(_ctx: Context, params: types.CallToolRequestParams) -> Answer:
    """Asks for a name, and greets."""
    entered = answer(params, "user_name")
    if entered is None or not isinstance(entered.get("name"), str):
        return required({"user_name": ask("What is your name?", form(name="string"))})
    return done(text(f"Hello, {entered['name']}!"))


@tool("test_input_required_result_sampling")
async def input_sampling(_ctx: Context, params: types.CallToolRequestParams) -> Answer:
    """Has the client's model answer."""
    found = (params.input_responses or {}).get("capital_question")
    if not isinstance(found, types.CreateMessageResult | types.CreateMessageResultWithTools):
        return required({"capital_question": sample("What is the capital of France?")})
    return done(text(f"The model says: {getattr(found.content, 'text', '')}"))


@tool("test_input_required_result_list_roots")
async def input_roots(_ctx: Context, params: types.CallToolRequestParams) -> Answer:
    """Asks for the client's roots."""
    found = (params.input_responses or {}).get("client_roots")
    if not isinstance(found, types.ListRootsResult):
        return required({"client_roots": roots()})
    return done(text(f"Roots: {', '.join(str(root.uri) for root in found.roots)}"))


@tool("test_input_required_result_request_state")
async def input_state(_ctx: Context, params: types.CallToolRequestParams) -> Answer:
    """Wants its state back."""
    if params.request_state != "confirming" or answer(params, "confirm") is None:
        return required({"confirm": ask("Please confirm", form(ok="boolean"))}, "confirming")
    return done(text("state-ok"))


@tool("test_input_required_result_tampered_state")
async def input_sealed(ctx: Context, params: types.CallToolRequestParams) -> Answer:
    """Wants its state back unchanged: the boundary around all handlers sees to that."""
    return await input_state(ctx, params)


@tool("test_input_required_result_multiple_inputs")
async def input_several(_ctx: Context, params: types.CallToolRequestParams) -> Answer:
    """Asks for three things at once."""
    wanted: dict[str, types.InputRequest] = {
        "user_name": ask("What is your name?", form(name="string")),
        "greeting": sample("Generate a greeting", 50),
        "client_roots": roots(),
    }
    if not wanted.keys() <= (params.input_responses or {}).keys():
        return required(wanted, "asking")
    return done(text("All three were answered."))


@tool("test_input_required_result_multi_round")
async def input_rounds(_ctx: Context, params: types.CallToolRequestParams) -> Answer:
    """Asks one thing after another."""
    match params.request_state:
        case "first" if (entered := answer(params, "step1")) is not None:
            question = ask("Step 2: What is your favorite color?", form(color="string"))
            return required({"step2": question}, f"second {entered.get('name')}")
        case str() as state if state.startswith("second ") and (entered := answer(params, "step2")) is not None:
            return done(text(f"{state.removeprefix('second ')} likes {entered.get('color')}."))
        case _:
            return required({"step1": ask("Step 1: What is your name?", form(name="string"))}, "first")


def may(ctx: Context) -> types.ClientCapabilities:
    return ctx.session.client_capabilities or types.ClientCapabilities()


@tool("test_input_required_result_capabilities")
async def input_able(ctx: Context, params: types.CallToolRequestParams) -> Answer:
    """Asks for nothing that the client cannot give."""
    able = may(ctx)
    wanted: dict[str, types.InputRequest] = {}
    if able.sampling is not None:
        wanted["sample"] = sample("Say something")
    if able.elicitation is not None:
        wanted["ask"] = ask("Say something", form(words="string"))
    if wanted and not params.input_responses:
        return required(wanted)
    return done(text(f"Able to do: {', '.join(wanted)}"))


@tool("test_missing_capability")
async def input_unable(ctx: Context, _params: types.CallToolRequestParams) -> Answer:
    """Needs the client's model."""
    if may(ctx).sampling is None:
        needed: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "sampling is needed", needed)
    return done(text("The client can sample."))


@tool("test_streaming_elicitation")
async def input_on_a_stream(ctx: Context, params: types.CallToolRequestParams) -> Answer:
    """Reports progress before it asks."""
    await ctx.session.report_progress(1, 2)
    return await input_elicitation(ctx, params)


# ---------------------------------------------------------------------------------------- resources and prompts

RESOURCES: Final = (
    types.Resource(uri="test://static-text", name="text", description="Text.", mime_type="text/plain"),
    types.Resource(uri="test://static-binary", name="binary", description="An image.", mime_type="image/png"),
    types.Resource(uri="test://watched-resource", name="watched", description="Changes.", mime_type="text/plain"),
)
TEMPLATE: Final = "test://template/{id}/data"


async def read_resource(_ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    uri = str(params.uri)
    before, after = TEMPLATE.split("{id}")
    contents: types.TextResourceContents | types.BlobResourceContents
    if uri == "test://static-binary":
        contents = types.BlobResourceContents(uri=uri, mime_type="image/png", blob=PNG)
    elif uri.startswith(before) and uri.endswith(after):
        found = uri.removeprefix(before).removesuffix(after)
        words = f'{{"id":"{found}","templateTest":true,"data":"Data for ID: {found}"}}'
        contents = types.TextResourceContents(uri=uri, mime_type="application/json", text=words)
    elif uri in {str(resource.uri) for resource in RESOURCES}:
        words = "This is the content of the static text resource."
        contents = types.TextResourceContents(uri=uri, mime_type="text/plain", text=words)
    else:
        raise MCPError(types.INVALID_PARAMS, "Resource not found", {"uri": uri})
    return types.ReadResourceResult(contents=[contents], ttl_ms=0, cache_scope="private")


def _prompt(name: str, **arguments: str) -> types.Prompt:
    wanted = [types.PromptArgument(name=key, description=words, required=True) for key, words in arguments.items()]
    return types.Prompt(name=name, description=f"Prompt {name}.", arguments=wanted or None)


PROMPTS: Final = (
    _prompt("test_simple_prompt"),
    _prompt("test_prompt_with_arguments", arg1="First test argument", arg2="Second test argument"),
    _prompt("test_prompt_with_embedded_resource", resourceUri="URI of the resource to embed"),
    _prompt("test_prompt_with_image"),
    _prompt("test_input_required_result_prompt"),
)


async def get_prompt(
    _ctx: Context, params: types.GetPromptRequestParams
) -> types.GetPromptResult | types.InputRequiredResult:
    given = params.arguments or {}
    match params.name:
        case "test_simple_prompt":
            return prompt_of(text("This is a simple prompt for testing."))
        case "test_prompt_with_arguments":
            return prompt_of(text(f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'"))
        case "test_prompt_with_embedded_resource":
            contents = types.TextResourceContents(
                uri=given["resourceUri"], mime_type="text/plain", text="Embedded resource content for testing."
            )
            part = types.EmbeddedResource(type="resource", resource=contents)
            return prompt_of(part, text("Please process the embedded resource above."))
        case "test_prompt_with_image":
            picture = types.ImageContent(type="image", data=PNG, mime_type="image/png")
            return prompt_of(picture, text("Please analyze the image above."))
        case "test_input_required_result_prompt":
            entered = answer(params, "user_context")
            if entered is None:
                return required({"user_context": ask("What context should the prompt use?", form(context="string"))})
            return prompt_of(text(f"Use this context: {entered.get('context')}"))
        case _:
            raise MCPError(types.INVALID_PARAMS, f"no prompt {params.name!r}")


# ------------------------------------------------------------------------------------------------------ the server


class EverythingServer(Server[None]):
    """Announces changes of its tools to sessions of the handshake era, too."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        announced = notification_options or NotificationOptions(tools_changed=True, prompts_changed=True)
        return super().create_initialization_options(announced, experimental_capabilities, extensions)


async def list_tools(_ctx: Context, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[described for described, _ in TOOLS.values()], ttl_ms=0, cache_scope="public")


async def call_tool(ctx: Context, params: types.CallToolRequestParams) -> Answer:
    if params.name not in TOOLS:
        raise MCPError(types.INVALID_PARAMS, f"no tool {params.name!r}")
    _, run = TOOLS[params.name]
    return await run(ctx, params)


async def list_resources(_ctx: Context, _params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
    return types.ListResourcesResult(resources=list(RESOURCES), ttl_ms=0, cache_scope="public")


async def list_templates(
    _ctx: Context, _params: types.PaginatedRequestParams | None
) -> types.ListResourceTemplatesResult:
    template = types.ResourceTemplate(
        uri_template=TEMPLATE, name="template", description="Data by id.", mime_type="application/json"
    )
    return types.ListResourceTemplatesResult(resource_templates=[template], ttl_ms=0, cache_scope="public")


async def list_prompts(_ctx: Context, _params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
    return types.ListPromptsResult(prompts=list(PROMPTS), ttl_ms=0, cache_scope="public")


def input_schema(name: str) -> dict[str, Any] | None:
    """By which headers are held against arguments."""
    return TOOLS[name][0].input_schema if name in TOOLS else None


async def complete(_ctx: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
    values = [word for word in ("paris", "park", "party") if word.startswith(params.argument.value)]
    return types.CompleteResult(completion=types.Completion(values=values, total=len(values), has_more=False))


def session_of(ctx: Context) -> str:
    return "" if ctx.request is None else str(ctx.request.headers.get("mcp-session-id"))


async def subscribe(ctx: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
    SUBSCRIBED.setdefault(str(params.uri), {})[session_of(ctx)] = ctx.session
    return types.EmptyResult()


async def unsubscribe(ctx: Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
    SUBSCRIBED.get(str(params.uri), {}).pop(session_of(ctx), None)
    return types.EmptyResult()


async def nothing(_ctx: Context, _params: Any) -> types.EmptyResult:
    return types.EmptyResult()


def build() -> EverythingServer:
    server = EverythingServer(
        "everything",
        version="1.0.0",
        get_tool_input_schema=input_schema,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_subscribe_resource=subscribe,
        on_unsubscribe_resource=unsubscribe,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_completion=complete,
        on_set_logging_level=nothing,
        on_subscriptions_listen=ListenHandler(BUS),
    )
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience="everything"))
    return server


def main() -> None:
    port = int(sys.argv[1])
    uvicorn.run(build().streamable_http_app(), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
