"""A rate is kept in the long run, a burst is let through at once, and a turn that is given back is somebody's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.resilience.rate import RateLimit

FOREVER = 1e9


def test_a_burst_goes_at_once_and_the_next_waits_for_its_turn() -> None:
    limit = RateLimit(2.0, 3)
    assert [limit.reserve(100.0, FOREVER) for _ in range(5)] == [0.0, 0.0, 0.0, 0.5, 1.0]


def test_without_a_burst_attempts_go_evenly() -> None:
    limit = RateLimit(4.0, 1)
    assert [limit.reserve(0.0, FOREVER) for _ in range(3)] == [0.0, 0.25, 0.5]


def test_a_quiet_while_earns_the_burst_and_no_more() -> None:
    limit = RateLimit(1.0, 2)
    for _ in range(2):
        limit.reserve(0.0, FOREVER)
    assert [limit.reserve(1000.0, FOREVER) for _ in range(3)] == [0.0, 0.0, 1.0]


def test_a_turn_that_would_come_too_late_is_refused_and_nothing_is_taken() -> None:
    limit = RateLimit(1.0, 1)
    assert limit.reserve(0.0, FOREVER) == 0.0
    assert limit.reserve(0.0, 1.0) is None
    assert limit.reserve(0.0, 0.5) is None
    assert limit.expected_wait(0.0) == 1.0
    assert limit.reserve(0.0, 1.1) == 1.0
    assert repr(limit) == "<RateLimit [1 a second, 1 at once, 2 refused]>"


def test_who_may_go_at_once_goes_even_at_its_last_moment() -> None:
    assert RateLimit(1.0, 1).reserve(5.0, 5.0) == 0.0


def test_a_turn_given_back_goes_to_the_next() -> None:
    limit = RateLimit(1.0, 1)
    limit.reserve(0.0, FOREVER)
    assert limit.reserve(0.0, FOREVER) == 1.0
    limit.cancel(0.5)
    assert limit.reserve(0.5, FOREVER) == 0.5


def test_a_turn_given_back_late_earns_nothing() -> None:
    limit = RateLimit(1.0, 1)
    limit.reserve(0.0, FOREVER)
    limit.cancel(50.0)
    assert [limit.reserve(50.0, FOREVER) for _ in range(2)] == [0.0, 1.0]


@given(
    per_second=st.sampled_from([0.5, 1.0, 4.0, 16.0]),
    burst=st.integers(1, 5),
    gaps=st.lists(st.sampled_from([0.0, 0.0625, 0.25, 1.0, 4.0]), min_size=1, max_size=60),
)
def test_no_interval_sees_more_than_the_rate_and_a_burst(per_second: float, burst: int, gaps: list[float]) -> None:
    limit, now, sent = RateLimit(per_second, burst), 0.0, list[float]()
    for gap in gaps:
        now += gap
        wait = limit.reserve(now, FOREVER)
        assert wait is not None
        sent.append(now + wait)
    assert sent == sorted(sent), "first come, first served"
    for first, start in enumerate(sent):
        for last in range(first, len(sent)):
            assert last - first + 1 <= burst + (sent[last] - start) * per_second + 1e-6


@pytest.mark.parametrize("burst", [1, 5])
def test_nobody_waits_longer_than_needed(burst: int) -> None:
    limit = RateLimit(2.0, burst)
    for number in range(burst + 10):
        assert limit.reserve(0.0, FOREVER) == pytest.approx(max(0, number - burst + 1) / 2.0)
