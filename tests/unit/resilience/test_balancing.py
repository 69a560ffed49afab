"""The better of two random replicas: fewer attempts in flight, weighted by how long the replica takes."""

from __future__ import annotations

import random
from collections import Counter
from math import exp

import pytest

from trunkline.resilience.balancing import Balancer

THREE = ["a", "b", "c"]


def balancer(seed: int = 1) -> Balancer:
    return Balancer(THREE, random.Random(seed))


def measured(balancing: Balancer, now: float = 0.0, **latencies: float) -> Balancer:
    """Each named replica has had one attempt that took so long."""
    for replica, latency in latencies.items():
        balancing.started(replica)
        balancing.ended(replica, now, latency)
    return balancing


def test_a_single_candidate_is_chosen_without_a_draw() -> None:
    rng = random.Random(1)
    before = rng.getstate()
    assert Balancer(THREE, rng).choose(["b"], 0.0) == "b"
    assert rng.getstate() == before


def test_among_equals_the_choice_is_even() -> None:
    balancing = balancer()
    chosen = Counter(balancing.choose(THREE, 0.0) for _ in range(3000))
    assert all(900 < count < 1100 for count in chosen.values())


def test_of_two_the_one_with_fewer_attempts_in_flight_is_chosen() -> None:
    balancing = measured(balancer(), a=1.0, b=1.0)
    balancing.started("a")
    assert {balancing.choose(["a", "b"], 0.0) for _ in range(50)} == {"b"}
    balancing.started("b")
    balancing.started("b")
    assert {balancing.choose(["a", "b"], 0.0) for _ in range(50)} == {"a"}
    assert (balancing.in_flight("a"), balancing.in_flight("b")) == (1, 2)


def test_a_slow_replica_gets_as_much_less_as_it_is_slower() -> None:
    balancing = measured(balancer(), a=1.0, b=3.0)
    for expected in ("a", "a"):
        assert balancing.choose(["a", "b"], 0.0) == expected
        balancing.started(expected)
    balancing.started("a")
    assert balancing.choose(["a", "b"], 0.0) == "b", "four in flight at one second each, or one at three"


def test_a_replica_that_was_never_measured_is_tried_first() -> None:
    balancing = measured(balancer(), a=0.001, b=0.001)
    assert {balancing.choose(["a", "c"], 0.0) for _ in range(20)} == {"c"}


def burst(balancing: Balancer, size: int, now: float) -> Counter[str]:
    """Attempts that begin before any of them ends."""
    given = Counter[str]()
    for _ in range(size):
        replica = balancing.choose(THREE, now)
        balancing.started(replica)
        given[replica] += 1
    return given


def test_a_burst_does_not_go_to_whoever_was_never_measured() -> None:
    given = burst(measured(balancer(), a=0.1, b=0.1), 200, 0.0)
    assert all(60 <= given[replica] <= 73 for replica in THREE)


def test_a_burst_is_spread_evenly_while_nobody_was_measured() -> None:
    given = burst(balancer(), 200, 0.0)
    assert all(60 <= given[replica] <= 73 for replica in THREE)


def test_a_burst_does_not_go_to_whoever_was_left_alone_for_long() -> None:
    balancing = measured(balancer(), c=0.1)
    given = burst(measured(balancing, now=300.0, a=0.1, b=0.1), 200, 300.0)
    assert all(60 <= given[replica] <= 73 for replica in THREE)


def test_a_replica_of_which_nothing_is_known_is_taken_for_one_like_the_others_once_it_is_tried() -> None:
    balancing = measured(balancer(), a=0.1, b=0.9)
    balancing.started("c")
    assert balancing._cost("c", 0.0) == pytest.approx(2 * 0.5)
    balancing.ended("c", 0.0, None)
    assert balancing._cost("c", 0.0) == pytest.approx(0.5)


@pytest.mark.parametrize("first", [1.0, None], ids=["measured once", "never measured"])
def test_a_replica_that_only_fails_attracts_nobody_as_time_goes_by(first: float | None) -> None:
    balancing, now, chosen = balancer(), 0.0, Counter[str]()
    balancing.started("c")
    balancing.ended("c", 0.0, first)
    for _ in range(600):
        replica = balancing.choose(THREE, now)
        chosen[replica] += 1
        balancing.started(replica)
        now += 1.0
        balancing.ended(replica, now, None if replica == "c" else 1.0)
    assert 50 < chosen["c"] < 300, "a third at most, and it is tried again and again"


def test_a_slowdown_is_believed_at_once_and_an_improvement_little_by_little() -> None:
    balancing = measured(balancer(), a=1.0, b=1.1)
    measured(balancing, a=5.0)
    assert balancing.choose(["a", "b"], 0.0) == "b"
    measured(balancing, now=0.1, a=0.1)
    assert balancing.choose(["a", "b"], 0.1) == "b"
    measured(balancing, now=60.0, a=0.1, b=1.1)
    assert balancing.choose(["a", "b"], 60.0) == "a"


def test_a_slow_replica_that_is_left_alone_is_tried_again_in_time() -> None:
    balancing = measured(balancer(), a=1.0, b=20.0)
    now = 0.0
    while balancing.choose(["a", "b"], now) == "a":
        now += 1.0
        measured(balancing, now=now, a=1.0)
    assert 25.0 < now < 40.0, "twenty times slower: forgotten after three times the decay"


def test_a_failure_says_nothing_of_speed() -> None:
    balancing = measured(balancer(), a=1.0, b=2.0)
    for _ in range(50):
        balancing.started("b")
        balancing.ended("b", 0.0, None)
    assert balancing.choose(["a", "b"], 0.0) == "a"
    assert balancing.in_flight("b") == 0


def test_an_attempt_that_was_given_up_counts_only_if_it_took_longer_than_known() -> None:
    balancing = measured(balancer(), a=1.0, b=2.0)
    balancing.started("b")
    balancing.ended("b", 0.0, 0.1, at_least=True)
    assert balancing.choose(["a", "b"], 0.0) == "a"
    balancing.started("a")
    balancing.ended("a", 0.0, 3.0, at_least=True)
    assert balancing.choose(["a", "b"], 0.0) == "b"


def test_what_is_known_fades_with_the_time() -> None:
    balancing = measured(balancer(), a=1.0)
    assert balancing._cost("a", 10.0) == pytest.approx(exp(-1))
    assert balancing._cost("a", 0.0) == 1.0


def test_one_of_three_that_is_twenty_times_slower_gets_hardly_any_sequential_call() -> None:
    balancing, now, chosen = balancer(), 0.0, Counter[str]()
    for _ in range(2000):
        replica = balancing.choose(THREE, now)
        chosen[replica] += 1
        latency = 1.0 if replica == "c" else 0.05
        balancing.started(replica)
        now += latency
        balancing.ended(replica, now, latency)
    assert 1 <= chosen["c"] < 20
    assert min(chosen["a"], chosen["b"]) > 600


def test_it_says_in_one_line_how_everybody_does() -> None:
    assert repr(measured(Balancer(["a"], random.Random(1)), a=0.25)) == "<Balancer [a: 0 in flight, 0.25 s]>"
