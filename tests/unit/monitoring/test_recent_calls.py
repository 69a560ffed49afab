"""The calls worth looking at are kept, whatever comes, in bounded memory and without what was asked or answered."""

from __future__ import annotations

import random
from typing import Any

from trunkline.events import CallFinished
from trunkline.monitoring.recent_calls import RecentCalls


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def finished(**changes: Any) -> CallFinished:
    facts: dict[str, Any] = {
        "at": 1.0,
        "call_id": "c",
        "method": "tools/call",
        "name": "s_tool",
        "domain": "d",
        "server": "s",
        "outcome": "ok",
        "duration": 0.1,
        "attempts": 1,
        "cache": "miss",
        "fallback": None,
        "may_have_run": True,
        "tracked": False,
    }
    return CallFinished(**(facts | changes))


def test_the_slowest_are_kept_whatever_their_order() -> None:
    calls, rng = RecentCalls(), random.Random(5)
    durations = [rng.random() for _ in range(500)]
    for duration in durations:
        calls(finished(duration=duration))
    assert [call.duration for call in calls.slow("server", "s")] == sorted(durations, reverse=True)[:25]
    assert calls.slow("domain", "d") == calls.slow("server", "s")
    assert calls.failed("server", "s") == []


def test_the_latest_failures_are_kept_however_quick_they_were() -> None:
    calls = RecentCalls()
    for number in range(40):
        calls(finished(call_id=str(number), outcome="tool_error", duration=0.0))
        calls(finished(call_id="good", duration=1.0))
    assert [call.id for call in calls.failed("server", "s")] == [str(number) for number in range(39, 14, -1)]


def test_a_slow_call_is_forgotten_after_ten_minutes() -> None:
    clock = Clock()
    calls = RecentCalls(wall=clock)
    calls(finished(call_id="old", duration=9.0))
    clock.now += 601
    calls(finished(call_id="new", duration=0.1))
    assert [call.id for call in calls.slow("server", "s")] == ["new"]


def test_a_call_its_caller_cancelled_has_not_failed() -> None:
    calls = RecentCalls()
    calls(finished(outcome="cancelled"))
    assert calls.failed("server", "s") == []


def test_made_up_tools_and_addresses_are_not_named() -> None:
    calls = RecentCalls()
    calls(finished(name="sk-secret", outcome="ToolNotFound", server="", call_id="made up"))
    calls(finished(name="file:///secret", method="resources/read", outcome="ServerError"))
    assert [call.tool for call in calls.failed("domain", "d")] == ["resources/read", "_unknown"]


def test_a_flood_of_domains_takes_bounded_memory_and_keeps_what_was_known() -> None:
    calls = RecentCalls()
    calls(finished(domain="first"))
    for number in range(2000):
        calls(finished(domain=f"flood-{number}"))
    calls(finished(domain="first", duration=2.0))
    assert repr(calls) == "<RecentCalls [500 of 500 servers and domains]>"
    assert calls.slow("domain", "first")[0].duration == 2.0
