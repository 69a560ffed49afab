"""The connections to one server over HTTP/1.1, kept open between requests. Sits at the bottom of the HTTP transport.

In the place of httpx2's own, which takes nearly twice as long for a small request (docs/decisions/0023): one write for
a request's head and body, and h11, which both that one and our web server use, for everything that HTTP is about.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from typing import Any, Final, TypeAlias

import anyio
import httpx2
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from trunkline.transport.http_connection import HttpConnection, Limits, Origin, raised_as

__all__ = ["HttpConnections"]

_MOST: Final = 512
"""Connections in use at a time."""
_KEPT: Final = 64
"""Connections that are kept while nobody uses them."""

_GiveBack: TypeAlias = partial[Coroutine[Any, Any, None]]


class HttpConnections(httpx2.AsyncBaseTransport):
    """Opens connections as they are needed; each has one request under way at a time."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """Use `context` for servers on https; opens nothing so far."""
        self._context = context
        self._idle: dict[Origin, deque[HttpConnection]] = {}
        self._open: set[HttpConnection] = set()
        self._turns = anyio.Semaphore(_MOST, fast_acquire=True)
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<HttpConnections [{len(self._open)} open, {sum(map(len, self._idle.values()))} idle]>"

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request and return its answer, whose body is still to come.

        Raises:
            TransportError: There is no answer. Where nothing was sent, the request's `Wire` says so.
        """
        limits = Limits(request)
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

    async def _kept(self, origin: Origin) -> HttpConnection | None:
        """The latest one used of those that are open still; the others are let go."""
        kept = self._idle.get(origin, deque[HttpConnection]())
        while kept and not kept[0].is_fresh:  # the one that has been idle for the longest time
            await self._drop(kept.popleft())
        while kept:
            connection = kept.pop()
            if connection.is_fresh:
                return connection
            await self._drop(connection)
        return None

    async def _drop(self, connection: HttpConnection) -> None:
        self._open.discard(connection)
        await connection.aclose()

    async def _connect(self, origin: Origin, limits: Limits) -> HttpConnection:
        scheme, host, port = origin
        with limits.of("connect", httpx2.ConnectTimeout), raised_as(httpx2.ConnectError):
            stream: ByteStream = await anyio.connect_tcp(host, port)
            if scheme == "https":
                try:
                    stream = await TLSStream.wrap(
                        stream, ssl_context=self._context, hostname=host, standard_compatible=False, server_side=False
                    )
                except BaseException:
                    await anyio.aclose_forcefully(stream)
                    raise
        connection = HttpConnection(stream, origin)
        if self._is_closed:
            await connection.aclose()
            raise httpx2.WriteError("the connections have been closed meanwhile")
        self._open.add(connection)
        return connection

    async def _give_back(self, connection: HttpConnection | None, *, is_whole: bool) -> None:
        """Keep a connection whose answer has come as a whole, and close any other."""
        self._turns.release()
        if connection is None:
            return
        kept = self._idle.setdefault(connection.origin, deque())
        if is_whole and connection in self._open and connection.begin_anew() and len(kept) < _KEPT:
            kept.append(connection)
        else:
            await self._drop(connection)

    async def aclose(self) -> None:
        """Close all connections, also those that are being opened."""
        self._is_closed = True
        self._idle.clear()
        while self._open:
            await self._open.pop().aclose()


def _origin_of(url: httpx2.URL) -> Origin:
    port = url.port or (443 if url.scheme == "https" else 80)
    return url.scheme, url.raw_host.decode("ascii"), port


class _Body(httpx2.AsyncByteStream):
    """What follows the head of an answer; its end, or whoever wants no more of it, sets the connection free."""

    def __init__(
        self, connection: HttpConnection, limits: Limits, give_back: partial[Coroutine[Any, Any, None]]
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._give_back: _GiveBack | None = give_back

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
