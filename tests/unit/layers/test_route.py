"""Which replica an attempt goes to, and what happens when it, or all of them, cannot take it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import cast

import anyio
import pytest
from mcp_types import Result

from tests.unit.layers.calls import a_call, answer
from tests.unit.resilience.outcomes import note
from trunkline.call import Call, Delivery
from trunkline.errors import BulkheadFull, CircuitOpen, ConnectionLost, DeadlineExceeded, ServerError, ServerUnavailable
from trunkline.layers.deadline import DeadlineLayer
from trunkline.layers.route import Route
from trunkline.policy import BreakerPolicy, OutlierPolicy
from trunkline.pool.pool import Pool
from trunkline.resilience.balancing import Balancer
from trunkline.resilience.circuit import Circuit, Verdict
from trunkline.resilience.outlier import Outliers

pytestmark = pytest.mark.anyio


class FakePool:
    """Stands where a pool would: ready or not, as the test says."""

    def __init__(self) -> None:
        self.is_ready = True
        self.became_ready = anyio.Event()

    async def wait_ready(self, call: Call) -> None:
        if not self.is_ready:
            await self.became_ready.wait()
            if not self.is_ready:
                raise ServerUnavailable("away", server=call.server)


class Place:
    """A replica whose attempts end as the test says; the last outcome stays."""

    def __init__(self, label: str, *outcomes: Result | Exception | float) -> None:
        self.label = label
        self.circuit = Circuit(BreakerPolicy(), slow=8.0, rng=random.Random(1), on_change=lambda *_: None)
        self.fake = FakePool()
        self.pool = cast("Pool", self.fake)
        self.outcomes = list(outcomes) or [answer(label)]
        self.asked = 0
        self.forced = 0

    async def send(self, call: Call) -> Result:
        now = anyio.current_time()
        if self.circuit.acquire(now) is None:
            raise CircuitOpen("no", retry_after=1.0, server=call.server)
        return await self._serve(call)

    async def send_anyway(self, call: Call) -> Result:
        self.forced += 1
        return await self._serve(call)

    async def _serve(self, call: Call) -> Result:
        self.asked += 1
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, float):
            call.delivery = Delivery.UNKNOWN
            began = anyio.current_time()
            try:
                await anyio.sleep(outcome)
            finally:
                call.server_time = anyio.current_time() - began
            return answer(self.label)
        if isinstance(outcome, Exception):
            call.delivery = getattr(outcome, "delivery", Delivery.NOT_SENT)
            raise outcome
        call.delivery, call.server_time = Delivery.ANSWERED, 0.1
        return outcome


def routing(places: Sequence[Place], *, is_probed: bool = True, consecutive: int = 5) -> tuple[Route, Outliers]:
    labels = [place.label for place in places]
    policy = OutlierPolicy(consecutive=consecutive)
    outliers = Outliers(policy, labels, rng=random.Random(2), on_change=lambda *_: None)
    balancer = Balancer(labels, random.Random(3))
    return Route(places, balancer, outliers, patience=10.0, is_probed=is_probed), outliers


def three(*outcomes: Result | Exception | float) -> list[Place]:
    return [Place(label, *outcomes) for label in "abc"]


async def test_attempts_are_spread_over_all_replicas_and_the_call_knows_where_it_went() -> None:
    places = three()
    route, _ = routing(places)
    seen: Counter[str | None] = Counter()
    for _ in range(300):
        call = a_call()
        assert await route(call) == answer(str(call.replica))
        assert not call.degraded
        seen[call.replica] += 1
    assert all(count > 60 for count in seen.values())


@pytest.mark.parametrize(
    "refusal", [BulkheadFull("full"), ServerUnavailable("away"), CircuitOpen("no", retry_after=1.0)]
)
async def test_a_replica_that_cannot_take_it_costs_nothing_and_another_is_asked_at_once(refusal: Exception) -> None:
    places = [Place("a", refusal), Place("b", refusal), Place("c")]
    route, _ = routing(places)
    for _ in range(20):
        call, began = a_call(repeatable=False), anyio.current_time()
        assert await route(call) == answer("c")
        assert anyio.current_time() == began
        assert call.tried == frozenset()


async def test_when_none_can_take_it_the_last_refusal_is_raised_and_each_was_asked_once() -> None:
    places = three(BulkheadFull("full"))
    with pytest.raises(BulkheadFull):
        await routing(places)[0](a_call())
    assert [place.asked for place in places] == [1, 1, 1]


@pytest.mark.requirement("R2")
async def test_what_was_sent_and_failed_is_not_sent_again_here_but_remembered() -> None:
    places = three(ConnectionLost("gone"))
    call = a_call()
    with pytest.raises(ConnectionLost):
        await routing(places)[0](call)
    assert sum(place.asked for place in places) == 1
    assert call.tried == {call.replica}


async def test_a_later_attempt_goes_to_a_replica_that_has_not_failed_yet() -> None:
    places = three()
    route, _ = routing(places)
    for _ in range(20):
        call = a_call(tried=frozenset("ab"))
        assert await route(call) == answer("c")


async def test_when_all_have_been_tried_any_is_tried_again() -> None:
    route, _ = routing(three())
    await route(a_call(tried=frozenset("abc")))


async def test_a_replica_whose_circuit_is_open_is_not_asked() -> None:
    places = three()
    places[0].circuit.force_open(anyio.current_time())
    route, _ = routing(places)
    for _ in range(50):
        call = a_call()
        await route(call)
        assert not call.degraded
    assert places[0].asked == 0


async def test_a_replica_that_was_left_out_is_not_asked_until_it_is_the_last_and_then_the_call_is_degraded() -> None:
    places = three()
    route, outliers = routing(places)
    for _ in range(5):
        note(outliers, "a", ok=False, now=anyio.current_time())
    for _ in range(50):
        await route(a_call())
    assert places[0].asked == 0
    for other in places[1:]:
        other.fake.is_ready = False
    call = a_call()
    assert await route(call) == answer("a")
    assert call.degraded


async def test_failures_and_successes_are_told_to_whoever_leaves_replicas_out() -> None:
    places = [Place("a", ConnectionLost("gone")), Place("b", ConnectionLost("gone"))]
    route, outliers = routing(places, consecutive=1)
    call = a_call()
    with pytest.raises(ConnectionLost):
        await route(call)
    assert outliers.ejected(anyio.current_time()) == (call.replica,)


async def test_attempts_begun_before_a_replica_was_left_out_do_not_leave_it_out_again() -> None:
    places = [Place("a", 60.0), Place("b")]
    places[1].fake.is_ready = False
    route, outliers = routing(places)
    began = anyio.current_time()

    async def attempt() -> None:
        with pytest.raises(DeadlineExceeded):
            await DeadlineLayer()(a_call(deadline=began + 2.0), route)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(attempt)
        await anyio.sleep(1.0)
        for _ in range(5):
            note(outliers, "a", ok=False, now=anyio.current_time())
        outliers.readmit("a", anyio.current_time())
    assert outliers.ejected(anyio.current_time()) == ()


async def test_overload_and_refusals_of_the_call_itself_leave_nobody_out() -> None:
    errors = [
        ServerError("busy", status=429, delivery=Delivery.REFUSED),
        ServerError("bad arguments", error_code=-32602),
        ServerError("inside", error_code=-32603),
    ]
    for error in errors:
        route, outliers = routing(three(error), consecutive=1)
        with pytest.raises(ServerError):
            await route(a_call())
        assert outliers.ejected(anyio.current_time()) == ()


async def test_a_deadline_that_passes_while_a_replica_has_the_call_counts_against_it_and_a_cancellation_does_not() -> (
    None
):
    for deadline, is_out in ((1.0, True), (50.0, False)):
        route, outliers = routing([Place("a", 60.0), Place("b", 60.0)], consecutive=1)
        call = a_call(deadline=anyio.current_time() + deadline)
        with anyio.move_on_after(1.0):
            await route(call)
        assert bool(outliers.ejected(anyio.current_time())) is is_out


async def test_a_replica_that_answers_slowly_gets_less_even_if_its_answers_are_never_waited_for() -> None:
    slow, fast = Place("slow", 5.0), Place("fast", 0.1)
    route, _ = routing([slow, fast], consecutive=100)
    for _ in range(100):
        with anyio.move_on_after(1.0):
            await route(a_call())
    assert slow.asked <= 5


async def all_open(places: Sequence[Place]) -> None:
    for place in places:
        for _ in range(5):
            permit = place.circuit.acquire(anyio.current_time())
            assert permit is not None
            place.circuit.release(permit, Verdict.FAILURE, anyio.current_time())
        assert place.circuit.state == "open"


async def test_when_all_circuits_are_open_one_attempt_at_a_time_is_made_at_each_and_the_others_are_refused() -> None:
    places = three(0.5)
    await all_open(places)
    route, _ = routing(places)
    outcomes: Counter[str] = Counter()

    async def attempt() -> None:
        call = a_call()
        try:
            await route(call)
        except CircuitOpen as error:
            outcomes["refused"] += 1
            assert error.retry_after is not None
            assert 0 < error.retry_after <= 2.0
        else:
            outcomes["degraded" if call.degraded else "served"] += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(attempt)
    assert outcomes == {"degraded": 3, "refused": 7}
    assert [place.forced for place in places] == [1, 1, 1]


async def test_an_attempt_against_better_knowledge_that_succeeds_is_a_proof() -> None:
    places = three()
    await all_open(places)
    route, _ = routing(places)
    calls = [a_call() for _ in range(6)]
    for call in calls:
        await route(call)
    assert [place.circuit.state for place in places] == ["closed", "open", "open"]
    assert [call.degraded for call in calls] == [True] * 4 + [False] * 2, "each in turn, until one has proved itself"


async def test_one_that_fails_does_not_keep_the_circuit_open_for_longer() -> None:
    places = three(ConnectionLost("gone"))
    await all_open(places)
    before = [place.circuit.retry_after(anyio.current_time()) for place in places]
    route, _ = routing(places)
    for _ in range(3):
        with pytest.raises(ConnectionLost):
            await route(a_call())
    assert [place.circuit.retry_after(anyio.current_time()) for place in places] == before


@pytest.mark.requirement("R2")
async def test_a_call_that_must_not_run_twice_is_never_sent_against_a_circuit_where_probes_find_out() -> None:
    for is_probed, forced in ((True, 0), (False, 1)):
        places = three()
        await all_open(places)
        route, _ = routing(places, is_probed=is_probed)
        if is_probed:
            with pytest.raises(CircuitOpen, match="its replicas keep failing"):
                await route(a_call(repeatable=False))
        else:
            await route(a_call(repeatable=False))
        assert sum(place.forced for place in places) == forced


async def test_cancelling_an_attempt_frees_the_place_for_the_next() -> None:
    places = three(60.0)
    await all_open(places)
    route, _ = routing(places)
    for _ in range(4):
        with anyio.move_on_after(0.1):
            await route(a_call())
    assert not route._forced


async def test_without_a_ready_replica_the_first_that_becomes_ready_is_given_the_attempt() -> None:
    places = three()
    for place in places:
        place.fake.is_ready = False
    route, _ = routing(places)
    async with anyio.create_task_group() as tasks:

        async def attempt() -> None:
            assert await route(a_call()) == answer("b")

        tasks.start_soon(attempt)
        await anyio.sleep(3.0)
        places[1].fake.is_ready = True
        places[1].fake.became_ready.set()


async def test_when_none_becomes_ready_the_attempt_is_refused_after_its_patience() -> None:
    places = three()
    for place in places:
        place.fake.is_ready = False
    began = anyio.current_time()
    with pytest.raises(ServerUnavailable):
        await routing(places)[0](a_call(deadline=began + 100.0))
    assert anyio.current_time() - began == pytest.approx(10.0)


async def test_when_all_have_given_up_the_attempt_is_refused_at_once() -> None:
    places = three()
    for place in places:
        place.fake.is_ready = False
        place.fake.became_ready.set()
    began = anyio.current_time()
    with pytest.raises(ServerUnavailable, match="away"):
        await routing(places)[0](a_call())
    assert anyio.current_time() == began


async def test_healthy_replicas_are_ready_closed_and_not_left_out() -> None:
    places = three()
    route, outliers = routing(places)
    now = anyio.current_time()
    assert route.count_healthy(now) == 3
    places[0].fake.is_ready = False
    assert route.count_healthy(now) == 2
    places[1].circuit.force_open(now)
    assert route.count_healthy(now) == 1
    for _ in range(5):
        note(outliers, "c", ok=False, now=now)
    assert route.count_healthy(now) == 0
