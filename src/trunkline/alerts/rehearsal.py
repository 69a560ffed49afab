"""A story told to a collector and its rules, evaluation by evaluation: what is exported, and what alerts come of it.

Time is the story's own. From this come the tests of exported rules: Prometheus, told the same, must come to the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from trunkline.alerts.alert import AlertState
from trunkline.alerts.manager import AlertManager
from trunkline.alerts.promql import METRICS
from trunkline.alerts.readings import alert_readings
from trunkline.alerts.rule import Rule
from trunkline.health.report import DependencyHealth, HealthReport
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.monitoring.prometheus import PrometheusExporter
from trunkline.policy import AlertSettings, DomainPolicy

__all__ = ["Moment", "Rehearsal"]

_SAMPLE: Final = re.compile(r"(?P<series>(?P<name>\w+)(?:\{.*\})?) (?P<value>\S+)")
_WORD: Final = re.compile(r"[a-z_]{12,}")

Moment = Mapping[tuple[str, ...], AlertState]
"""The state of each alert, by its rule and its labels as `name="value"`."""


class Rehearsal:
    """Everything an infrastructure would have, without any of what takes time or goes wrong by itself."""

    def __init__(
        self,
        settings: AlertSettings,
        domains: Mapping[str, DomainPolicy] = MappingProxyType({}),
        *,
        interval: float = 15.0,
        rules: tuple[Rule, ...] | None = None,
    ) -> None:
        """Evaluate, and export, every `interval` seconds; with `rules`, these instead of those of the settings."""
        self.interval = interval
        self.now = 0.0
        self.down: dict[str, bool] = {}
        """Whether each server is down."""
        self.away: dict[str, bool] = {}
        """Whether each other dependency is."""
        self.lag = 0.0
        """Seconds the loop wakes late."""
        self.metrics = MetricsCollector(clock=lambda: self.now, wall=lambda: self.now)
        self.alerts = AlertManager(
            replace(settings, sinks={}), domains, metrics=self.metrics, health=self._health, rules=rules
        )
        self.metrics.read_also("alerts", lambda: alert_readings(self.alerts))
        self._exporter = PrometheusExporter(self.metrics)
        self._wanted = frozenset(word for metric in METRICS.values() for word in _WORD.findall(metric.name))
        self.moments: list[Moment] = []
        """What is wrong after each evaluation."""
        self.unknown: list[frozenset[str]] = []
        """The rules about which nothing was known then."""
        self.series: dict[str, list[str]] = {}
        """What was exported at each evaluation, by series; `_` for nothing."""

    def __repr__(self) -> str:
        return f"<Rehearsal [{len(self.moments)} evaluations, {len(self.series)} series]>"

    def step(self) -> None:
        """Let `interval` pass, evaluate and export."""
        self.now += self.interval
        self.alerts.evaluate()
        self.moments.append({_key(alert.rule, alert.labels): alert.state for alert in self.alerts.active()})
        self.unknown.append(frozenset(name for name, state in self.alerts.rules().items() if state == "unknown"))
        self._scrape()

    def _scrape(self) -> None:
        place = len(self.moments) - 1
        for line in self._exporter.render().splitlines():
            found = _SAMPLE.fullmatch(line)
            if found and found["name"].startswith(tuple(self._wanted)):
                values = self.series.setdefault(found["series"], [])
                values.extend("_" * (place - len(values)))
                values.append(found["value"])

    def _health(self) -> HealthReport:
        return HealthReport("healthy", _parts(self.down), _parts(self.away), self.lag)


def _parts(bad: Mapping[str, bool]) -> tuple[DependencyHealth, ...]:
    return tuple(DependencyHealth(name, "down" if is_bad else "healthy", 0.0, "") for name, is_bad in bad.items())


def _key(rule: str, labels: Mapping[str, str]) -> tuple[str, ...]:
    pairs: Iterable[tuple[str, str]] = sorted(labels.items())
    return rule, *(f'{name}="{value}"' for name, value in pairs)
