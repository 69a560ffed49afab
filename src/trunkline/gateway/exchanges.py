"""Requests that are answered where they were taken in: as JSON, or as a stream of events once there is more to say.

The SDK has each of its requests looked after by tasks of its own. Most calls have been answered before anybody could
look; so here one task looks at all of them, and only those that take longer get one each.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup
from mcp.shared.dispatcher import CallOptions, coerce_request_id
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.jsonrpc_dispatcher import progress_token_from_params
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp_types import RequestId
from starlette.requests import Request
from starlette.types import Receive, Send

from trunkline import clock

__all__ = ["Exchange", "Exchanges"]

_LOOK: Final = 0.25
"""Seconds between looks at what is open: so late, at most, is it noticed that a client has left."""
_PING: Final = 15.0
"""Seconds without a word after which a stream says that it is alive, before proxies on the way give it up."""
_STREAM: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class Exchange:
    """One request and its answer; to the SDK's server a dispatch context, through which nobody can be asked."""

    def __init__(
        self, request: Request, request_id: RequestId, params: Mapping[str, Any], send: Send, *, session: str | None
    ) -> None:
        """Answer through `send`; `session` is the one of the handshake era that the request belongs to."""
        self.request_id = request_id
        self.session = session
        # Who is of that era is asked in vain; who is not must not be asked, and is answered otherwise.
        self.can_send_request = session is not None
        self.transport = TransportContext(
            kind="streamable-http", can_send_request=self.can_send_request, headers=request.headers
        )
        self.message_metadata = ServerMessageMetadata(request_context=request)
        self.scope = anyio.CancelScope()
        """Cancelled when the client wants no answer any more."""
        self.attention = anyio.CancelScope()
        """Cancelled when there is nothing more to look after."""
        self.is_attended = False
        self.since = clock.now()
        self._progress_token = progress_token_from_params(params)
        self._send = send
        self._is_stream = False
        self._turn = anyio.Lock(fast_acquire=True)

    def __repr__(self) -> str:
        return f"<Exchange {self.request_id!r}>"

    @property
    def cancel_requested(self) -> anyio.Event:
        """Never set: what is cancelled ends at once."""
        return anyio.Event()

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Refuse to ask the client anything."""
        raise NoBackChannelError(method)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """Tell the client something before its answer."""
        told = {"jsonrpc": "2.0", "method": method} | ({} if params is None else {"params": dict(params)})
        await self._tell(_event(told))

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tell how far the request has got, if the client wants to know."""
        if self._progress_token is not None:
            told = {"progressToken": self._progress_token, "progress": progress, "total": total, "message": message}
            known = {name: value for name, value in told.items() if value is not None}
            await self.notify("notifications/progress", known)

    async def ping(self) -> None:
        """Say that the request is alive."""
        await self._tell(b": ping\r\n\r\n")

    async def _tell(self, words: bytes) -> None:
        async with self._turn:
            if not self._is_stream:
                self._is_stream = True
                await self._send({"type": "http.response.start", "status": 200, "headers": list(_STREAM)})
            await self._send({"type": "http.response.body", "body": words, "more_body": True})

    async def end(self, answer: Mapping[str, Any], status: int) -> None:
        """Give the answer, which is the last thing said."""
        async with self._turn:
            if self._is_stream:
                await self._send({"type": "http.response.body", "body": _event(answer)})
                return
            body = _json(answer)
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await self._send({"type": "http.response.start", "status": status, "headers": headers})
            await self._send({"type": "http.response.body", "body": body})


class Exchanges:
    """All that are open: those whose clients have gone are cancelled, and those that take long are kept alive."""

    def __init__(self) -> None:
        self._open: dict[Exchange, Receive] = {}

    def __repr__(self) -> str:
        return f"<Exchanges [{len(self._open)} open]>"

    @contextmanager
    def looking_after(self, exchange: Exchange, receive: Receive) -> Iterator[None]:
        """Look after an exchange while the block lasts, which ends early once its client has left."""
        self._open[exchange] = receive
        try:
            with exchange.scope:
                yield
        finally:
            self._open.pop(exchange, None)
            if exchange.is_attended:
                exchange.attention.cancel()

    def cancel(self, session: str, request_id: RequestId) -> None:
        """Cancel a session's request, if it is one of these. In its era whoever leaves may only have lost touch."""
        for exchange in self._open:
            # As the SDK has it: clients may say the number of their request as text.
            if exchange.session == session and coerce_request_id(exchange.request_id) == coerce_request_id(request_id):
                exchange.scope.cancel()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look after them until the block is left."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._look, tasks)
            yield
            tasks.cancel_scope.cancel()

    async def _look(self, tasks: TaskGroup) -> None:
        while True:
            await anyio.sleep(_LOOK)
            now = clock.now()
            for exchange, receive in self._open.items():
                if not exchange.is_attended and now - exchange.since >= _LOOK:
                    exchange.is_attended = True
                    tasks.start_soon(self._attend, exchange, receive)

    async def _attend(self, exchange: Exchange, receive: Receive) -> None:
        try:
            with exchange.attention:
                await _until_left(exchange, receive)
                if exchange.session is None:
                    exchange.scope.cancel()
        except Exception:  # boundary: one connection's trouble must not end the attention that all others get
            logging.getLogger("trunkline.gateway").exception("attention_failed")


async def _until_left(exchange: Exchange, receive: Receive) -> None:
    """Keep an exchange alive while its client is there."""
    while True:
        with anyio.move_on_after(_PING) as quiet:
            if (await receive())["type"] == "http.disconnect":
                return
        if quiet.cancelled_caught:
            await exchange.ping()


def _json(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def _event(message: Mapping[str, Any]) -> bytes:
    return b"event: message\r\ndata: " + _json(message) + b"\r\n\r\n"
