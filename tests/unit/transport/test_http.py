"""One faulty exchange stays one faulty exchange: what our HTTP transport makes of what the network does."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import anyio
import httpx2
import pytest

from trunkline.call import Delivery
from trunkline.transport import http as module
from trunkline.transport.http import IsolatingTransport
from trunkline.transport.network import describe
from trunkline.transport.retry_after import parse_retry_after
from trunkline.transport.wire import REQUEST_HEADER, Wire, Wires

pytestmark = pytest.mark.anyio

URL = "http://server/mcp"
JSON = {"content-type": "application/json"}
Handler = Callable[[httpx2.Request], Coroutine[None, None, httpx2.Response]]


def client(handler: Handler, wires: Wires) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=IsolatingTransport(httpx2.MockTransport(handler), wires))


async def post(handler: Handler, wire: Wire) -> httpx2.Response:
    """What the SDK gets for request 7."""
    async with client(handler, {"7": wire}) as http:
        return await http.post(URL, json={}, headers={REQUEST_HEADER: "7"})


def raising(error: Exception) -> Handler:
    async def handle(request: httpx2.Request) -> httpx2.Response:
        await anyio.lowlevel.checkpoint()
        raise error

    return handle


def answering(response: httpx2.Response) -> Handler:
    async def handle(request: httpx2.Request) -> httpx2.Response:
        assert REQUEST_HEADER not in request.headers, "our own header went out"
        return response

    return handle


@pytest.mark.parametrize(
    "error",
    [httpx2.ConnectError("refused"), httpx2.ReadError("reset"), httpx2.ReadTimeout("slow"), httpx2.PoolTimeout("")],
)
async def test_a_network_fault_becomes_an_answer_and_is_noted(error: httpx2.TransportError) -> None:
    wire = Wire()
    response = await post(raising(error), wire)

    assert response.status_code == 502
    assert wire.fault is error
    assert wire.delivery is Delivery.NOT_SENT


async def test_status_and_retry_after_are_noted() -> None:
    wire = Wire()
    await post(answering(httpx2.Response(429, headers={"retry-after": "3"})), wire)

    assert (wire.status, wire.retry_after, wire.fault) == (429, 3.0, None)


class Broken(httpx2.AsyncByteStream):
    """A body that ends too early."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"jsonrpc": "2.0", '
        raise self._error


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
async def test_a_cut_body_is_a_stream_error_of_its_request_alone_and_is_noted(content_type: str) -> None:
    wire, error = Wire(), httpx2.RemoteProtocolError("incomplete")
    response = httpx2.Response(200, headers={"content-type": content_type}, stream=Broken(error))

    with pytest.raises(httpx2.StreamError):
        await post(answering(response), wire)

    assert wire.fault is error


async def test_a_body_that_cannot_be_decoded_is_a_stream_error_of_its_request_alone() -> None:
    response = httpx2.Response(200, headers={**JSON, "content-encoding": "gzip"}, stream=httpx2.ByteStream(b"not gzip"))

    with pytest.raises(httpx2.StreamError):
        await post(answering(response), Wire())


@pytest.mark.requirement("R4")
@pytest.mark.parametrize("request_id", [8, "8", None], ids=repr)
async def test_an_answer_with_another_requests_id_reaches_nobody(request_id: int | str | None) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": request_id, "result": {}}).encode()
    response = await post(answering(httpx2.Response(200, headers=JSON, content=body)), Wire())

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc": "2.0", "id": 7, "result": {}}',
        b'{"jsonrpc": "2.0", "id": "7", "result": {}}',
        b'{"jsonrpc": "2.0", "method": "notifications/progress"}',
        b"Segmentation fault",
        b"[]",
        b"",
        b"[" * 200_000,
    ],
)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_any_other_body_is_the_sdks_to_judge(body: bytes, encoding: str) -> None:
    raw = gzip.compress(body) if encoding == "gzip" else body
    headers = JSON if encoding == "identity" else {**JSON, "content-encoding": "gzip"}
    response = await post(answering(httpx2.Response(200, headers=headers, stream=httpx2.ByteStream(raw))), Wire())

    assert response.content == body


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_body_that_is_too_large_is_left_unread(
    status: int, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_MESSAGE", 1000)
    for size, left in ((1000, 1000), (1001, 0)):
        body = b" " * size
        raw = gzip.compress(body) if encoding == "gzip" else body
        headers = JSON if encoding == "identity" else {**JSON, "content-encoding": "gzip"}
        answer = httpx2.Response(status, headers=headers, stream=httpx2.ByteStream(raw))
        response = await post(answering(answer), Wire())
        assert (response.status_code, len(response.content), answer.is_closed) == (status, left, True)


async def test_a_fault_of_the_standalone_stream_is_the_sdks_to_see() -> None:
    async with client(raising(httpx2.ReadError("reset")), {}) as http:
        with pytest.raises(httpx2.ReadError):
            await http.get(URL)


async def test_the_loss_of_a_notification_ends_nothing() -> None:
    async with client(raising(httpx2.ConnectError("refused")), {}) as http:
        assert (await http.post(URL, json={})).status_code == 202
        assert (await http.delete(URL)).status_code == 204


async def test_a_notification_waits_for_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_NOTIFY_TIMEOUT", 0.01)

    async def hang(request: httpx2.Request) -> httpx2.Response:
        await anyio.sleep_forever()
        raise AssertionError

    async with client(hang, {}) as http:
        with anyio.fail_after(5):
            assert (await http.post(URL, json={})).status_code == 202


async def test_deleting_a_session_that_is_gone_succeeds_and_other_answers_pass() -> None:
    async with client(answering(httpx2.Response(404)), {}) as http:
        assert (await http.delete(URL)).status_code == 204
        assert (await http.post(URL, json={})).status_code == 404


async def test_a_cancelled_request_is_cancelled() -> None:
    async def hang(request: httpx2.Request) -> httpx2.Response:
        await anyio.sleep_forever()
        raise AssertionError

    wire = Wire()
    with anyio.move_on_after(0.01) as scope:
        await post(hang, wire)

    assert scope.cancelled_caught
    assert wire.fault is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("3", 3.0), ("0.5", 0.5), ("-1", 0.0), ("soon", None), ("", None), ("Mon, 99 Foo 2026", None)],
)
def test_retry_after_is_read_as_seconds(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value) == seconds


def test_retry_after_may_be_a_date() -> None:
    now = datetime.now(UTC)
    later = parse_retry_after(format_datetime(now + timedelta(seconds=60), usegmt=True))
    zoneless = parse_retry_after((now + timedelta(seconds=60)).strftime("%a, %d %b %Y %H:%M:%S -0000"))

    assert later is not None
    assert zoneless is not None
    assert 50 < later <= 60
    assert 50 < zoneless <= 60
    assert parse_retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == 0.0


@pytest.mark.parametrize("value", ["inf", "nan", "1e999"])
def test_a_retry_after_that_is_no_time_is_none(value: str) -> None:
    assert parse_retry_after(value) is None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx2.ConnectError("refused"), "ConnectError: refused"),
        (httpx2.ReadError(""), "ReadError"),
        (httpx2.ConnectError("http://user:pw@host failed"), "ConnectError"),
    ],
)
def test_a_network_error_is_described_without_addresses(error: Exception, words: str) -> None:
    assert describe(error) == words
