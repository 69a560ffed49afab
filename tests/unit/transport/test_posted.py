"""Calls of tools by a POST of their own: what is made of each answer, and what is left to the SDK."""

from __future__ import annotations

import gzip
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import h11
import httpx2
import pytest
from anyio.abc import ByteStream, SocketAttribute
from mcp import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
)
from opentelemetry import context, trace

from tests.unit.transport.standing_in import StandIn
from trunkline.call import Delivery
from trunkline.testing.processes import free_port
from trunkline.transport.faults import is_closed_by_sdk
from trunkline.transport.http_connections import HttpConnections
from trunkline.transport.posted import PostedCalls
from trunkline.transport.wire import CURRENT_WIRE, REQUEST_HEADER, Wire

pytestmark = pytest.mark.anyio

JSON = "application/json"
URL = "http://server/mcp"
PARAMS = {"name": "echo", "arguments": {"text": "grüß dich"}, "_meta": {"given": 1}}
HEADERS = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", REQUEST_HEADER: "7"}
OURS = {"jsonrpc": "2.0", "id": 7, "result": {"content": []}}
INNER = {"method": "tools/call"}
Handler = Callable[[httpx2.Request], httpx2.Response]


@pytest.fixture(params=["our connections", "another transport"])
def way(request: pytest.FixtureRequest) -> str:
    """By what is posted: another transport is one that puts credentials on requests."""
    return str(request.param)


@asynccontextmanager
async def dispatcher(way: str, handler: Handler, inner: StandIn | None = None) -> AsyncIterator[PostedCalls]:
    client = httpx2.AsyncClient(headers={"x-own": "configured"})
    if way == "another transport":
        yield PostedCalls(inner or StandIn(), client, httpx2.MockTransport(handler), URL, largest=1000)
        return
    connections = HttpConnections(ssl.create_default_context())
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, lambda stream: serve(stream, handler))
        url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/mcp"
        yield PostedCalls(inner or StandIn(), client, connections, url, largest=1000)
        await connections.aclose()
        tasks.cancel_scope.cancel()


async def serve(stream: ByteStream, handler: Handler) -> None:
    """Answer one request after the other as `handler` says."""
    http = h11.Connection(h11.SERVER)
    async with stream:
        while (request := await read(stream, http)) is not None:
            answer = handler(request)
            assert isinstance(answer.stream, httpx2.AsyncByteStream)
            try:
                body, length = b"".join([piece async for piece in answer.stream]), None
            except httpx2.TransportError:
                body, length = b"{", 50
            headers = [*answer.headers.raw, (b"content-length", str(length or len(body)).encode())]
            events = [h11.Response(status_code=answer.status_code, headers=headers), h11.Data(data=body)]
            await stream.send(b"".join(http.send(each) or b"" for each in events))
            if length is not None:
                return
            http.send(h11.EndOfMessage())
            http.start_next_cycle()


async def read(stream: ByteStream, http: h11.Connection) -> httpx2.Request | None:
    """The next request, as it came."""
    head, body = None, b""
    while True:
        event = http.next_event()
        match event:
            case h11.NEED_DATA:
                try:
                    http.receive_data(await stream.receive())
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return None
            case h11.Request():
                head = event
            case h11.Data():
                body += event.data
            case h11.EndOfMessage() if head is not None:
                return httpx2.Request(head.method.decode(), URL, headers=list(head.headers), content=body)
            case _:
                return None


async def call(way: str, handler: Handler, wire: Wire | None = None, **options: Any) -> dict[str, Any]:
    """Call a tool as the SDK's session does."""
    token = CURRENT_WIRE.set(wire or Wire())
    opts: Any = {"request_id": 7, "headers": HEADERS, **options}
    try:
        async with dispatcher(way, handler) as sent:
            try:
                return await sent.send_raw_request("tools/call", PARAMS, opts)
            except MCPError as error:
                refused = error
    finally:
        CURRENT_WIRE.reset(token)
    raise refused  # out here, where no task group makes a group of it


def answering(status: int = 200, content: Any = OURS, kind: str = JSON, **headers: str) -> Handler:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return streaming(httpx2.ByteStream(body), status, kind, **headers)


