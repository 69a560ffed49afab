"""An HTTP client that sends whatever bytes it is given: a request need not be one, an answer must be."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["Answer", "exchange", "rendered"]

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 where the connection ended without an answer."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    is_complete: bool = False
    """False where nothing more came within the patience: of a stream that stays open, or of a server that hangs."""

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def is_stream(self) -> bool:
        """Whether it is a stream of events."""
        return (self.header("content-type") or "").startswith("text/event-stream")


def rendered(method: str, target: str, headers: Headers, body: bytes, *, length: int | None = None) -> bytes:
    """The bytes of a request; `length` is what it claims of its body, without one the truth."""
    told = len(body) if length is None else length
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), f"Content-Length: {told}"]
    return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + body


def exchange(port: int, request: bytes, *, patience: float, lingering: float = 0.05, ends: bool = False) -> Answer:
    """Send `request` on a connection of its own and read one answer, up to `patience` seconds of silence.

    A stream of events is read up to `lingering` seconds of silence only. With `ends` nothing more will be sent, and
    the other side is told so.
    """
    received, has_no_body = b"", request.startswith(b"HEAD ")
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        # Refused while it is being sent: the answer counts.
        with suppress(OSError):
            connection.sendall(request)
            if ends:
                connection.shutdown(socket.SHUT_WR)
        is_complete = False
        try:
            while not is_complete:
                chunk = connection.recv(65536)
                received += chunk
                found = _parsed(received, is_over=not chunk or has_no_body)
                is_complete = not chunk or (found is not None and found.is_complete)
                if found is not None and found.is_stream:
                    connection.settimeout(lingering)
        except TimeoutError:
            pass
        except ConnectionResetError:
            is_complete = True
    return _parsed(received, is_over=is_complete) or Answer(0, is_complete=is_complete)


def _parsed(received: bytes, *, is_over: bool) -> Answer | None:
    head, separator, rest = received.partition(b"\r\n\r\n")
    if not separator:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, *_ = first.split(" ")
    assert version == "HTTP/1.1", first
    headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    answer = Answer(int(status), headers, rest, is_over)
    if answer.status in (204, 304) or 100 <= answer.status < 200:
        return Answer(answer.status, headers, b"", is_complete=True)
    if (length := answer.header("content-length")) is not None:
        return Answer(answer.status, headers, rest, is_over or len(rest) >= int(length))
    if answer.header("transfer-encoding") == "chunked":
        body, ended = _dechunked(rest)
        return Answer(answer.status, headers, body, is_over or ended)
    return answer


def _dechunked(raw: bytes) -> tuple[bytes, bool]:
    """The body of a chunked answer as far as it has come, and whether that is all of it."""
    body = b""
    while True:
        size, separator, raw = raw.partition(b"\r\n")
        if not separator:
            return body, False
        length = int(size.split(b";")[0], 16)
        if length == 0:
            return body, True
        body, raw = body + raw[:length], raw[length + 2 :]
