"""The one view that everybody looks at: the web page, `trunkline top`, and who asks `/api/v1/view`. Reads; no I/O.

Its shape is described once, as `View` in `openapi_view`. It is made for JSON Merge Patch: named things are objects by
name, not lists; nothing is null, what is not known is left out; numbers are rounded to what an eye can tell apart.
"""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import Any, Final

from trunkline.alerts import Alert
from trunkline.call import UNATTRIBUTED
from trunkline.gateway.caching import cache_summary
from trunkline.gateway.status import overall, stack_facts
from trunkline.health.report import DependencyHealth
from trunkline.infrastructure import Infrastructure
from trunkline.monitoring.histogram import Histogram
from trunkline.monitoring.series import Group
from trunkline.monitoring.stats import significant
from trunkline.monitoring.timeline import Timeline
from trunkline.monitoring.windows import Span
from trunkline.version import VERSION

__all__ = ["View"]

_BADNESS: Final = MappingProxyType(
    {
        "down": 1000,
        "degraded": 500,
        "unknown": 200,
        "healthy": 0,
        "critical": 400,
        "warning": 300,
        "info": 50,
        "open": 300,
        "half_open": 100,
        "closed": 0,
    }
)
"""Of states, circuits and severities: what is down stands above everything that only fails now and then."""
_AT_ONCE: Final = 50
"""Servers whose numbers are worked out in one look."""


