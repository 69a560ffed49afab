"""The connections to one server over HTTP/1.1, kept open between requests. Sits at the bottom of the HTTP transport.

In the place of httpx2's own, which takes three times as long for a small request (docs/decisions/0023): one write for
a request's head and body, and h11, which both that one and our web server use, for everything that HTTP is about.
"""

from __future__ import annotations

import select
import ssl
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeAlias

import anyio
import h11
import httpx2
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

from trunkline import clock
from trunkline.transport.wire import WIRE_EXTENSION, Wire

__all__ = ["HttpConnections"]

_MOST: Final = 512
"""Connections in use at a time."""
_KEPT: Final = 64
"""Connections that are kept while nobody uses them."""
_EXPIRY: Final = 30.0
"""Seconds that a connection is kept for."""
_HEAD: Final = 100 * 1024
"""Bytes of an answer's head."""
_PIECE: Final = 65536

_NETWORK: Final = (OSError, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)
"""How a connection fails below HTTP."""
_Origin: TypeAlias = tuple[str, str, int]
"""Scheme, host and port."""


class HttpConnections(httpx2.AsyncBaseTransport):
    """Opens connections as they are needed; each has one request under way at a time."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """Use `context` for servers on https; opens nothing so far."""
        self._context = context
        self._idle: dict[_Origin, deque[_Connection]] = {}
        self._open: set[_Connection] = set()
        self._turns = anyio.Semaphore(_MOST, fast_acquire=True)

    def __repr__(self) -> str:
        return f"<HttpConnections [{len(self._open)} open, {sum(map(len, self._idle.values()))} idle]>"

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request and return its answer, whose body is still to come.

        Raises:
            TransportError: There is no answer. Where nothing was sent, the request's `Wire` says so.
        """
        limits = _Limits(request)
        try:
            self._turns.acquire_nowait()
        except anyio.WouldBlock:
            with limits.of("pool", httpx2.PoolTimeout):
                await self._turns.acquire()
        connection = None
        try:
            origin = _origin_of(request.url)
            connection = await self._kept(origin) or await self._connect(origin, limits)
            await connection.send(request, limits)
            head = await connection.head(limits)
        except BaseException:
            await self._give_back(connection, is_whole=False)
            raise
        body = _Body(connection, limits, partial(self._give_back, connection))
        return httpx2.Response(head.status_code, headers=list(head.headers.raw_items()), stream=body, request=request)

    async def _kept(self, origin: _Origin) -> _Connection | None:
        """A connection that is open still; those that are not are let go."""
        kept = self._idle.get(origin)
        while kept:
            connection = kept.pop()
            if connection.is_fresh:
                return connection
            self._open.discard(connection)
            await connection.aclose()
        return None

    async def _connect(self, origin: _Origin, limits: _Limits) -> _Connection:
        scheme, host, port = origin
        with limits.of("connect", httpx2.ConnectTimeout), _as(httpx2.ConnectError):
            stream: ByteStream = await anyio.connect_tcp(host, port)
            if scheme == "https":
                try:
                    stream = await TLSStream.wrap(
                        stream, ssl_context=self._context, hostname=host, standard_compatible=False, server_side=False
                    )
                except BaseException:
                    await anyio.aclose_forcefully(stream)
                    raise
        connection = _Connection(stream, origin)
        self._open.add(connection)
        return connection

    async def _give_back(self, connection: _Connection | None, *, is_whole: bool) -> None:
        """Keep a connection whose answer has come as a whole, and close any other."""
        self._turns.release()
        if connection is None:
            return
        kept = self._idle.setdefault(connection.origin, deque())
        if is_whole and connection in self._open and connection.begin_anew() and len(kept) < _KEPT:
            kept.append(connection)
            return
        self._open.discard(connection)
        await connection.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        self._idle.clear()
        while self._open:
            await self._open.pop().aclose()


def _origin_of(url: httpx2.URL) -> _Origin:
    port = url.port or (443 if url.scheme == "https" else 80)
    return url.scheme, url.raw_host.decode("ascii"), port


@contextmanager
def _as(ours: type[httpx2.TransportError], theirs: tuple[type[Exception], ...] = _NETWORK) -> Iterator[None]:
    """Raise the errors of the libraries below as httpx2 does."""
    try:
        yield
    except theirs as error:
        raise ours(str(error)) from error


class _Limits:
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


class _Connection:
    """One connection."""

    def __init__(self, stream: ByteStream, origin: _Origin) -> None:
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

    async def send(self, request: httpx2.Request, limits: _Limits) -> None:
        """Send a request as a whole. From its first byte on the server may have got it."""
        with _as(httpx2.LocalProtocolError, (h11.LocalProtocolError,)):
            head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            sent = [self._http.send(head), self._http.send(h11.Data(data=await request.aread()))]
            sent.append(self._http.send(h11.EndOfMessage()))
        wire = request.extensions.get(WIRE_EXTENSION)
        if isinstance(wire, Wire):
            wire.sent()
        with limits.of("write", httpx2.WriteTimeout), _as(httpx2.WriteError):
            await self._stream.send(b"".join(filter(None, sent)))

    async def head(self, limits: _Limits) -> h11.Response:
        """The beginning of the answer."""
        while True:
            event = await self._next(limits)
            if isinstance(event, h11.Response):
                return event
            if isinstance(event, h11.ConnectionClosed):
                raise httpx2.RemoteProtocolError("Server disconnected without sending a response.")

    async def body(self, limits: _Limits) -> AsyncIterator[bytes]:
        """The rest of the answer."""
        while isinstance(event := await self._next(limits), h11.Data):
            yield bytes(event.data)

    async def _next(self, limits: _Limits) -> h11.Event:
        with _as(httpx2.RemoteProtocolError, (h11.RemoteProtocolError,)):
            while (event := self._http.next_event()) is h11.NEED_DATA:
                with limits.of("read", httpx2.ReadTimeout), _as(httpx2.ReadError):
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


class _Body(httpx2.AsyncByteStream):
    """What follows the head of an answer; its end, or whoever wants no more of it, sets the connection free."""

    def __init__(self, connection: _Connection, limits: _Limits, give_back: partial[Coroutine[Any, Any, None]]) -> None:
        self._connection = connection
        self._limits = limits
        self._give_back: partial[Coroutine[Any, Any, None]] | None = give_back

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._connection.body(self._limits):
                yield piece
        except BaseException:
            await self._end(is_whole=False)
            raise
        await self._end(is_whole=True)

    async def aclose(self) -> None:
        await self._end(is_whole=False)

    async def _end(self, *, is_whole: bool) -> None:
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            await give_back(is_whole=is_whole)
