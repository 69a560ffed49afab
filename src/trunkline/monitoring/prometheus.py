"""Everything the store holds, for Prometheus, in each of its three formats.

Names, units and buckets follow OpenTelemetry's semantic conventions for GenAI and MCP where they have any; what is ours
begins with `trunkline_`. Written by hand: some forty times faster than through the client library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from trunkline.monitoring.buckets import FAST_BOUNDS, TOOL_BOUNDS
from trunkline.monitoring.catalogue import HISTOGRAMS, HistogramSpec
from trunkline.monitoring.exposition import TextWriter
from trunkline.monitoring.labels import Labels
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.monitoring.negotiation import Format
from trunkline.monitoring.protobuf import ProtobufWriter
from trunkline.monitoring.readings import Distribution, Reading
from trunkline.monitoring.series import Series
from trunkline.monitoring.snapshots import Snapshot
from trunkline.monitoring.store_readings import distributions, store_readings

__all__ = ["PrometheusExporter"]


class PrometheusExporter:
    """Renders a collector's metrics. Rendering is synchronous and does no I/O."""

    def __init__(self, metrics: MetricsCollector, *, buckets: Literal["extended", "semconv"] = "extended") -> None:
        """Make an exporter.

        Args:
            metrics: What to export.
            buckets: The classic ones of tool calls. `extended` puts bounds below 10 ms before those OpenTelemetry
                advises, or cache hits could not be told apart; `semconv` keeps to the advice.
        """
        self._store = metrics.store
        self._others = metrics.readings
        self._fast = FAST_BOUNDS if buckets == "extended" else ()
        self._labels: dict[Series, Labels] = {}
        self._writers: dict[Format, TextWriter | ProtobufWriter] = {
            "text": TextWriter(openmetrics=False),
            "openmetrics": TextWriter(openmetrics=True),
            "protobuf": ProtobufWriter(),
        }

    def __repr__(self) -> str:
        return f"<PrometheusExporter [{len(self._labels)} series rendered]>"

    def render(self, *, openmetrics: bool = False) -> str:
        """Return all metrics in the plain text format 0.0.4, or in OpenMetrics 1.0."""
        return b"".join(self.pieces("openmetrics" if openmetrics else "text")).decode()

    def pieces(self, form: Format = "text", snapshot: Snapshot | None = None) -> Iterator[bytes]:
        """Yield all metrics, or those of `snapshot`, in pieces of a few milliseconds' work: let others run in between.

        Some are empty: then the work was done and there is nothing to send yet.
        """
        writer = self._writers[form]
        for spec in HISTOGRAMS:
            bounds = self._fast + spec.bounds if spec.bounds is TOOL_BOUNDS else spec.bounds
            some = self._distributions(spec) if snapshot is None else snapshot.histogram(spec.name)
            yield from writer.histogram(spec.name, spec.help, bounds, some)
        for reading in self.readings() if snapshot is None else snapshot.readings():
            yield writer.reading(reading)
        yield writer.end()

    def readings(self) -> Iterator[Reading]:
        """Every counter and gauge as it is now; to be read where what others keep is changed."""
        yield from store_readings(self._store)
        yield from self._others()

    def snapshot(self, readings: Iterable[Reading]) -> Snapshot:
        """Return these readings with all histograms as they are now. From any thread."""
        taken = Snapshot()
        for spec in HISTOGRAMS:
            for some in self._distributions(spec):
                taken.add_histogram(spec.name, some)
        for reading in readings:
            taken.add_reading(reading)
        return taken

    def _distributions(self, spec: HistogramSpec) -> Iterator[list[Distribution]]:
        return distributions(self._store, spec, self._labels)
