"""Calls of tools over stdio: who gets which answer, and what becomes of calls that get none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup
from mcp import MCPError
from mcp.shared.message import SessionMessage
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_PARAMS,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
)

from tests.unit.transport.standing_in import StandIn
from trunkline.transport.outbox import Outbox
from trunkline.transport.piped import Answers, PipedCalls

pytestmark = pytest.mark.anyio

PARAMS = {"name": "echo", "arguments": {"text": "hello"}}


async def nothing(*_: Any) -> Any:
    """Nobody asks, and nobody tells."""


class Pipe:
    """A connection, and the calls that are made on it."""

    def __init__(self, tasks: TaskGroup) -> None:
        self.inner, self.outbox, self.answers = StandIn(), Outbox(), Answers()
        self.calls = PipedCalls(self.inner, self.outbox, self.answers)
        self.outcomes: dict[int, Any] = {}
        self._tasks = tasks

    async def call(self, number: int) -> None:
        try:
            found = await self.calls.send_raw_request("tools/call", PARAMS, {"request_id": number})
            self.outcomes[number] = found
        except MCPError as error:
            self.outcomes[number] = (error.code, error.message)

    async def begun(self, number: int, scope: anyio.CancelScope | None = None) -> None:
        """Begin a call, and return once it waits."""

        async def run() -> None:
            with scope or anyio.CancelScope():
                await self.call(number)

        self._tasks.start_soon(run)
        await anyio.wait_all_tasks_blocked()

    async def sent(self) -> Any:
        with anyio.fail_after(5):
            return (await self.outbox.take()).message


@asynccontextmanager
async def piped() -> AsyncIterator[Pipe]:
    async with anyio.create_task_group() as tasks:
        pipe = Pipe(tasks)
        await tasks.start(pipe.calls.run, nothing, nothing)
        yield pipe
        await anyio.wait_all_tasks_blocked()
        assert repr(pipe.answers) == "<Answers [0 awaited]>"
        pipe.inner.ends.set()


def response(number: int | str, text: str) -> SessionMessage:
    return SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=number, result={"text": text}))


async def test_each_call_gets_its_own_answer_in_whatever_order_they_come() -> None:
    async with piped() as pipe:
        await pipe.begun(1)
        await pipe.begun(2)
        requests = [await pipe.sent(), await pipe.sent()]
        assert pipe.answers.take(response("2", "two"))
        assert pipe.answers.take(response(1, "one"))

    assert requests == [JSONRPCRequest(jsonrpc="2.0", id=n, method="tools/call", params=PARAMS) for n in (1, 2)]
    assert pipe.outcomes == {1: {"text": "one"}, 2: {"text": "two"}}


async def test_an_error_is_raised_as_the_server_says_it() -> None:
    async with piped() as pipe:
        await pipe.begun(1)
        error = ErrorData(code=INVALID_PARAMS, message="no")
        assert pipe.answers.take(SessionMessage(JSONRPCError(jsonrpc="2.0", id=1, error=error)))

    assert pipe.outcomes == {1: (INVALID_PARAMS, "no")}


@pytest.mark.parametrize(
    "message",
    [
        response(7, "of nobody"),
        ValueError("a line that is no message"),
        SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="notifications/progress")),
        SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=1, method="ping")),
        SessionMessage(JSONRPCError(jsonrpc="2.0", id=None, error=ErrorData(code=-32700, message="what?"))),
    ],
    ids=["another's answer", "garbage", "a notification", "a request with the same id", "an error of no request"],
)
async def test_what_answers_none_of_these_calls_is_the_sdks(message: SessionMessage | Exception) -> None:
    async with piped() as pipe:
        await pipe.begun(1)
        assert not pipe.answers.take(message)
        assert pipe.outcomes == {}
        assert pipe.answers.take(response(1, "one"))
        assert not pipe.answers.take(response(1, "once more"))

    assert pipe.outcomes == {1: {"text": "one"}}


async def test_the_end_of_the_connection_is_the_end_of_its_calls_and_of_those_that_come_after() -> None:
    async with piped() as pipe:
        await pipe.begun(1)
        pipe.inner.ends.set()
        await anyio.wait_all_tasks_blocked()
        await pipe.call(2)

    assert pipe.outcomes == dict.fromkeys((1, 2), (CONNECTION_CLOSED, "Connection closed"))


async def test_a_call_that_cannot_be_written_is_lost_with_its_connection() -> None:
    async with piped() as pipe:
        await pipe.outbox.aclose()
        await pipe.call(1)

    assert pipe.outcomes == {1: (CONNECTION_CLOSED, "Connection closed")}


async def test_a_call_that_is_cancelled_before_it_was_written_is_never_written() -> None:
    scope = anyio.CancelScope()
    async with piped() as pipe:
        await pipe.begun(1, scope)
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert len(pipe.outbox) == 0

    assert pipe.outcomes == {}


async def test_the_server_is_told_of_a_call_that_is_cancelled_later() -> None:
    scope = anyio.CancelScope()
    async with piped() as pipe:
        await pipe.begun(1, scope)
        await pipe.sent()
        scope.cancel()
        cancelled = await pipe.sent()
        assert not pipe.answers.take(response(1, "too late"))

    assert (cancelled.method, cancelled.params["requestId"]) == ("notifications/cancelled", 1)


async def test_a_call_that_is_cancelled_as_the_connection_closes_just_ends() -> None:
    scope = anyio.CancelScope()
    async with piped() as pipe:
        await pipe.begun(1, scope)
        await pipe.sent()
        await pipe.outbox.aclose()
        scope.cancel()

    assert pipe.outcomes == {}
