"""One flight for all who wait: nobody's end is another's, and nothing is left when all have gone."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from tests.unit.layers.calls import a_call
from trunkline import clock
from trunkline.cache.flight import Flight, Flights
from trunkline.call import Call, Delivery
from trunkline.errors import CallFailed, CircuitOpen, ConnectionLost, DeadlineExceeded

pytestmark = pytest.mark.anyio

KEY = b"key"


class Origin:
    """A server that takes its time, and remembers what happened to each call."""

    def __init__(self, seconds: float = 1.0, error: Exception | None = None) -> None:
        self.seconds = seconds
        self.error = error
        self.calls: list[Call] = []
        self.cancelled = 0

    async def __call__(self, call: Call) -> str:
        self.calls.append(call)
        call.delivery = Delivery.UNKNOWN
        try:
            await anyio.sleep(self.seconds)
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return "answer"


class Air:
    """Flights of one key, and what became of those who waited."""

    def __init__(self, flights: Flights[str], origin: Origin, tasks: TaskGroup, waiting: TaskGroup) -> None:
        self.flights = flights
        self.origin = origin
        self.tasks = tasks
        self.waiting = waiting
        self.told: dict[str, Any] = {}
        self.scopes: dict[str, anyio.CancelScope] = {}

    def flight(self, **options: Any) -> Flight[str]:
        flight = self.flights.under_way(KEY)
        return flight or self.flights.launch(KEY, a_call(), self.origin, self.tasks, **options)

    async def wait(self, name: str, seconds: float = 10.0, **options: Any) -> None:
        flight, deadline = self.flight(**options), clock.now() + seconds
        self.told[name] = "cancelled"
        with anyio.CancelScope(deadline=deadline) as self.scopes[name]:
            try:
                self.told[name] = await self.flights.wait(KEY, flight, deadline)
            except Exception as error:
                self.told[name] = error

    async def start(self, *names: str, **options: Any) -> None:
        """Let callers wait, in this order."""
        for name in names:
            self.waiting.start_soon(lambda name=name: self.wait(name, **options))  # type: ignore[misc]
            await anyio.wait_all_tasks_blocked()


@asynccontextmanager
async def air(origin: Origin) -> AsyncGenerator[Air, None]:
    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as waiting:
            flights: Flights[str] = Flights()
            yield Air(flights, origin, tasks, waiting)
        assert all(not flight.waiters for flight in flights._open.values())
    assert len(flights) == 0


async def test_two_hundred_that_miss_together_are_one_call() -> None:
    async with air(Origin()) as up:
        await up.start(*(str(number) for number in range(200)))
        assert repr(up.flights) == "<Flights [1 under way, 200 waiting]>"
    assert list(up.told.values()) == ["answer"] * 200
    assert len(up.origin.calls) == 1


async def test_the_first_caller_may_give_up_and_the_others_are_answered() -> None:
    async with air(Origin()) as up:
        await up.start("first", "second", "third")
        up.scopes["first"].cancel()
    assert up.told == {"first": "cancelled", "second": "answer", "third": "answer"}
    assert (len(up.origin.calls), up.origin.cancelled) == (1, 0)


async def test_when_the_last_one_has_given_up_the_call_is_cancelled_and_who_comes_then_starts_another() -> None:
    async with air(Origin()) as up:
        await up.start("first", "second")
        up.scopes["first"].cancel()
        up.scopes["second"].cancel()
        await anyio.wait_all_tasks_blocked()
        assert up.origin.cancelled == 1
        await up.start("third")
    assert (up.told["third"], len(up.origin.calls)) == ("answer", 2)


async def test_who_comes_while_the_abandoned_call_is_being_cancelled_does_not_join_it() -> None:
    async with air(Origin()) as up:
        await up.start("first")
        abandoned = up.flights.under_way(KEY)
        up.scopes["first"].cancel()
        while up.flights.under_way(KEY) is abandoned:
            await anyio.lowlevel.checkpoint()
        await up.start("second")
    assert up.told["second"] == "answer"


async def test_one_deadline_is_nobody_elses() -> None:
    async with air(Origin(5.0)) as up:
        await up.start("hasty", seconds=1.0)
        await up.start("patient", seconds=30.0)
    assert up.told == {"hasty": "cancelled", "patient": "answer"}


async def test_a_later_deadline_is_the_flights_too() -> None:
    async with air(Origin(20.0)) as up:
        await up.start("hasty", seconds=1.0)
        await up.start("patient", seconds=30.0)
    assert up.told["patient"] == "answer"
    assert up.origin.calls[0].deadline == pytest.approx(30.0)


async def test_a_call_that_the_last_one_left_at_its_deadline_was_too_slow() -> None:
    async with air(Origin(9.0)) as up:
        await up.start("hasty", seconds=1.0)
        await anyio.sleep(2.0)
    assert up.origin.calls[0].deadline == pytest.approx(1.0)


async def test_a_call_that_the_last_one_gave_up_was_not() -> None:
    async with air(Origin(9.0)) as up:
        await up.start("moody", seconds=8.0)
        up.scopes["moody"].cancel()
    assert up.origin.calls[0].deadline == pytest.approx(10.0)


async def test_nothing_flies_longer_than_its_deadline() -> None:
    async with air(Origin(60.0)) as up:
        flight = up.flight(is_background=True)
        await up.start("waiting", seconds=5.0)
        await flight.landed.wait()
        assert anyio.current_time() == pytest.approx(10.0)
        assert isinstance(flight.error, DeadlineExceeded)


async def test_a_flight_in_the_background_goes_on_without_anybody() -> None:
    async with air(Origin()) as up:
        await up.start("curious", is_background=True)
        up.scopes["curious"].cancel()
        await anyio.sleep(2.0)
    assert up.origin.cancelled == 0


async def test_those_in_the_background_can_be_ended_and_no_others() -> None:
    async with air(Origin()) as up:
        up.flights.launch(b"other", a_call(), up.origin, up.tasks, is_background=True)
        await up.start("waiting")
        up.flights.end_background()
        await anyio.wait_all_tasks_blocked()
        assert (len(up.flights), up.origin.cancelled) == (1, 1)
    assert up.told["waiting"] == "answer"


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(CircuitOpen("open", retry_after=3.0, tool="t"), id="rejected"),
        pytest.param(ConnectionLost("gone", delivery=Delivery.UNKNOWN, incident=7), id="failed"),
        pytest.param(DeadlineExceeded("late", may_have_run=True), id="deadline"),
    ],
)
async def test_a_failure_is_shared_once_and_each_has_an_error_of_its_own(error: Any) -> None:
    error.__cause__ = OSError("the reason")
    async with air(Origin(error=error)) as up:
        await up.start("one", "two")
    one, two = up.told["one"], up.told["two"]
    assert len({id(one), id(two), id(error)}) == 3
    for own in (one, two):
        assert type(own) is type(error)
        assert (str(own), vars(own), own.__cause__) == (str(error), vars(error), error.__cause__)
    one.attempts = 5
    assert two.attempts == 0
    assert len(up.origin.calls) == 1


async def test_a_failure_is_not_kept() -> None:
    async with air(Origin(error=CircuitOpen("open"))) as up:
        await up.start("one")
        await anyio.sleep(2.0)
        up.origin.error = None
        await up.start("two")
    assert up.told["two"] == "answer"


async def test_a_bug_is_raised_as_it_is() -> None:
    bug = ZeroDivisionError("ours")
    async with air(Origin(error=bug)) as up:
        await up.start("one", "two")
    assert up.told == {"one": bug, "two": bug}


@pytest.mark.parametrize(("has_run", "delivery"), [(True, Delivery.UNKNOWN), (False, Delivery.NOT_SENT)])
async def test_those_who_wait_when_everything_ends_are_told_so(has_run: bool, delivery: Delivery) -> None:
    origin, flights = Origin(60.0), Flights[str]()
    async with anyio.create_task_group() as waiting, anyio.create_task_group() as tasks:
        up = Air(flights, origin, tasks, waiting)
        await up.start("waiting")
        origin.calls[0].may_have_run = has_run
        tasks.cancel_scope.cancel()
    told = up.told["waiting"]
    assert isinstance(told, CallFailed)
    assert told.delivery is delivery
    assert "the client is closing" in str(told)


@pytest.mark.parametrize("moment", range(12))
@pytest.mark.parametrize("victims", [("first",), ("second",), ("first", "second")], ids="+".join)
async def test_whenever_a_caller_is_cancelled_the_others_are_answered_and_nothing_is_left(
    victims: tuple[str, ...], moment: int
) -> None:
    async with air(Origin(0.0)) as up:
        for name in ("first", "second", "third"):
            up.waiting.start_soon(up.wait, name)
        for _ in range(moment):
            await anyio.lowlevel.checkpoint()
        for name in victims:
            if name in up.scopes:
                up.scopes[name].cancel()
    assert up.told["third"] == "answer"
    assert {up.told[name] for name in victims} <= {"answer", "cancelled"}
    assert len(up.origin.calls) - up.origin.cancelled <= len(up.told)


@pytest.mark.parametrize("leaves", ["first", "all"])
def test_on_asyncio_too_nobodys_end_is_anothers(leaves: str) -> None:
    async def scenario() -> tuple[dict[str, Any], Origin]:
        origin, gate = Origin(), anyio.Event()

        async def answer(call: Call) -> str:
            origin.calls.append(call)
            try:
                await gate.wait()
            except anyio.get_cancelled_exc_class():
                origin.cancelled += 1
                raise
            return "answer"

        async with anyio.create_task_group() as tasks, anyio.create_task_group() as waiting:
            up = Air(Flights(), answer, tasks, waiting)  # type: ignore[arg-type] # an origin by hand
            with anyio.fail_after(20.0):
                await up.start("first", "second", "third")
                for name in ("first", "second", "third")[: 1 if leaves == "first" else 3]:
                    up.scopes[name].cancel()
                await anyio.wait_all_tasks_blocked()
                gate.set()
        return up.told, origin

    told, origin = anyio.run(scenario)
    others = "cancelled" if leaves == "all" else "answer"
    assert told == {"first": "cancelled", "second": others, "third": others}
    assert (len(origin.calls), origin.cancelled) == (1, 1 if leaves == "all" else 0)
