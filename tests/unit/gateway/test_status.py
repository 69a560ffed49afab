"""The one sentence that says how things are."""

from __future__ import annotations

import pytest

from trunkline import DependencyHealth, HealthReport
from trunkline.gateway.status import overall
from trunkline.health.status import HealthState


def report(state: HealthState, *states: HealthState, bad: str = "") -> HealthReport:
    servers = tuple(
        DependencyHealth(f"s{number}", found, 100.0 + number, "" if found == "healthy" else "why")
        for number, found in enumerate(states)
    )
    others = (DependencyHealth(bad, "degraded", 50.0, "line 1"),) if bad else ()
    return HealthReport(state, servers, others, 0.0)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (report("healthy"), "No server is configured."),
        (report("healthy", "healthy"), "The server works; 5 tools can be called."),
        (report("healthy", "healthy", "healthy"), "All 2 servers work; 5 tools can be called."),
        (report("unknown", "unknown", "unknown"), "All 2 servers are being connected."),
        (report("down", "down"), "The server is down."),
        (report("down", "down", "down"), "All 2 servers are down."),
        (report("degraded", "down", "healthy", "degraded"), "Of 3 servers, 1 is down and 1 is in trouble."),
        (report("degraded", "degraded"), "The server is in trouble."),
        (
            report("degraded", "healthy", bad="configuration"),
            "The server works; 5 tools can be called. The configuration file is invalid.",
        ),
        (
            report("degraded", "healthy", bad="redis"),
            "The server works; 5 tools can be called. The shared cache is away; answers are kept here alone.",
        ),
        (
            report("degraded", "healthy", bad="exporter"),
            "The server works; 5 tools can be called. The exporter is degraded.",
        ),
    ],
)
def test_the_sentence_says_how_many_work_and_what_does_not(told: HealthReport, sentence: str) -> None:
    assert overall(told, 5)["sentence"] == sentence


def test_trouble_is_told_worst_first_and_since_the_worst_began() -> None:
    told = overall(report("degraded", "degraded", "down", "healthy"), 5)
    assert told["reasons"] == ["s1: why", "s0: why"]
    assert told["since"] == 101.0


def test_all_is_well_since_the_last_of_them_was() -> None:
    assert overall(report("healthy", "healthy", "healthy"), 5)["since"] == 101.0
    assert overall(report("healthy"), 0)["since"] is None
