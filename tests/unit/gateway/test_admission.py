"""Which requests a gateway that ends still takes, how it turns the others away, and how its streams end."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from trunkline.gateway.admission import Admission
from trunkline.gateway.codes import STOPPING
from trunkline.gateway.draining import Drain
from trunkline.policy import DrainPolicy

pytestmark = pytest.mark.anyio

CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "x"}}
SESSION = (b"mcp-session-id", b"s")
START: Message = {"type": "http.response.start", "status": 200, "headers": []}
END: Message = {"type": "http.response.body", "body": b"", "more_body": False}


class Application:
    """Notes the bodies it is given, and answers once it is let; a GET it answers with a stream that has no end."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.arrived = anyio.Event()
        self.may_answer = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            await send(START)
            self.arrived.set()
            await anyio.sleep_forever()
        self.bodies.append((await receive())["body"])
        self.arrived.set()
        await self.may_answer.wait()
        await send(START)
        await send(END)


class Exchange:
    """One request, and what was answered to it."""

    def __init__(self, method: str = "POST", body: object = CALL, *headers: tuple[bytes, bytes]) -> None:
        self.scope = {"type": "http", "method": method, "path": "/mcp", "headers": list(headers)}
        self.body = json.dumps(body).encode()
        self.answer: list[Message] = []

    async def receive(self) -> Message:
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message: Message) -> None:
        self.answer.append(message)

    async def with_(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> Exchange:
        with anyio.fail_after(10):
            await app(self.scope, self.receive, self.send)
        return self

    @property
    def told(self) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON."""
        start, end = self.answer
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], headers, json.loads(end["body"])


@pytest.mark.parametrize(("headers", "expected"), [((), 503), ((SESSION,), 404)])
async def test_a_request_that_comes_after_the_end_has_begun_is_told_that_nothing_ran_and_what_to_do(
    headers: tuple[tuple[bytes, bytes], ...], expected: int
) -> None:
    application = Application()
    admission = Admission(application)
    admission.close()
    status, given, told = (await Exchange("POST", CALL, *headers).with_(admission)).told
    assert (status, told["id"], told["error"]["code"]) == (expected, 7, STOPPING)
    assert told["error"]["data"] == {"error": "GatewayStopping", "may_have_run": False, "retry_after": 1.0}
    assert (given["retry-after"], given["connection"]) == ("1", "close")
    assert ("initialize anew" in told["error"]["message"]) is bool(headers)
    assert application.bodies == []


@pytest.mark.parametrize(
    "body",
    [
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}},
        {"jsonrpc": "2.0", "id": 1, "result": {"action": "accept"}},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
        "no message at all",
        [],
    ],
    ids=["notification", "answer", "listing", "text", "list"],
)
async def test_what_belongs_to_a_request_under_way_goes_through_whole(body: object) -> None:
    application = Application()
    application.may_answer.set()
    admission = Admission(application)
    admission.close()
    exchange = await Exchange("POST", body, SESSION).with_(admission)
    assert application.bodies == [exchange.body]
    assert exchange.answer == [START, END]


async def test_a_stream_of_a_session_ends_as_streams_end_and_no_new_one_begins() -> None:
    application = Application()
    admission = Admission(application)
    stream = Exchange("GET", None, SESSION)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.with_, admission)
        await application.arrived.wait()
        assert repr(admission) == "<Admission [open, 0 under way, 1 streams]>"
        admission.close()
    assert stream.answer == [START, END]
    assert repr(admission) == "<Admission [closed, 0 under way, 0 streams]>"
    assert (await Exchange("GET", None, SESSION).with_(admission)).told[0] == 404
    assert (await Exchange("GET", None).with_(admission)).told[0] == 503


async def test_a_drain_lasts_as_long_as_a_request_is_under_way() -> None:
    application = Application()
    admission = Admission(application)
    drain = Drain(admission, admission.close)
    call = Exchange()
    ended: list[str] = []

    async def run_drain() -> None:
        await drain.run(DrainPolicy(timeout=600.0))
        ended.append("drain")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call.with_, admission)
        await application.arrived.wait()
        tasks.start_soon(run_drain)
        with anyio.fail_after(10):
            while "closed" not in repr(drain):  # noqa: ASYNC110 - another task closes
                await anyio.sleep(0.01)
        # Long enough for it to look again, several times.
        await anyio.sleep(0.2)
        assert repr(drain) == "<Drain [leaving] <Admission [closed, 1 under way, 0 streams]>>"
        assert ended == []
        application.may_answer.set()
    assert call.answer == [START, END]
    assert ended == ["drain"]


async def test_a_drain_ends_in_its_time_and_says_what_it_breaks_off(caplog: pytest.LogCaptureFixture) -> None:
    application = Application()
    admission = Admission(application)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Exchange().with_, admission)
        await application.arrived.wait()
        with anyio.fail_after(10):
            await Drain(admission, admission.close).run(DrainPolicy(timeout=0.0))
        application.may_answer.set()
    (cut,) = [record for record in caplog.records if record.message == "gateway_drain_cut"]
    assert vars(cut)["trunkline_under_way"] == 1


async def test_what_is_broken_off_is_answered_and_not_as_if_it_had_not_run() -> None:
    application = Application()
    admission = Admission(application)
    call = Exchange()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.with_, admission)
            await application.arrived.wait()
            await Drain(admission, admission.close).break_off(0.0)
    status, headers, told = call.told
    assert (status, told["id"], told["error"]["data"]["may_have_run"]) == (500, 7, True)
    assert "retry-after" not in headers


@pytest.mark.parametrize(
    "body",
    [b'{"id": NaN, "method": "x"}', b'{"id": {}, "method": ["x"]}', b'{"id": 1.5, "method": null}'],
)
async def test_a_request_that_is_hardly_one_is_turned_away_too(body: bytes) -> None:
    admission = Admission(Application())
    admission.close()
    exchange = Exchange()
    exchange.body = body
    assert (await exchange.with_(admission)).told[2]["id"] is None


async def test_a_gateway_with_nothing_under_way_breaks_nothing_off(caplog: pytest.LogCaptureFixture) -> None:
    admission = Admission(Application())
    with anyio.fail_after(10):
        await Drain(admission, admission.close).run(DrainPolicy(timeout=0.0))
    assert "gateway_drain_cut" not in caplog.messages
