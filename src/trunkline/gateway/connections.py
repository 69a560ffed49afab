"""How many connections may be open, and how long one may take to say what it wants and to hear it. Below every request.

The web server itself waits for ever for a request that comes byte by byte and for an answer that is not taken in, and
lets in any number of connections.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import anyio
import h11
from starlette.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from trunkline.events import AnswerAbandoned, Emit, RequestRefused
from trunkline.gateway.guard import refusal
from trunkline.gateway.plain_protocol import PlainProtocol
from trunkline.policy import LimitsPolicy

__all__ = ["bounded"]

_SHARE: Final = 0.75
"""Share of the files this process may have open that connections of callers may take: the rest is for servers."""
_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""For SO_LINGER: on, for no time."""
_MCP: Final = "/mcp"
_PAUSE: Final = 1
"""Seconds after which another try is worth it, where there was no room."""


def bounded(limits: Callable[[], LimitsPolicy], emit: Emit) -> type[H11Protocol]:
    """Return the protocol that keeps to `limits`, which are asked for at each connection; refusals are told."""

    class BoundedProtocol(_Bounded):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.limits = limits()
            self.largest = min(self.largest, self.limits.body)
            self.emit = emit

    return BoundedProtocol


class _Bounded(PlainProtocol):
    """One connection."""

    limits: LimitsPolicy
    emit: Emit
    _patience: asyncio.TimerHandle | None = None
    """Runs while a request's head is awaited."""
    _unread: asyncio.TimerHandle | None = None
    """Runs while an answer waits for its reader."""
    _left = 0
    """Bytes of it that were waiting at the last look."""
    _unwanted = 0
    """Bytes that came after the answer to the request they belong to."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or turn it away where there is no room."""
        super().connection_made(transport)
        if len(self.connections) > min(self.limits.connections, _files() * _SHARE):
            answer = refusal(503, "too_many_connections", "too many connections are open; come again later")
            answer.headers["Retry-After"] = str(_PAUSE)
            self._turn_away(answer, "too_many_connections")
            return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_watching()
        self._stop_looking()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in a piece of a request."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._unwanted = self._unwanted + len(data) if self._is_draining else 0
        if self._unwanted > self.limits.body:
            self.transport.close()
        if self.is_holding:
            self._stop_watching()
        else:
            self._watch()

    def pause_writing(self) -> None:
        """Wait for the reader, and not for ever: closing alone would keep all that it has not taken in."""
        super().pause_writing()
        self._look_later()

    def resume_writing(self) -> None:
        """Go on: the reader has taken in most of it."""
        super().resume_writing()
        self._stop_looking()

    def _look_later(self) -> None:
        self._left = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(self.limits.read_time, self._look)

    def _look(self) -> None:
        if self.transport.get_write_buffer_size() < self._left:
            self._look_later()
            return
        # Of other answers it is told where they are given up.
        if self.cycle is not None and self.cycle.scope["path"] == _MCP:
            self.emit(AnswerAbandoned(anyio.current_time(), _MCP, "stopped reading"))
        # Reset: the kernel too would go on holding what it has of the answer.
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.abort()

    def _stop_looking(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request; called while the error is being handled."""
        if getattr(sys.exception(), "error_status_hint", None) == 431:
            words = f"the head of a request has at most {self.limits.head} bytes"
            self._turn_away(refusal(431, "head_too_large", words), "head_too_large")
        else:
            self._turn_away(refusal(400, "malformed", msg), "malformed")

    @property
    def _is_draining(self) -> bool:
        """Whether a request was answered, most likely refused, before it had come."""
        return self.conn.their_state is h11.SEND_BODY and self.cycle is not None and self.cycle.response_complete

    def _watch(self) -> None:
        """Be patient while a request is awaited, and not for ever; one that is served has a time of its own."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_watching()
        elif self._patience is None and not self.transport.is_closing():
            self._patience = self.loop.call_later(self.limits.head_time, self._run_out)

    def _stop_watching(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _run_out(self) -> None:
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            words = f"the head of a request has to come within {self.limits.head_time:g} s"
            self._turn_away(refusal(408, "too_slow", words), "too_slow")
        else:
            self.transport.close()

    def _turn_away(self, answer: JSONResponse, reason: str) -> None:
        """Answer, where no answer has begun, and hang up."""
        self.emit(RequestRefused(anyio.current_time(), reason))
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            answer.headers["Connection"] = "close"
            # Not by h11: after what it could not read it says nothing more.
            lines = [f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}".encode()]
            lines += [name + b": " + value for name, value in answer.raw_headers]
            self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + bytes(answer.body))
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        self._stop_watching()
        self.transport.close()


def _files() -> float:
    """How many files this process may have open."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return float("inf") if limit == resource.RLIM_INFINITY else limit
