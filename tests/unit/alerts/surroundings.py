"""A collector whose clock a test moves, an alert manager over it, and everything it told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.alerts import Alert, AlertManager
from trunkline.events import AlertChanged, CircuitChanged, Event
from trunkline.health.report import DependencyHealth, HealthReport
from trunkline.health.status import HealthState
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.policy import BUILT_IN_RULES, AlertRule, AlertSettings, DomainPolicy

EPOCH = 1_000_000.0
"""Seconds since the epoch when the clock shows 0."""


class World:
    """Time goes in steps of one evaluation; health is what the test says."""

    def __init__(
        self, *, step: float = 1.0, domains: Mapping[str, DomainPolicy] | None = None, **rules: AlertRule
    ) -> None:
        self.now = 0.0
        self.step = step
        self.health: dict[tuple[str, str], HealthState] = {}
        self.others: dict[str, HealthState] = {}
        self.lag = 0.0
        self.reports = 0
        self.events: list[Event] = []
        self.metrics = MetricsCollector(clock=lambda: self.now, wall=lambda: EPOCH + self.now)
        settings = AlertSettings(rules=rules or BUILT_IN_RULES, group_wait=0.0)
        self.alerts = AlertManager(
            settings, domains or {}, metrics=self.metrics, health=self.report, emit=self.events.append
        )

    def report(self) -> HealthReport:
        self.reports += 1
        names = dict.fromkeys(server for server, _ in self.health)
        servers = tuple(self._server(name) for name in names)
        others = tuple(DependencyHealth(name, state, EPOCH, "gone") for name, state in self.others.items())
        return HealthReport("healthy", servers, others, self.lag)

    def _server(self, name: str) -> DependencyHealth:
        parts = tuple(
            DependencyHealth(replica or name, state, EPOCH, "gone" if state == "down" else "")
            for (server, replica), state in self.health.items()
            if server == name
        )
        if len(parts) == 1:
            return parts[0]
        return DependencyHealth(name, "degraded", EPOCH, "", parts)

    def circuit(self, server: str, new: Any, replica: str | None = None) -> None:
        self.metrics.observe(CircuitChanged(self.now, server, replica, "closed", new, "as the test says"))

    def requests(self, good: int, bad: int = 0, *, domain: str = "speech", duration: float = 0.1) -> None:
        for outcome, times in (("ok", good), ("error", bad)):
            for _ in range(times):
                self.metrics.record(domain, "ask", duration=duration, outcome=outcome)

    def go(self, seconds: float, good: int = 0, bad: int = 0, **record: Any) -> None:
        """Let so much time pass; in each step so many requests end, then all is evaluated."""
        end = self.now + seconds
        while self.now < end:
            self.now += self.step
            self.requests(good, bad, **record)
            self.alerts.evaluate()

    def states(self) -> dict[str, str]:
        """The state of every alert, by its rule and subject."""
        return {title(alert): alert.state for alert in self.alerts.active()}

    def one(self) -> Alert:
        (alert,) = self.alerts.active()
        return alert

    def changes(self) -> list[tuple[str, str]]:
        """The state changes told, in order."""
        return [(event.old, event.new) for event in self.events if isinstance(event, AlertChanged)]


def title(alert: Alert) -> str:
    return " ".join((alert.rule, *alert.labels.values()))
