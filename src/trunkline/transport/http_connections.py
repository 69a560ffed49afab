"""The connections to one server over HTTP/1.1, kept open between requests. Sits at the bottom of the HTTP transport.

In the place of httpx2's own, which takes several times as long for a small request (docs/decisions/0023): one write for
a request's head and body, and h11, which that one uses too, for every answer that is not a plain one.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

import anyio
import httpx2
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from trunkline.transport.http_connection import HttpConnection, Limits, RaisedAs
from trunkline.transport.http_message import Head, Origin, Sent, head_of, lines_of, origin_of
from trunkline.transport.wire import WIRE_EXTENSION, Wire

__all__ = ["Answer", "HttpConnections"]

_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
"""Methods of which nobody expects a body, and so no length either."""

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
        body = await request.aread()
        head = head_of(request.method, request.url.raw_path, request.headers.raw)
        if body or request.method not in _WITHOUT_BODY:
            head += lines_of([(b"content-length", str(len(body)).encode())])
        sent = Sent(origin_of(request.url), request.method, head + b"\r\n" + body)
        wire = request.extensions.get(WIRE_EXTENSION) or Wire()
        answer = await self.exchange(sent, request.extensions.get("timeout", {}), wire)
        return httpx2.Response(answer.status, headers=answer.headers, stream=answer, request=request)

    async def exchange(self, request: Sent, seconds: Mapping[str, float | None], wire: Wire) -> Answer:
        """Send one request and return its answer; as the above, without httpx2's objects around it.

        Args:
            request: What is sent.
            seconds: How long each step may take: `httpx2.Timeout`, as a dictionary.
            wire: Told when the server may have got it.
        """
        limits = Limits(seconds)
        try:
            self._turns.acquire_nowait()
        except anyio.WouldBlock:
            with limits.of("pool", httpx2.PoolTimeout):
                await self._turns.acquire()
        connection = None
        try:
            connection = await self._kept(request.origin) or await self._connect(request.origin, limits)
            wire.sent()
            await connection.send(request, limits)
            head = await connection.head(request, limits)
        except BaseException:
            await self._give_back(connection, is_whole=False)
            raise
        return Answer(head, connection.body(limits), partial(self._give_back, connection))

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
        with limits.of("connect", httpx2.ConnectTimeout), RaisedAs(httpx2.ConnectError):
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


class Answer(httpx2.AsyncByteStream):
    """An answer whose body is still to come; its end, or whoever wants no more of it, sets the connection free."""

    def __init__(self, head: Head, body: AsyncIterator[bytes], give_back: _GiveBack) -> None:
        self.status = head.status
        self.headers = head.headers
        self._body = body
        self._give_back: _GiveBack | None = give_back
        self._is_plain = head.length is not None

    @property
    def is_plain_json(self) -> bool:
        """Whether a request went well, and the body is JSON as it stands."""
        said = dict(self.headers)
        kind = said.get(b"content-type", b"").lower()
        return self._is_plain and kind.startswith(b"application/json") and b"content-encoding" not in said

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._body:
                yield piece
        except BaseException:
            await self._end(is_whole=False)
            raise
        await self._end(is_whole=True)

    async def aclose(self) -> None:
        """Want no more of it."""
        await self._end(is_whole=False)

    async def _end(self, *, is_whole: bool) -> None:
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            await give_back(is_whole=is_whole)
