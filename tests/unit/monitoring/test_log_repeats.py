"""Of many records alike the first are written, and then how many there were: none is passed over in silence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.monitoring.log_repeats import Kind, Repeats
from trunkline.policy import RepeatsPolicy

KIND = Kind("app", "WARNING", "still broken")


def test_the_first_of_a_kind_are_written_and_the_next_after_the_window_says_how_many_were_not() -> None:
    repeats = Repeats(RepeatsPolicy(burst=2, interval=10.0))
    assert [repeats.admit(KIND, now) for now in (0.0, 1.0, 2.0, 9.0)] == [0, 0, None, None]
    assert repeats.admit(Kind("app", "WARNING", "another"), 9.0) == 0
    assert repeats.admit(KIND, 10.0) == 2
    assert repeats.admit(KIND, 11.0) == 0
    assert repr(repeats) == "<Repeats [2 kinds, 2 suppressed]>"


def test_what_was_suppressed_is_told_once_its_window_is_over_although_nothing_follows() -> None:
    repeats = Repeats(RepeatsPolicy(burst=1, interval=10.0))
    for _ in range(4):
        repeats.admit(KIND, 0.0)
    assert repeats.ended(9.9) == []
    assert not repeats.is_idle
    assert repeats.ended(10.0) == [(KIND, 3)]
    assert repeats.is_idle
    assert repeats.ended(11.0) == []


def test_nothing_is_suppressed_where_that_is_switched_off() -> None:
    repeats = Repeats(RepeatsPolicy(enabled=False, burst=1))
    assert [repeats.admit(KIND, 0.0) for _ in range(5)] == [0] * 5
    assert repeats.is_idle


def test_a_flood_of_kinds_takes_bounded_memory_and_loses_no_count() -> None:
    repeats = Repeats(RepeatsPolicy(burst=1, interval=10.0))
    for number in range(5000):
        kind = Kind("app", "INFO", f"message {number}")
        assert repeats.admit(kind, 0.0) == 0
        assert repeats.admit(kind, 0.0) is None
    assert repr(repeats) == "<Repeats [1024 kinds, 5000 suppressed]>"
    assert sum(count for _, count in repeats.ended(10.0)) == 5000


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 3)), max_size=60), st.integers(1, 4))
def test_every_record_is_written_or_told_as_suppressed(steps: list[tuple[int, float]], burst: int) -> None:
    repeats, now, written, told = Repeats(RepeatsPolicy(burst=burst, interval=5.0)), 0.0, 0, 0
    for number, pause in steps:
        now += pause
        before = repeats.admit(Kind("app", "INFO", str(number)), now)
        if before is not None:
            written += 1
            told += before
        told += sum(count for _, count in repeats.ended(now)) if number == 3 else 0
    told += sum(count for _, count in repeats.ended(now + 5.0))
    assert written + told == len(steps)
    assert told == repeats.total
