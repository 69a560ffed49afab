"""Every counter and gauge of the metric store, as readings; of the histograms, which series each shows."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from trunkline.monitoring.catalogue import CODE_LABEL, COUNTERS, HistogramSpec
from trunkline.monitoring.labels import Labels, paired
from trunkline.monitoring.readings import Distribution, Reading
from trunkline.monitoring.series import Series
from trunkline.monitoring.store import MetricStore
from trunkline.version import VERSION

__all__ = ["distributions", "store_readings"]

_CIRCUIT_STATES: Final = ("closed", "open", "half_open")
_SLICE: Final = 100
"""Series in one list: a few milliseconds of work for who writes them."""


def distributions(store: MetricStore, spec: HistogramSpec, known: dict[Series, Labels]) -> Iterator[list[Distribution]]:
    """Yield the series of one histogram in lists of at most a hundred; what labels they have is kept in `known`."""
    some: list[Distribution] = []
    for series in spec.series(store):
        labels = known.get(series)
        if labels is None:
            labels = known[series] = _labels(spec, series)
        some.append(Distribution(labels, *store.distribution(series)))
        if len(some) == _SLICE:
            yield some
            some = []
    yield some


def _labels(spec: HistogramSpec, series: Series) -> Labels:
    names, values = spec.labels, series.labels
    if spec.error_type and values[-1] != "ok":
        code = values[names.index(CODE_LABEL)] if CODE_LABEL in names else ""
        # The conventions' word for an error without a class of its own.
        kind = "_OTHER" if values[-1] == "error" else values[-1]
        names, values = (*names, "error_type"), (*values, code or kind)
    return paired(names, values)


def store_readings(store: MetricStore) -> Iterator[Reading]:
    """What is counted, and the last known state of everything."""
    for name, text, tally, labels in COUNTERS:
        yield Reading(name, "counter", text, store.counts(tally), labels)
    yield Reading(
        "trunkline_observer_failures",
        "counter",
        "Failures of observers of the event stream.",
        store.observer_failures(),
        ("observer", "error"),
    )
    yield Reading(
        "trunkline_metrics_records_lost",
        "counter",
        "Records that could not be worked into the metrics.",
        {(kind,): times for kind, times in store.lost.items()},
        ("error",),
    )
    yield Reading(
        "trunkline_series_overflow",
        "counter",
        "Records counted under _other because their metric has too many series.",
        _overflows(store),
        ("metric",),
    )
    yield from _states(store)
    yield from _under_way(store)


def _overflows(store: MetricStore) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {(name,): family.overflowed for name, family in store.families.items()}
    return found | {(name,): tally.overflowed for name, tally in store.tallies.items()}


def _under_way(store: MetricStore) -> Iterator[Reading]:
    domains = store.requests.groups.copy()
    yield Reading(
        "trunkline_inflight",
        "gauge",
        "Domain requests under way.",
        {(name,): len(group.active) for name, group in domains.items()},
        ("domain",),
    )
    yield Reading(
        "trunkline_calls_inflight",
        "gauge",
        "Calls to MCP servers under way.",
        {(name,): len(group.calls) for name, group in domains.items()},
        ("domain",),
    )
    opened, lost = store.counts("opened"), store.counts("lost")
    yield Reading(
        "trunkline_connections",
        "gauge",
        "Connections open.",
        {where: hits - lost.get(where, 0) for where, hits in opened.items()},
        ("mcp_server", "replica"),
    )
    yield Reading(
        "trunkline_telemetry_series",
        "gauge",
        "Series kept of each metric.",
        {(name,): len(family) for name, family in store.families.items()},
        ("metric",),
    )


def _states(store: MetricStore) -> Iterator[Reading]:
    yield Reading(
        "trunkline_circuit_state",
        "gauge",
        "1 for the state a circuit is in, 0 for the others.",
        {
            (*where, state): int(state == current)
            for where, current in store.circuits.copy().items()
            for state in _CIRCUIT_STATES
        },
        ("mcp_server", "replica", "state"),
        merge="max",
    )
    yield Reading(
        "trunkline_health_status",
        "gauge",
        "1 where the last probe of a component, or attempt to connect to it, went well, else 0.",
        {where: int(healthy) for where, healthy in store.healthy.copy().items()},
        ("component", "replica"),
        merge="min",
    )
    yield Reading(
        "trunkline_tools",
        "gauge",
        "Tools a server lists.",
        {(name,): total for name, total in store.tool_totals.copy().items()},
        ("mcp_server",),
        merge="max",
    )
    versions = (VERSION, platform.python_version(), _mcp_version())
    labels = ("version", "python", "mcp_version")
    yield Reading("trunkline_build_info", "gauge", "What is running.", {versions: 1}, labels, merge="max")


@cache
def _mcp_version() -> str:
    try:
        return version("mcp")
    except PackageNotFoundError:
        return "unknown"
