"""Metrics in OTLP: the store's own buckets as exponential histograms, counters as cumulative sums, gauges as they are.

Not by way of OpenTelemetry's own instruments, of which each record costs what fifty of ours do. Names and units are
such that a Prometheus which takes OTLP ends up with the names it would have scraped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from trunkline.monitoring.buckets import BOUNDS, NATIVE_INDICES, NATIVE_SCHEMA
from trunkline.monitoring.catalogue import HistogramSpec
from trunkline.monitoring.labels import Labels
from trunkline.monitoring.readings import Distribution, Reading
from trunkline.version import VERSION

__all__ = ["Collected", "metrics_request", "otlp_name"]

_STANDARD: Final[Mapping[str, str]] = MappingProxyType(
    {
        "gen_ai_execute_tool_duration_seconds": "gen_ai.execute_tool.duration",
        "mcp_client_operation_duration_seconds": "mcp.client.operation.duration",
        "mcp_client_session_duration_seconds": "mcp.client.session.duration",
        "mcp_server_operation_duration_seconds": "mcp.server.operation.duration",
        "mcp_server_session_duration_seconds": "mcp.server.session.duration",
        "error_type": "error.type",
        "gen_ai_operation_name": "gen_ai.operation.name",
        "gen_ai_tool_name": "gen_ai.tool.name",
        "mcp_method_name": "mcp.method.name",
        "mcp_protocol_version": "mcp.protocol.version",
        "network_transport": "network.transport",
        "rpc_response_status_code": "rpc.response.status_code",
        "server_address": "server.address",
        "server_port": "server.port",
    }
)
"""What the conventions call what Prometheus cannot write with dots; what is ours is the same in both."""


class Collected(NamedTuple):
    """Everything at one moment, in plain data that any thread may encode."""

    histograms: Sequence[tuple[HistogramSpec, Sequence[Distribution]]]
    readings: Sequence[Reading]
    started: int
    """Nanoseconds since the epoch, since when is counted."""
    now: int
    """Nanoseconds since the epoch."""


def otlp_name(name: str) -> tuple[str, str]:
    """Name and unit in OTLP of what Prometheus calls `name`."""
    unit = "s" if name.endswith("_seconds") else ""
    bare = name.removesuffix("_seconds")
    return _STANDARD.get(name, bare.replace("trunkline_", "trunkline.", 1)), unit


def metrics_request(collected: Collected, resource: Mapping[str, Any]) -> bytes:
    """Return the body of one push; `resource` has the attributes of whoever pushes."""
    metrics = [_histogram(spec, found, collected) for spec, found in collected.histograms if found]
    metrics += [_reading(reading, collected) for reading in collected.readings if reading.samples]
    scope = ScopeMetrics(scope=InstrumentationScope(name="trunkline", version=VERSION), metrics=metrics)
    whole = ResourceMetrics(resource=Resource(attributes=_attributes(resource.items())), scope_metrics=[scope])
    body: bytes = ExportMetricsServiceRequest(resource_metrics=[whole]).SerializeToString()
    return body


def _histogram(spec: HistogramSpec, found: Iterable[Distribution], collected: Collected) -> Metric:
    name, unit = otlp_name(spec.name)
    points = [_point(distribution, collected) for distribution in found]
    histogram = ExponentialHistogram(data_points=points, aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE)
    return Metric(name=name, unit=unit, description=spec.help, exponential_histogram=histogram)


def _point(distribution: Distribution, collected: Collected) -> ExponentialHistogramDataPoint:
    hits: dict[int, int] = {}
    for index, times in distribution.buckets.items():
        if index:
            # Where Prometheus numbers a bucket by its upper end, OTLP does by its lower.
            place = NATIVE_INDICES[index] - 1
            hits[place] = hits.get(place, 0) + times
    first = min(hits, default=0)
    counts = [hits.get(place, 0) for place in range(first, max(hits, default=-1) + 1)]
    return ExponentialHistogramDataPoint(
        attributes=_labels(distribution.labels),
        start_time_unix_nano=collected.started,
        time_unix_nano=collected.now,
        count=distribution.size,
        sum=distribution.total,
        scale=NATIVE_SCHEMA,
        zero_count=distribution.buckets.get(0, 0),
        zero_threshold=BOUNDS[0],
        positive=ExponentialHistogramDataPoint.Buckets(offset=first, bucket_counts=counts),
    )


def _reading(reading: Reading, collected: Collected) -> Metric:
    name, unit = otlp_name(reading.name)
    is_counter = reading.kind == "counter"
    points = [
        NumberDataPoint(
            attributes=_labels(labels),
            start_time_unix_nano=collected.started if is_counter else 0,
            time_unix_nano=collected.now,
            as_double=number,
        )
        for labels, number in reading.labelled().items()
    ]
    if not is_counter:
        return Metric(name=name, unit=unit, description=reading.help, gauge=Gauge(data_points=points))
    temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    total = Sum(data_points=points, aggregation_temporality=temporality, is_monotonic=True)
    return Metric(name=name, unit=unit, description=reading.help, sum=total)


def _labels(labels: Labels) -> list[KeyValue]:
    return _attributes((_STANDARD.get(name, name), value) for name, value in labels)


def _attributes(pairs: Iterable[tuple[str, Any]]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in pairs]


def _value(value: object) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(double_value=value) if isinstance(value, float) else AnyValue(string_value=str(value))
