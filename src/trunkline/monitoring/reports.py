"""What is read off the store: everything over one window, and one domain's trend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trunkline.monitoring.labels import clean
from trunkline.monitoring.norms import WATCHED
from trunkline.monitoring.series import Family, Group
from trunkline.monitoring.stats import METRICS, Metric, Trend, measure
from trunkline.monitoring.store import MetricStore

__all__ = ["snapshot", "trend", "trends"]

_MINUTE = 60.0
_HOUR = 3600.0
_DAY = 24 * _HOUR


def snapshot(store: MetricStore, window: float | None) -> dict[str, Any]:
    """Return the statistics of every domain, tool and server; see `MetricsCollector.snapshot`.

    Raises:
        ValueError: `window` is not greater than 0.
    """
    if window is not None and not window > 0:
        message = f"window = {window!r}: expected seconds, more than 0, or None"
        raise ValueError(message)
    return {
        "window": window,
        "domains": _by_group(store, store.requests, window),
        "tools": _by_group(store, store.tools, window),
        "servers": _by_group(store, store.attempts, window),
    }


def trend(store: MetricStore, domain: str, metric: Metric) -> Trend:
    """Return how `metric` of `domain` moved; see `MetricsCollector.trend`.

    Raises:
        ValueError: there is no such metric.
    """
    if metric not in METRICS:
        message = f"metric = {metric!r}: expected one of {', '.join(METRICS)}"
        raise ValueError(message)
    return _compared(store, domain, store.requests.groups.get(clean(domain)), (metric,))[0]


def trends(store: MetricStore) -> dict[str, tuple[Trend, ...]]:
    """Return how everything that is watched moved, for each domain; see `MetricsCollector.trends`."""
    return {
        name: _compared(store, name, group, tuple(WATCHED)) for name, group in sorted(store.requests.groups.items())
    }


def _compared(store: MetricStore, domain: str, group: Group | None, metrics: Sequence[Metric]) -> tuple[Trend, ...]:
    if group is None:
        return tuple(Trend(domain, metric, None, None, None, None, 0, 0) for metric in metrics)
    current = store.span(group, _MINUTE, reach=2 * _MINUTE)
    before = store.span(group, _MINUTE, ago=_MINUTE, reach=2 * _MINUTE)
    hour = store.span(group, _HOUR - _MINUTE, ago=_MINUTE, reach=_HOUR)
    yesterday = store.span(group, _HOUR, ago=_DAY)
    return tuple(
        Trend(
            domain=domain,
            metric=metric,
            current=measure(current, metric, since=store.started),
            before=measure(before, metric, since=store.started),
            hour=measure(hour, metric, since=store.started),
            yesterday=measure(yesterday, metric, since=store.started),
            requests=current.histogram.count,
            requests_before=before.histogram.count,
        )
        for metric in metrics
    )


def _by_group(store: MetricStore, family: Family, window: float | None) -> dict[str, dict[str, Any]]:
    groups = sorted(family.groups.copy().items())
    if window is None:
        return {name: store.lifetime(group).as_dict() for name, group in groups}
    return {name: store.recent(group, window).as_dict() for name, group in groups}
