"""Fresh, stale, kept, gone; and what came together does not go together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.cache.entry import Entry
from trunkline.cache.freshness import entry_of, is_due_early, may_be_due_early
from trunkline.policy import CachePolicy


def made(draw: float = 0.5, *, ttl: float = 10.0, took: float = 1.0, **policy: float) -> Entry:
    chosen = CachePolicy(**{"ttl": ttl, "jitter": 0.0, **policy})  # type: ignore[arg-type]
    return entry_of("tools/call", b"{}", (), chosen, ttl=ttl, now=100.0, origin_time=took, draw=draw)


@pytest.mark.parametrize(
    ("age", "state"),
    [(0, "fresh"), (9.9, "fresh"), (10, "stale"), (14.9, "stale"), (15, "kept"), (34.9, "kept"), (35, "gone")],
)
def test_an_entry_grows_old_in_four_states(age: float, state: str) -> None:
    entry = made(stale=5.0, stale_if_error=20.0)
    assert entry.freshness(100.0 + age) == state
    assert entry.lifetime == 35.0


def test_an_entry_is_stale_for_as_long_as_it_was_to_be_fresh_unless_the_policy_says_otherwise() -> None:
    assert made().stale_for == 10.0
    assert made(stale=0.0).stale_for == 0.0


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 0.99))
def test_the_jitter_stays_within_its_share(draw: float, jitter: float) -> None:
    assert 10 * (1 - jitter) - 1e-9 <= made(draw, jitter=jitter).fresh_for <= 10 * (1 + jitter) + 1e-9


def test_the_jitter_spreads() -> None:
    assert made(0.0, jitter=0.1).fresh_for == pytest.approx(9.0)
    assert made(0.9999, jitter=0.1).fresh_for == pytest.approx(11.0, abs=0.001)


def test_without_eagerness_nothing_is_refreshed_early() -> None:
    policy = CachePolicy(ttl=10.0)
    assert not may_be_due_early(made(), policy, 109.999)


@given(st.floats(100, 109.99), st.floats(1e-9, 1), st.floats(0.1, 5))
def test_an_early_refresh_is_only_thought_of_where_it_can_be_due(now: float, draw: float, beta: float) -> None:
    policy, entry = CachePolicy(ttl=10.0, early=beta), made()
    if is_due_early(entry, policy, now, max(draw, 1e-8)):
        assert may_be_due_early(entry, policy, now)


def test_an_early_refresh_is_likelier_near_the_end_and_for_a_slow_server() -> None:
    def share(now: float, took: float) -> float:
        policy, entry = CachePolicy(ttl=10.0, early=1.0), made(took=took)
        return sum(is_due_early(entry, policy, now, (number + 1) / 1000) for number in range(1000)) / 1000

    assert share(109.0, 1.0) == pytest.approx(0.3678, abs=0.01)
    assert share(101.0, 1.0) < 0.001 < share(105.0, 1.0) < share(109.9, 1.0)
    assert share(109.0, 0.01) == 0.0
    assert share(109.0, 3.0) > share(109.0, 1.0)
