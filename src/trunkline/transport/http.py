"""Talks to a server over Streamable HTTP, one faulty exchange at a time. Sits under the session.

The SDK's transport lets any network error of one request end the whole session and everybody on it. Our HTTP
transport stands below it and answers such a fault, for that request alone, with an HTTP error the SDK understands;
what really happened is kept in the request's `Wire`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._stream_protocols import WriteStream
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.message import SessionMessage

from trunkline.endpoint import HttpEndpoint
from trunkline.transport.authorities import authorities
from trunkline.transport.authorization.authorizing import Authorization
from trunkline.transport.http_connections import HttpConnections
from trunkline.transport.network import describe
from trunkline.transport.outbox import InContext, Outbox
from trunkline.transport.posted import PostedCalls, bounded
from trunkline.transport.retry_after import parse_retry_after
from trunkline.transport.wire import REQUEST_HEADER, WIRE_EXTENSION, Wire, Wires

__all__ = ["IsolatingTransport", "open_http"]

_READ_TIMEOUT = 300.0
"""Seconds without a byte on one response. Attempts end earlier by their own timeout; this ends what they left."""
MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes of one message, uncompressed: a server-sent event, or a body of JSON."""
_NOTIFY_TIMEOUT = 2.0
"""Seconds a notification's POST may take: the SDK sends nothing else meanwhile."""


class BodyLost(httpx2.StreamError):
    """A response body ended early. The SDK takes a StreamError for one request's fault, not the session's."""


class _GuardedBody(httpx2.AsyncByteStream):
    """A response body whose network errors stay with its request."""

    def __init__(self, inner: httpx2.AsyncByteStream, wire: Wire) -> None:
        self._inner = inner
        self._wire = wire

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner:
                yield chunk
        except httpx2.TransportError as error:
            self._wire.fault = error
            raise BodyLost(describe(error)) from error

    async def aclose(self) -> None:
        await self._inner.aclose()


class _LostBody(httpx2.AsyncByteStream):
    """What could not be read: the SDK is told when it reads, where it takes that for one request's fault."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        raise BodyLost(describe(self._error)) from self._error
        yield b""


class IsolatingTransport(httpx2.AsyncBaseTransport):
    """Keeps each request's network faults to itself and notes delivery, status and Retry-After."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, wires: Wires) -> None:
        self._inner = inner
        self._wires = wires

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one HTTP request; a network fault on a POST comes back as a response."""
        request_id = request.headers.pop(REQUEST_HEADER, None)
        if request.method == "GET":
            return await self._inner.handle_async_request(request)
        if request_id is None:
            return await self._send_and_forget(request)
        wire = self._wires.get(request_id) or Wire()
        request.extensions = {**request.extensions, WIRE_EXTENSION: wire}
        try:
            response = await self._inner.handle_async_request(request)
        except httpx2.TransportError as error:
            wire.fault = error
            # No JSON-RPC body: the SDK makes a generic error of it, and our fault table looks at the wire.
            return httpx2.Response(502, request=request)
        wire.status = response.status_code
        wire.retry_after = parse_retry_after(response.headers.get("retry-after"))
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _GuardedBody(response.stream, wire)
        if response.headers.get("content-type", "").startswith("application/json"):
            return await self._whole(response, request, request_id)
        return response

    async def _whole(self, response: httpx2.Response, request: httpx2.Request, request_id: str) -> httpx2.Response:
        """The response with all of its JSON, or without where it is another request's answer or too large to hold.

        The SDK would read a body that never ends, or one that a few bytes unpack to, into memory as a whole.
        """
        # A copy, unpacked already: the SDK would unpack the original a second time.
        status, headers = response.status_code, response.headers.copy()
        for name in ("content-encoding", "content-length", "transfer-encoding"):
            headers.pop(name, None)
        try:
            body = await bounded(response.aiter_bytes(), MAX_MESSAGE)
        except (httpx2.StreamError, httpx2.DecodingError) as error:
            return httpx2.Response(status, headers=headers, stream=_LostBody(error), request=request)
        finally:
            await response.aclose()
        content = body if status != 200 or _answers(body, request_id) else b""
        return httpx2.Response(status, headers=headers, content=content, request=request)

    async def _send_and_forget(self, request: httpx2.Request) -> httpx2.Response:
        """A notification, or the DELETE of a session: it has no answer to fail, and its loss ends nothing."""
        with anyio.move_on_after(_NOTIFY_TIMEOUT):
            try:
                response = await self._inner.handle_async_request(request)
            except httpx2.TransportError:
                pass
            else:
                # A session that the server has forgotten is as good as deleted.
                if request.method != "DELETE" or response.status_code != 404:
                    return response
                await response.aclose()
        return httpx2.Response(204 if request.method == "DELETE" else 202, request=request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


@asynccontextmanager
async def open_http(
    endpoint: HttpEndpoint, wires: Wires, authorization: Authorization, *, connect_timeout: float
) -> AsyncIterator[PostedCalls]:
    """Yield what reaches the server. Opens no socket before the first message."""
    transport = authorization.over(HttpConnections(authorities()))
    client = httpx2.AsyncClient(
        transport=IsolatingTransport(transport, wires),
        headers=dict(endpoint.headers),
        timeout=httpx2.Timeout(connect_timeout, read=_READ_TIMEOUT),
    )
    outbox = Outbox()
    streams = streamable_http_client(endpoint.url, http_client=client, max_sse_event_size=MAX_MESSAGE)
    async with client, streams as (received, write), anyio.create_task_group() as tasks:
        tasks.start_soon(_forward, outbox, write)
        dispatcher = JSONRPCDispatcher(received, outbox)
        try:
            yield PostedCalls(dispatcher, client, transport, endpoint.url, largest=MAX_MESSAGE)
        finally:
            tasks.cancel_scope.cancel()


async def _forward(outbox: Outbox, write: WriteStream[SessionMessage]) -> None:
    with suppress(anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
        while True:
            item = await outbox.take()
            if isinstance(item, InContext) and item.context is not None:
                async with anyio.create_task_group() as tasks:
                    item.context.run(tasks.start_soon, write.send, item)
            else:
                await write.send(item)


def _answers(body: bytes, request_id: str) -> bool:
    """Whether a body may be the answer to this request: the SDK would give one with another's id to that other."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return True
    return not isinstance(found, dict) or "method" in found or str(found.get("id")) == request_id
