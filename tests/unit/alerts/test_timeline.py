"""What happened in a window is a difference of two samples; how much of it was watched is known."""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.alerts.timeline import NOTHING, Count, Subject, Timeline

ONE: Subject = ("one",)


class Counting:
    def __init__(self) -> None:
        self.counts: dict[Subject, Count] = {}

    def __call__(self) -> Mapping[Subject, Count]:
        return dict(self.counts)


def test_a_window_holds_what_came_within_it() -> None:
    read = Counting()
    timeline = Timeline(read)
    timeline.keep([60.0], 0.0, started=0.0)
    for second in range(1, 200):
        read.counts[ONE] = Count(second * 10, second)
        timeline.sample(float(second))
    before, is_known = timeline.window(60.0, 199.0)
    assert is_known
    # Samples are two seconds apart: the window is that much longer at most.
    assert 600 <= timeline.now[ONE].total - before[ONE].total <= 620


def test_before_half_a_window_was_watched_nothing_is_known_of_it() -> None:
    timeline = Timeline(Counting())
    timeline.keep([60.0], 0.0, started=0.0)
    timeline.sample(29.0)
    assert not timeline.window(60.0, 29.0).is_known
    assert timeline.window(60.0, 30.0).is_known


def test_what_was_counted_before_watching_began_lies_in_no_window() -> None:
    read = Counting()
    read.counts[ONE] = Count(1000, 1000)
    timeline = Timeline(read)
    timeline.keep([60.0], 5000.0)
    timeline.sample(5001.0)
    assert timeline.window(60.0, 5001.0).before[ONE] == Count(1000, 1000)


def test_a_subject_that_turns_up_within_the_window_counts_from_nothing() -> None:
    read = Counting()
    timeline = Timeline(read)
    timeline.keep([60.0], 0.0, started=0.0)
    for second in range(1, 100):
        timeline.sample(float(second))
    read.counts[ONE] = Count(7, 7)
    timeline.sample(100.0)
    assert timeline.window(60.0, 100.0).before.get(ONE, NOTHING) == NOTHING


def test_memory_is_bounded_however_long_it_runs() -> None:
    timeline = Timeline(Counting())
    timeline.keep([60.0, 300.0], 0.0, started=0.0)
    for second in range(1, 3000):
        timeline.sample(float(second))
    assert repr(timeline) == "<Timeline [0 subjects, 62 samples]>"


def test_windows_that_stay_keep_their_past_and_new_ones_begin_now() -> None:
    timeline = Timeline(Counting())
    timeline.keep([60.0], 0.0, started=0.0)
    for second in range(1, 100):
        timeline.sample(float(second))
    timeline.keep([60.0, 300.0], 99.0)
    assert timeline.window(60.0, 99.0).is_known
    assert not timeline.window(300.0, 99.0).is_known
