"""One connection over HTTP/1.1, with one request under way at a time. Sits below `http_connections`."""

from __future__ import annotations

import select
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

import anyio
import h11
import httpx2
from anyio.abc import ByteStream, SocketAttribute

from trunkline import clock
from trunkline.transport.wire import WIRE_EXTENSION, Wire

__all__ = ["HttpConnection", "Limits", "Origin", "raised_as"]

_EXPIRY: Final = 30.0
"""Seconds that a connection is kept for."""
_HEAD: Final = 100 * 1024
"""Bytes of an answer's head."""
_PIECE: Final = 65536
_NETWORK: Final = (OSError, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)
"""How a connection fails below HTTP."""

Origin: TypeAlias = tuple[str, str, int]
"""Scheme, host and port."""


@contextmanager
def raised_as(ours: type[httpx2.TransportError], theirs: tuple[type[Exception], ...] = _NETWORK) -> Iterator[None]:
    """Raise the errors of the libraries below as httpx2 does."""
    try:
        yield
    except theirs as error:
        raise ours(str(error)) from error


class Limits:
    """How long each step of one request may take: `httpx2.Timeout`, as requests carry it."""

    def __init__(self, request: httpx2.Request) -> None:
        self._seconds: dict[str, float | None] = request.extensions.get("timeout", {})

    @contextmanager
    def of(self, step: str, error: type[httpx2.TimeoutException]) -> Iterator[None]:
        """Bound one step: raises `error` where it takes longer."""
        with anyio.move_on_after(self._seconds.get(step)) as scope:
            yield
        if scope.cancelled_caught:
            raise error("")


class HttpConnection:
    """One connection."""

    def __init__(self, stream: ByteStream, origin: Origin) -> None:
        self.origin = origin
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
        self._socket = select.poll()
        self._socket.register(stream.extra(SocketAttribute.raw_socket), select.POLLIN)  # noqa: S610 - not Django's
        self._since = clock.now()

    @property
    def is_fresh(self) -> bool:
        """Whether it may be used again: the server has not hung up, nor said what nobody asked for."""
        return clock.now() - self._since < _EXPIRY and not self._socket.poll(0)

    async def send(self, request: httpx2.Request, limits: Limits) -> None:
        """Send a request as a whole. From its first byte on the server may have got it."""
        with raised_as(httpx2.LocalProtocolError, (h11.LocalProtocolError,)):
            head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            sent = [self._http.send(head), self._http.send(h11.Data(data=await request.aread()))]
            sent.append(self._http.send(h11.EndOfMessage()))
        wire = request.extensions.get(WIRE_EXTENSION)
        if isinstance(wire, Wire):
            wire.sent()
        with limits.of("write", httpx2.WriteTimeout), raised_as(httpx2.WriteError):
            await self._stream.send(b"".join(filter(None, sent)))

    async def head(self, limits: Limits) -> h11.Response:
        """The beginning of the answer."""
        while True:
            event = await self._next(limits)
            if isinstance(event, h11.Response):
                return event
            if isinstance(event, h11.ConnectionClosed):
                raise httpx2.RemoteProtocolError("Server disconnected without sending a response.")

    async def body(self, limits: Limits) -> AsyncIterator[bytes]:
        """The rest of the answer."""
        while isinstance(event := await self._next(limits), h11.Data):
            yield bytes(event.data)

    async def _next(self, limits: Limits) -> h11.Event:
        with raised_as(httpx2.RemoteProtocolError, (h11.RemoteProtocolError,)):
            while (event := self._http.next_event()) is h11.NEED_DATA:
                with limits.of("read", httpx2.ReadTimeout), raised_as(httpx2.ReadError):
                    try:
                        piece = await self._stream.receive(_PIECE)
                    except anyio.EndOfStream:
                        piece = b""
                self._http.receive_data(piece)
        if isinstance(event, h11.Event):
            return event
        raise httpx2.RemoteProtocolError("the server wants to speak another protocol")

    def begin_anew(self) -> bool:
        """Whether it is ready for another request."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        self._since = clock.now()
        return True

    async def aclose(self) -> None:
        """Close it without ceremony."""
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(self._stream)
