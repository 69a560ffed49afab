from __future__ import annotations

import math
import random
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.monitoring.buckets import BOUNDS, FAST_BOUNDS, MCP_BOUNDS, TOOL_BOUNDS, positions
from trunkline.monitoring.histogram import Histogram, packed_count

durations = st.lists(st.floats(min_value=0, max_value=1000), max_size=60)


def lognormal(dice: random.Random) -> float:
    return dice.lognormvariate(-2, 0.8)


def bimodal(dice: random.Random) -> float:
    return dice.gauss(0.0003, 0.00004) if dice.random() < 0.7 else dice.gauss(0.8, 0.1)


def pareto(dice: random.Random) -> float:
    return 0.01 * dice.paretovariate(1.5)


@pytest.mark.requirement("SEED-METRICS-4")
@pytest.mark.parametrize("draw", [lognormal, bimodal, pareto])
@pytest.mark.parametrize("q", [0.5, 0.9, 0.95, 0.99])
def test_quantiles_err_by_one_percent_at_most(draw: object, q: float) -> None:
    assert callable(draw)
    dice = random.Random(20261122)
    values = sorted(abs(draw(dice)) for _ in range(50_000))
    true = values[math.ceil(q * len(values)) - 1]
    assert Histogram(values).quantile(q) == pytest.approx(true, rel=0.01)


@given(st.lists(st.floats(min_value=1e-5, max_value=500), min_size=1, max_size=60), st.floats(0, 1))
def test_no_quantile_is_further_off_than_its_bucket_is_wide(values: list[float], q: float) -> None:
    true = sorted(values)[max(0, math.ceil(q * len(values)) - 1)]
    assert true / 1.0906 <= Histogram(values).quantile(q) <= true * 1.0906


@given(durations, durations)
def test_merging_is_the_same_as_counting_together(left: list[float], right: list[float]) -> None:
    merged = Histogram(left)
    merged.merge(Histogram(right))
    together = Histogram(left + right)
    assert (merged.count, merged.buckets) == (together.count, together.buckets)
    assert (merged.shortest, merged.longest) == (together.shortest, together.longest)
    assert merged.total == pytest.approx(together.total)


@pytest.mark.parametrize(("times", "width"), [(255, 1), (256, 2), (65_536, 4), (2**32, 8)])
def test_counts_are_packed_as_narrow_as_the_largest_allows(times: int, width: int) -> None:
    original = Histogram([0.1, 0.2])
    original.buckets = dict.fromkeys(original.buckets, times)
    packed = b"head" + original.pack()
    restored = Histogram()
    restored.merge_packed(packed, 4)
    assert restored.buckets == original.buckets
    assert (len(packed), packed_count(packed, 4)) == (4 + 29 + 2 * (1 + width), 2)


@given(durations, st.integers(1, 400))
def test_a_packed_histogram_comes_back_whole(values: list[float], times: int) -> None:
    original = Histogram(values * times)
    restored = Histogram()
    restored.merge_packed(original.pack())
    assert (restored.count, restored.total, restored.buckets) == (original.count, original.total, original.buckets)
    assert (restored.shortest, restored.longest) == (original.shortest, original.longest)


@pytest.mark.parametrize("bounds", [MCP_BOUNDS, TOOL_BOUNDS, FAST_BOUNDS + MCP_BOUNDS])
def test_classic_buckets_are_exact_even_on_their_bounds(bounds: tuple[float, ...]) -> None:
    dice = random.Random(7)
    values = [dice.lognormvariate(-2, 2) for _ in range(2000)] + list(bounds)
    values.sort()
    expected = [sum(value <= bound for value in values) for bound in bounds]
    assert Histogram(values).cumulative(positions(bounds)) == expected


def test_what_outlasts_every_bound_is_counted_past_the_last() -> None:
    histogram = Histogram([1e6])
    assert histogram.cumulative([len(BOUNDS) - 1, len(BOUNDS)]) == [0, 1]
    assert histogram.quantile(0.5) == 1e6


def test_a_bound_that_is_not_ours_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"0\.25001 s is not a bucket bound"):
        positions([0.25001])


def test_an_empty_histogram_is_all_zero() -> None:
    histogram = Histogram()
    assert (histogram.quantile(0.99), histogram.mean, histogram.longest) == (0.0, 0.0, 0.0)
    assert repr(histogram) == "<Histogram [0 values, 0 buckets, mean 0 s]>"


def test_every_index_fits_the_one_byte_it_is_packed_in() -> None:
    assert len(BOUNDS) <= 255
    assert bisect_left(BOUNDS, math.inf) == len(BOUNDS)
