"""When a second attempt is worth it, and that there are never more of them than were earned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.policy import HedgePolicy
from trunkline.resilience.hedging import Hedging


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


@given(calls=st.lists(st.booleans(), max_size=400))
def test_there_are_never_more_hedges_than_one_in_twenty_calls(calls: list[bool]) -> None:
    hedging, hedged = Hedging(HedgePolicy()), 0
    for made, wants in enumerate(calls, 1):
        hedging.called()
        if wants and hedging.try_spend():
            hedged += 1
        assert hedged <= 0.05 * made + 1e-6


def test_the_twentieth_call_earns_the_first_hedge() -> None:
    hedging = Hedging(HedgePolicy())
    for _ in range(19):
        hedging.called()
        assert not hedging.try_spend()
    hedging.called()
    assert hedging.try_spend()
    assert not hedging.try_spend()


def test_no_more_than_ten_hedges_are_saved_up() -> None:
    hedging = Hedging(HedgePolicy())
    for _ in range(10_000):
        hedging.called()
    assert sum(hedging.try_spend() for _ in range(100)) == 10


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
    for _ in range(3):
        hedging.called()
    assert hedging.try_spend()
    assert not hedging.try_spend()
    assert repr(hedging) == "<Hedging [1 tools, 0.50 hedges saved, 1 started, 1 refused]>"


@pytest.mark.parametrize("extra", [0.01, 0.05, 0.1, 0.2, 1.0])
def test_what_is_earned_is_not_lost_to_rounding(extra: float) -> None:
    hedging = Hedging(HedgePolicy(extra=extra))
    for _ in range(round(1 / extra)):
        hedging.called()
    assert hedging.try_spend()
