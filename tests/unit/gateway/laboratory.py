"""An infrastructure over in-process servers, and a gateway over that: no process and no socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import httpx2
import mcp_types as types
from mcp.server import Server
from mcp.server.context import ServerRequestContext
from starlette.applications import Starlette

from trunkline import Infrastructure, InProcessEndpoint, ServerSettings
from trunkline.config import Settings
from trunkline.gateway.app import build_app
from trunkline.policy import GatewaySettings, ToolPolicy

HOST = "127.0.0.1:8700"


def tool(name: str, description: str = "Says the text again.") -> types.Tool:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    return types.Tool(name=name, description=description, input_schema=schema)


def echo_server() -> Server[dict[str, object]]:
    """A server with the tool `echo`, which answers with its text and with the `_meta` it was sent."""

    async def list_tools(_ctx: ServerRequestContext, _params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[tool("echo")])

    async def call_tool(ctx: ServerRequestContext, params: types.CallToolRequestParams) -> types.CallToolResult:
        sent = sorted(key for key in ctx.meta or {} if not key.startswith("io.modelcontextprotocol/"))
        text = types.TextContent(type="text", text=f"{(params.arguments or {})['text']} {sent}")
        return types.CallToolResult(content=[text])

    return Server("upstream", on_list_tools=list_tools, on_call_tool=call_tool)


def infrastructure(
    *names: str,
    tools: Mapping[str, ToolPolicy] | None = None,
    settings: GatewaySettings | None = None,
    make_server: Callable[[], Server[dict[str, object]]] = echo_server,
) -> Infrastructure:
    servers = {name: ServerSettings(name, InProcessEndpoint(make_server())) for name in names}
    return Infrastructure(Settings("laboratory", servers, tools or {}, gateway=settings or GatewaySettings()))


@asynccontextmanager
async def web(app: Starlette, **headers: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application, which is started and stopped around it."""
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url=f"http://{HOST}", headers=headers) as client,
    ):
        yield client


@asynccontextmanager
async def gateway(
    *names: str, tools: Mapping[str, ToolPolicy] | None = None, settings: GatewaySettings | None = None
) -> AsyncIterator[tuple[Infrastructure, httpx2.AsyncClient]]:
    async with (
        infrastructure(*names, tools=tools, settings=settings) as infra,
        web(build_app(infra, "127.0.0.1", 8700)) as client,
    ):
        yield infra, client
