"""A slow first attempt is raced by a second, the first answer counts, and the loser leaves no trace but its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from mcp_types import Result

from tests.unit.layers.calls import a_call, answer
from trunkline.call import Call, Delivery, ToolResult
from trunkline.errors import CallError, CircuitOpen, ConnectionLost, DeadlineExceeded
from trunkline.events import Event, HedgeStarted
from trunkline.layers.deadline import DeadlineLayer
from trunkline.layers.hedge import HedgeLayer
from trunkline.policy import HedgePolicy
from trunkline.resilience.hedging import Hedging

pytestmark = pytest.mark.anyio

Outcome = tuple[float, Result | Exception]
"""After so many seconds, this."""


class Replicas:
    """A service whose attempts, in order, end as the test says; each at a replica of its own."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._outcomes = list(outcomes)
        self.calls: list[Call] = []
        self.given_up = 0

    async def __call__(self, call: Call) -> Result:
        seconds, outcome = self._outcomes[len(self.calls)]
        call.replica = f"replica {len(self.calls)}"
        call.attempts += 1
        self.calls.append(call)
        call.delivery, call.may_have_run = Delivery.UNKNOWN, True
        try:
            await anyio.sleep(seconds)
        except BaseException:
            self.given_up += 1
            raise
        if isinstance(outcome, CallError):
            call.delivery, call.may_have_run = outcome.delivery, outcome.may_have_run
        if isinstance(outcome, Exception):
            raise outcome
        call.delivery = Delivery.ANSWERED
        return outcome


def hedging(
    events: list[Event] | None = None, *, may_race: Callable[[], bool] = lambda: True, **policy: Any
) -> HedgeLayer:
    """A layer that hedges after a second and has leave for it."""
    known = Hedging(HedgePolicy(**{"delay": 1.0, "extra": 1.0, **policy}))
    return HedgeLayer(known, may_race=may_race, emit=(events if events is not None else []).append)


async def test_a_fast_call_is_one_attempt() -> None:
    service = Replicas((0.5, answer("fast")))
    assert await hedging()(a_call(), service) == answer("fast")
    assert len(service.calls) == 1


async def test_a_slow_call_is_answered_by_the_second_replica_and_the_first_is_given_up() -> None:
    events: list[Event] = []
    service = Replicas((9.0, answer("slow")), (0.5, answer("fast")))
    call, began = a_call(), anyio.current_time()
    assert await hedging(events)(call, service) == answer("fast")
    assert anyio.current_time() - began == pytest.approx(1.5)
    assert service.given_up == 1
    assert (call.replica, call.attempts, call.delivery) == ("replica 1", 2, Delivery.ANSWERED)
    assert [(event.delay, event.server) for event in events if isinstance(event, HedgeStarted)] == [(1.0, "s")]


async def test_the_second_attempt_avoids_the_replica_of_the_first() -> None:
    service = Replicas((9.0, answer()), (0.5, answer()))
    call = a_call(tried=frozenset({"earlier"}))
    await hedging()(call, service)
    assert service.calls[0].tried == {"earlier"}
    assert service.calls[1].tried == {"earlier", "replica 0"}


async def test_the_first_may_still_win() -> None:
    service = Replicas((1.5, answer("first")), (9.0, answer("second")))
    call = a_call()
    assert await hedging()(call, service) == answer("first")
    assert (call.replica, call.attempts) == ("replica 0", 2)


@pytest.mark.parametrize(
    "fields", [{"repeatable": False}, {"progress": lambda *_: None}], ids=["not repeatable", "progress"]
)
async def test_what_must_not_run_twice_or_reports_progress_is_never_raced(fields: dict[str, Any]) -> None:
    service = Replicas((5.0, answer()))
    await hedging()(a_call(**fields), service)
    assert len(service.calls) == 1


async def test_without_a_second_replica_or_load_to_spare_nothing_is_raced() -> None:
    service = Replicas((5.0, answer()))
    await hedging(may_race=lambda: False)(a_call(), service)
    assert len(service.calls) == 1


async def test_without_leave_nothing_is_raced() -> None:
    service = Replicas((5.0, answer()))
    await hedging(extra=0.5)(a_call(), service)
    assert len(service.calls) == 1


