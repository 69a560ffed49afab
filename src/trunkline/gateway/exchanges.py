"""Requests that are answered where they were taken in: as JSON, or as a stream of events once there is more to say.

The SDK has each of its requests looked after by tasks of its own. Most calls have been answered before anybody could
look; so here one task looks at all of them, and only those that take longer get one each.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup
from mcp.server.streamable_http import REQUEST_CANCELLED
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp_types import RequestId
from starlette.requests import Request
from starlette.types import Receive, Send

from trunkline import clock
from trunkline.gateway.codes import broken_off
from trunkline.gateway.direct_request import DirectRequest, as_json

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
_CANCELLED: Final = {"code": REQUEST_CANCELLED, "message": "Request cancelled"}


class Exchange(DirectRequest):
    """One request and its answer."""

    def __init__(
        self, request: Request, request_id: RequestId, params: Mapping[str, Any], send: Send, *, session: str | None
    ) -> None:
        """Answer through `send`; `session` is the one of the handshake era that the request belongs to."""
        transport = TransportContext(
            kind="streamable-http", can_send_request=session is not None, headers=request.headers
        )
        super().__init__(request_id, params, transport, ServerMessageMetadata(request_context=request))
        self.session = session
        self.attention: anyio.CancelScope | None = None
        """Cancelled when there is nothing more to look after; None as long as nobody does."""
        self.instead: Mapping[str, Any] = {"error": _CANCELLED}
        """The answer, where it is cancelled: it is the client that does that, unless somebody else says so here."""
        self.since = clock.now()
        self._send = send
        self._is_stream = False
        self._turn = anyio.Lock(fast_acquire=True)

    async def ping(self) -> None:
        """Say that the request is alive."""
        await self._say(b": ping\r\n\r\n")

    async def _tell(self, message: Mapping[str, Any]) -> None:
        await self._say(_event(message))

    async def _say(self, words: bytes) -> None:
        async with self._turn:
            if not self._is_stream:
                self._is_stream = True
                await self._send({"type": "http.response.start", "status": 200, "headers": list(_STREAM)})
            await self._send({"type": "http.response.body", "body": words, "more_body": True})

    async def end(self, answer: Mapping[str, Any], status: int) -> None:
        """Give the answer, which is the last thing said."""
        if self.attention is None and not self._is_stream:
            # Nobody else can have anything to say: most answers take no turn.
            await self._end_at_once(answer, status)
            return
        async with self._turn:
            if self._is_stream:
                await self._send({"type": "http.response.body", "body": _event(answer)})
            else:
                await self._end_at_once(answer, status)

    async def _end_at_once(self, answer: Mapping[str, Any], status: int) -> None:
        body = as_json(answer)
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
            if exchange.attention is not None:
                exchange.attention.cancel()

    def __len__(self) -> int:
        return len(self._open)

    def break_off(self) -> None:
        """End all; who waits for an answer is told that the request may have run."""
        for exchange in self._open:
            exchange.instead = {"error": broken_off()}
            exchange.scope.cancel()

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
                if exchange.attention is None and now - exchange.since >= _LOOK:
                    exchange.attention = anyio.CancelScope()
                    tasks.start_soon(self._attend, exchange, exchange.attention, receive)

    async def _attend(self, exchange: Exchange, attention: anyio.CancelScope, receive: Receive) -> None:
        try:
            with attention:
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


def _event(message: Mapping[str, Any]) -> bytes:
    return b"event: message\r\ndata: " + as_json(message) + b"\r\n\r\n"
