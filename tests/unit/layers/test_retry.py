"""What is tried again, for every error there is: the table of the semantics, row by row."""

from __future__ import annotations

import random
from collections.abc import Callable

import anyio
import pytest

from tests.unit.layers.calls import Scripted, a_call, answer
from trunkline.call import Delivery
from trunkline.errors import (
    AttemptTimeout,
    BulkheadFull,
    CallError,
    CallFailed,
    CircuitOpen,
    ConnectionLost,
    DeadlineExceeded,
    InvalidArguments,
    InvalidResult,
    RateLimited,
    ServerError,
    ServerUnavailable,
    ToolNotFound,
    ToolRefused,
)
from trunkline.events import Event, RetryScheduled
from trunkline.layers.retry import RetryLayer
from trunkline.policy import RetryPolicy
from trunkline.resilience.budget import RetryBudget

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-RES-1")]

Make = Callable[[], CallError]


class Retrying:
    """The layer, with what it told and what is left of its budget."""

    def __init__(self, policy: RetryPolicy | None = None) -> None:
        policy = policy or RetryPolicy()
        self.budget = RetryBudget(policy)
        self.events: list[Event] = []
        self.layer = RetryLayer(policy, self.budget, emit=self.events.append, rng=random.Random(3))

    @property
    def pauses(self) -> list[float]:
        return [event.delay for event in self.events if isinstance(event, RetryScheduled)]


ALWAYS: dict[str, Make] = {
    "never sent": lambda: ConnectionLost("gone", delivery=Delivery.NOT_SENT),
    "refused with 429": lambda: ServerError("slow down", status=429, delivery=Delivery.REFUSED),
    "refused with 503": lambda: ServerError("starting", status=503, delivery=Delivery.REFUSED, retry_after=0.5),
}
REPEATABLE_ONLY: dict[str, Make] = {
    "timed out": lambda: AttemptTimeout("too slow"),
    "connection lost": lambda: ConnectionLost("gone"),
    "HTTP 500": lambda: ServerError("broken", status=500, delivery=Delivery.UNKNOWN),
}
NEVER: dict[str, Make] = {
    "answered with an error": lambda: ServerError("no", error_code=-32602),
    "forbidden": lambda: ServerError("no", status=403, delivery=Delivery.REFUSED),
    "answered with no result": lambda: InvalidResult("what?"),
    "wrong arguments": lambda: InvalidArguments("no"),
    "no such tool": lambda: ToolNotFound("no"),
    "not what was accepted": lambda: ToolRefused("no"),
    "circuit open": lambda: CircuitOpen("no", retry_after=1.0),
    "bulkhead full": lambda: BulkheadFull("no"),
    "no connection": lambda: ServerUnavailable("no"),
    "sent too much": lambda: RateLimited("no"),
    "deadline passed before it was sent": lambda: DeadlineExceeded("no", may_have_run=False),
    "deadline passed after it was sent": lambda: DeadlineExceeded("no", may_have_run=True),
}


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("make", ALWAYS.values(), ids=ALWAYS)
async def test_what_cannot_have_run_is_tried_again_whatever_the_tool(make: Make, repeatable: bool) -> None:
    service, retrying = Scripted([make()]), Retrying()
    assert await retrying.layer(a_call(repeatable=repeatable), service) == answer()
    assert service.attempts == 2


@pytest.mark.parametrize("make", REPEATABLE_ONLY.values(), ids=REPEATABLE_ONLY)
async def test_what_may_have_run_is_tried_again_if_the_tool_may_run_twice(make: Make) -> None:
    service, retrying = Scripted([make()]), Retrying()
    assert await retrying.layer(a_call(), service) == answer()
    assert service.attempts == 2


@pytest.mark.parametrize("make", REPEATABLE_ONLY.values(), ids=REPEATABLE_ONLY)
async def test_what_may_have_run_is_not_tried_again_if_the_tool_must_not_run_twice(make: Make) -> None:
    error, retrying = make(), Retrying()
    service = Scripted([error])
    with pytest.raises(CallError) as raised:
        await retrying.layer(a_call(repeatable=False), service)
    assert raised.value is error
    assert service.attempts == 1
    assert retrying.events == []


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("make", NEVER.values(), ids=NEVER)
async def test_what_was_answered_or_refused_for_good_is_never_tried_again(make: Make, repeatable: bool) -> None:
    error, retrying = make(), Retrying()
    service = Scripted([error])
    with pytest.raises(CallError) as raised:
        await retrying.layer(a_call(repeatable=repeatable), service)
    assert raised.value is error
    assert service.attempts == 1


