"""How long each tool takes, remembered for the tools that were called lately."""

from __future__ import annotations

import pytest

from trunkline.resilience.service_times import ServiceTimes


def test_nothing_is_expected_of_a_tool_nobody_has_called() -> None:
    assert ServiceTimes().expected("read") == 0.0


def test_the_average_begins_with_the_first_and_follows_by_a_fifth() -> None:
    times = ServiceTimes()
    times.note("read", 10.0)
    assert times.expected("read") == 10.0
    times.note("read", 5.0)
    assert times.expected("read") == pytest.approx(9.0)
    times.note("read", 14.0)
    assert times.expected("read") == pytest.approx(10.0)
    assert times.expected("other") == 0.0


def test_the_tools_that_succeeded_least_recently_are_forgotten() -> None:
    times = ServiceTimes()
    for number in range(256):
        times.note(str(number), 1.0)
    assert repr(times) == "<ServiceTimes [256 of 256 tools]>"
    times.note("0", 1.0)
    times.note("one more", 1.0)
    assert (times.expected("0"), times.expected("1"), times.expected("2")) == (1.0, 0.0, 1.0)
    assert repr(times) == "<ServiceTimes [256 of 256 tools]>"
