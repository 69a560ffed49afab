"""OpenTelemetry for one infrastructure: its tracer, and what its configuration has pushed to a collector.

The one place that decides whether the adapter is loaded; where OpenTelemetry is missing, nothing of it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.bus import EventBus
from trunkline.policy import TelemetryPolicy

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from trunkline.monitoring.otel.spans import OpenTelemetryTracer

__all__ = ["Telemetry"]


class Telemetry:
    """What `policy` asks for, as far as it can be had."""

    def __init__(self, policy: TelemetryPolicy, *, tracer_provider: TracerProvider | None = None) -> None:
        """Make spans by `tracer_provider`; when None, by the one the application has set, whenever it does."""
        self.tracer: OpenTelemetryTracer | None = None
        """Makes spans; None where that is switched off, or OpenTelemetry is missing."""
        self._bus: EventBus | None = None
        if policy.enabled:
            try:
                from trunkline.monitoring.otel.spans import OpenTelemetryTracer  # noqa: PLC0415 - only where wanted
            except ImportError:
                return
            self.tracer = OpenTelemetryTracer(tracer_provider, on_failure=self._note_failure, baggage=policy.baggage)

    def __repr__(self) -> str:
        return f"<Telemetry {self.tracer!r}>"

    def watch(self, bus: EventBus) -> None:
        """Note on spans what `bus` tells, and count there what fails."""
        self._bus = bus
        if self.tracer is not None:
            bus.subscribe(self.tracer.observe, self.tracer.kinds)

    def _note_failure(self, name: str, error: Exception) -> None:
        if self._bus is not None:
            self._bus.note_failure(name, error)
