"""A dispatcher that stands before another one, and does itself only what it is there for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
from anyio.abc import TaskStatus
from mcp.shared.dispatcher import CallOptions, Dispatcher, OnNotify, OnNotifyIntercept, OnRequest
from mcp.shared.transport_context import TransportContext

__all__ = ["WrappingDispatcher"]


class WrappingDispatcher(Dispatcher[TransportContext]):
    """Passes everything on; what it does beside that is its subclasses'."""

    def __init__(self, inner: Dispatcher[TransportContext]) -> None:
        self._inner = inner

    def __repr__(self) -> str:
        return f"<{type(self).__name__} before {self._inner!r}>"

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Send one request."""
        return await self._inner.send_raw_request(method, params, opts)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """Send a notification."""
        await self._inner.notify(method, params, opts)

    async def run(
        self,
        on_request: OnRequest,
        on_notify: OnNotify,
        on_notify_intercept: OnNotifyIntercept | None = None,
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Drive the receive loop until the connection ends."""
        try:
            await self._inner.run(on_request, on_notify, on_notify_intercept, task_status=task_status)
        finally:
            # Synchronous, so that no later call can be handed to a dead connection.
            self._ended()

    def _ended(self) -> None:
        """Hear that the connection has ended."""
