"""Answers that never arrive are given up, counted and told; those that do are left as they were."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from trunkline.events import AnswerAbandoned, Event
from trunkline.gateway.audience import Audience
from trunkline.gateway.intake import Intake

pytestmark = pytest.mark.anyio


async def nobody_leaves() -> Message:
    await anyio.sleep_forever()
    raise AssertionError


async def takes_all(_message: Message) -> None:
    """Take a piece."""


def takes(pieces: int) -> Callable[[Message], Awaitable[None]]:
    """A reader that takes so many pieces and then no more."""
    left = pieces

    async def take(_message: Message) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            await anyio.sleep_forever()

    return take


async def told_of(
    answer: Response, send: Send, *, path: str = "/metrics", receive: Receive = nobody_leaves
) -> list[AnswerAbandoned]:
    """What is told of `answer`, served at `path` to such a reader."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["endpoint"] = app
        await answer(scope, receive, send)

    told: list[Event] = []
    scope: dict[str, Any] = {"type": "http", "path": path, "method": "GET", "headers": []}
    with anyio.fail_after(5):
        await Audience(app, told.append, patience=0.05)(scope, receive, send)
    return [event for event in told if isinstance(event, AnswerAbandoned)]


async def pieces() -> Any:
    for _ in range(4):
        yield "piece"


async def test_an_answer_that_arrives_is_not_told_of() -> None:
    assert await told_of(JSONResponse({}), takes_all) == []
    assert await told_of(StreamingResponse(pieces()), takes_all) == []
    assert await told_of(Response(b"x" * 100_000), takes_all) == []


@pytest.mark.parametrize("answer", [StreamingResponse(pieces()), Response(b"x" * 100_000)])
async def test_a_reader_that_stops_is_given_up_and_told_of(answer: Response) -> None:
    (event,) = await told_of(answer, takes(2))
    assert (event.path, event.reason) == ("/metrics", "stopped reading")


async def test_a_reader_that_leaves_in_the_middle_is_told_of() -> None:
    async def leaves() -> Message:
        await anyio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def slow() -> Any:
        yield "piece"
        await anyio.sleep_forever()

    (event,) = await told_of(StreamingResponse(slow()), takes_all, receive=leaves)
    assert (event.path, event.reason) == ("/metrics", "left")
    # A stream of events ends that way, and MCP's own are not looked at.
    assert await told_of(StreamingResponse(slow(), media_type="text/event-stream"), takes_all, receive=leaves) == []
    assert await told_of(StreamingResponse(slow()), takes_all, receive=leaves, path="/mcp") == []


async def test_what_an_application_raises_by_itself_goes_on() -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ClientDisconnect

    with pytest.raises(ClientDisconnect):
        await Audience(app, lambda _: None, patience=1.0)({"type": "http", "path": "/"}, nobody_leaves, takes_all)


@pytest.mark.parametrize(
    ("messages", "headers", "outcome"),
    [
        (
            [{"type": "http.request", "body": b"ab", "more_body": True}, {"type": "http.request", "body": b"c"}],
            [],
            b"abc",
        ),
        ([{"type": "http.request", "body": b"ab", "more_body": True}, {"type": "http.disconnect"}], [], None),
        ([{"type": "http.request", "body": b"abc"}], [(b"content-length", b"3")], b"abc"),
        ([{"type": "http.request", "body": b"abc"}], [(b"last-event-id", b"7")], b"abc"),
    ],
)
async def test_a_request_comes_whole_or_not_at_all(
    messages: list[Message], headers: list[tuple[bytes, bytes]], outcome: bytes | None
) -> None:
    seen: list[bytes] = []

    async def app(scope: Scope, receive: Receive, _send: Send) -> None:
        assert not any(name == b"last-event-id" for name, _ in scope["headers"])
        message = await receive()
        assert not message["more_body"]
        seen.append(message["body"])

    async def receive() -> Message:
        return messages.pop(0)

    await Intake(app)({"type": "http", "method": "POST", "path": "/mcp", "headers": headers}, receive, takes_all)
    assert seen == ([] if outcome is None else [outcome])
