"""What is told to an OpenTelemetry collector, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from trunkline.policy.checks import positive, require

__all__ = ["OtlpPolicy", "TelemetryPolicy"]


@dataclass(frozen=True, slots=True)
class OtlpPolicy:
    """Where metrics and traces are pushed to. Whatever becomes of it, no call waits for it and none is changed."""

    enabled: bool = True
    """False pushes nothing, whatever the endpoint."""
    endpoint: str | None = field(default=None, repr=False)
    """`http://` or `https://` address of a collector, to which `/v1/metrics` and `/v1/traces` are added; None pushes
    nothing."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Sent with every push, such as a collector's key."""
    protocol: Literal["http/protobuf"] = "http/protobuf"
    """The one form there is; bodies are compressed."""
    interval: float = 10.0
    """Seconds between pushes of metrics; traces are pushed each second, when there are any."""
    timeout: float = 5.0
    """Seconds a push may take."""
    metrics: bool = True
    """Whether metrics are pushed."""
    traces: bool = True
    """Whether spans are pushed, too. Where the application has an OpenTelemetry SDK of its own, it has the spans."""
    sample: float = 1.0
    """Share of traces that are recorded, of those that begin here; others keep to their parent's decision."""
    max_spans: int = 4096
    """Spans that may wait for their push; one more is dropped and counted."""

    def __post_init__(self) -> None:
        is_address = self.endpoint is None or self.endpoint.startswith(("http://", "https://"))
        # The address may hold a password: it is not shown.
        require(is_address, "endpoint", "", "an http:// or https:// address")
        positive(self, "interval", "timeout")
        require(self.max_spans >= 1, "max_spans", self.max_spans, "1 or more")
        require(0 <= self.sample <= 1, "sample", self.sample, "a share from 0 to 1")


@dataclass(frozen=True, slots=True)
class TelemetryPolicy:
    """What of OpenTelemetry is used."""

    enabled: bool = True
    """Whether calls make spans, for whatever SDK of OpenTelemetry the process has, and anything is pushed."""
    baggage: bool = True
    """Whether the baggage that the gateway's callers send goes on to the servers."""
    otlp: OtlpPolicy = field(default_factory=OtlpPolicy)
    """Where metrics and traces are pushed to."""
