"""An MCP server, as a process, whose one tool `meta` tells the `_meta` it was called with. Over stdio, or HTTP."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp.server import Server
from mcp.server.stdio import stdio_server

from trunkline import HttpEndpoint, StdioEndpoint

__all__ = ["echoing_http", "echoing_stdio"]


def echoing_stdio() -> StdioEndpoint:
    """Start it as a child."""
    return StdioEndpoint(sys.executable, (str(Path(__file__)),))


@asynccontextmanager
async def echoing_http() -> AsyncGenerator[HttpEndpoint, None]:
    """Run it on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.set_inheritable(True)
    port = listener.getsockname()[1]
    command = [sys.executable, str(Path(__file__)), str(listener.fileno())]
    process = await anyio.open_process(command, stderr=None, pass_fds=[listener.fileno()])
    try:
        listener.close()
        yield HttpEndpoint(f"http://127.0.0.1:{port}/mcp")
    finally:
        process.kill()
        await process.aclose()


async def _list(_context: Any, _params: Any) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[types.Tool(name="meta", input_schema={"type": "object"})])


async def _call(context: Any, _params: Any) -> types.CallToolResult:
    said = {key: value for key, value in (context.meta or {}).items() if "/" not in key}
    return types.CallToolResult(content=[types.TextContent(text=json.dumps(said))])


def _server() -> Server[Any]:
    return Server("echoing", on_list_tools=_list, on_call_tool=_call)


async def _over_stdio() -> None:
    server = _server()
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        import uvicorn

        app = _server().streamable_http_app()
        uvicorn.run(app, fd=int(sys.argv[1]), log_level="critical")
    else:
        anyio.run(_over_stdio)
