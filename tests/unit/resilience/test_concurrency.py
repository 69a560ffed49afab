"""The limit that is found by trying: slowly up while the server copes, down at once when it does not."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from trunkline.resilience.concurrency import AdaptiveLimit


def test_it_starts_from_the_most() -> None:
    limit = AdaptiveLimit(10, 2)
    assert limit.limit == 10
    assert limit.is_full


def test_an_overload_takes_three_tenths_and_never_more_than_down_to_the_least() -> None:
    limit, now, seen = AdaptiveLimit(100, 20), 0.0, []
    for _ in range(7):
        now += 10.0
        limit.overloaded(now, 1.0)
        seen.append(limit.limit)
    assert seen == [70, 49, 34, 24, 20, 20, 20]


def test_attempts_that_were_under_way_together_tell_of_one_overload() -> None:
    limit = AdaptiveLimit(100, 1)
    limit.overloaded(10.0, 5.0)
    limit.overloaded(10.0, 5.0)
    limit.overloaded(12.0, 3.0)
    assert limit.limit == 70
    limit.overloaded(13.0, 3.0)
    assert limit.limit == 49, "this one began just when the first ended"


def test_an_attempt_made_after_the_last_overload_tells_of_another() -> None:
    limit = AdaptiveLimit(100, 1)
    limit.overloaded(10.0, 5.0)
    limit.overloaded(16.0, 5.0)
    assert limit.limit == 49


def test_after_a_restart_it_doubles_with_each_round_of_successes() -> None:
    limit, rounds = AdaptiveLimit(32, 1), list[int]()
    limit.restart()
    while not limit.is_full:
        rounds.append(limit.limit)
        for _ in range(limit.limit):
            limit.succeeded(limit.limit)
    assert rounds == [1, 2, 4, 8, 16], "31 successes in all"


def test_from_the_first_overload_on_it_rises_by_one_for_as_many_successes_as_it_has_places() -> None:
    limit = AdaptiveLimit(10, 1)
    limit.restart()
    for _ in range(4):
        limit.succeeded(4)
    limit.overloaded(1.0, 0.1)
    assert limit._limit == 3.5
    for _ in range(2):
        limit.succeeded(4)
    assert limit.limit == 4
    for _ in range(5):
        limit.succeeded(5)
    assert limit.limit == 5


def test_an_overload_is_forgotten_by_the_next_restart() -> None:
    limit = AdaptiveLimit(10, 1)
    limit.overloaded(1.0, 0.1)
    limit.restart()
    for _ in range(3):
        limit.succeeded(4)
    assert limit.limit == 4


def test_a_limit_that_is_hardly_used_does_not_rise() -> None:
    limit = AdaptiveLimit(10, 4)
    limit.restart()
    for _ in range(100):
        limit.succeeded(1)
    assert limit.limit == 4
    limit.succeeded(3)
    assert limit.limit == 5


def test_it_can_be_put_back_to_the_most_and_then_rises_no_further_than_by_trying() -> None:
    limit = AdaptiveLimit(10, 1)
    limit.restart()
    limit.restore()
    assert limit.is_full
    limit.overloaded(1.0, 0.1)
    limit.succeeded(7)
    assert limit.limit == 7


def test_it_never_rises_above_the_most() -> None:
    limit = AdaptiveLimit(3, 1)
    limit.restart()
    assert not limit.is_full
    for _ in range(1000):
        limit.succeeded(3)
    assert limit.limit == 3
    assert limit.is_full


def test_it_says_in_one_line_where_it_stands() -> None:
    limit = AdaptiveLimit(10, 2)
    limit.overloaded(1.0, 0.1)
    assert repr(limit) == "<AdaptiveLimit [7 of 2 to 10, 1 decreases]>"


class LimitBesideAModel(RuleBasedStateMachine):
    """Beside a model that keeps every moment of decrease."""

    @initialize(most=st.integers(1, 50), least=st.integers(1, 50))
    def begin(self, most: int, least: int) -> None:
        self.most, self.least = most, min(least, most)
        self.limit = AdaptiveLimit(self.most, self.least)
        self.model = float(self.most)
        self.is_searching = False
        self.now = 0.0
        self.decreases: list[float] = []

    @rule(in_flight=st.integers(1, 50))
    def success(self, in_flight: int) -> None:
        if in_flight * 2 >= self.model:
            self.model = min(float(self.most), self.model + (1 if self.is_searching else 1 / self.model))
        self.limit.succeeded(in_flight)

    @rule(rtt=st.floats(0.01, 5.0), gap=st.floats(0.0, 5.0))
    def overload(self, rtt: float, gap: float) -> None:
        self.now += gap
        if not any(self.now - rtt < at for at in self.decreases):
            self.decreases.append(self.now)
            self.is_searching = False
            self.model = max(float(self.least), self.model * 0.7)
        self.limit.overloaded(self.now, rtt)

    @rule()
    def restart(self) -> None:
        self.model, self.is_searching = float(self.least), True
        self.limit.restart()

    @rule()
    def restore(self) -> None:
        self.model, self.is_searching = float(self.most), False
        self.limit.restore()

    @invariant()
    def they_agree(self) -> None:
        assert self.limit.limit == int(self.model)
        assert self.least <= self.limit.limit <= self.most


TestLimitBesideAModel = LimitBesideAModel.TestCase
TestLimitBesideAModel.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("rtt", [0.0, 1.0])
def test_the_first_overload_ever_always_counts(rtt: float) -> None:
    limit = AdaptiveLimit(10, 1)
    limit.overloaded(0.0, rtt)
    assert limit.limit == 7
