"""The ladder: who stands in when a server cannot answer, in which order, and when nobody may."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio
import pytest
from mcp_types import Result

from tests.unit.layers.calls import a_call, answer
from trunkline.call import Call, Delivery, ToolResult
from trunkline.errors import (
    AttemptTimeout,
    CallError,
    CircuitOpen,
    ConnectionLost,
    DeadlineExceeded,
    InvalidArguments,
    InvalidResult,
    ServerError,
    ServerUnavailable,
    ToolNotFound,
)
from trunkline.events import Event, FallbackUsed
from trunkline.layers.fallback import Answer, Elsewhere, FallbackLayer, Step

pytestmark = pytest.mark.anyio

OPEN = CircuitOpen("no", retry_after=1.0)


class Servers:
    """Answers, or fails, by the name of the server a call is led to; slowly where a number of seconds stands first."""

    def __init__(self, **outcomes: Result | Exception | float) -> None:
        self._outcomes = outcomes
        self.asked: list[str] = []

    async def __call__(self, call: Call) -> Result:
        outcome = self._outcomes[call.server]
        self.asked.append(call.server)
        call.attempts += 1
        call.replica = f"replica of {call.server}"
        if isinstance(outcome, float):
            call.delivery, call.may_have_run = Delivery.UNKNOWN, True
            await anyio.sleep(outcome)
            return answer("late")
        if isinstance(outcome, CallError):
            call.delivery, call.may_have_run = outcome.delivery, outcome.may_have_run
        if isinstance(outcome, Exception):
            raise outcome
        call.delivery, call.may_have_run = Delivery.ANSWERED, True
        return outcome


def to(server: str, *, repeatable: bool = True, error: CallError | None = None) -> Elsewhere:
    """A step that leads to a server, or finds no way to it."""

    async def lead(call: Call) -> Call:
        if error is not None:
            raise error
        return replace(call, server=server, repeatable=repeatable)

    return Elsewhere(server, 0.2, lead)


def static(text: str) -> Answer:
    async def give(_call: Call, _error: CallError) -> ToolResult:
        return answer(text)

    return Answer("static", 0.0, give)


def falling(*steps: Step, events: list[Event] | None = None) -> FallbackLayer:
    return FallbackLayer(lambda _call: steps, emit=(events if events is not None else []).append)


async def test_without_a_ladder_the_call_itself_is_served() -> None:
    seen: list[Call] = []

    async def service(call: Call) -> Result:
        seen.append(call)
        return answer()

    call = a_call()
    await falling()(call, service)
    assert seen == [call]


async def test_a_server_that_answers_needs_no_substitute() -> None:
    call, servers = a_call(), Servers(s=answer("own"))
    assert await falling(to("b"), static("x"))(call, servers) == answer("own")
    assert (servers.asked, call.fallback, call.replica, call.attempts) == (["s"], None, "replica of s", 1)
    assert call.may_have_run


async def test_the_first_step_that_answers_is_named_and_the_rest_are_not_asked() -> None:
    events: list[Event] = []
    call, servers = a_call(), Servers(s=OPEN, b=ServerUnavailable("away"), c=answer("c"), d=answer("d"))
    assert await falling(to("b"), to("c"), to("d"), events=events)(call, servers) == answer("c")
    assert servers.asked == ["s", "b", "c"]
    assert (call.fallback, call.server, call.replica, call.attempts) == ("c", "c", "replica of c", 3)
    assert [(event.fallback, event.reason) for event in events if isinstance(event, FallbackUsed)] == [
        ("b", "CircuitOpen"),
        ("c", "CircuitOpen"),
    ]


async def test_an_answer_given_here_comes_last() -> None:
    call = a_call()
    assert await falling(to("b"), static("sorry"))(call, Servers(s=OPEN, b=OPEN)) == answer("sorry")
    assert call.fallback == "static"


async def test_when_no_step_answers_the_first_error_is_raised_and_says_what_went_wrong_last() -> None:
    away = ServerUnavailable("away")
    call = a_call()
    with pytest.raises(CircuitOpen) as raised:
        await falling(to("b"))(call, Servers(s=OPEN, b=away))
    assert raised.value.__cause__ is away
    assert call.fallback is None


MAY_HAVE_RUN: dict[str, Callable[[], CallError]] = {
    "lost": lambda: ConnectionLost("gone"),
    "timed out": lambda: AttemptTimeout("late"),
    "garbage": lambda: InvalidResult("what?"),
    "failed inside": lambda: ServerError("oops", error_code=-32603, delivery=Delivery.UNKNOWN),
}


@pytest.mark.requirement("INV-4")
@pytest.mark.parametrize("make", MAY_HAVE_RUN.values(), ids=MAY_HAVE_RUN)
async def test_a_call_that_may_have_run_falls_over_only_if_it_may_run_twice(make: Callable[[], CallError]) -> None:
    error = make()
    for repeatable in (True, False):
        servers = Servers(s=error, b=answer("b"))
        call = a_call(repeatable=repeatable)
        if repeatable:
            assert await falling(to("b"), static("x"))(call, servers) == answer("b")
        else:
            with pytest.raises(CallError) as raised:
                await falling(to("b"), static("x"))(call, servers)
            assert raised.value is error
            assert servers.asked == ["s"]


@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_call_that_was_never_sent_or_was_refused_falls_over_whatever_the_tool(repeatable: bool) -> None:
    for error in (OPEN, ServerUnavailable("away"), ServerError("busy", status=429, delivery=Delivery.REFUSED)):
        call = a_call(repeatable=repeatable)
        assert await falling(to("b"))(call, Servers(s=error, b=answer("b"))) == answer("b")


@pytest.mark.parametrize(
    "error",
    [InvalidArguments("n: missing"), ToolNotFound("none"), ServerError("bad arguments", error_code=-32602)],
    ids=["arguments", "name", "arguments by the server's word"],
)
async def test_no_substitute_mends_the_callers_own_mistake(error: CallError) -> None:
    servers = Servers(s=error, b=answer("b"))
    with pytest.raises(CallError) as raised:
        await falling(to("b"), static("x"))(a_call(), servers)
    assert raised.value is error
    assert servers.asked == ["s"]


async def test_a_substitute_that_may_have_run_and_must_not_twice_ends_the_ladder() -> None:
    lost = ConnectionLost("gone")
    servers = Servers(s=OPEN, b=lost, c=answer("c"))
    call = a_call()
    with pytest.raises(ConnectionLost) as raised:
        await falling(to("b", repeatable=False), to("c"), static("x"))(call, servers)
    assert raised.value is lost
    assert servers.asked == ["s", "b"]
    assert call.may_have_run


async def test_a_way_that_does_not_exist_is_one_step_less() -> None:
    servers = Servers(s=OPEN, c=answer("c"))
    assert await falling(to("b", error=ToolNotFound("no such tool")), to("c"))(a_call(), servers) == answer("c")


async def test_a_callable_that_raises_leaves_the_call_with_its_error_and_its_own_as_the_cause() -> None:
    async def give(_call: Call, _error: CallError) -> ToolResult:
        raise ZeroDivisionError

    with pytest.raises(CircuitOpen) as raised:
        await falling(Answer("callable", 0.2, give))(a_call(), Servers(s=OPEN))
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


async def test_a_callable_is_told_the_call_and_its_error() -> None:
    told: list[object] = []

    async def give(call: Call, error: CallError) -> ToolResult:
        told.extend([call.arguments, error])
        return answer()

    await falling(Answer("callable", 0.2, give))(a_call(arguments={"n": 1}), Servers(s=OPEN))
    assert told == [{"n": 1}, OPEN]


async def ends_after(steps: Sequence[Step], servers: Servers) -> tuple[str, float]:
    """What a call with ten seconds to live comes to, and when."""
    call, began = a_call(), anyio.current_time()
    with anyio.CancelScope(deadline=call.deadline):
        result = await falling(*steps)(call, servers)
        assert isinstance(result, ToolResult)
        return result.content[0].text, anyio.current_time() - began  # type: ignore[union-attr]
    return "cancelled", anyio.current_time() - began


async def test_a_server_that_hangs_leaves_its_substitute_a_share_of_the_time() -> None:
    text, elapsed = await ends_after([to("b")], Servers(s=60.0, b=1.0))
    assert text == "late"
    assert elapsed == pytest.approx(9.0)


async def test_an_answer_given_here_still_comes_before_the_deadline() -> None:
    text, elapsed = await ends_after([static("sorry")], Servers(s=60.0))
    assert text == "sorry"
    assert elapsed == pytest.approx(9.9)


async def test_each_step_leaves_time_for_those_below_it() -> None:
    text, elapsed = await ends_after([to("b"), static("sorry")], Servers(s=60.0, b=60.0))
    assert text == "sorry"
    assert 9.9 < elapsed < 10.0


async def test_what_hangs_until_its_share_is_over_and_must_not_run_twice_is_not_asked_elsewhere() -> None:
    servers = Servers(s=60.0, b=answer("b"))
    call = a_call(repeatable=False)
    with pytest.raises(DeadlineExceeded) as raised:
        await falling(to("b"))(call, servers)
    assert raised.value.may_have_run
    assert servers.asked == ["s"]


async def test_cancellation_is_not_taken_for_a_failure() -> None:
    servers = Servers(s=60.0, b=answer("b"))
    with anyio.move_on_after(1.0) as scope:
        await falling(to("b"))(a_call(), servers)
    assert scope.cancelled_caught
    assert servers.asked == ["s"]


def kept(text: str) -> Answer:
    async def give(_call: Call, _error: CallError) -> ToolResult:
        return answer(text)

    return Answer("stale", 0.0, give, is_own=True)


@pytest.mark.parametrize("error", [AttemptTimeout("late"), InvalidResult("what?"), ToolNotFound("gone")], ids=repr)
async def test_what_the_tool_itself_said_before_is_good_also_where_nobody_else_may_be_asked(error: CallError) -> None:
    call, servers = a_call(repeatable=False), Servers(s=error, b=answer("b"))
    assert await falling(to("b"), kept("before"), static("x"))(call, servers) == answer("before")
    assert (servers.asked, call.fallback) == (["s"], "stale")


@pytest.mark.parametrize(
    "error",
    [
        InvalidArguments("n"),
        ServerError("no", error_code=-32602),
        ServerError("forbidden", status=403, delivery=Delivery.REFUSED),
    ],
    ids=repr,
)
async def test_what_the_tool_said_before_is_no_answer_where_the_server_says_no(error: CallError) -> None:
    with pytest.raises(type(error)):
        await falling(kept("before"))(a_call(), Servers(s=error))


async def test_a_substitute_that_keeps_nothing_says_nothing_of_an_earlier_look() -> None:
    call = a_call(cached="miss")
    await falling(to("b"))(call, Servers(s=OPEN, b=answer("b")))
    assert call.cached == "bypass"
