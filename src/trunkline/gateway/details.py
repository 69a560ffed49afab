"""What stands behind the view: one server's or domain's tools and worst calls, and the dashboard's second screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from trunkline.gateway.caching import cache_report
from trunkline.gateway.effective import effective
from trunkline.gateway.status import mismatch, stack_facts
from trunkline.health.report import DependencyHealth
from trunkline.infrastructure import Infrastructure
from trunkline.monitoring.happenings import Happenings
from trunkline.monitoring.recent_calls import Kind, RecentCalls
from trunkline.monitoring.series import Group
from trunkline.monitoring.store import MetricStore
from trunkline.registry.tool import Tool

__all__ = ["Details"]

_WINDOW: Final = 600.0
"""Seconds over which a tool's figures are told."""
_ENTRIES: Final = 200
_STATES: Final = frozenset({"available", "degraded", "unavailable", "unknown"})
_DRIFT: Final = frozenset({"drifted", "refused", "unaccepted", "accepted"})


class Details:
    """Remembers what happened to one infrastructure, and tells of its parts."""

    def __init__(self, infra: Infrastructure) -> None:
        self._infra = infra
        self._calls = RecentCalls()
        self._happenings = Happenings()

    def __repr__(self) -> str:
        return f"<Details {self._calls!r} {self._happenings!r}>"

    def watch(self) -> Callable[[], None]:
        """Begin to remember; returns a function that ends this."""
        ends = [
            self._infra.bus.subscribe(self._calls, self._calls.kinds),
            self._infra.bus.subscribe(self._happenings, self._happenings.kinds),
        ]

        def unwatch() -> None:
            for end in ends:
                end()

        return unwatch

    def server(self, name: str) -> dict[str, Any] | None:
        """Return a server's `places`, `tools` with their last ten minutes, and `failed` and `slow` calls."""
        known = self._infra.settings.servers.get(name)
        if known is None:
            return None
        registry = self._infra.registry
        tools = [self._tool(tool) for tool in registry.tools() if tool.server == name]
        tools.sort(key=lambda tool: (-tool.get("error_ratio", 0.0), -tool["calls"]))
        places = [place.label for place in known.places.values()]
        return {"name": name, "places": places, "tools": tools, **self._worst("server", name)}

    def domain(self, name: str) -> dict[str, Any] | None:
        """Return a domain's last ten minutes, its `operations` since the start, and `failed` and `slow` calls."""
        store = self._infra.metrics.store
        group = store.requests.groups.get(name)
        if group is None:
            return None
        # Works in what waits, too.
        figures = _figures(store, group)
        outcomes: dict[str, Counter[str]] = {}
        for series in list(group.series):
            _, operation, outcome = series.labels
            outcomes.setdefault(operation, Counter())[outcome] += series.histogram.count
        operations = [{"name": operation, "outcomes": dict(counted)} for operation, counted in sorted(outcomes.items())]
        return {"name": name, **figures, "operations": operations, **self._worst("domain", name)}

    def _worst(self, kind: Kind, name: str) -> dict[str, Any]:
        return {
            "failed": [call.as_dict() for call in self._calls.failed(kind, name)],
            "slow": [call.as_dict() for call in self._calls.slow(kind, name)],
        }

    def _tool(self, tool: Tool) -> dict[str, Any]:
        told = {
            "name": tool.name,
            "description": (tool.shown.description or "").strip().partition("\n")[0][:200],
            "repeatable": tool.repeatable,
            "fingerprint": tool.fingerprint,
            "availability": asdict(self._infra.registry.availability(tool.name)),
            "mismatch": mismatch(self._infra, tool),
        }
        store = self._infra.metrics.store
        return told | _figures(store, store.tools.groups.get(tool.name))

    def everything(self) -> dict[str, Any]:
        """Return `cache`, `registry`, `matrix`, `events` and `configuration`, as `openapi_view` describes them."""
        infra = self._infra
        report = infra.health.report()
        parts = [row for part in report.servers for row in self._matrix(part)]
        others = [_health(part.name, "", part) for part in report.others]
        return {
            "cache": cache_report(infra),
            "registry": self._registry(),
            "matrix": [*parts, *others],
            "events": [entry.as_dict() for entry in self._happenings.latest()],
            "configuration": effective(infra.settings),
        }

    def _registry(self) -> dict[str, Any]:
        history = [asdict(entry) for entry in reversed(self._infra.registry.history)]
        return {
            "tools": len(self._infra.registry.tools()),
            "drift": [entry for entry in history if entry["what"] in _DRIFT][:_ENTRIES],
            "availability": [entry for entry in history if entry["what"] in _STATES][:_ENTRIES],
            "changes": [entry for entry in history if entry["what"] not in _STATES | _DRIFT][:_ENTRIES],
        }

    def _matrix(self, part: DependencyHealth) -> list[dict[str, Any]]:
        facts = stack_facts(self._infra, part.name)
        probed = self._infra.metrics.store.healthy
        rows = []
        for health, replica in zip(part.replicas or (part,), facts["replicas"], strict=False):
            name = health.name if part.replicas else ""
            told = _health(part.name, name, health) | {"circuit": replica["circuit"], "era": replica["era"]}
            rows.append(told | {"connections": replica["connections"], "probe": probed.get((part.name, name))})
        return rows


def _health(name: str, replica: str, part: DependencyHealth) -> dict[str, Any]:
    return {"name": name, "replica": replica, "state": part.state, "since": part.since, "reason": part.reason}


def _figures(store: MetricStore, group: Group | None) -> dict[str, Any]:
    span = None if group is None else store.span(group, _WINDOW, reach=_WINDOW)
    if span is None or not span.histogram.count:
        return {"calls": 0}
    histogram = span.histogram
    return {
        "calls": histogram.count,
        "error_ratio": span.errors / histogram.count,
        **{f"p{q}": histogram.quantile(q / 100) for q in (50, 95, 99)},
    }