def streaming(body: httpx2.AsyncByteStream, status: int = 200, kind: str = JSON, **headers: str) -> Handler:
    given = {"content-type": kind, **headers}
    return lambda request: httpx2.Response(status, stream=body, headers=given, request=request)


def events(*messages: Any) -> bytes:
    return b"".join(b"event: message\r\ndata: " + json.dumps(each).encode() + b"\r\n\r\n" for each in messages)


async def test_a_call_is_one_post_of_what_the_session_asked_for(way: str) -> None:
    seen: list[httpx2.Request] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return answering()(request)

    assert await call(way, handle) == {"content": []}
    [request] = seen
    assert json.loads(request.content) == {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": PARAMS}
    expected = {"x-own": "configured", "mcp-method": "tools/call", "accept": "application/json, text/event-stream"}
    assert expected.items() <= dict(request.headers).items()
    assert REQUEST_HEADER not in request.headers, "our own header went out"


async def test_a_call_is_part_of_the_trace_it_is_made_in(way: str) -> None:
    seen: list[httpx2.Request] = []
    span = trace.NonRecordingSpan(trace.SpanContext(0xA1, 0xB2, is_remote=False, trace_flags=trace.TraceFlags(1)))

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return answering()(request)

    token = context.attach(trace.set_span_in_context(span))
    try:
        await call(way, handle)
    finally:
        context.detach(token)

    meta = json.loads(seen[0].content)["params"]["_meta"]
    assert meta == {"given": 1, "traceparent": f"00-{0xA1:032x}-{0xB2:016x}-01"}


async def test_an_answer_may_come_at_the_end_of_a_stream(way: str) -> None:
    progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}

    assert await call(way, answering(200, events(progress, OURS), "text/event-stream")) == {"content": []}


async def test_an_answer_may_be_packed(way: str) -> None:
    packed = answering(200, gzip.compress(json.dumps(OURS).encode()), **{"content-encoding": "gzip"})

    assert await call(way, packed) == {"content": []}


@pytest.mark.parametrize("asked", [7, "7"], ids=repr)
async def test_a_server_may_return_the_id_as_text(way: str, asked: int | str) -> None:
    assert await call(way, answering(200, OURS | {"id": asked})) == {"content": []}


REFUSAL = {"jsonrpc": "2.0", "id": 7, "error": {"code": INVALID_PARAMS, "message": "no", "data": {"why": 1}}}


@pytest.mark.parametrize(
    "handler",
    [
        answering(400, REFUSAL),
        answering(200, REFUSAL),
        answering(400, REFUSAL | {"id": None}),
        answering(200, events(REFUSAL), "text/event-stream"),
    ],
    ids=["status 400", "status 200", "without an id", "in a stream"],
)
async def test_what_a_server_refuses_is_raised_as_it_says_it(way: str, handler: Handler) -> None:
    with pytest.raises(MCPError) as caught:
        await call(way, handler)

    assert (caught.value.code, caught.value.message, caught.value.data) == (INVALID_PARAMS, "no", {"why": 1})


@pytest.mark.parametrize(
    ("handler", "code"),
    [
        (answering(500, b"oops", "text/html"), INTERNAL_ERROR),
        (answering(503, {"error": "of a proxy"}), INTERNAL_ERROR),
        (answering(404, b"", "text/html"), METHOD_NOT_FOUND),
        (answering(202, b""), INVALID_REQUEST),
        (answering(200, b"<html>", "text/html"), INVALID_REQUEST),
        (answering(200, b"{garbage"), PARSE_ERROR),
        (answering(200, OURS | {"id": 8}), PARSE_ERROR),
        (answering(200, REFUSAL | {"id": 8}), PARSE_ERROR),
        (answering(200, {"jsonrpc": "2.0", "id": 7, "method": "ping"}), PARSE_ERROR),
        (answering(200, OURS | {"result": {"long": "x" * 1000}}), PARSE_ERROR),
        (answering(200, b"not gzip", **{"content-encoding": "gzip"}), PARSE_ERROR),
        (answering(200, b"event: message\r\ndata: {garbage\r\n\r\n", "text/event-stream"), PARSE_ERROR),
        (answering(200, events({"jsonrpc": "2.0", "method": "x"}), "text/event-stream"), CONNECTION_CLOSED),
        (answering(200, b"data: " + b"x" * 2000, "text/event-stream"), CONNECTION_CLOSED),
    ],
    ids=[
        *("500", "503 of a proxy", "404", "202", "a page", "garbage", "another's answer", "another's refusal"),
        *("a request", "too large", "not gzip", "a garbled event", "a stream without an end", "an event too large"),
    ],
)
async def test_what_is_no_answer_is_an_error_that_the_fault_table_knows(way: str, handler: Handler, code: int) -> None:
    with pytest.raises(MCPError) as caught:
        await call(way, handler)

    assert caught.value.code == code
    assert is_closed_by_sdk(caught.value) is (code == CONNECTION_CLOSED)


