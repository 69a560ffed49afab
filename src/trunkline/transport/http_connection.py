"""One connection over HTTP/1.1, with one request under way at a time. Sits below `http_connections`."""

from __future__ import annotations

import os
import select
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

import anyio
import h11
import httpx2
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

from trunkline import clock
from trunkline.transport.http_message import Head, Origin, Sent, plain_head

__all__ = ["HttpConnection", "Limits", "RaisedAs"]

_EXPIRY: Final = 4.0
"""Seconds that a connection is kept for while nobody uses it. Most servers hang up after 5 (uvicorn, Node's HTTP
server): a request that meets that may have run or not, and nobody can tell."""
_HEAD: Final = 100 * 1024
"""Bytes of an answer's head."""
_HEAD_END: Final = b"\r\n\r\n"
_PIECE: Final = 65536
_NETWORK: Final = (OSError, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)
"""How a connection fails below HTTP."""


class RaisedAs:
    """As a context: what the libraries below raise comes out as httpx2's error."""

    # Not by `contextmanager`, which takes five times as long, several times in each exchange.

    def __init__(self, ours: type[httpx2.TransportError], theirs: tuple[type[Exception], ...] = _NETWORK) -> None:
        self._ours = ours
        self._theirs = theirs

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, self._theirs):
            raise self._ours(str(error)) from error


_UNBOUNDED: Final = nullcontext()
_WRITING: Final = RaisedAs(httpx2.WriteError)
_READING: Final = RaisedAs(httpx2.ReadError)
_HTTP: Final = RaisedAs(httpx2.RemoteProtocolError, (h11.RemoteProtocolError,))


class Limits:
    """How long each step of one request may take: `httpx2.Timeout`, as a dictionary."""

    def __init__(self, seconds: Mapping[str, float | None]) -> None:
        self._seconds = seconds

    def of(self, step: str, error: type[httpx2.TimeoutException]) -> AbstractContextManager[None]:
        """Bound one step: raises `error` where it takes longer."""
        seconds = self._seconds.get(step)
        return _UNBOUNDED if seconds is None else _bounded(seconds, error)


@contextmanager
def _bounded(seconds: float, error: type[httpx2.TimeoutException]) -> Iterator[None]:
    with anyio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise error("")


class HttpConnection:
    """One connection."""

    def __init__(self, stream: ByteStream, origin: Origin) -> None:
        self.origin = origin
        self._stream = stream
        self._is_encrypted = isinstance(stream, TLSStream)
        self._socket = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - not Django's
        self._readable = select.poll()
        self._readable.register(self._socket, select.POLLIN)
        self._since = clock.now()
        self._received = b""
        """Of the body, or what came after it."""
        self._left = 0
        """Bytes of the body that are still to come."""
        self._http: h11.Connection | None = None
        """Reads an answer that is not plain."""

    @property
    def is_fresh(self) -> bool:
        """Whether it may be used again: the server has not hung up, nor said what nobody asked for."""
        # Closed, it has no number any more; the one that it had may be another socket's by now.
        is_open = self._socket.fileno() >= 0
        return is_open and clock.now() - self._since < _EXPIRY and not self._readable.poll(0)

    async def send(self, request: Sent, limits: Limits) -> None:
        """Send a request as a whole. From its first byte on the server may have got it."""
        with limits.of("write", httpx2.WriteTimeout), _WRITING:
            if rest := request.data[self._taken_at_once(request.data) :]:
                await self._stream.send(rest)

    def _taken_at_once(self, data: bytes) -> int:
        """How much the system takes without anybody waiting: all of a small request, past the loop's own buffers."""
        descriptor = self._socket.fileno()
        if self._is_encrypted or descriptor < 0:
            return 0
        try:
            return os.write(descriptor, data)
        except BlockingIOError:
            return 0

    async def head(self, request: Sent, limits: Limits) -> Head:
        """The beginning of the answer to what was sent."""
        received, end = bytearray(), -1
        while end < 0 and len(received) <= _HEAD:
            piece = await self._receive(limits)
            seen = len(received)
            received += piece
            end = received.find(_HEAD_END, max(0, seen - len(_HEAD_END)))
            if not piece:
                break
        end += len(_HEAD_END)
        plain = plain_head(received[:end]) if request.method == "POST" else None
        if plain is None or plain.length is None:
            return await self._head_by_h11(request.method, bytes(received), limits)
        self._received, self._left = bytes(received[end:]), plain.length
        return plain

    async def _head_by_h11(self, method: str, received: bytes, limits: Limits) -> Head:
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
        # It has to know what was asked, to know how long the answer is; what it makes of that has been sent already.
        self._http.send(h11.Request(method=method, target="/", headers=[("Host", "_")]))
        self._http.send(h11.EndOfMessage())
        if received:
            self._http.receive_data(received)
        while True:
            event = await self._next(self._http, limits)
            if isinstance(event, h11.Response):
                return Head(event.status_code, list(event.headers))
            if isinstance(event, h11.ConnectionClosed):
                raise httpx2.RemoteProtocolError("Server disconnected without sending a response.")

    async def body(self, limits: Limits) -> AsyncIterator[bytes]:
        """The rest of the answer."""
        if self._http is not None:
            while isinstance(event := await self._next(self._http, limits), h11.Data):
                yield bytes(event.data)
            return
        while self._left:
            received = self._received or await self._receive(limits)
            if not received:
                raise httpx2.RemoteProtocolError(f"the server hung up {self._left} bytes before the end of its answer")
            piece, self._received = received[: self._left], received[self._left :]
            self._left -= len(piece)
            yield piece

    async def _next(self, http: h11.Connection, limits: Limits) -> h11.Event:
        with _HTTP:
            while (event := http.next_event()) is h11.NEED_DATA:
                http.receive_data(await self._receive(limits))
        if isinstance(event, h11.Event):
            return event
        raise httpx2.RemoteProtocolError("the server wants to speak another protocol")

    async def _receive(self, limits: Limits) -> bytes:
        """What comes next; nothing where the server has hung up."""
        with limits.of("read", httpx2.ReadTimeout), _READING:
            try:
                return await self._stream.receive(_PIECE)
            except anyio.EndOfStream:
                return b""

    def begin_anew(self) -> bool:
        """Whether it is ready for another request: the answer has come as a whole, and nothing after it."""
        http, self._http = self._http, None
        if http is None:
            is_ready = not self._left and not self._received
        else:
            is_ready = http.our_state is h11.DONE and http.their_state is h11.DONE and not http.trailing_data[0]
        self._since = clock.now()
        return is_ready

    async def aclose(self) -> None:
        """Close it without ceremony."""
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(self._stream)
