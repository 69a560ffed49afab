"""When a second attempt is worth it, and that there are never more of them than were earned."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.policy import HedgePolicy
from trunkline.resilience.hedging import Hedging
from trunkline.resilience.latencies import Latencies


def test_nothing_is_hedged_before_enough_is_known() -> None:
    hedging = Hedging(HedgePolicy(minimum=3))
    for _ in range(2):
        hedging.note("read", 1.0)
        assert hedging.delay("read") is None
    hedging.note("read", 1.0)
    assert hedging.delay("read") == 1.0


def test_until_enough_is_known_the_configured_delay_counts() -> None:
    hedging = Hedging(HedgePolicy(minimum=2, delay=0.3))
    assert hedging.delay("read") == 0.3
    hedging.note("read", 1.0)
    assert hedging.delay("read") == 0.3
    hedging.note("read", 1.0)
    assert hedging.delay("read") == 1.0


def test_the_delay_is_the_tools_own_quantile() -> None:
    hedging = Hedging(HedgePolicy())
    for number in range(1, 101):
        hedging.note("read", number / 100)
        hedging.note("slow", 10.0)
    assert hedging.delay("read") == 0.95
    assert hedging.delay("slow") == 10.0


def test_the_latencies_that_must_be_known_can_be_known() -> None:
    hedging = Hedging(HedgePolicy(minimum=1000, quantile=0.999))
    for number in range(1000):
        assert hedging.delay("read") is None
        hedging.note("read", number / 1000)
    assert hedging.delay("read") == 0.998


def test_more_latencies_than_are_kept_cannot_be_asked_for() -> None:
    HedgePolicy(minimum=10_000)
    with pytest.raises(ValueError, match="minimum = 10001: expected 1 to 10000, as so many latencies are kept"):
        HedgePolicy(minimum=10_001)


def test_a_delay_does_not_push_itself_up() -> None:
    hedging = Hedging(HedgePolicy(delay=0.3))
    for number in range(5000):
        delay = hedging.delay("read")
        assert delay is not None
        if number % 10:
            hedging.note("read", 0.2)
            continue
        # One in ten is slow: the second attempt wins after a fifth of a second, and the first is given up.
        hedging.note("read", delay + 0.2, at_least=True)
        hedging.note("read", 0.2)
    assert hedging.delay("read") == 0.2


def test_the_slow_attempts_that_were_waited_for_count_for_those_that_were_not() -> None:
    hedging = Hedging(HedgePolicy(minimum=1))
    for number in range(200):
        slow, is_hedged = number % 10 == 0, number % 20 == 0
        if slow and is_hedged:
            hedging.note("read", 0.3, at_least=True)
        else:
            hedging.note("read", 5.0 if slow else 0.2)
    assert hedging.delay("read") == 5.0, "ten in a hundred take so long, though only five were seen to"


def test_where_only_bounds_are_known_the_configured_delay_counts() -> None:
    for delay in (0.3, None):
        hedging = Hedging(HedgePolicy(minimum=1, delay=delay))
        hedging.note("read", 5.0, at_least=True)
        assert hedging.delay("read") == delay


def test_the_quantile_follows_the_latest_latencies() -> None:
    hedging = Hedging(HedgePolicy())
    for latency in (1.0,) * 300 + (5.0,) * 256:
        hedging.note("read", latency)
    assert hedging.delay("read") == 5.0


def test_a_quantile_is_renewed_every_sixteen_latencies() -> None:
    hedging = Hedging(HedgePolicy(minimum=1, quantile=0.5))
    hedging.note("read", 1.0)
    assert hedging.delay("read") == 1.0
    for _ in range(15):
        hedging.note("read", 9.0)
        assert hedging.delay("read") == 1.0
    hedging.note("read", 9.0)
    assert hedging.delay("read") == 9.0


@pytest.mark.parametrize(("minimum", "renewal"), [(1, 16), (256, 16), (300, 18), (10_000, 625)])
def test_a_quantile_is_renewed_by_every_sixteenth_of_the_latencies_that_are_kept(minimum: int, renewal: int) -> None:
    latencies = Latencies(0.001, minimum)
    latencies.add(9.0, at_least=False)
    assert latencies.quantile() == 9.0
    for _ in range(renewal - 1):
        latencies.add(1.0, at_least=False)
        assert latencies.quantile() == 9.0
    latencies.add(1.0, at_least=False)
    assert latencies.quantile() == 1.0


def calls_in_a_row(hedging: Hedging, count: int) -> None:
    """Calls of which none is hedged."""
    for _ in range(count):
        hedging.called()
        hedging.ended()


@given(rounds=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=60))
@pytest.mark.parametrize("extra", [0.05, 0.3, 1.0])
@pytest.mark.requirement("HEDGE-SHARE")
def test_any_calls_in_a_row_have_their_share_of_hedges_and_no_more(extra: float, rounds: list[tuple[int, int]]) -> None:
    hedging, hedges_of = Hedging(HedgePolicy(extra=extra)), list[int]()
    runs = []
    for together, wanted in rounds:
        for _ in range(together):
            hedging.called()
        hedges = sum(hedging.try_spend() for _ in range(min(together, wanted)))
        for _ in range(together):
            hedging.ended()
        hedges_of.append(hedges)
        runs.append(together)
    for start in range(len(runs)):
        for end in range(start + 1, len(runs) + 1):
            assert sum(hedges_of[start:end]) <= ceil(extra * sum(runs[start:end]) - 1e-9)


def test_the_twentieth_call_earns_the_first_hedge() -> None:
    hedging = Hedging(HedgePolicy())
    for _ in range(19):
        calls_in_a_row(hedging, 1)
        assert not hedging.try_spend()
    calls_in_a_row(hedging, 1)
    assert hedging.try_spend()
    assert not hedging.try_spend()


def test_one_hedge_at_most_is_left_to_later_calls() -> None:
    hedging = Hedging(HedgePolicy())
    calls_in_a_row(hedging, 10_000)
    assert sum(hedging.try_spend() for _ in range(100)) == 1


def test_calls_that_are_under_way_together_have_all_the_hedges_they_earned() -> None:
    hedging = Hedging(HedgePolicy())
    for _ in range(100):
        hedging.called()
    assert sum(hedging.try_spend() for _ in range(100)) == 5
    calls_in_a_row(hedging, 1)
    assert not hedging.try_spend()


def test_a_call_that_is_over_takes_none_of_what_those_still_in_flight_have_earned() -> None:
    hedging = Hedging(HedgePolicy(extra=1.0))
    for _ in range(5):
        hedging.called()
    for _ in range(2):
        hedging.ended()
    assert sum(hedging.try_spend() for _ in range(10)) == 3


def test_the_tools_called_least_recently_are_forgotten() -> None:
    hedging = Hedging(HedgePolicy(minimum=1))
    for number in range(1024):
        hedging.note(f"tool {number}", 1.0)
    hedging.note("tool 0", 1.0)
    hedging.note("one more", 1.0)
    assert hedging.delay("tool 0") == 1.0
    assert hedging.delay("tool 1") is None
    assert hedging.delay("tool 2") == 1.0


def test_it_says_in_one_line_what_it_has() -> None:
    hedging = Hedging(HedgePolicy(extra=0.5))
    hedging.note("read", 1.0)
    calls_in_a_row(hedging, 3)
    assert hedging.try_spend()
    assert not hedging.try_spend()
    assert repr(hedging) == "<Hedging [1 tools, 0.00 hedges saved, 1 started, 1 refused]>"


@pytest.mark.parametrize("extra", [0.01, 0.05, 0.1, 0.2, 1.0])
def test_what_is_earned_is_not_lost_to_rounding(extra: float) -> None:
    hedging = Hedging(HedgePolicy(extra=extra))
    calls_in_a_row(hedging, round(1 / extra))
    assert hedging.try_spend()
