"""Boundaries that only a look at every decision finds: counts in what is told, the exact moment, the last place."""

from __future__ import annotations

import random
from collections import Counter
from math import exp

import pytest

from tests.unit.resilience.outcomes import note
from trunkline.policy import BreakerPolicy, HedgePolicy, OutlierPolicy, RetryPolicy
from trunkline.resilience.admission import Admission
from trunkline.resilience.balancing import Balancer
from trunkline.resilience.budget import RetryBudget
from trunkline.resilience.circuit import Circuit, Verdict
from trunkline.resilience.concurrency import AdaptiveLimit
from trunkline.resilience.hedging import Hedging
from trunkline.resilience.latencies import MOST, Latencies
from trunkline.resilience.outlier import Outliers
from trunkline.resilience.rate import RateLimit

# ------------------------------------------------------------------------------------------------------------ admission


def full(limit: int = 2, waiting: int = 100) -> Admission:
    """An admission all of whose places are taken."""
    admission = Admission(limit, waiting)
    for _ in range(limit):
        assert admission.try_enter()
    return admission


def test_an_admissions_counts_add_up() -> None:
    admission = full(2, 2)
    first, second = admission.enqueue(10.0, 0.0), admission.enqueue(10.0, 0.0)
    assert first is not None
    assert second is not None
    assert [admission.enqueue(10.0, 0.0) for _ in range(3)] == [None] * 3
    admission.abandon(first, 0.0)
    admission.abandon(second, 0.0)
    assert (admission.entered, admission.refused_full, admission.abandoned) == (2, 3, 2)
    admission.leave(1.0, 5.0)
    assert admission.try_enter()
    assert admission.enqueue(2.0, 1.0) is None
    assert (admission.entered, admission.refused_late) == (3, 1)
    assert repr(admission) == "<Admission [2 of 2 in flight, 0 of 2 waiting, 4 refused, 5 s each]>"


def test_a_turn_given_up_was_no_entry() -> None:
    admission = full(1)
    ticket = admission.enqueue(10.0, 0.0)
    assert ticket is not None
    assert admission.leave(1.0, 0.0) is ticket
    assert (admission.entered, ticket.is_granted) == (2, True)
    admission.abandon(ticket, 1.0)
    assert (admission.entered, admission.abandoned, ticket.is_granted) == (1, 1, False)


def test_each_turn_given_up_is_taken_from_the_entries_and_counted() -> None:
    admission = full(3)
    tickets = [admission.enqueue(10.0, 0.0) for _ in range(3)]
    for ticket in tickets:
        assert admission.leave(1.0, 0.0) is ticket
    assert (admission.entered, admission.abandoned) == (6, 0)
    for ticket in tickets:
        assert ticket is not None
        admission.abandon(ticket, 1.0)
    assert (admission.entered, admission.abandoned, admission.in_flight) == (3, 3, 0)


def test_who_needs_longer_than_there_is_left_after_its_turn_is_refused_at_once() -> None:
    admission = full(1)
    assert admission.enqueue(5.0, 0.0, 5.0) is None
    assert admission.enqueue(5.0, 0.0, 4.9) is not None
    assert admission.refused_late == 1


def woken(admission: Admission, deadline: float, needs: float) -> list[bool]:
    """Wait; what stands here afterwards says whether the ticket was granted when it was woken."""
    found: list[bool] = []
    ticket = admission.enqueue(deadline, 0.0, needs)
    assert ticket is not None
    ticket.wake = lambda: found.append(ticket.is_granted)
    return found


def test_who_is_too_late_when_its_turn_comes_is_woken_without_a_place_and_the_next_is_let_in() -> None:
    for needs, is_late in ((5.9, False), (6.0, True), (7.0, True)):
        admission = full(2)
        first = woken(admission, 10.0, needs)
        woken(admission, 100.0, 1.0)
        turn = admission.leave(4.0, 0.0)
        assert turn is not None
        assert (turn.deadline == 100.0) is is_late
        assert first == ([False] if is_late else [])
        assert admission.expired == is_late


@pytest.mark.parametrize(("limit", "behind", "goes"), [(1, 0, True), (1, 1, False), (2, 0, False), (2, 1, False)])
def test_who_is_too_late_goes_all_the_same_when_nobody_is_in_flight_and_nobody_waits_behind(
    limit: int, behind: int, goes: bool
) -> None:
    admission = full(limit)
    late = woken(admission, 10.0, 9.0)
    for _ in range(behind):
        woken(admission, 100.0, 1.0)
    turn = admission.leave(5.0, 0.0)
    assert (turn is not None and turn.deadline == 10.0) is goes
    assert late == ([] if goes else [False])