async def test_no_leave_is_spent_where_nothing_may_be_raced() -> None:
    may = iter([False, True])
    layer = hedging(may_race=lambda: next(may), extra=0.5)
    service = Replicas((5.0, answer()), (5.0, answer()), (0.1, answer("hedged")))
    await layer(a_call(), service)
    assert await layer(a_call(), service) == answer("hedged")


async def test_a_failure_before_the_delay_is_the_retry_layers_business() -> None:
    service = Replicas((0.5, ConnectionLost("gone")))
    with pytest.raises(ConnectionLost):
        await hedging()(a_call(), service)
    assert len(service.calls) == 1


async def test_one_racers_failure_waits_for_the_other() -> None:
    for outcomes in (
        ((1.2, ConnectionLost("gone")), (3.0, answer("ok"))),
        ((4.0, answer("ok")), (0.2, ConnectionLost("gone"))),
    ):
        assert await hedging()(a_call(), Replicas(*outcomes)) == answer("ok")


async def test_when_both_fail_the_failure_that_may_have_run_is_told() -> None:
    refused, lost = CircuitOpen("no", retry_after=1.0), ConnectionLost("gone")
    for outcomes in (((2.0, lost), (0.2, refused)), ((2.0, refused), (0.2, lost))):
        call = a_call()
        with pytest.raises(ConnectionLost):
            await hedging()(call, Replicas(*outcomes))
        assert call.may_have_run
        assert call.attempts == 2


async def test_a_bug_is_raised_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        await hedging()(a_call(), Replicas((0.1, ZeroDivisionError())))


async def test_a_deadline_that_passes_while_two_race_says_that_the_tool_may_have_run() -> None:
    service = Replicas((9.0, answer()), (9.0, answer()))
    layer = hedging()

    async def hedged(call: Call) -> Result:
        return await layer(call, service)

    call = a_call(deadline=anyio.current_time() + 3.0)
    with pytest.raises(DeadlineExceeded) as raised:
        await DeadlineLayer()(call, hedged)
    assert raised.value.may_have_run
    assert (service.given_up, call.attempts) == (2, 2)


async def test_the_delay_is_learnt_from_the_tools_own_latencies() -> None:
    layer = hedging(delay=None, minimum=10)
    for _ in range(10):
        await layer(a_call(), Replicas((0.2, answer())))
    service = Replicas((5.0, answer("slow")), (0.1, answer("fast")))
    began = anyio.current_time()
    assert await layer(a_call(), service) == answer("fast")
    assert anyio.current_time() - began == pytest.approx(0.3)


def learnt(layer: HedgeLayer) -> list[tuple[float, bool]]:
    """Latencies of the tool, and whether they are bounds."""
    return [(round(seconds, 9), is_bound) for seconds, is_bound in layer._hedging._tools["read"]._latest]


async def test_of_a_race_both_attempts_are_learnt_from_and_of_the_loser_that_it_took_at_least_so_long() -> None:
    layer = hedging(delay=1.0)
    await layer(a_call(), Replicas((5.0, answer("slow")), (0.5, answer("fast"))))
    await layer(a_call(), Replicas((1.5, answer("fast")), (5.0, answer("slow"))))
    assert sorted(learnt(layer)) == [(0.5, False), (0.5, True), (1.5, False), (1.5, True)]


async def test_of_attempts_that_ran_out_of_time_it_is_learnt_that_they_took_at_least_so_long() -> None:
    for delay, bounds in ((None, [(3.0, True)]), (1.0, [(2.0, True), (3.0, True)])):
        layer = hedging(delay=delay)
        with anyio.move_on_after(3.0):
            await layer(a_call(), Replicas((9.0, answer()), (9.0, answer())))
        assert sorted(learnt(layer)) == bounds


async def test_of_attempts_that_fail_nothing_is_learnt_but_that_the_call_is_over() -> None:
    layer = hedging(extra=0.5)
    for _ in range(10):
        with pytest.raises(ConnectionLost):
            await layer(a_call(), Replicas((0.5, ConnectionLost("gone"))))
    assert list(layer._hedging._tools) == []
    assert "1.00 hedges saved" in repr(layer._hedging)


async def test_other_methods_share_one_record_whatever_they_address() -> None:
    layer = hedging()
    for number in range(5):
        call = a_call(method="resources/read", name=f"file://{number}", target=f"file://{number}")
        await layer(call, Replicas((0.1, ToolResult(content=[]))))
    assert list(layer._hedging._tools) == ["resources/read"]
