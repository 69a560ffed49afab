"""Talks to a server object of the SDK in this process. Sits under the session; for tests, examples, embedded tools."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.server import Server
from mcp.server.mcpserver import MCPServer
from mcp.server.runner import modern_on_request
from mcp.shared.direct_dispatcher import create_direct_dispatcher_pair
from mcp.shared.dispatcher import Dispatcher
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.transport_context import TransportContext

from trunkline.policy import Era

__all__ = ["open_in_process"]


@asynccontextmanager
async def open_in_process(target: Any, era: Era) -> AsyncIterator[Dispatcher[TransportContext]]:
    """Run `target`, an `mcp.server.Server` or `MCPServer`, and yield a dispatcher that reaches it.

    The handshake era goes through streams as on a wire; the stateless era calls the server directly.
    """
    # MCPServer keeps the server it wraps private; the SDK's own in-memory client reads the same attribute.
    server: Server[Any] = target._lowlevel_server if isinstance(target, MCPServer) else target  # noqa: SLF001
    if era == "2025-11-25":
        async with (
            create_client_server_memory_streams() as ((read, write), (server_read, server_write)),
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(server.run, server_read, server_write, server.create_initialization_options())
            yield JSONRPCDispatcher(read, write)
            tasks.cancel_scope.cancel()
        return
    async with server.lifespan(server) as state, anyio.create_task_group() as tasks:
        ours, theirs = create_direct_dispatcher_pair()
        await tasks.start(theirs.run, modern_on_request(server, state), _ignore)
        yield ours
        theirs.close()
        tasks.cancel_scope.cancel()


async def _ignore(_context: object, _method: str, _params: object) -> None:
    """The stateless era has no notifications from clients."""
