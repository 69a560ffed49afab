"""Notes answers that never arrived: readers that leave in the middle, and readers that stop reading. Around all routes.

A scrape or a dashboard that hangs would otherwise hold its answer for ever, and nobody would know of it. MCP's own
streams are left alone: they may stay open, and the SDK looks after them.
"""

from __future__ import annotations

from typing import Final

import anyio
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trunkline.events import AnswerAbandoned, Emit

__all__ = ["Audience"]

_LARGE: Final = 65536
"""Bytes of an answer in one piece from which it is seen to that they are taken: servers buffer no more than that."""
_OTHERS: Final = "_unknown"
"""Told of an address that is not served: what a stranger wrote there is no label."""


class Audience:
    """ASGI middleware: an answer whose reader takes in nothing for `patience` seconds is given up, and told of."""

    def __init__(self, app: ASGIApp, emit: Emit, *, patience: float, besides: str = "/mcp") -> None:
        """Watch over every answer of `app` but those at the path `besides`."""
        self.app = app
        self._emit = emit
        self._patience = patience
        self._besides = besides

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and tell of an answer that did not arrive."""
        if scope["type"] != "http" or scope["path"] == self._besides:
            await self.app(scope, receive, send)
            return
        answer = _Answer(send, self._patience)
        try:
            await self.app(scope, receive, answer.send)
        except ClientDisconnect:
            if not answer.is_stuck:
                raise
        if answer.is_stuck or not (answer.has_ended or answer.is_stream):
            path = scope["path"] if "endpoint" in scope else _OTHERS
            reason = "stopped reading" if answer.is_stuck else "left"
            self._emit(AnswerAbandoned(anyio.current_time(), path, reason))


class _Answer:
    """One answer on its way, and how far it has come."""

    def __init__(self, send: Send, patience: float) -> None:
        self._send = send
        self._patience = patience
        self.has_ended = False
        self.is_stuck = False
        self.is_stream = False
        """Whether it is a stream of events: that has no end of its own, and leaving it is how it ends."""

    async def send(self, message: Message) -> None:
        """Send the next piece; raises ClientDisconnect where its reader takes in nothing."""
        if message["type"] == "http.response.start":
            self.is_stream = any(
                name == b"content-type" and value.startswith(b"text/event-stream") for name, value in message["headers"]
            )
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        with anyio.move_on_after(self._patience) as scope:
            if is_last and len(message.get("body", b"")) >= _LARGE:
                # A server waits for its buffer to drain before it takes the next piece: there has to be one.
                await self._send({**message, "more_body": True})
                message = {"type": "http.response.body", "body": b""}
            await self._send(message)
        if scope.cancelled_caught:
            self.is_stuck = True
            raise ClientDisconnect
        self.has_ended = is_last
