"""What the web page shows, as one JSON-able mapping: totals first, then domains, tools and servers, then the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trunkline.call import UNATTRIBUTED
from trunkline.monitoring.histogram import Histogram
from trunkline.monitoring.reports import snapshot, trend
from trunkline.monitoring.statements import Statement
from trunkline.monitoring.stats import measure, summarise
from trunkline.monitoring.store import MetricStore
from trunkline.monitoring.windows import Span

__all__ = ["dashboard"]

_WINDOW = 60.0
_POINTS = 30
_POINT = 10.0
"""Seconds of one point of the charts."""


def dashboard(store: MetricStore, statements: Iterable[Statement] = ()) -> dict[str, Any]:
    """Return how everything is right now; every number in seconds, requests, or requests per second.

    Shape: `at` (seconds since the epoch), `uptime`, `window`, `totals`, `domains`, `tools`, `servers` (each as in a
    snapshot; domains with `lifetime` and `trend` besides), `history` (points of ten seconds, oldest first), `circuits`,
    `health`, `statements` (what is out of the ordinary, see `Statement`, the latest first; `text` says it without the
    domain), `unattributed` (requests that named no domain, and their `ratio` of all, 0 to 1: a gap in the
    instrumentation), `cache`, `connections` and `telemetry`.
    """
    parts = snapshot(store, _WINDOW)
    for name, domain in parts["domains"].items():
        domain["lifetime"] = store.lifetime(store.requests.groups[name]).as_dict()
        domain["trend"] = trend(store, name, "p95").as_dict()
    total = _total(store, _WINDOW)
    groups = list(store.requests.groups.values())
    return {
        "at": store.wall(),
        "uptime": store.clock() - store.started,
        **parts,
        "totals": summarise(
            total.histogram,
            errors=total.errors,
            rate=measure(total, "rate", since=store.started) or 0.0,
            last_request=store.last_request(series for group in groups for series in group.series),
            in_flight=sum(len(group.active) for group in groups),
        ).as_dict(),
        "history": _history(store),
        "circuits": [
            {"server": server, "replica": replica, "state": state}
            for (server, replica), state in sorted(store.circuits.items())
        ],
        "health": [
            {"server": server, "replica": replica, "healthy": healthy}
            for (server, replica), healthy in sorted(store.healthy.items())
        ],
        "statements": [statement.as_dict() for statement in statements],
        "unattributed": _unattributed(parts["domains"], total.histogram.count),
        "cache": _cache(store),
        "connections": _by_server(store, "opened", minus="lost"),
        "telemetry": {
            "series": {name: len(family) for name, family in store.families.items()},
            "overflowed": {name: family.overflowed for name, family in store.families.items()},
            "ungrouped": {name: family.ungrouped for name, family in store.families.items()},
            "observer_failures": sum(store.observer_failures().values()),
            "records_lost": sum(store.lost.values()),
            "answers_abandoned": sum(store.counts("abandoned").values()),
        },
    }


def _total(store: MetricStore, seconds: float, *, ago: float = 0.0, reach: float | None = None) -> Span:
    """Return what all domains together did."""
    histogram = Histogram()
    errors = 0
    end = store.clock() - ago
    start = end - seconds
    for group in list(store.requests.groups.values()):
        span = store.span(group, seconds, ago=ago, reach=reach)
        histogram.merge(span.histogram)
        errors += span.errors
        start, end = span.start, span.end
    return Span(histogram, errors, start, end)


def _history(store: MetricStore) -> list[dict[str, Any]]:
    now = store.clock()
    points = []
    for number in reversed(range(_POINTS)):
        span = _total(store, _POINT, ago=number * _POINT, reach=_POINTS * _POINT)
        if span.end <= store.started:
            continue
        points.append(
            {
                "at": store.wall() - (now - span.start),
                "requests": span.histogram.count,
                "errors": span.errors,
                "rate": measure(span, "rate", since=store.started) or 0.0,
                **{f"p{q}": span.histogram.quantile(q / 100) for q in (50, 95, 99)},
            }
        )
    return points


def _unattributed(domains: Mapping[str, Mapping[str, Any]], total: int) -> dict[str, Any]:
    requests = domains[UNATTRIBUTED]["requests"] if UNATTRIBUTED in domains else 0
    return {"requests": requests, "ratio": requests / total if total else 0.0}


def _cache(store: MetricStore) -> dict[str, Any]:
    results: dict[str, int] = {}
    for (_, result), hits in store.counts("cache").items():
        results[result] = results.get(result, 0) + hits
    served = sum(results.get(result, 0) for result in ("hit", "stale", "coalesced"))
    asked = served + results.get("miss", 0)
    return {"results": results, "hit_ratio": served / asked if asked else None}


def _by_server(store: MetricStore, name: str, *, minus: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for sign, tally in ((1, name), (-1, minus)):
        for (server, _), hits in store.counts(tally).items():
            found[server] = found.get(server, 0) + sign * hits
    return dict(sorted(found.items()))