def test_whose_deadline_has_passed_never_goes() -> None:
    admission = full(1)
    late = woken(admission, 5.0, 0.0)
    assert admission.leave(5.0, 0.0) is None
    assert late == [False]


# ------------------------------------------------------------------------------------------------------------ balancing


def took(balancing: Balancer, replica: str, now: float, latency: float, *, at_least: bool = False) -> None:
    balancing.started(replica)
    balancing.ended(replica, now, latency, at_least=at_least)


def test_a_faster_answer_lowers_what_is_known_by_the_time_that_has_passed() -> None:
    balancing = Balancer(["a"], random.Random(1))
    took(balancing, "a", 100.0, 8.0)
    took(balancing, "a", 105.0, 2.0)
    weight = exp(-0.5)
    assert balancing._cost("a", 105.0) == pytest.approx(8.0 * weight + 2.0 * (1 - weight))


def test_what_an_attempt_took_is_taken_for_its_whole_time_unless_it_is_said_to_be_a_bound() -> None:
    balancing = Balancer(["a"], random.Random(1))
    took(balancing, "a", 100.0, 8.0)
    balancing.started("a")
    balancing.ended("a", 110.0, 1.0)
    assert balancing._cost("a", 110.0) == pytest.approx(8.0 * exp(-1) + 1.0 * (1 - exp(-1)))


def test_what_is_compared_with_is_what_is_left_of_the_old_peak() -> None:
    balancing = Balancer(["a"], random.Random(1))
    took(balancing, "a", 100.0, 8.0)
    took(balancing, "a", 110.0, 4.0)
    assert balancing._cost("a", 110.0) == 4.0, "more than what is left of eight, so believed as it is"


def test_a_lower_bound_below_what_is_known_changes_nothing_and_not_even_its_age() -> None:
    balancing = Balancer(["a"], random.Random(1))
    took(balancing, "a", 100.0, 8.0)
    took(balancing, "a", 105.0, 1.0, at_least=True)
    assert balancing._cost("a", 110.0) == pytest.approx(8.0 * exp(-1))


def test_a_tie_goes_to_either() -> None:
    balancing = Balancer(["a", "b"], random.Random(1))
    chosen = Counter(balancing.choose(["a", "b"], 0.0) for _ in range(1000))
    assert 400 < chosen["a"] < 600


def test_several_replicas_are_told_with_commas() -> None:
    assert repr(Balancer(["a", "b"], random.Random(1))) == "<Balancer [a: 0 in flight, 0 s, b: 0 in flight, 0 s]>"


# --------------------------------------------------------------------------------------------------------------- budget


def test_a_budget_tells_how_many_retries_it_granted_and_refused() -> None:
    budget, incident = RetryBudget(RetryPolicy(budget=20.0, cost=10.0)), object()
    for _ in range(3):
        budget.try_spend(timeout=False, incident=incident)
    budget.try_spend(timeout=False, incident=None)
    for _ in range(2):
        budget.try_spend(timeout=False, incident=None)
    assert repr(budget) == "<RetryBudget [0 of 20 tokens, 4 retries granted, 2 refused]>"


# -------------------------------------------------------------------------------------------------------------- circuit


def a_circuit() -> Circuit:
    return Circuit(BreakerPolicy(consecutive=1, successes=1), slow=8.0, rng=random.Random(1), on_change=lambda *_: None)


def test_a_circuit_tells_how_often_it_opened() -> None:
    circuit = a_circuit()
    for now in (0.0, 100.0):
        permit = circuit.acquire(now)
        assert permit is not None
        circuit.release(permit, Verdict.FAILURE, now)
        circuit.probe_succeeded(now + 50.0)
    assert "opened 2 times" in repr(circuit)


def test_a_closed_circuit_needs_no_proof_and_no_patience() -> None:
    changes: list[object] = []
    policy = BreakerPolicy(consecutive=1, successes=1)
    circuit = Circuit(policy, slow=8.0, rng=random.Random(1), on_change=lambda *change: changes.append(change))
    circuit.probe_succeeded(0.0)
    assert changes == []
    assert circuit.retry_after(0.0) == 0.0
    assert circuit.retry_after(0.0, may_probe=False) == 0.0
    assert "0 of 1 proofs" in repr(circuit)


