"""Turns are handed over in order, and never lost, however those who wait give up."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from tests.unit.layers.calls import a_call, answer
from trunkline.call import Call, ToolResult
from trunkline.errors import BulkheadFull
from trunkline.layers.bulkhead import BulkheadLayer
from trunkline.resilience.admission import Admission

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-RES-3", "R9")]


def whole(_now: float) -> float:
    return 1.0


class Crowd:
    """A bulkhead over a service that holds each attempt for a second."""

    def __init__(self, limit: int, waiting: int = 100, allowance: Callable[[float], float] = whole) -> None:
        self.admission = Admission(limit, waiting)
        self.layer = BulkheadLayer(self.admission, allowance=allowance)
        self.served: list[str] = []
        self.peak = 0
        self._inside = 0

    async def serve(self, call: Call) -> ToolResult:
        self._inside += 1
        self.peak = max(self.peak, self._inside)
        try:
            await anyio.sleep(1.0)
            self.served.append(call.id)
            return answer()
        finally:
            self._inside -= 1

    async def call(self, name: str, **fields: float) -> None:
        call = a_call(id=name, **{"deadline": anyio.current_time() + 100.0, **fields})
        call.attempt_ends = call.deadline
        await self.layer(call, self.serve)

    def is_empty(self) -> bool:
        return self.admission.in_flight == self.admission.waiting == 0


async def test_the_limit_holds_and_the_order_is_that_of_arrival() -> None:
    crowd = Crowd(2)
    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(crowd.call, str(number))
            await anyio.sleep(0.01)
    assert crowd.peak == 2
    assert crowd.served == [str(number) for number in range(10)]
    assert crowd.is_empty()


async def test_one_too_many_is_refused_with_the_numbers() -> None:
    crowd = Crowd(1, waiting=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(crowd.call, "first")
        tasks.start_soon(crowd.call, "second")
        await anyio.sleep(0.01)
        with pytest.raises(BulkheadFull, match="1 calls are under way and 1 wait") as raised:
            await crowd.call("third")
        assert raised.value.retry_after is not None
    assert crowd.is_empty()


async def test_who_is_cancelled_while_waiting_leaves_no_gap() -> None:
    crowd = Crowd(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(crowd.call, "first")
        await anyio.sleep(0.01)
        with anyio.CancelScope() as scope:
            tasks.start_soon(crowd.call, "last")
            scope.cancel()
            await crowd.call("gone")
        await anyio.sleep(0.01)
        assert crowd.admission.waiting == 1
    assert crowd.served == ["first", "last"]
    assert crowd.is_empty()


async def test_a_turn_that_comes_together_with_a_cancellation_goes_to_the_next_in_line() -> None:
    crowd = Crowd(1)
    scope = anyio.CancelScope()

    async def waverer() -> None:
        with scope:
            await crowd.call("waverer")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(crowd.call, "first")
        await anyio.sleep(0.01)
        tasks.start_soon(waverer)
        await anyio.sleep(0.01)
        tasks.start_soon(crowd.call, "last")
        await anyio.sleep(0.5)
        waiting = next(iter(crowd.admission._queue))
        wake = waiting.wake

        def wake_and_cancel() -> None:
            wake()
            scope.cancel()

        waiting.wake = wake_and_cancel
    assert crowd.served == ["first", "last"]
    assert crowd.is_empty()


async def test_a_call_that_is_cancelled_already_ends_as_cancelled_not_as_refused() -> None:
    crowd = Crowd(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(crowd.call, "first")
        await anyio.sleep(0.01)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await crowd.call("cancelled")
        assert scope.cancelled_caught
        assert crowd.admission.refused_late == crowd.admission.refused_full == 0
    assert crowd.is_empty()


async def test_a_failing_attempt_gives_its_place_back() -> None:
    crowd = Crowd(1)

    async def broken(_call: Call) -> ToolResult:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await crowd.layer(a_call(), broken)
    assert crowd.is_empty()


async def test_who_could_not_be_served_before_its_attempt_ends_is_refused_at_once() -> None:
    crowd = Crowd(1)
    await crowd.call("to learn how long one takes")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(crowd.call, "first")
        await anyio.sleep(0.01)
        with pytest.raises(BulkheadFull):
            await crowd.call("hasty", deadline=anyio.current_time() + 0.5)
        assert crowd.admission.refused_late == 1


async def test_a_recovering_server_is_given_a_share_and_then_everything() -> None:
    share = 0.25
    crowd = Crowd(8, allowance=lambda _now: share)
    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(crowd.call, str(number))
        await anyio.sleep(0.5)
        assert crowd.admission.in_flight == 2
    share = 1.0
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(crowd.call, str(number))
        await anyio.sleep(0.5)
        assert crowd.admission.in_flight == 8
    assert crowd.is_empty()


async def test_the_smallest_share_still_lets_one_through() -> None:
    crowd = Crowd(2, allowance=lambda _now: 0.01)
    await crowd.call("one")
    assert crowd.served == ["one"]
