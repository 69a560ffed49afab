"""What the rules compare, and what became of alerts, as metrics: exported rules have nothing else to go by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trunkline.monitoring.readings import Reading

if TYPE_CHECKING:
    from trunkline.alerts.manager import AlertManager

__all__ = ["alert_readings"]


def alert_readings(alerts: AlertManager) -> Iterator[Reading]:
    """States that only rules ask for, the cost of our own upkeep, alerts by state, and notifications by sink."""
    sources = alerts.sources
    up = {of: {subject: 1.0 - down for subject, down in sources.values(of).items()} for of in ("health", "dependency")}
    servers = ("mcp_server", "replica")
    yield Reading(
        "trunkline_server_up",
        "gauge",
        "0 while a server's replica is down, else 1.",
        up["health"],
        servers,
        merge="min",
    )
    text = "0 while something that is no MCP server is down, else 1."
    yield Reading("trunkline_dependency_up", "gauge", text, up["dependency"], ("dependency",), merge="min")
    late = sources.values("loop")
    yield Reading(
        "trunkline_event_loop_lag_last_seconds", "gauge", "How late the event loop woke last.", late, merge="max"
    )
    upkeep = sources.counts("upkeep", None)
    times = {part: float(count.total) for part, count in upkeep.items()}
    yield Reading("trunkline_upkeep", "counter", "Times our own work was measured.", times, ("part",))
    seconds = {part: count.seconds for part, count in upkeep.items()}
    yield Reading("trunkline_upkeep_seconds", "counter", "Seconds our own work took.", seconds, ("part",))
    states: dict[tuple[str, ...], float] = dict.fromkeys([("pending",), ("firing",), ("recovering",)], 0.0)
    for alert in alerts.active():
        states[alert.state,] += 1
    yield Reading("trunkline_alerts", "gauge", "Alerts by their state.", states, ("state",), merge="max")
    told: dict[tuple[str, ...], float] = {
        (sink.name, result): float(number)
        for sink in alerts.sinks()
        for result, number in (("delivered", sink.delivered), ("failed", sink.failed), ("dropped", sink.dropped))
    }
    text = "Notifications by what became of them."
    yield Reading("trunkline_alert_notifications", "counter", text, told, ("sink", "result"))
    failed: dict[tuple[str, ...], float] = {(kind,): float(number) for kind, number in alerts.failures.items()}
    yield Reading("trunkline_alert_evaluation_failures", "counter", "Evaluations that failed.", failed, ("error",))