async def test_status_and_retry_after_are_noted(way: str) -> None:
    wire = Wire()
    with pytest.raises(MCPError):
        await call(way, answering(429, b"", "text/html", **{"retry-after": "3"}), wire)

    assert (wire.status, wire.retry_after, wire.fault) == (429, 3.0, None)


class Cut(httpx2.AsyncByteStream):
    """A body that ends too early."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"jsonrpc": "2.0", '
        raise httpx2.RemoteProtocolError("incomplete")


@pytest.mark.requirement("R4")
@pytest.mark.parametrize(
    "handler",
    [streaming(Cut()), streaming(Cut(), kind="text/event-stream"), streaming(Cut(), 400)],
    ids=["a cut body", "a cut stream", "a cut refusal"],
)
async def test_a_network_fault_is_noted(way: str, handler: Handler) -> None:
    wire = Wire()
    with pytest.raises(MCPError):
        await call(way, handler, wire)

    assert isinstance(wire.fault, httpx2.RemoteProtocolError)


@pytest.mark.requirement("R4")
async def test_where_nobody_listens_that_is_noted() -> None:
    wire, connections = Wire(), HttpConnections(ssl.create_default_context())
    token = CURRENT_WIRE.set(wire)
    url = f"http://127.0.0.1:{free_port()}/mcp"
    sent = PostedCalls(StandIn(), httpx2.AsyncClient(), connections, url, largest=1000)
    try:
        with pytest.raises(MCPError):
            await sent.send_raw_request("tools/call", PARAMS, {"request_id": 7, "headers": HEADERS})
    finally:
        CURRENT_WIRE.reset(token)

    assert isinstance(wire.fault, httpx2.ConnectError)
    assert wire.delivery is Delivery.NOT_SENT


async def heard(*_: Any) -> None:
    """Somebody who wants to hear of it."""


@pytest.mark.parametrize(
    ("method", "options", "wire"),
    [
        ("tools/list", {}, Wire()),
        ("tools/call", {"headers": {"mcp-protocol-version": "2025-11-25"}}, Wire()),
        ("tools/call", {"headers": {}}, Wire()),
        ("tools/call", {"on_progress": heard}, Wire()),
        ("tools/call", {}, Wire(log=heard)),
    ],
    ids=["a listing", "the era before", "no era", "progress", "a log"],
)
async def test_what_is_more_than_one_exchange_is_left_to_the_sdk(
    way: str, method: str, options: Any, wire: Wire
) -> None:
    token = CURRENT_WIRE.set(wire)
    try:
        inner = StandIn()
        inner.answers.set()
        opts: Any = {"request_id": 7, "headers": HEADERS, **options}
        async with dispatcher(way, answering(), inner) as sent:
            found = await sent.send_raw_request(method, PARAMS, opts)
    finally:
        CURRENT_WIRE.reset(token)

    assert (found, len(inner.asked)) == ({"method": method}, 1)


async def test_a_server_that_sends_elsewhere_is_left_to_the_sdk_from_then_on(way: str) -> None:
    asked = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(307, headers={"location": f"{URL}/"})

    inner = StandIn()
    inner.answers.set()
    opts: Any = {"request_id": 7, "headers": HEADERS}
    async with dispatcher(way, handle, inner) as sent:
        found = [await sent.send_raw_request("tools/call", PARAMS, opts) for _ in range(3)]

    assert (found, len(inner.asked), len(asked)) == ([INNER] * 3, 3, 1)
