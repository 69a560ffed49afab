"""Everything the store holds, as text for Prometheus.

Names, units and buckets follow OpenTelemetry's semantic conventions for GenAI and MCP where they have any; what is ours
begins with `trunkline_`. Written by hand: some forty times faster than through the client library.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final, Literal

from trunkline.monitoring.buckets import BOUNDS, FAST_BOUNDS, TOOL_BOUNDS, positions
from trunkline.monitoring.catalogue import COUNTERS, HISTOGRAMS, HistogramSpec
from trunkline.monitoring.exposition import header, label_text, sample
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.monitoring.readings import rendered
from trunkline.monitoring.series import Series

__all__ = ["PrometheusExporter"]

_SLICE: Final = 100
"""Series in one piece of output: a few milliseconds of work."""

_CIRCUIT_STATES: Final = ("closed", "open", "half_open")


class PrometheusExporter:
    """Renders a collector's metrics. Rendering is synchronous and does no I/O."""

    def __init__(self, metrics: MetricsCollector, *, buckets: Literal["extended", "semconv"] = "extended") -> None:
        """Make an exporter.

        Args:
            metrics: What to export.
            buckets: `extended` puts bounds below 10 ms before those OpenTelemetry advises for tool calls, or cache hits
                could not be told apart; `semconv` keeps to the advice.
        """
        self._store = metrics.store
        self._readings = metrics.readings
        self._fast = FAST_BOUNDS if buckets == "extended" else ()
        self._label_texts: dict[Series, str] = {}
        self._build = label_text(
            ("version", "python", "mcp_version"), (_version("trunkline"), platform.python_version(), _version("mcp"))
        )

    def __repr__(self) -> str:
        return f"<PrometheusExporter [{len(self._label_texts)} series rendered]>"

    def render(self, *, openmetrics: bool = False) -> str:
        """Return all metrics in the plain text format 0.0.4, or in OpenMetrics 1.0."""
        return "".join(self.pieces(openmetrics=openmetrics))

    def pieces(self, *, openmetrics: bool = False) -> Iterator[str]:
        """Yield the same in pieces of a few milliseconds' work, for who must let others run in between."""
        for spec in HISTOGRAMS:
            yield header(spec.name, "histogram", spec.help, openmetrics=openmetrics)
            yield from self._histogram(spec)
        for name, text, tally, labels in COUNTERS:
            yield _counter(name, text, labels, self._store.counts(tally), openmetrics=openmetrics)
        yield _counter(
            "trunkline_observer_failures",
            "Failures of observers of the event stream.",
            ("observer", "error"),
            self._store.observer_failures(),
            openmetrics=openmetrics,
        )
        yield _counter(
            "trunkline_metrics_records_lost",
            "Records that could not be worked into the metrics.",
            ("error",),
            {(kind,): times for kind, times in self._store.lost.items()},
            openmetrics=openmetrics,
        )
        yield _counter(
            "trunkline_series_overflow",
            "Records counted under _other because their metric has too many series.",
            ("metric",),
            self._overflows(),
            openmetrics=openmetrics,
        )
        for name, text, samples in self._gauges():
            yield header(name, "gauge", text, openmetrics=openmetrics)
            yield "".join(sample(name, labels, value) for labels, value in samples)
        yield from rendered(self._readings(), openmetrics=openmetrics)
        if openmetrics:
            yield "# EOF\n"

    def _histogram(self, spec: HistogramSpec) -> Iterator[str]:
        bounds = self._fast + spec.bounds if spec.bounds is TOOL_BOUNDS else spec.bounds
        # One position more, past the last bound, counts everything.
        indices = (*positions(bounds), len(BOUNDS))
        ends = [f'le="{bound!r}"}} ' for bound in bounds] + ['le="+Inf"} ']
        lines: list[str] = []
        for number, series in enumerate(spec.series(self._store), 1):
            labels = self._labels(spec, series)
            counts, count, total = self._store.cumulative(series, indices)
            begin = f"{spec.name}_bucket{{{labels}," if labels else f"{spec.name}_bucket{{"
            lines.extend([f"{begin}{end}{hits}\n" for end, hits in zip(ends, counts, strict=True)])
            lines.append(sample(f"{spec.name}_sum", labels, total))
            lines.append(sample(f"{spec.name}_count", labels, count))
            if number % _SLICE == 0:
                yield "".join(lines)
                lines.clear()
        yield "".join(lines)

    def _labels(self, spec: HistogramSpec, series: Series) -> str:
        found = self._label_texts.get(series)
        if found is None:
            names, values = spec.labels, series.labels
            if spec.error_type and values[-1] != "ok":
                # The conventions' word for an error without a class of its own.
                names, values = (*names, "error_type"), (*values, "_OTHER" if values[-1] == "error" else values[-1])
            found = self._label_texts[series] = label_text(names, values)
        return found

    def _overflows(self) -> dict[tuple[str, ...], int]:
        store = self._store
        found: dict[tuple[str, ...], int] = {(name,): family.overflowed for name, family in store.families.items()}
        return found | {(name,): tally.overflowed for name, tally in store.tallies.items()}

    def _gauges(self) -> Iterator[tuple[str, str, list[tuple[str, float]]]]:
        store = self._store
        domains = sorted(store.requests.groups.copy().items())
        replica = ("mcp_server", "replica")
        yield (
            "trunkline_inflight",
            "Domain requests under way.",
            [(label_text(("domain",), (name,)), len(group.active)) for name, group in domains],
        )
        yield (
            "trunkline_calls_inflight",
            "Calls to MCP servers under way.",
            [(label_text(("domain",), (name,)), len(group.calls)) for name, group in domains],
        )
        yield (
            "trunkline_circuit_state",
            "1 for the state a circuit is in, 0 for the others.",
            [
                (label_text((*replica, "state"), (*where, state)), int(state == current))
                for where, current in sorted(store.circuits.items())
                for state in _CIRCUIT_STATES
            ],
        )
        opened, lost = store.counts("opened"), store.counts("lost")
        yield (
            "trunkline_connections",
            "Connections open.",
            [(label_text(replica, where), hits - lost.get(where, 0)) for where, hits in sorted(opened.items())],
        )
        yield (
            "trunkline_health_status",
            "1 where the last probe of a component went well, else 0.",
            [
                (label_text(("component", "replica"), where), int(healthy))
                for where, healthy in sorted(store.healthy.items())
            ],
        )
        yield (
            "trunkline_tools",
            "Tools a server lists.",
            [(label_text(("mcp_server",), (name,)), total) for name, total in sorted(store.tool_totals.items())],
        )
        yield (
            "trunkline_telemetry_series",
            "Series kept of each metric.",
            [(label_text(("metric",), (name,)), len(family)) for name, family in store.families.items()],
        )
        yield "trunkline_build_info", "What is running.", [(self._build, 1)]


def _counter(
    name: str, text: str, labels: tuple[str, ...], counts: dict[tuple[str, ...], int], *, openmetrics: bool
) -> str:
    lines = [sample(f"{name}_total", label_text(labels, values), hits) for values, hits in sorted(counts.items())]
    return header(name, "counter", text, openmetrics=openmetrics) + "".join(lines)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
