"""Turns are handed over in order, and never lost, however those who wait give up."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import anyio
import pytest

from tests.unit.layers.calls import a_call, answer
from trunkline.call import Call, Delivery, ToolResult
from trunkline.errors import BulkheadFull, ServerError
from trunkline.layers.bulkhead import BulkheadLayer
from trunkline.resilience.admission import Admission
from trunkline.resilience.concurrency import AdaptiveLimit

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-RES-3", "R9")]


def whole(_now: float) -> float:
    return 1.0


class Crowd:
    """A bulkhead over a service that holds each attempt for a second."""

    def __init__(self, limit: int, waiting: int = 100, allowance: Callable[[float], float] = whole) -> None:
        self.admission = Admission(limit, waiting)
        self.layer = BulkheadLayer(self.admission, AdaptiveLimit(limit, 1), allowance=allowance)
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


class Recovering:
    """The share of its usual load that a server is given, as the test says."""

    def __init__(self, share: float = 1.0) -> None:
        self.share = share

    def __call__(self, _now: float) -> float:
        return self.share


async def test_a_recovering_server_is_given_more_only_as_it_copes() -> None:
    server = Recovering(0.5)
    crowd = Crowd(8, allowance=server)
    limits = []
    for number in range(20):
        await crowd.call(str(number))
        limits.append(crowd.admission.limit)
    assert limits[0] == 2
    assert limits == sorted(limits)
    assert limits[-1] == 3, "alone it fills less than half of three places, which proves nothing about more"
    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(crowd.call, str(number))
    assert crowd.peak == 4, "half of the usual load, however well it copes"
    server.share = 1.0
    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(crowd.call, str(number))
    assert crowd.peak == 8
    assert crowd.is_empty()


@pytest.mark.parametrize(("limit", "rounds"), [(8, 3), (32, 5)])
async def test_a_recovering_server_that_copes_is_back_at_its_limit_after_about_as_many_calls(
    limit: int, rounds: int
) -> None:
    server = Recovering(0.99)
    crowd = Crowd(limit, allowance=server)
    crowd.layer._adjust(anyio.current_time())
    server.share = 1.0
    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(crowd.call, str(number))
        await anyio.sleep(rounds + 0.5)
        assert crowd.admission.limit == limit
        assert len(crowd.served) == limit - 1


async def test_a_server_that_is_called_now_and_then_has_recovered_after_a_minute_without_trouble() -> None:
    server = Recovering(0.1)
    crowd = Crowd(8, allowance=server)
    await crowd.call("probe")
    server.share = 1.0
    ended = anyio.current_time()
    await crowd.call("soon after")
    assert crowd.admission.limit < 8
    await anyio.sleep(ended + 59.0 - 1.0 - anyio.current_time())
    await crowd.call("not yet")
    assert crowd.admission.limit < 8
    await anyio.sleep(1.0)
    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(crowd.call, str(number))
    assert crowd.peak == 8, "and the first burst finds all of its places"


async def test_an_overload_puts_off_the_end_of_a_recovery() -> None:
    server = Recovering(0.1)
    crowd = Crowd(8, allowance=server)
    await crowd.call("probe")
    server.share = 1.0
    await anyio.sleep(50.0)

    async def refuse(_call: Call) -> ToolResult:
        raise ServerError("busy", status=429, delivery=Delivery.REFUSED)

    with suppress(ServerError):
        await crowd.layer(a_call(deadline=anyio.current_time() + 9.0), refuse)
    await anyio.sleep(50.0)
    await crowd.call("still recovering")
    assert crowd.admission.limit < 8
    await anyio.sleep(20.0)
    await crowd.call("well")
    assert crowd.admission.limit == 8


async def test_an_adaptive_limit_stays_where_it_was_found_when_the_recovery_is_over() -> None:
    server = Recovering(0.1)
    crowd = Crowd(8, allowance=server)
    crowd.layer = BulkheadLayer(crowd.admission, AdaptiveLimit(8, 1), allowance=server, is_adaptive=True)
    await crowd.call("probe")
    server.share = 1.0
    await anyio.sleep(100.0)
    await crowd.call("alone")
    assert crowd.admission.limit < 8


async def test_attempts_from_before_the_recovery_take_no_place_of_it() -> None:
    server = Recovering()
    crowd = Crowd(4, allowance=server)
    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(crowd.call, f"old {number}")
        await anyio.sleep(0.5)
        server.share = 0.1
        await crowd.call("new")  # it would wait for the old ones otherwise, and they may hang
        tasks.start_soon(crowd.call, "next")
        await anyio.sleep(0.1)
        assert crowd.admission.limit == 1
    assert crowd.served.index("new") == 4
    assert crowd.is_empty()


async def test_the_usual_limit_is_back_once_it_has_been_reached_again() -> None:
    server = Recovering(0.1)
    crowd = Crowd(3, allowance=server)
    await crowd.call("first")
    server.share = 1.0
    async with anyio.create_task_group() as tasks:
        for number in range(40):
            tasks.start_soon(crowd.call, str(number))
    assert crowd.admission.limit == 3

    async def hang(_call: Call) -> ToolResult:
        await anyio.sleep_forever()
        raise AssertionError

    late = a_call(attempt_ends=anyio.current_time() + 1.0)
    with anyio.move_on_after(1.0):
        late.delivery = Delivery.UNKNOWN
        await crowd.layer(late, hang)
    assert crowd.admission.limit == 3, "only a recovering server's limit follows how it copes"


@pytest.mark.parametrize("ended", ["too late", "overloaded"])
async def test_an_adaptive_limit_falls_with_overload_and_rises_with_success(ended: str) -> None:
    crowd = Crowd(10)
    crowd.layer = BulkheadLayer(crowd.admission, AdaptiveLimit(10, 1), allowance=whole, is_adaptive=True)

    async def suffer(call: Call) -> ToolResult:
        call.delivery = Delivery.UNKNOWN
        await anyio.sleep(0.1)
        if ended == "overloaded":
            raise ServerError("busy", status=429, delivery=Delivery.REFUSED)
        await anyio.sleep_forever()
        raise AssertionError

    for limit in (7, 4, 3, 2, 1, 1):
        with suppress(ServerError), anyio.move_on_after(1.0):
            await crowd.layer(a_call(attempt_ends=anyio.current_time() + 1.0), suffer)
        assert crowd.admission.limit == limit
    for _ in range(3):
        await crowd.call("well")
    assert crowd.admission.limit > 1


async def test_a_call_that_its_caller_cancels_says_nothing_of_overload() -> None:
    crowd = Crowd(10)
    crowd.layer = BulkheadLayer(crowd.admission, AdaptiveLimit(10, 1), allowance=whole, is_adaptive=True)
    with anyio.move_on_after(0.5):
        await crowd.call("impatient")
    assert crowd.admission.limit == 10


async def test_who_is_too_late_when_the_turn_comes_is_refused_and_not_sent() -> None:
    crowd = Crowd(1)
    await crowd.call("to learn how long one takes")
    crowd.admission._service_time = 0.1  # the queue is believed to be faster than it is
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(crowd.call, "first")
        await anyio.sleep(0.01)
        tasks.start_soon(crowd.call, "second")
        await anyio.sleep(0.01)

        async def late() -> None:
            with pytest.raises(BulkheadFull, match="could not be served in time"):
                await crowd.call("late", deadline=anyio.current_time() + 2.5)

        tasks.start_soon(late)
        await anyio.sleep(0.01)
        tasks.start_soon(crowd.call, "third")
    assert crowd.served == ["to learn how long one takes", "first", "second", "third"]
    assert crowd.admission.expired == 1
    assert crowd.is_empty()


async def test_the_smallest_share_still_lets_one_through() -> None:
    crowd = Crowd(2, allowance=lambda _now: 0.01)
    await crowd.call("one")
    assert crowd.served == ["one"]