def test_a_lease_is_ten_seconds_unless_it_is_said_otherwise() -> None:
    policy = BreakerPolicy(consecutive=1, open_for=60.0, open_cap=60.0)
    circuit = Circuit(policy, slow=8.0, rng=random.Random(1), on_change=lambda *_: None)
    permit = circuit.acquire(0.0)
    assert permit is not None
    circuit.release(permit, Verdict.FAILURE, 0.0)
    assert circuit.acquire(100.0) is not None
    assert circuit.acquire(109.9) is None
    assert circuit.acquire(110.0) is not None


# --------------------------------------------------------------------------------------------- limits, hedges, outliers


def test_exactly_half_of_the_limit_in_use_is_enough_to_rise() -> None:
    limit = AdaptiveLimit(10, 4)
    limit.restart()
    limit.succeeded(2)
    assert limit._limit == 5.0
    limit.succeeded(2)
    assert limit._limit == 5.0, "two are less than half of it now"


def test_decreases_are_counted() -> None:
    limit = AdaptiveLimit(10, 1)
    for now in (1.0, 2.0, 3.0):
        limit.overloaded(now, 0.5)
    assert repr(limit) == "<AdaptiveLimit [3 of 1 to 10, 3 decreases]>"


def test_hedges_are_counted() -> None:
    hedging = Hedging(HedgePolicy(extra=1.0))
    for _ in range(3):
        hedging.called()
    assert [hedging.try_spend() for _ in range(5)] == [True] * 3 + [False] * 2
    assert "3 started, 2 refused" in repr(hedging)


@pytest.mark.parametrize(("minimum", "kept"), [(100, 256), (256, 256), (300, 300)])
def test_no_more_latencies_are_kept_than_are_asked_for(minimum: int, kept: int) -> None:
    latencies = Latencies(0.95, minimum)
    for number in range(1000):
        latencies.add(1.0, at_least=number % 2 == 0)
    assert repr(latencies) == f"<Latencies [{kept} of {kept}, {kept // 2} of them bounds]>"


def test_the_longest_policy_is_the_longest_memory() -> None:
    assert len(Latencies(0.95, HedgePolicy(minimum=MOST).minimum)) == 0
    with pytest.raises(ValueError, match="minimum"):
        HedgePolicy(minimum=MOST + 1)


def test_a_rate_is_told_as_it_was_given() -> None:
    assert repr(RateLimit(4.0, 2)) == "<RateLimit [4 a second, 2 at once, 0 refused]>"


def judged(count: int = 3, **policy: float) -> tuple[Outliers, list[tuple[str, bool, str, float]]]:
    changes: list[tuple[str, bool, str, float]] = []
    names = [chr(ord("a") + number) for number in range(count)]
    known = OutlierPolicy(**{"consecutive": 1, **policy})  # type: ignore[arg-type]
    return Outliers(known, names, rng=random.Random(1), on_change=lambda *change: changes.append(change)), changes


def test_an_ejection_ends_at_its_very_moment_and_says_how_long_it_was() -> None:
    outliers, changes = judged(base=8.0)
    note(outliers, "a", ok=False, now=100.0)
    until = outliers._standings["a"].out_until
    assert outliers.is_ejected("a", until - 1e-6)
    assert not outliers.is_ejected("a", until)
    assert changes[-1][2] == f"{until - 100.0:.1f} s are over"


def test_who_was_out_from_the_very_beginning_is_named_first() -> None:
    outliers, _ = judged(4, base=100.0)
    for now, replica in ((0.5, "a"), (0.0, "b")):
        note(outliers, replica, ok=False, now=now)
    assert outliers.ejected(0.5) == ("b", "a")


def test_exactly_the_minimum_of_outcomes_is_enough() -> None:
    outliers, _ = judged(5, consecutive=100, minimum=10)
    for replica in "bcde":
        for _ in range(10):
            note(outliers, replica, ok=True, now=0.0)
    for number in range(10):
        note(outliers, "a", ok=number < 4, now=0.0)
    assert outliers.is_ejected("a", 0.0)


def test_a_wide_spread_protects_who_is_only_a_little_worse() -> None:
    outliers, changes = judged(6, consecutive=1000, minimum=10, margin=0.0, deviations=1.5)
    for replica, good in zip("bcdef", (10, 9, 7, 5, 4), strict=True):
        for number in range(10):
            note(outliers, replica, ok=number < good, now=0.0)
    outliers._standings["a"].window.clear()
    for number in range(10):
        note(outliers, "a", ok=number < 4, now=0.0)
    assert [change for change in changes if change[0] == "a"] == []
