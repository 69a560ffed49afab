"""Talks to a server object of the SDK in this process. Sits under the session; for tests, examples, embedded tools."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import Context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import anyio
from mcp.server import Server
from mcp.server.mcpserver import MCPServer
from mcp.server.runner import modern_on_request
from mcp.shared.direct_dispatcher import create_direct_dispatcher_pair
from mcp.shared.dispatcher import DispatchContext, Dispatcher
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp.shared.transport_context import TransportContext
from mcp_types import JSONRPCRequest

from trunkline.policy import Era
from trunkline.transport.wire import Wires

if TYPE_CHECKING:
    from mcp.shared._context_streams import ContextReceiveStream

__all__ = ["open_in_process"]


@asynccontextmanager
async def open_in_process(target: Any, era: Era, wires: Wires) -> AsyncIterator[Dispatcher[TransportContext]]:
    """Run `target`, an `mcp.server.Server` or `MCPServer`, and yield a dispatcher that reaches it.

    The handshake era goes through streams as on a wire; the stateless era calls the server directly. Either way a
    request is sent when the server has it: what it never took, because it ended first, provably did not run.
    """
    # MCPServer keeps the server it wraps private; the SDK's own in-memory client reads the same attribute.
    server: Server[Any] = target._lowlevel_server if isinstance(target, MCPServer) else target  # noqa: SLF001
    if era == "2025-11-25":
        async with (
            create_client_server_memory_streams() as ((read, write), (server_read, server_write)),
            anyio.create_task_group() as tasks,
        ):
            taken = _Taken(server_read, wires)
            tasks.start_soon(server.run, taken, server_write, server.create_initialization_options())
            yield JSONRPCDispatcher(read, write)
            tasks.cancel_scope.cancel()
        return
    async with server.lifespan(server) as state, anyio.create_task_group() as tasks:
        ours, theirs = create_direct_dispatcher_pair()
        serve = modern_on_request(server, state)

        async def take(
            context: DispatchContext[TransportContext], method: str, params: Mapping[str, Any] | None
        ) -> dict[str, Any]:
            _mark(wires, context.request_id)
            return await serve(context, method, params)

        await tasks.start(theirs.run, take, _ignore)
        yield ours
        theirs.close()
        tasks.cancel_scope.cancel()


async def _ignore(_context: object, _method: str, _params: object) -> None:
    """The stateless era has no notifications from clients."""


def _mark(wires: Wires, request_id: object) -> None:
    wire = wires.get(str(request_id))
    if wire is not None:
        wire.sent()


class _Taken:
    """The server's end of a stream, which notes which requests the server took from it."""

    def __init__(self, stream: ContextReceiveStream[SessionMessage | Exception], wires: Wires) -> None:
        self._stream = stream
        self._wires = wires

    @property
    def last_context(self) -> Context | None:
        """The context variables of whoever sent the latest message: the SDK runs the server's part in them."""
        return self._stream.last_context

    async def receive(self) -> SessionMessage | Exception:
        item = await self._stream.receive()
        if isinstance(item, SessionMessage) and isinstance(item.message, JSONRPCRequest):
            _mark(self._wires, item.message.id)
        return item

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.aclose()
