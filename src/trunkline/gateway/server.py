"""The MCP server in front of all configured servers: every request goes through the client's stack.

Speaks both eras over whatever transport it is run on. What a caller sends beside a call's name and arguments (HTTP
headers, `_meta`) stays here; its trace context leads to the spans made here, and those go upstream.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import wraps
from importlib.metadata import version
from typing import Any, Final, TypeAlias, TypeVar, cast, get_args

import mcp_types as types
from mcp import MCPError
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import NotificationOptions
from mcp.server.models import InitializationOptions
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager

from trunkline.call import CacheMode, ToolResult
from trunkline.errors import CallError, InvalidArguments
from trunkline.gateway.announcements import Announcements
from trunkline.gateway.codes import code_of, data_of, message_of
from trunkline.gateway.intake import Intake
from trunkline.gateway.tracing import traced
from trunkline.infrastructure import Infrastructure
from trunkline.registry.wording import quoted

__all__ = ["CACHE_KEY", "DOMAIN_KEY", "PROVENANCE_KEY", "GatewayServer", "build_server", "http_endpoint"]

DOMAIN_KEY: Final = "trunkline/domain"
"""In a request's `_meta`: the domain the call is recorded under."""
CACHE_KEY: Final = "trunkline/cache"
"""In a request's `_meta`: how a cached answer may be used, `use`, `refresh` or `bypass`; anything else is an error."""
PROVENANCE_KEY: Final = "trunkline/provenance"
"""In a result's `_meta`: where the answer came from, with the fields of `Provenance`."""

_DEFAULT_DOMAIN: Final = "gateway"
_DOMAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SESSIONS: Final = 256
"""Sessions of the handshake era that may be open at once; another one is refused with status 503."""
_IDLE: Final = 1800.0
"""Seconds without a request after which a session ends."""
_BODY: Final = 4 * 1024 * 1024
"""Bytes of one request; a larger one is refused with status 413."""

_Context: TypeAlias = ServerRequestContext[Any, Any]
ParamsT = TypeVar("ParamsT")
AnswerT = TypeVar("AnswerT")


class GatewayServer(Server[None]):
    """An SDK server that announces changes of all its listings, in both eras, and no single resource's updates."""

    announcements: Announcements

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """Return what a handshake is answered with; changes are announced unless the options say otherwise."""
        announced = NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True)
        return super().create_initialization_options(
            notification_options or announced, experimental_capabilities, extensions
        )

    def get_capabilities(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
        *,
        protocol_version: str | None = None,
    ) -> types.ServerCapabilities:
        """Return what the gateway can do."""
        able = super().get_capabilities(
            notification_options, experimental_capabilities, extensions, protocol_version=protocol_version
        )
        if able.resources is not None:
            able.resources.subscribe = False
        return able


def build_server(infra: Infrastructure) -> GatewayServer:
    """Return the MCP server for `infra`, which whoever runs it has entered or is entering.

    Errors of ours reach the caller as `codes` says; arguments that do not fit are a result with `is_error`.
    """
    announcements = Announcements(infra.registry, sessions=_SESSIONS)
    requests = _Requests(infra)

    @asynccontextmanager
    async def lifespan(_server: Server[None]) -> AsyncIterator[None]:
        async with announcements.running():
            yield

    def input_schema(name: str) -> Mapping[str, Any] | None:
        tool = infra.registry.get(name)
        return None if tool is None else tool.definition.input_schema

    server = GatewayServer(
        "trunkline",
        version=version("trunkline"),
        title="Trunkline",
        instructions="Tools of several servers behind one. A tool's name begins with the name of its server.",
        lifespan=lifespan,
        get_tool_input_schema=input_schema,
        on_list_tools=_answered(requests.list_tools),
        on_call_tool=_answered(requests.call_tool),
        on_list_resources=_answered(requests.list_resources),
        on_list_resource_templates=_answered(requests.list_templates),
        on_read_resource=_answered(requests.read_resource),
        on_list_prompts=_answered(requests.list_prompts),
        on_get_prompt=_answered(requests.get_prompt),
        on_completion=_answered(requests.complete),
        on_subscriptions_listen=announcements.listen,
    )
    server.announcements = announcements
    server.middleware[:] = [traced(infra.telemetry.tracer), announcements.remember]
    return server


