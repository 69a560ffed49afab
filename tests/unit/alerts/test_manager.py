"""From what is recorded to what is active: thresholds, windows, noise, and the sentences people read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.alerts.surroundings import EPOCH, World, title
from trunkline.alerts import AlertManager
from trunkline.events import AlertChanged, CallFinished
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.policy import BUILT_IN_RULES, AlertRule, AlertSettings, DomainPolicy

ERRORS = AlertRule(limit=0.05, for_=0.0, keep_firing_for=10.0)


def call(world: World, tool: str, outcome: str = "ok", *, duration: float = 0.1, cache: Any = "bypass") -> None:
    server = tool.partition("_")[0]
    world.metrics.observe(
        CallFinished(
            at=world.now,
            call_id="1",
            method="tools/call",
            name=tool,
            domain="speech",
            server=server,
            outcome=outcome,
            duration=duration,
            attempts=1,
            cache=cache,
            fallback=None,
            may_have_run=False,
            tracked=True,
        )
    )


@pytest.mark.requirement("SEED-OBS-3")
def test_too_many_failures_fire_with_a_sentence_that_says_whose_how_many_and_the_limit() -> None:
    world = World(DomainErrors=ERRORS)
    world.go(200, good=10)
    assert world.states() == {}
    world.go(120, good=22, bad=3)
    alert = world.one()
    assert (alert.state, alert.severity, dict(alert.labels)) == ("firing", "warning", {"domain": "speech"})
    assert alert.summary == "Domain speech: 7.5 % of requests fail (limit 5 %)."
    assert 0.05 < alert.value < 0.12
    assert (alert.threshold, alert.since, alert.fired) == (0.05, alert.fired, alert.since)
    assert EPOCH + 200 < alert.since <= EPOCH + 320
    assert alert.as_dict()["labels"] == {"domain": "speech"}


@pytest.mark.requirement("ALERTS-NOISE")
def test_one_failure_at_low_traffic_notifies_nobody() -> None:
    world = World(step=5.0)
    world.go(300)
    world.requests(0, 1)
    world.go(600)
    world.requests(1, 1)
    world.go(600)
    assert (world.states(), world.alerts.history(), world.changes()) == ({}, (), [])


def test_both_windows_have_to_say_so() -> None:
    world = World(DomainErrors=ERRORS)
    world.go(290, good=10)
    world.go(10, bad=5)
    # A short burst weighs in the last minute, and not in the last five.
    assert world.states() == {}
    world.go(30, bad=10)
    assert world.states() == {"DomainErrors speech": "firing"}
    # A minute after the last failure it is over, though the long window still holds it.
    world.go(61, good=10)
    assert world.states() == {"DomainErrors speech": "recovering"}


def test_a_firing_alert_goes_on_until_the_value_is_well_below_the_limit() -> None:
    world = World(step=10.0, DomainErrors=replace(ERRORS, short=0.0))
    world.go(300, good=90, bad=10)
    world.go(300, good=955, bad=45)
    assert world.states() == {"DomainErrors speech": "firing"}
    world.go(310, good=97, bad=3)
    assert world.states() in ({"DomainErrors speech": "recovering"}, {})
    fresh = World(step=10.0, DomainErrors=replace(ERRORS, short=0.0))
    fresh.go(300, good=955, bad=45)
    assert fresh.states() == {}


@pytest.mark.requirement("ALERTS-NOISE")
def test_a_flapping_server_makes_one_incident_and_two_notifications() -> None:
    world = World()
    for _ in range(8):
        world.health["search", ""] = "down"
        world.go(30)
        world.health["search", ""] = "healthy"
        world.go(30)
    assert world.states() == {"ServerDown search": "recovering"}
    world.go(100)
    (incident,) = world.alerts.history()
    assert incident.summary == "Server search is down."
    assert (incident.state, incident.since, incident.fired) == ("inactive", EPOCH + 1, EPOCH + 11)
    assert incident.ended is not None
    fired = [change for change in world.changes() if change == ("pending", "firing")]
    assert len(fired) == 1


def test_a_process_that_has_just_started_says_that_it_does_not_know() -> None:
    world = World(DomainErrors=ERRORS)
    world.go(149, bad=10)
    assert (world.states(), world.alerts.rules()) == ({}, {"DomainErrors": "unknown"})
    world.go(1, bad=10)
    assert world.alerts.rules() == {"DomainErrors": "firing"}


def test_states_are_told_by_name_and_an_open_circuit_explains_its_tools() -> None:
    world = World()
    world.health["search", ""] = "healthy"
    for _ in range(200):
        call(world, "search_web")
        world.go(1)
    world.circuit("search", "open")
    for _ in range(100):
        call(world, "search_web", "CircuitOpen")
        world.go(1)
    found = {alert.rule: alert for alert in world.alerts.active()}
    assert found["CircuitOpen"].summary == "The circuit of server search is open."
    assert found["CircuitOpen"].inhibited_by == ""
    assert found["ToolErrors"].inhibited_by == "CircuitOpen search"
    assert found["ToolErrors"].summary.startswith("Tool search_web: ")
    assert world.alerts.active()[0].state == "firing"


def test_of_several_replicas_the_one_that_is_down_is_named() -> None:
    world = World()
    world.health |= {("search", "a:1"): "healthy", ("search", "b:2"): "down"}
    world.others["redis"] = "down"
    world.go(11)
    assert {alert.summary: alert.reason for alert in world.alerts.active()} == {
        "Replica b:2 of server search is down.": "gone",
        "Dependency redis is down.": "gone",
    }


def test_what_reading_health_costs_does_not_grow_with_how_many_servers_are_down() -> None:
    reports: list[int] = []
    for number in (1, 50):
        world = World()
        world.health.update(((f"s{index}", ""), "down") for index in range(number))
        world.alerts.evaluate()
        assert {alert.reason for alert in world.alerts.active()} == {"gone"}
        reports.append(world.reports)
    assert reports[0] == reports[1]


def test_a_loop_that_lags_for_long_is_an_alert() -> None:
    world = World()
    world.lag = 0.25
    world.go(31)
    assert world.one().summary == "The event loop wakes 250 ms late (limit 100 ms)."


def test_a_mean_call_of_more_than_two_seconds_is_an_alert_without_any_configuration() -> None:
    world = World(step=5.0)
    for _ in range(60):
        call(world, "stt_transcribe", duration=2.5)
        world.go(5)
    assert world.one().summary == "Tool stt_transcribe: calls take 2.5 s on average (limit 2 s)."


def test_a_cache_that_answers_too_little_is_told_by_what_it_answers() -> None:
    world = World(step=10.0)
    for _ in range(300):
        for result in ("hit", "miss", "coalesced", "miss"):
            call(world, "search_web", cache=result)
        world.go(10)
    assert world.one().summary == "Domain speech: the cache answers 50 % of what it could (limit 80 %)."
    assert world.one().severity == "info"


@pytest.mark.requirement("SEED-METRICS-3")
def test_the_thresholds_of_a_domain_are_its_own() -> None:
    world = World(step=5.0, domains={"speech": DomainPolicy(p95=1.0, error_ratio=0.5)})
    world.go(240, good=10, bad=2, duration=0.5)
    assert world.states() == {}
    world.go(240, good=10, duration=1.5)
    assert "DomainSlowP95 speech" in world.states()
    summary = next(alert.summary for alert in world.alerts.active())
    assert summary.endswith("% of requests take longer than 1 s (limit 5 %).")


def test_what_should_happen_and_does_not_is_an_alert() -> None:
    world = World(Silent=AlertRule(bad="absent", only=("sp*",), for_=0.0))
    world.go(300, good=1)
    world.go(290)
    assert world.states() == {}
    world.go(30)
    assert world.one().summary == "Domain speech: not one request for 5 min."
    world.go(5, good=1)
    assert world.one().state == "recovering"


def test_what_recording_and_reading_health_cost_is_watched() -> None:
    world = World()
    world.go(200)
    counts = world.alerts.sources.counts("upkeep", None)
    assert {part: count.total for part, count in counts.items()} == {("record",): 200, ("health_read",): 200}
    assert all(count.seconds > 0 for count in counts.values())
    assert world.metrics.domains() == ()


def test_a_name_that_a_caller_made_up_is_nobodys_tool() -> None:
    world = World(step=5.0)
    for _ in range(80):
        call(world, "no_such_tool", "ToolNotFound")
        world.go(5)
    assert world.states() == {}


def test_new_rules_leave_alone_what_they_do_not_change() -> None:
    down = replace(BUILT_IN_RULES["ServerDown"], runbook="https://runbooks.internal/down")
    world = World(DomainErrors=ERRORS, ServerDown=BUILT_IN_RULES["ServerDown"])
    world.health["search", ""] = "down"
    world.go(300, good=5, bad=5)
    before = world.states()
    assert set(before.values()) == {"firing"}
    world.alerts.apply(AlertSettings(rules={"DomainErrors": replace(ERRORS, limit=0.4), "ServerDown": down}), {})
    assert world.states() == {"ServerDown search": "firing"}
    assert world.one().runbook == "https://runbooks.internal/down"
    assert [title(alert) for alert in world.alerts.history()] == ["DomainErrors speech"]
    world.go(1, good=5, bad=5)
    # What was counted counts on under the new limit.
    assert world.states() == {"ServerDown search": "firing", "DomainErrors speech": "firing"}


def test_alerts_that_are_switched_off_end() -> None:
    world = World()
    world.health["search", ""] = "down"
    world.go(60)
    world.alerts.apply(AlertSettings(enabled=False), {})
    world.go(10)
    assert (world.states(), world.alerts.rules()) == ({}, {})
    assert repr(world.alerts) == "<AlertManager [0 rules, nothing wrong]>"


def test_the_history_is_bounded_and_newest_first() -> None:
    world = World()
    world.alerts.apply(AlertSettings(history=2), {})
    for name in ("a", "b", "c"):
        world.health[name, ""] = "down"
        world.go(20)
        world.health[name, ""] = "healthy"
        world.go(130)
    assert [title(alert) for alert in world.alerts.history()] == ["ServerDown c", "ServerDown b"]


def test_each_change_is_told_once_as_an_event() -> None:
    world = World()
    world.health["search", ""] = "down"
    world.go(15)
    world.health["search", ""] = "healthy"
    world.go(130)
    assert world.changes() == [
        ("inactive", "pending"),
        ("pending", "firing"),
        ("firing", "recovering"),
        ("recovering", "inactive"),
    ]
    first = next(event for event in world.events if isinstance(event, AlertChanged))
    assert (first.rule, first.severity, first.subject) == ("ServerDown", "critical", "server=search")
    assert first.summary == "Server search is down."


def test_a_collector_alone_can_be_watched() -> None:
    now = 0.0
    metrics = MetricsCollector(clock=lambda: now)
    alerts = AlertManager(AlertSettings(rules={"DomainErrors": ERRORS}), metrics=metrics)
    for second in range(200):
        now = float(second)
        metrics.record("speech", "ask", duration=0.1, outcome="error")
        alerts.evaluate()
    assert [alert.rule for alert in alerts.active()] == ["DomainErrors"]


def test_a_rule_that_was_added_later_does_not_count_what_was_before() -> None:
    world = World(DomainErrors=replace(ERRORS, enabled=False))
    world.go(1000, bad=5)
    world.alerts.apply(AlertSettings(rules={"DomainErrors": ERRORS}), {})
    world.go(300, good=5)
    assert world.states() == {}
