"""How a request is answered where it was taken in, and what becomes of one that takes long. In virtual time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import NoBackChannelError
from starlette.requests import Request
from starlette.types import Message
from trio.testing import MockClock

from trunkline.gateway.exchanges import Exchange, Exchanges

pytestmark = pytest.mark.anyio

ANSWER = {"jsonrpc": "2.0", "id": 7, "result": {}}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, MockClock]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Client:
    """Hears what is sent, and leaves when it is told to."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.leaves = anyio.Event()

    async def send(self, message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        self.heard.append(message)

    async def receive(self) -> Message:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    def exchange(self, session: str | None = None, **meta: Any) -> Exchange:
        request = Request({"type": "http", "method": "POST", "path": "/mcp", "headers": []})
        return Exchange(request, 7, {"_meta": meta}, self.send, session=session)

    @property
    def kind(self) -> str:
        return str(dict(self.heard[0]["headers"])[b"content-type"], "ascii")

    @property
    def body(self) -> bytes:
        assert not self.heard[-1].get("more_body"), "the answer has not ended"
        return b"".join(message["body"] for message in self.heard[1:])


@asynccontextmanager
async def looked_after(exchange: Exchange, client: Client) -> AsyncIterator[None]:
    exchanges = Exchanges()
    async with exchanges.running():
        with exchanges.looking_after(exchange, client.receive):
            yield
        assert repr(exchanges) == "<Exchanges [0 open]>"


async def test_an_answer_alone_is_json() -> None:
    client = Client()
    exchange = client.exchange()
    async with looked_after(exchange, client):
        await exchange.end(ANSWER, 400)

    assert (client.heard[0]["status"], client.kind) == (400, "application/json")
    assert json.loads(client.body) == ANSWER
    assert dict(client.heard[0]["headers"])[b"content-length"] == str(len(client.body)).encode()


async def test_what_is_said_before_the_answer_makes_it_a_stream() -> None:
    client = Client()
    exchange = client.exchange(progressToken="t")
    async with looked_after(exchange, client):
        await exchange.progress(1, 2)
        await exchange.notify("notifications/message", {"data": "x"})
        await exchange.end(ANSWER, 400)

    assert (client.heard[0]["status"], client.kind) == (200, "text/event-stream")
    told = [json.loads(event.partition(b"data: ")[2]) for event in client.body.strip().split(b"\r\n\r\n")]
    progress = {"progressToken": "t", "progress": 1, "total": 2}
    assert told == [
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": progress},
        {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x"}},
        ANSWER,
    ]


async def test_progress_that_nobody_asked_for_is_not_told() -> None:
    client = Client()
    exchange = client.exchange()
    async with looked_after(exchange, client):
        await exchange.progress(1, 2)
        await exchange.end(ANSWER, 200)

    assert client.kind == "application/json"


async def test_the_client_cannot_be_asked() -> None:
    exchange = Client().exchange()
    assert not exchange.can_send_request
    with pytest.raises(NoBackChannelError):
        await exchange.send_raw_request("sampling/createMessage", {})


async def test_a_silent_request_is_kept_alive() -> None:
    client = Client()
    exchange = client.exchange()
    async with looked_after(exchange, client):
        await anyio.sleep(40)
        await exchange.end(ANSWER, 200)

    assert client.kind == "text/event-stream"
    assert client.body.startswith(b": ping\r\n\r\n: ping\r\n\r\nevent: message\r\ndata: {")


async def test_a_request_whose_client_leaves_ends_soon() -> None:
    client = Client()
    exchange = client.exchange()
    async with looked_after(exchange, client):
        started = anyio.current_time()
        client.leaves.set()
        await anyio.sleep(60)

    assert anyio.current_time() - started <= 0.5
    assert exchange.scope.cancelled_caught
    assert client.heard == []


async def test_nothing_looks_after_a_request_that_has_been_answered() -> None:
    client, exchanges = Client(), Exchanges()
    exchange = client.exchange()
    async with exchanges.running():
        with exchanges.looking_after(exchange, client.receive):
            await anyio.sleep(5)
            await exchange.end(ANSWER, 200)
        heard = list(client.heard)
        await anyio.sleep(60)

    assert client.heard == heard


async def test_a_connection_that_fails_while_it_is_kept_alive_harms_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client, other, exchanges = Client(), Client(), Exchanges()
    its = other.exchange()

    async def fail(_message: Message) -> None:
        raise OSError("gone")

    request = Request({"type": "http", "method": "POST", "path": "/mcp", "headers": []})
    exchange = Exchange(request, 7, {}, fail, session=None)
    async with exchanges.running():
        with exchanges.looking_after(exchange, client.receive), exchanges.looking_after(its, other.receive):
            await anyio.sleep(40)
            await its.end(ANSWER, 200)

    assert [record.message for record in caplog.records] == ["attention_failed"]
    assert other.body.startswith(b": ping")


async def test_a_client_of_a_session_that_loses_touch_has_not_cancelled() -> None:
    client = Client()
    exchange = client.exchange(session="its")
    async with looked_after(exchange, client):
        client.leaves.set()
        await anyio.sleep(60)
        await exchange.end(ANSWER, 200)

    assert (exchange.scope.cancelled_caught, client.kind) == (False, "application/json")
