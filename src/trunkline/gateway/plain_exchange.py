"""Exchanges that there is nothing special about, without h11. Beside `connections`.

Nearly every request is a POST with some headers, none of them twice, and a small body of known length. One strict
pattern reads such a request, and its answer is put together here: h11 would take a quarter of all that the gateway
computes for a call. Whatever is not exactly that is left to h11.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, RequestResponseCycle

from trunkline.gateway.writes import JoinedWrites
from trunkline.transport.http_message import TOKEN, headers_in, length_in, lines_of, once

__all__ = ["WHOLE", "PlainCycle", "PlainRequest", "plain_request"]

_REQUEST: Final = re.compile(
    rb"POST (?P<target>/[0-9A-Za-z/._~-]*) HTTP/1\.1\r\n(?P<lines>(?:" + TOKEN + rb":[\t -~]*\r\n)+)\r\n"
)
WHOLE: Final = "trunkline.whole"
"""In a request's ASGI scope: whether all of its body is there already."""
_CHUNKED: Final = b"transfer-encoding: chunked\r\n"
_BODILESS: Final = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """The head of a request."""

    target: bytes
    """A path, in which nothing is encoded."""
    headers: list[tuple[bytes, bytes]]
    """The names in small letters."""
    begins: int
    """Where its body begins, in what has been received."""
    length: int
    """Bytes of its body."""


def plain_request(received: bytes) -> PlainRequest | None:
    """The request that this begins with; None where it has not said all of its head, or is not plain."""
    begins = received.find(b"\r\n\r\n") + 4
    found = _REQUEST.fullmatch(received, 0, begins)
    if found is None:
        return None
    headers = headers_in(found["lines"])
    about = once(headers)
    length = length_in(about)
    if length is None or b"host" not in about:
        return None
    return PlainRequest(found["target"], headers, begins, length)


class PlainCycle(RequestResponseCycle):
    """The answer to a plain request."""

    transport: JoinedWrites
    _left: int | None = None
    """Bytes of the body that are still to come; None where nobody knows, and it goes out in chunks (RFC 9112, 7.1)."""
    _unsaid = b""
    """The head, where the body follows at once."""
    _ends_connection = False

    async def send(self, message: ASGISendEvent) -> None:
        """Say the next piece of the answer.

        Raises:
            RuntimeError: It is out of its order, or the body is not as long as it was said to be.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if not self.response_started and message["type"] == "http.response.start":
            self.response_started = True
            self._unsaid = self._head(message["status"], message.get("headers", []))
            if self._left is None:
                self._write(b"")
        elif self.response_started and not self.response_complete and message["type"] == "http.response.body":
            self._say(message.get("body", b""), is_last=not message.get("more_body", False))
        else:
            msg = f"{message['type']} is out of its order"
            raise RuntimeError(msg)

    def _head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        # How the body ends is said here.
        said = [*self.default_headers, *(each for each in headers if each[0] != b"transfer-encoding")]
        about = dict(said)
        length = about.get(b"content-length")
        self._ends_connection = b"close" in about.get(b"connection", b"").lower()
        if length is not None or status in _BODILESS:
            self._left = int(length or 0)
        chunked = _CHUNKED if self._left is None else b""
        return b"HTTP/1.1 %d %b\r\n%b%b\r\n" % (status, STATUS_PHRASES[status], lines_of(said), chunked)

    def _say(self, body: bytes, *, is_last: bool) -> None:
        if self._left is None:
            piece = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            self._write(piece + b"0\r\n\r\n" if is_last else piece)
        else:
            self._left -= len(body)
            if self._left < 0 or (is_last and self._left):
                msg = "the body of an answer is not as long as it was said to be"
                raise RuntimeError(msg)
            self._write(body)
        if is_last:
            self.response_complete = True
            self.message_event.set()
            if self._ends_connection or not self.keep_alive:
                self.transport.close()
            self.on_response()

    def _write(self, piece: bytes) -> None:
        self.transport.write_now(self._unsaid + piece)
        self._unsaid = b""
