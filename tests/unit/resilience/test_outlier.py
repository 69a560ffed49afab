"""Which replicas are left out: by the words of the policy, and never so many that nobody is left to ask."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.unit.resilience.outcomes import note
from trunkline.policy import OutlierPolicy
from trunkline.resilience.outlier import Outliers

Change = tuple[str, bool, str, float]


def judging(count: int, policy: OutlierPolicy | None = None) -> tuple[Outliers, list[Change]]:
    """Outliers among replicas `a`, `b`, …, and what they tell."""
    changes: list[Change] = []
    names = [chr(ord("a") + number) for number in range(count)]
    outliers = Outliers(
        policy or OutlierPolicy(), names, rng=random.Random(1), on_change=lambda *change: changes.append(change)
    )
    return outliers, changes


def fail(outliers: Outliers, replica: str, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        note(outliers, replica, ok=False, now=now)


def test_five_failures_in_a_row_eject_and_four_do_not() -> None:
    outliers, changes = judging(3)
    fail(outliers, "a", 4)
    assert not outliers.is_ejected("a", 0.0)
    fail(outliers, "a", 1)
    assert outliers.is_ejected("a", 0.0)
    assert changes == [("a", True, "5 failures in a row", 0.0)]


def test_a_success_breaks_the_row() -> None:
    outliers, changes = judging(3)
    for _ in range(10):
        fail(outliers, "a", 4)
        note(outliers, "a", ok=True, now=0.0)
    assert changes == []


def test_the_victims_of_one_lost_connection_are_one_failure() -> None:
    outliers, changes = judging(3)
    incident = object()
    for _ in range(20):
        note(outliers, "a", ok=False, now=0.0, incident=incident)
    assert changes == []


def test_an_ejection_ends_by_itself_within_its_time_and_is_told_once() -> None:
    outliers, changes = judging(3, OutlierPolicy(base=8.0))
    fail(outliers, "a", 5)
    assert outliers.is_ejected("a", 3.9), "half of the time is certain"
    assert not outliers.is_ejected("a", 8.0), "and no more than the whole is ever taken"
    assert not outliers.is_ejected("a", 9.0)
    assert [(replica, is_out) for replica, is_out, _, _ in changes] == [("a", True), ("a", False)]


def test_ejections_get_longer_each_time_up_to_the_cap_and_the_past_is_forgiven() -> None:
    outliers, changes = judging(3, OutlierPolicy(base=10.0, cap=25.0))

    def ejected_for(now: float) -> float:
        fail(outliers, "a", 5, now)
        while outliers.is_ejected("a", now + 0.01):
            now += 0.01
        return now - changes[-1][3] if changes[-1][1] else now - changes[-2][3]

    assert 5.0 <= ejected_for(100.0) <= 10.0
    assert 10.0 <= ejected_for(120.0) <= 20.0
    assert 12.5 <= ejected_for(150.0) <= 25.0
    assert 12.5 <= ejected_for(180.0) <= 25.0
    assert 5.0 <= ejected_for(1000.0) <= 10.0


@pytest.mark.parametrize(
    ("count", "most", "limit"),
    [(1, None, 0), (2, None, 1), (3, None, 2), (4, None, 3), (5, None, 2), (10, None, 5), (10, 0.2, 2), (3, 1.0, 2)],
)
def test_no_more_are_out_than_may_be(count: int, most: float | None, limit: int) -> None:
    outliers, _ = judging(count, OutlierPolicy(most=most))
    for number in range(count):
        fail(outliers, chr(ord("a") + number), 50)
    assert len(outliers.ejected(0.0)) == limit


def test_those_that_may_not_be_out_yet_are_out_once_another_is_back() -> None:
    outliers, _ = judging(2)
    fail(outliers, "a", 5)
    fail(outliers, "b", 7)
    assert outliers.ejected(0.0) == ("a",)
    outliers.readmit("a", 1.0)
    fail(outliers, "b", 1, 1.0)
    assert outliers.ejected(1.0) == ("b",)


def test_the_longest_out_is_named_first() -> None:
    outliers, _ = judging(4, OutlierPolicy(base=100.0))
    for now, replica in enumerate("bca"):
        fail(outliers, replica, 5, float(now))
    assert outliers.ejected(3.0) == ("b", "c", "a")


def test_a_probe_readmits_who_failed_in_a_row_and_the_row_begins_anew() -> None:
    outliers, changes = judging(3)
    fail(outliers, "a", 5)
    outliers.readmit("a", 1.0)
    assert not outliers.is_ejected("a", 1.0)
    assert changes[-1] == ("a", False, "a probe succeeded", 1.0)
    fail(outliers, "a", 4, 1.0)
    assert not outliers.is_ejected("a", 1.0)


def test_readmitting_who_is_not_out_changes_nothing() -> None:
    outliers, changes = judging(3)
    fail(outliers, "a", 4)
    outliers.readmit("a", 0.0)
    assert changes == []
    fail(outliers, "a", 1)
    assert outliers.is_ejected("a", 0.0)


def mixed(outliers: Outliers, replica: str, good: int, bad: int, now: float = 0.0) -> None:
    """Outcomes in turn, so that no row of failures ejects anybody."""
    for number in range(max(good, bad)):
        if number < bad:
            note(outliers, replica, ok=False, now=now)
        if number < good:
            note(outliers, replica, ok=True, now=now)


def test_a_late_failure_does_not_eject_again_whose_ejection_has_lapsed_unseen() -> None:
    outliers, changes = judging(3, OutlierPolicy(base=8.0))
    fail(outliers, "a", 5)
    fail(outliers, "a", 1, 20.0)
    assert not outliers.is_ejected("a", 20.0)
    assert [is_out for _, is_out, _, _ in changes] == [True, False]
    fail(outliers, "a", 4, 20.0)
    assert outliers.is_ejected("a", 20.0)


@pytest.mark.parametrize("begun", ["before the ejection", "while it was out"])
def test_attempts_of_an_earlier_stay_do_not_count_towards_a_new_row(begun: str) -> None:
    outliers, changes = judging(3)
    before = outliers.generation("a", 0.0)
    fail(outliers, "a", 5)
    generation = before if begun == "before the ejection" else outliers.generation("a", 0.5)
    outliers.readmit("a", 1.0)
    for _ in range(20):
        outliers.note("a", ok=False, now=1.0, generation=generation)
    assert not outliers.is_ejected("a", 1.0)
    fail(outliers, "a", 4, 1.0)
    outliers.note("a", ok=True, now=1.0, generation=generation)
    assert len(changes) == 2
    fail(outliers, "a", 1, 1.0)
    assert outliers.is_ejected("a", 1.0), "nor does a late success end it"


def test_attempts_of_any_earlier_stay_do_not_count_however_many_stays_ago_it_was() -> None:
    outliers, changes = judging(3)
    stays = [outliers.generation("a", 0.0)]
    for now in (1.0, 2.0, 3.0):
        fail(outliers, "a", 5, now)
        stays.append(outliers.generation("a", now))
        outliers.readmit("a", now)
        stays.append(outliers.generation("a", now))
    told = len(changes)
    for stay in stays[:-1]:
        for _ in range(5):
            outliers.note("a", ok=False, now=4.0, generation=stay)
    assert len(changes) == told
    for _ in range(5):
        outliers.note("a", ok=False, now=4.0, generation=stays[-1])
    assert outliers.is_ejected("a", 4.0)


def test_attempts_begun_before_others_were_ejected_count_as_ever() -> None:
    outliers, _ = judging(4)
    generation = outliers.generation("b", 0.0)
    fail(outliers, "a", 5)
    for _ in range(5):
        outliers.note("b", ok=False, now=0.0, generation=generation)
    assert outliers.ejected(0.0) == ("a", "b")


def test_who_succeeds_far_less_often_than_the_others_is_an_outlier() -> None:
    outliers, changes = judging(5)
    for replica in "bcde":
        mixed(outliers, replica, 60, 0)
    mixed(outliers, "a", 30, 20)
    fail(outliers, "a", 1)
    assert outliers.is_ejected("a", 0.0)
    assert changes == [("a", True, "59% of its attempts succeed, 92% on average", 0.0)]
    outliers.readmit("a", 1.0)
    assert outliers.is_ejected("a", 1.0), "it answered its pings all the while"


@pytest.mark.parametrize("count", [6, 5])
def test_who_is_out_is_no_peer_of_those_that_are_compared(count: int) -> None:
    outliers, changes = judging(count, OutlierPolicy(base=100.0))
    others = "cdef"[: count - 2]
    mixed(outliers, "b", 60, 60)
    fail(outliers, "b", 5)
    for replica in others:
        mixed(outliers, replica, 60, 0)
    mixed(outliers, "a", 30, 20)
    fail(outliers, "a", 1)
    ejected = [replica for replica, is_out, _, _ in changes if is_out]
    assert ejected == (["b", "a"] if count == 6 else ["b"]), "five are left to compare, or only four"


def test_four_replicas_are_too_few_to_compare() -> None:
    outliers, changes = judging(4)
    for replica in "bcd":
        mixed(outliers, replica, 60, 0)
    mixed(outliers, "a", 40, 40)
    assert changes == []


def test_too_few_outcomes_are_no_ratio() -> None:
    outliers, changes = judging(5)
    for replica in "bcde":
        mixed(outliers, replica, 49, 0)
    mixed(outliers, "a", 40, 40)
    assert changes == []


def test_a_difference_that_chance_makes_is_no_outlier() -> None:
    outliers, changes = judging(5)
    for replica in "bcde":
        mixed(outliers, replica, 100, 0)
    mixed(outliers, "a", 95, 5)
    assert changes == [], "far outside the deviation of the others, and yet only five in a hundred"


def test_old_outcomes_are_forgotten() -> None:
    outliers, changes = judging(5)
    for replica in "bcde":
        mixed(outliers, replica, 60, 0, now=0.0)
    mixed(outliers, "a", 40, 40, now=100.0)
    assert changes == []


def test_who_does_exactly_as_the_others_do_is_no_outlier_though_no_margin_is_asked_for() -> None:
    outliers, changes = judging(5, OutlierPolicy(consecutive=1000, minimum=10, margin=0.0))
    for replica in "abcde":
        for number in range(10):
            note(outliers, replica, ok=number < 5)
    assert changes == []


def test_when_all_do_badly_nobody_is_an_outlier() -> None:
    outliers, changes = judging(6)
    for replica in "abcdef":
        mixed(outliers, replica, 60, 60)
    assert changes == []


def test_a_policy_that_is_not_enabled_ejects_nobody() -> None:
    outliers, changes = judging(3, OutlierPolicy(enabled=False))
    fail(outliers, "a", 100)
    assert changes == []


def test_it_says_in_one_line_who_is_out() -> None:
    outliers, _ = judging(3)
    fail(outliers, "b", 5)
    assert repr(outliers) == "<Outliers [1 of 3 replicas out, 2 may be: ['b']]>"


class OutliersBesideAModel(RuleBasedStateMachine):
    """The rule of failures in a row, beside a model that keeps every outcome."""

    @initialize(count=st.integers(1, 7))
    def begin(self, count: int) -> None:
        self.changes: list[Change] = []
        self.outliers, self.changes = judging(count, OutlierPolicy(consecutive=3, base=4.0, cap=10.0, minimum=10_000))
        self.names = [chr(ord("a") + number) for number in range(count)]
        self.limit = 0 if count == 1 else count - 1 if count <= 4 else count // 2
        self.rows = dict.fromkeys(self.names, 0)
        self.now = 0.0

    @rule(pick=st.integers(0, 6), ok=st.booleans())
    def outcome(self, pick: int, ok: bool) -> None:
        name = self.names[pick % len(self.names)]
        out = self.outliers.ejected(self.now)
        self.rows[name] = 0 if ok else self.rows[name] + 1
        may = name not in out and len(out) < self.limit and self.rows[name] >= 3
        before = len(self.changes)
        note(self.outliers, name, ok=ok, now=self.now)
        ejected = [change for change in self.changes[before:] if change[1]]
        assert bool(ejected) == (may and not ok)

    @rule(seconds=st.floats(0.1, 15.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        before = len(self.changes)
        self.outliers.ejected(self.now)
        for name, is_out, _, _ in self.changes[before:]:
            assert not is_out
            self.rows[name] = 0

    @rule(pick=st.integers(0, 6))
    def probe(self, pick: int) -> None:
        name = self.names[pick % len(self.names)]
        was_out = name in self.outliers.ejected(self.now)
        self.outliers.readmit(name, self.now)
        assert not self.outliers.is_ejected(name, self.now)
        if was_out:
            self.rows[name] = 0

    @invariant()
    def never_too_many(self) -> None:
        assert len(self.outliers.ejected(self.now)) <= self.limit

    @invariant()
    def each_change_is_told_once(self) -> None:
        last: dict[str, bool] = {}
        for name, is_out, _, _ in self.changes:
            assert last.get(name, False) is not is_out
            last[name] = is_out
        assert {name for name, is_out in last.items() if is_out} == set(self.outliers.ejected(self.now))


TestOutliersBesideAModel = OutliersBesideAModel.TestCase
TestOutliersBesideAModel.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
