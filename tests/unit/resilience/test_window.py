from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.resilience.window import BUCKETS, Window


def test_outcomes_are_counted_by_kind() -> None:
    window = Window(30.0)
    window.record(1.0, failed=True)
    window.record(1.0, failed=False, slow=True)
    window.record(2.0, failed=True, slow=True)
    assert (window.successes, window.failures, window.slow, window.total) == (1, 2, 2, 3)
    assert repr(window) == "<Window [2 of 3 failed, 2 slow]>"


def test_an_outcome_is_forgotten_between_nine_tenths_of_the_window_and_the_whole_of_it() -> None:
    window = Window(30.0)
    window.record(2.9, failed=True, slow=True)
    window.advance(29.9)
    assert window.failures == 1
    window.advance(30.0)
    assert (window.failures, window.slow) == (0, 0)


def test_an_outcome_late_in_its_bucket_is_forgotten_with_it() -> None:
    window = Window(30.0)
    window.record(0.0, failed=False)
    window.record(3.0, failed=False)
    window.advance(32.9)
    assert window.successes == 1
    window.advance(33.0)
    assert window.successes == 0


def test_a_silence_longer_than_the_window_empties_it() -> None:
    window = Window(30.0)
    for second in range(30):
        window.record(float(second), failed=second % 2 == 0, slow=True)
    window.advance(1e9)
    assert (window.total, window.slow) == (0, 0)


def test_a_clock_that_starts_anywhere_counts_from_there() -> None:
    for start in (-1e6, 0.0, 1e12):
        window = Window(30.0)
        window.record(start, failed=True)
        window.advance(start + 20.0)
        assert window.failures == 1
        window.advance(start + 31.0)
        assert window.failures == 0


def test_a_clock_that_steps_back_loses_and_doubles_nothing() -> None:
    window = Window(30.0)
    window.record(100.0, failed=True)
    window.record(40.0, failed=True)
    for now in (-5.0, 70.0, 128.0):
        window.advance(now)
        assert window.failures == 2
    window.advance(131.0)
    assert window.failures == 0


def test_a_cleared_window_is_like_a_new_one() -> None:
    window = Window(30.0)
    window.record(500.0, failed=True, slow=True)
    window.clear()
    assert (window.total, window.slow) == (0, 0)
    window.record(3.0, failed=True)
    window.advance(29.0)
    assert window.failures == 1
    window.advance(33.0)
    assert window.failures == 0


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.4, 1.0, 3.0, 9.5, 29.0, 31.0, 1000.0]), st.booleans(), st.booleans()),
        max_size=60,
    )
)
def test_the_ring_counts_what_a_list_of_all_outcomes_counts(steps: list[tuple[float, bool, bool]]) -> None:
    window, history, now = Window(10.0), list[tuple[int, bool, bool]](), 0.0
    for pause, failed, slow in steps:
        now += pause
        window.record(now, failed=failed, slow=slow)
        history.append((int(now // 1.0), failed, slow))
        recent = [outcome for outcome in history if outcome[0] > int(now // 1.0) - BUCKETS]
        assert window.failures == sum(failed for _, failed, _ in recent)
        assert window.successes == sum(not failed for _, failed, _ in recent)
        assert window.slow == sum(slow for _, _, slow in recent)
