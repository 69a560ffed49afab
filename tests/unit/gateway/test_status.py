"""The one sentence that says how things are."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline import DependencyHealth, HealthReport
from trunkline.alerts import Alert
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


def alert(**changes: Any) -> Alert:
    facts: dict[str, Any] = {
        "rule": "DomainErrors",
        "severity": "warning",
        "state": "firing",
        "labels": {"domain": "speech"},
        "since": 90.0,
        "fired": 95.0,
        "ended": None,
        "value": 0.12,
        "threshold": 0.05,
        "summary": "Domain speech: 12 % of requests fail (limit 5 %).",
    }
    return Alert(**(facts | changes))


def test_an_alert_that_fires_is_trouble_where_all_is_well_otherwise() -> None:
    told = overall(report("healthy", "healthy"), 5, [alert()])
    assert (told["state"], told["since"]) == ("degraded", 90.0)
    assert told["sentence"] == "The server works; 5 tools can be called. One alert is firing."
    assert told["reasons"] == ["Domain speech: 12 % of requests fail (limit 5 %)."]
    worse = overall(report("degraded", "down", "healthy"), 5, [alert(), alert()])
    assert (worse["state"], worse["since"]) == ("degraded", 100.0)
    assert worse["sentence"] == "Of 2 servers, 1 is down. 2 alerts are firing."


@pytest.mark.parametrize("quiet", [{"state": "pending"}, {"state": "recovering"}, {"inhibited_by": "ServerDown"}])
def test_an_alert_that_does_not_fire_or_is_explained_by_another_is_no_trouble(quiet: dict[str, str]) -> None:
    assert overall(report("healthy", "healthy"), 5, [alert(**quiet)])["state"] == "healthy"
