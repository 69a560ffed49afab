"""Messages on their way out of one connection. Sits between the SDK's dispatcher and a transport's writer.

The SDK writes through a rendezvous: a caller that gives up has to wait until the transport takes its courtesy cancel,
up to 5 s on a server that does not read. Here `send` never waits, so a deadline is a deadline.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextvars import Context, copy_context
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest

from trunkline.transport.wire import CURRENT_WIRE

__all__ = ["InContext", "Outbox"]

_LIMIT = 4096
"""Messages; reached only by a server that has stopped reading, whose callers are then refused."""


@dataclass
class InContext(SessionMessage):
    """A request whose answer, and what comes before it, are to be taken in the context that it was made in."""

    context: Context | None = None


class Outbox:
    """A write stream that takes at once, and gives in order.

    A request that is cancelled before it was taken is withdrawn together with its cancel: provably never sent.
    """

    def __init__(self) -> None:
        self._items: deque[SessionMessage] = deque()
        self._changed = anyio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    async def send(self, item: SessionMessage, /) -> None:
        """Queue one message without waiting.

        Raises:
            ClosedResourceError: The connection is closing.
            BrokenResourceError: The server has not read for thousands of messages.
        """
        if self._closed:
            raise anyio.ClosedResourceError
        if self._withdraws(item):
            return
        if len(self._items) >= _LIMIT:
            raise anyio.BrokenResourceError
        wire = CURRENT_WIRE.get()
        # Only where somebody wants to know for which request a server tells something: it costs a task.
        context = None if wire is None or wire.log is None else copy_context()
        self._items.append(item if context is None else InContext(item.message, item.metadata, context))
        self._changed.set()

    async def take(self) -> SessionMessage:
        """The next message; waits for one.

        Raises:
            EndOfStream: The outbox is closed and empty.
        """
        while not self._items:
            if self._closed:
                raise anyio.EndOfStream
            self._changed = anyio.Event()
            await self._changed.wait()
        return self._items.popleft()

    def _withdraws(self, item: SessionMessage) -> bool:
        message = item.message
        if not isinstance(message, JSONRPCNotification) or message.method != "notifications/cancelled":
            return False
        params: Mapping[str, Any] = message.params or {}
        for queued in self._items:
            if isinstance(queued.message, JSONRPCRequest) and queued.message.id == params.get("requestId"):
                self._items.remove(queued)
                return True
        return False

    async def aclose(self) -> None:
        """Take no more; what is queued can still be taken."""
        self._closed = True
        self._changed.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.aclose()