class View:
    """Makes the view of one infrastructure, again and again."""

    def __init__(self, infra: Infrastructure) -> None:
        self.timeline = Timeline(infra.metrics.store)
        """Has to be advanced every ten seconds, whether anybody looks or not."""
        self._infra = infra
        self._looks = 0
        self._minutes: dict[str, dict[str, Any]] = {}
        """Numbers of each server's last minute, as last worked out."""

    def __repr__(self) -> str:
        return f"<View {self._infra!r} {self.timeline!r}>"

    def __call__(self) -> dict[str, Any]:
        """Return how everything is right now. Moments in seconds since the epoch, durations in seconds."""
        infra, store = self._infra, self._infra.metrics.store
        self.timeline.advance()
        report, alerts = infra.health.report(), infra.alerts.active()
        tools = Counter(tool.server for tool in infra.registry.tools())
        self._work_out_minutes([part.name for part in report.servers])
        servers = {part.name: self._server(part, tools[part.name]) for part in report.servers}
        # What counts for one of a server's tools counts for all of them that are not refused.
        refused = infra.registry.acceptance.refused
        known = {server: infra.registry.availability_of(server) for server in tools}
        callable_now = sum(tools[name] - refused[name] for name, state in known.items() if state and state.is_callable)
        circuits = Counter(server["circuit"] for server in servers.values())
        domains, totals = self._domains()
        for alert in alerts:
            _blame(alert, {"server": servers, "domain": domains})
        return {
            "version": VERSION,
            "at": round(store.wall(), 1),
            "started": round(store.wall() - (store.clock() - store.started)),
            "overall": _without_none(overall(report, callable_now, alerts)),
            "alerts": {_key(alert): _alert(alert) for alert in alerts},
            "totals": totals,
            "circuits": {state: circuits[state] for state in ("closed", "half_open", "open")},
            "cache": _without_none(cache_summary(infra)),
            "history": self.timeline.points(),
            "domains": domains,
            "servers": servers,
            "others": {part.name: _state(part) for part in report.others},
            "trends": [f"{statement.domain}: {statement}" for statement in infra.metrics.statements()],
            "config": {
                "source": infra.settings.source,
                "is_fallback": infra.settings.is_fallback,
                "notices": list(infra.settings.notices),
            },
            "loop_lag": significant(report.loop_lag, 2),
            "ours": self._ours(),
        }

    def _domains(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Each domain's last minute, and that of all together."""
        told: dict[str, Any] = {}
        total, errors, rate, in_flight, unattributed = Histogram(), 0, 0.0, 0, 0
        for name, group in list(self._infra.metrics.store.requests.groups.items()):
            span = self.timeline.minute(group)
            row = self._row("domains", name, group, span)
            told[name] = {"badness": _badness(row), **row}
            total.merge(span.histogram)
            errors += span.errors
            rate += row["rate"]
            in_flight += row["in_flight"]
            unattributed += span.histogram.count if name == UNATTRIBUTED else 0
        totals = {
            "requests": total.count,
            "rate": significant(rate, 3),
            **_durations(total, errors),
            "in_flight": in_flight,
            "unattributed": significant(unattributed / total.count, 2) if total.count else 0.0,
        }
        return told, totals

    def _work_out_minutes(self, names: list[str]) -> None:
        """Some fifty servers' at a time, in turn: what is told of more could not be read, and would hold the loop."""
        groups = self._infra.metrics.store.attempts.groups
        turns = len(names) // _AT_ONCE + 1
        self._looks += 1
        known, self._minutes = self._minutes, {}
        for place, name in enumerate(names):
            row = known.get(name)
            if row is None or (place + self._looks) % turns == 0:
                group = groups.get(name) or Group()
                row = self._row("servers", name, group, self.timeline.minute(group))
            self._minutes[name] = row

    def _server(self, part: DependencyHealth, tools: int) -> dict[str, Any]:
        facts = stack_facts(self._infra, part.name)
        counts = {"in_flight": facts["connections"]["in_flight"], "waiting": facts["connections"]["waiting"]}
        row = self._minutes[part.name] | counts
        state = {**_state(part), "circuit": facts["circuit"], "era": facts["era"], "tools": tools}
        worse = _BADNESS[part.state] + _BADNESS[facts["circuit"]]
        return {"badness": worse + _badness(row), **state, **row}

    def _row(self, kind: str, name: str, group: Group, span: Span) -> dict[str, Any]:
        return {
            "rate": self.timeline.rate(span),
            **_durations(span.histogram, span.errors),
            "in_flight": len(group.active),
            "spark": self.timeline.spark(kind, name),
        }

    def _ours(self) -> dict[str, int]:
        """What of our own is being lost: nothing, while all is well."""
        store = self._infra.metrics.store
        return {
            "observer_failures": sum(store.observer_failures().values()),
            "records_lost": sum(store.lost.values()),
            "answers_abandoned": sum(store.counts("abandoned").values()),
            "series_overflowed": sum(family.overflowed for family in store.families.values()),
        }


def _durations(histogram: Histogram, errors: int) -> dict[str, float]:
    """Nothing where there was no request."""
    if not histogram.count:
        return {}
    told = {f"p{q}": significant(histogram.quantile(q / 100), 2) for q in (50, 95, 99)}
    return {"error_ratio": significant(errors / histogram.count, 2), **told}


def _badness(row: dict[str, Any]) -> int:
    """Up to a hundred for errors, and up to ten for seconds."""
    errors, seconds = float(row.get("error_ratio", 0.0)), float(row.get("p95", 0.0))
    return round(100 * errors + min(seconds, 10.0))


def _key(alert: Alert) -> str:
    return " ".join([alert.rule, *(f"{name}={value}" for name, value in sorted(alert.labels.items()))])


def _alert(alert: Alert) -> dict[str, Any]:
    told = alert.as_dict() | {"value": significant(alert.value, 2), "since": round(alert.since, 2)}
    return _without_none(told)


def _blame(alert: Alert, rows: dict[str, dict[str, Any]]) -> None:
    """Mark the server or domain that a firing alert is about: its worst one counts."""
    for kind, found in rows.items():
        row = found.get(alert.labels.get(kind, ""))
        if row is not None and alert.state == "firing" and not alert.inhibited_by and row.get("alert") != "critical":
            row["alert"] = alert.severity
            row["badness"] += _BADNESS[alert.severity]


def _state(part: DependencyHealth) -> dict[str, Any]:
    return {"state": part.state, "since": round(part.since, 2), "reason": part.reason}


def _without_none(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value is not None}