def http_endpoint(server: GatewayServer) -> tuple[StreamableHTTPSessionManager, Intake]:
    """Return the server over HTTP, both eras at one address: what must run beside it, and the ASGI application.

    Host and Origin are not checked here: the gateway's guard does it for every route.
    """
    manager = StreamableHTTPSessionManager(
        server, session_idle_timeout=_IDLE, max_request_body_size=_BODY, max_sessions=_SESSIONS
    )
    return manager, Intake(StreamableHTTPASGIApp(manager), _BODY)


class _Requests:
    """What each request does."""

    def __init__(self, infra: Infrastructure) -> None:
        self._client = infra.mcp_client

    async def list_tools(self, _ctx: _Context, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        # In the registry's order, which is that of the configuration: the same at every call.
        found = await self._client.list_tools()
        return types.ListToolsResult(tools=found.tools, ttl_ms=0, cache_scope="private")

    async def call_tool(self, ctx: _Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        wants_progress = "progress_token" in (ctx.meta or {})
        try:
            result = await self._client.call_tool(
                params.name,
                params.arguments,
                progress_callback=ctx.session.report_progress if wants_progress else None,
                domain=_domain_of(ctx.meta),
                cache=_cache_mode_of(ctx.meta),
            )
        except InvalidArguments as error:
            return _lesson(error)
        return _with_provenance(result)

    async def list_resources(
        self, _ctx: _Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        return await self._client.list_resources()

    async def list_templates(
        self, _ctx: _Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        return await self._client.list_resource_templates()

    async def read_resource(self, _ctx: _Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        found = await self._client.read_resource(params.uri)
        # The answer was made for the gateway's credentials: nobody downstream may share it.
        return types.ReadResourceResult(contents=found.contents, ttl_ms=0, cache_scope="private")

    async def list_prompts(
        self, _ctx: _Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        return await self._client.list_prompts()

    async def get_prompt(self, _ctx: _Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        found = await self._client.get_prompt(params.name, params.arguments)
        return types.GetPromptResult(description=found.description, messages=found.messages)

    async def complete(self, _ctx: _Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        context = None if params.context is None else params.context.arguments
        argument = {"name": params.argument.name, "value": params.argument.value}
        found = await self._client.complete(params.ref, argument, context)
        return types.CompleteResult(completion=found.completion)


def _answered(
    request: Callable[[_Context, ParamsT], Awaitable[AnswerT]],
) -> Callable[[_Context, ParamsT], Awaitable[AnswerT]]:
    """The same request with its failures as JSON-RPC errors."""

    @wraps(request)
    async def answer(ctx: _Context, params: ParamsT) -> AnswerT:
        try:
            return await request(ctx, params)
        except MCPError:
            raise
        except CallError as error:
            raise MCPError(code_of(error), message_of(error), data_of(error)) from error
        except Exception as error:  # boundary: a bug of ours is logged here, and its words stay here
            logging.getLogger("trunkline.gateway").exception("request_failed", extra={"trunkline_method": ctx.method})
            raise MCPError(types.INTERNAL_ERROR, "internal error in the gateway; its log says more") from error

    return answer


def _domain_of(meta: types.RequestParamsMeta | None) -> str:
    wanted = (meta or {}).get(DOMAIN_KEY)
    return wanted if isinstance(wanted, str) and _DOMAIN.fullmatch(wanted) else _DEFAULT_DOMAIN


def _cache_mode_of(meta: types.RequestParamsMeta | None) -> CacheMode:
    wanted = (meta or {}).get(CACHE_KEY, "use")
    for mode in get_args(CacheMode):
        if wanted == mode:
            return cast("CacheMode", mode)
    # Not passed over: who asks for a new answer must not be given an old one.
    words = f"_meta {CACHE_KEY}: found {quoted(wanted)}, expected one of {', '.join(get_args(CacheMode))}"
    raise MCPError(types.INVALID_PARAMS, words)


def _lesson(error: InvalidArguments) -> types.CallToolResult:
    """A model reads results, not protocol errors: what is wrong, one line for each mistake."""
    words = "\n".join([f"The arguments of {error.tool} do not fit, and it was not called:", *error.problems])
    return types.CallToolResult(content=[types.TextContent(type="text", text=words)], is_error=True)


def _with_provenance(result: ToolResult) -> types.CallToolResult:
    # The upstream server's name would pass for ours.
    meta = {key: value for key, value in (result.meta or {}).items() if key != types.SERVER_INFO_META_KEY}
    return result.model_copy(update={"meta": meta | {PROVENANCE_KEY: asdict(result.provenance)}})