async def test_every_class_of_error_stands_in_the_table() -> None:
    def leaves(kind: type[CallError]) -> set[type[CallError]]:
        below = kind.__subclasses__()
        return {kind} if not below else {leaf for child in below for leaf in leaves(child)}

    shown = {type(make()) for table in (ALWAYS, REPEATABLE_ONLY, NEVER) for make in table.values()}
    assert shown == leaves(CallError)


async def test_an_error_that_is_not_ours_passes_at_once() -> None:
    service = Scripted([ZeroDivisionError()])
    with pytest.raises(ZeroDivisionError):
        await Retrying().layer(a_call(), service)
    assert service.attempts == 1


async def test_attempts_that_were_never_sent_do_not_count_but_the_deadline_ends_them() -> None:
    service = Scripted(ConnectionLost("gone", delivery=Delivery.NOT_SENT) for _ in range(1000))
    retrying = Retrying(RetryPolicy(attempts=2))
    started = anyio.current_time()
    with pytest.raises(ConnectionLost) as raised:
        await retrying.layer(a_call(repeatable=False), service)
    assert service.attempts > 2
    assert anyio.current_time() - started <= 10.0
    assert not raised.value.may_have_run
    assert retrying.budget.balance == 100.0


async def test_a_servers_retry_after_is_waited_for_and_never_shortened() -> None:
    service = Scripted([ServerError("starting", status=503, delivery=Delivery.REFUSED, retry_after=3.0)])
    retrying = Retrying(RetryPolicy(cap=0.1))
    await retrying.layer(a_call(), service)
    assert 3.0 <= retrying.pauses[0] <= 8.0


async def test_a_retry_after_beyond_the_deadline_ends_the_call_at_once() -> None:
    service = Scripted([ServerError("starting", status=503, delivery=Delivery.REFUSED, retry_after=60.0)])
    started = anyio.current_time()
    with pytest.raises(ServerError):
        await Retrying().layer(a_call(), service)
    assert anyio.current_time() == started


async def test_a_retry_that_is_not_started_is_not_paid_for() -> None:
    service = Scripted([ServerError("starting", status=503, delivery=Delivery.REFUSED, retry_after=60.0)])
    retrying = Retrying()
    with pytest.raises(ServerError):
        await retrying.layer(a_call(), service)
    assert retrying.budget.balance == 100.0


@pytest.mark.parametrize(
    "later",
    [CircuitOpen("open", retry_after=1.0), BulkheadFull("full"), ServerUnavailable("away")],
    ids=lambda error: type(error).__name__,
)
async def test_a_failure_that_may_have_run_outranks_a_later_rejection(later: CallError) -> None:
    first = AttemptTimeout("too slow")
    with pytest.raises(AttemptTimeout) as raised:
        await Retrying().layer(a_call(), Scripted([first, later]))
    assert raised.value is first
    assert raised.value.may_have_run
    assert raised.value.__cause__ is later


async def test_the_latest_of_several_failures_that_may_have_run_is_told() -> None:
    first, second, third = AttemptTimeout("one"), ConnectionLost("two"), AttemptTimeout("three")
    with pytest.raises(CallFailed) as raised:
        await Retrying().layer(a_call(), Scripted([first, second, third]))
    assert raised.value is third


async def test_a_failure_that_may_have_run_outranks_an_earlier_refusal() -> None:
    refused = ServerError("slow down", status=429, delivery=Delivery.REFUSED)
    lost = ConnectionLost("gone")
    with pytest.raises(ConnectionLost) as raised:
        await Retrying().layer(a_call(repeatable=False), Scripted([refused, lost]))
    assert raised.value is lost


async def test_a_first_success_refunds_and_a_refused_retry_raises_what_happened() -> None:
    retrying = Retrying(RetryPolicy(budget=25.0, cost=10.0, refund=1.0, attempts=10))
    error = [ConnectionLost(str(number)) for number in range(3)]
    with pytest.raises(ConnectionLost) as raised:
        await retrying.layer(a_call(), Scripted(error))
    assert raised.value is error[2]
    assert retrying.budget.balance == 5.0
    await retrying.layer(a_call(), Scripted())
    assert retrying.budget.balance == 6.0


async def test_cancelled_in_its_pause_it_tries_no_more() -> None:
    service = Scripted([ConnectionLost("gone")] * 9)
    with anyio.move_on_after(0.0) as scope:
        await Retrying(RetryPolicy(base=1000.0, cap=1000.0)).layer(a_call(deadline=9e9), service)
    assert scope.cancelled_caught
    assert service.attempts == 1
