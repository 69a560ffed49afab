from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.policy import RetryPolicy
from trunkline.resilience.backoff import OVERLOAD_BASE, RETRY_AFTER_SPREAD, full_jitter, next_delay

POLICY = RetryPolicy(base=0.05, cap=5.0)


def test_full_jitter_fills_its_whole_range_evenly() -> None:
    rng = random.Random(7)
    tenths = [0] * 10
    for _ in range(10_000):
        tenths[int(full_jitter(1.0, 100.0, 2, rng) / 4.0 * 10)] += 1
    assert all(800 < count < 1200 for count in tenths)


@pytest.mark.parametrize(
    ("attempt", "most"), [(1, 0.05), (2, 0.1), (3, 0.2), (7, 3.2), (8, 5.0), (100, 5.0), (10_000, 5.0)]
)
def test_each_attempt_doubles_the_range_up_to_the_cap(attempt: int, most: float) -> None:
    rng = random.Random(7)
    drawn = [next_delay(POLICY, attempt, rng) for _ in range(500)]
    assert most * 0.9 < max(drawn) <= most
    assert 0.0 <= min(drawn) < most * 0.1


def test_a_retry_before_any_attempt_counted_waits_like_the_first() -> None:
    assert next_delay(POLICY, 0, random.Random(3)) == next_delay(POLICY, 1, random.Random(3))


def test_an_overloaded_server_is_given_a_second_at_first() -> None:
    rng = random.Random(7)
    drawn = [next_delay(POLICY, 1, rng, overloaded=True) for _ in range(500)]
    assert 0.9 * OVERLOAD_BASE < max(drawn) <= OVERLOAD_BASE


def test_overload_never_shortens_a_longer_base() -> None:
    rng = random.Random(7)
    slow = RetryPolicy(base=3.0, cap=5.0)
    assert max(next_delay(slow, 1, rng, overloaded=True) for _ in range(500)) > 2.7


@given(
    retry_after=st.floats(0.0, 1e6),
    attempt=st.integers(0, 200),
    seed=st.integers(0, 1000),
    overloaded=st.booleans(),
)
def test_what_the_server_asks_for_is_never_undercut_nor_much_exceeded(
    retry_after: float, attempt: int, seed: int, *, overloaded: bool
) -> None:
    delay = next_delay(POLICY, attempt, random.Random(seed), retry_after, overloaded=overloaded)
    assert retry_after <= delay <= retry_after + RETRY_AFTER_SPREAD


def test_clients_told_the_same_time_do_not_come_back_at_once() -> None:
    rng = random.Random(7)
    drawn = {next_delay(POLICY, 1, rng, 10.0) for _ in range(100)}
    assert max(drawn) - min(drawn) > 0.8 * OVERLOAD_BASE


def test_the_spread_grows_with_the_attempts_and_stops() -> None:
    rng = random.Random(7)
    drawn = [next_delay(POLICY, 9, rng, 10.0) for _ in range(500)]
    assert 14.5 < max(drawn) <= 15.0


def test_a_time_already_past_is_no_wait() -> None:
    assert 0.0 <= next_delay(POLICY, 1, random.Random(7), -30.0) <= OVERLOAD_BASE
