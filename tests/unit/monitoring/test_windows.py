from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.monitoring.windows import Windows


def filled(*records: tuple[float, float], failed: bool = False) -> Windows:
    windows = Windows()
    windows.add(sorted(records), failed=failed)
    return windows


@pytest.mark.parametrize("seconds", [60.0, 600.0, 3600.0, 172_800.0])
def test_each_ring_holds_its_stretch_of_time(seconds: float) -> None:
    now = 1_000_000.0
    windows = filled((now - seconds / 2, 0.1), (now, 0.2), (now - 2.1 * seconds, 0.3))
    assert windows.read(now, seconds).histogram.count == 2


def test_errors_are_counted_beside_durations() -> None:
    windows = filled((10.0, 0.1), (10.5, 0.1))
    windows.add([(10.7, 0.3)], failed=True)
    span = windows.read(11.0, 60.0)
    assert (span.histogram.count, span.errors) == (3, 1)


def test_a_record_that_arrives_late_still_finds_its_slot() -> None:
    windows = filled((100.0, 0.1), (130.0, 0.1))
    windows.add([(100.4, 0.2)], failed=True)
    span = windows.read(100.9, 1.0, reach=60.0)
    assert (span.histogram.count, span.errors) == (2, 1)


def test_a_record_older_than_its_ring_counts_in_the_coarser_ones_only() -> None:
    windows = filled((10_000.0, 0.1))
    windows.add([(9_000.0, 0.2)], failed=False)
    assert windows.read(10_000.0, 600.0).histogram.count == 1
    assert windows.read(10_000.0, 3600.0).histogram.count == 2


def test_compared_spans_share_one_edge_and_no_record() -> None:
    windows = filled(*((second + 0.5, 0.1) for second in range(300)))
    current = windows.read(299.9, 60.0, reach=120.0)
    before = windows.read(299.9, 60.0, ago=60.0, reach=120.0)
    assert before.end == current.start
    assert (before.histogram.count, current.histogram.count) == (60, 60)


@given(st.lists(st.tuples(st.floats(0, 3000), st.floats(0, 5)), min_size=1, max_size=80), st.integers(1, 80))
def test_the_order_and_size_of_batches_do_not_change_the_hour(records: list[tuple[float, float]], cut: int) -> None:
    whole, parts = Windows(), Windows()
    whole.add(records, failed=False)
    for start in range(0, len(records), cut):
        parts.add(records[start : start + cut], failed=False)
    one, other = whole.read(3000.0, 3600.0).histogram, parts.read(3000.0, 3600.0).histogram
    assert (one.count, one.buckets) == (other.count, other.buckets) == (len(records), one.buckets)


def test_a_busy_series_takes_less_than_fifty_kibibytes() -> None:
    windows = Windows()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for step, count in ((3600, 48), (60, 60), (10, 60), (1, 60)):
            for slot in range(count):
                at = 200_000.0 - (count - slot) * step
                windows.add([(at, 0.01 * 1.2 ** (number % 20)) for number in range(200)], failed=False)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert windows.read(200_000.0, 60.0).histogram.count > 0
    assert taken < 50 * 1024


@given(
    st.lists(st.tuples(st.floats(0, 8000), st.floats(0, 5)), max_size=80).map(sorted),
    st.integers(1, 80),
    st.randoms(use_true_random=False),
)
def test_batches_that_come_late_reach_every_ring_that_goes_back_to_them(
    records: list[tuple[float, float]], size: int, dice: random.Random
) -> None:
    windows = Windows()
    batches = [records[start : start + size] for start in range(0, len(records), size)]
    dice.shuffle(batches)
    for batch in batches:
        windows.add(batch, failed=True)
    now = max((at for at, _ in records), default=0.0)
    whole = windows.read(now, 48 * 3600.0)
    assert (whole.histogram.count, whole.errors) == (len(records), len(records))
    hour = windows.read(now, 3600.0, reach=3600.0)
    assert hour.histogram.count <= sum(at >= hour.start for at, _ in records)
    assert windows.read(now, 7200.0).histogram.count >= hour.histogram.count


def test_minutes_are_counted_whole_and_without_the_present_one() -> None:
    windows = filled(*((60.0 * minute + 1.0, 0.1) for minute in range(10) for _ in range(minute)))
    assert windows.minutes(9 * 60 + 30.0, 5) == [4, 5, 6, 7, 8]
    assert windows.minutes(9 * 60 + 30.0, 12) == [0, 0, 0, *range(9)]
    # The last one is still open in the finest ring, and counts.
    assert windows.minutes(10 * 60 + 1.0, 2) == [8, 9]
