"""OpenTelemetry for one infrastructure: its tracer, and what its configuration has pushed to a collector.

The one place that decides whether the adapter is loaded; where OpenTelemetry is missing, nothing of it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

from trunkline.bus import EventBus
from trunkline.errors import ConfigError
from trunkline.health.monitor import HealthMonitor
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.policy import HealthPolicy, TelemetryPolicy

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from trunkline.monitoring.otel.push import OtlpPush
    from trunkline.monitoring.otel.spans import OpenTelemetryTracer
    from trunkline.monitoring.otel.spool import SpanSpool

__all__ = ["COLLECTOR", "OTEL_EXTRA", "Telemetry"]

COLLECTOR: Final = "otlp"
"""What the collector is called in health."""
OTEL_EXTRA: Final = 'the packages of OpenTelemetry are not installed: pip install "trunkline[otel]"'

_WATCHED: Final = HealthPolicy(interval=1.0, timeout=1.0, up_after=1)
"""How the collector is watched: by what became of the latest push, which asks nobody."""


class Telemetry:
    """What `policy` asks for, as far as it can be had."""

    def __init__(self, policy: TelemetryPolicy, *, tracer_provider: TracerProvider | None = None) -> None:
        """Make spans by `tracer_provider`.

        When None, by the one the application has set or will set, whenever that is; or, where it has none so far and
        `policy` has traces pushed, by one of our own.
        """
        self._policy = policy
        self._bus: EventBus | None = None
        self._spool: SpanSpool | None = None
        self._push: OtlpPush | None = None
        self._missing: ConfigError | None = None
        self.tracer: OpenTelemetryTracer | None = None
        """Makes spans; None where that is switched off, or OpenTelemetry is missing."""
        if policy.enabled:
            try:
                from trunkline.monitoring.otel.spans import OpenTelemetryTracer  # noqa: PLC0415 - only where wanted
            except ImportError:
                return
            provider = tracer_provider or self._own_provider()
            self.tracer = OpenTelemetryTracer(provider, on_failure=self._note_failure, baggage=policy.baggage)

    def __repr__(self) -> str:
        return f"<Telemetry {self.tracer!r} {self._push!r}>"

    @property
    def is_pushed(self) -> bool:
        """Whether anything is to be pushed to a collector."""
        otlp = self._policy.otlp
        return self._policy.enabled and otlp.enabled and otlp.endpoint is not None

    def watch(self, bus: EventBus, metrics: MetricsCollector) -> None:
        """Note on spans what `bus` tells, count there what fails, and push what `metrics` have."""
        self._bus = bus
        if self.tracer is not None:
            bus.subscribe(self.tracer.observe, self.tracer.kinds)
        if not self.is_pushed:
            return
        try:
            from trunkline.monitoring.otel.push import OtlpPush  # noqa: PLC0415 - only where wanted
        except ImportError:
            self._missing = ConfigError([OTEL_EXTRA], source="trunkline.telemetry.otlp")
            return
        self._push = OtlpPush(self._policy.otlp, metrics, self._spool)
        metrics.read_also(COLLECTOR, self._push.readings)

    async def run(self, health: HealthMonitor) -> None:
        """Push until cancelled, watched by `health`; ends at once where nothing is to be pushed."""
        if not self.is_pushed:
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(health.watch, COLLECTOR, self._check, _WATCHED)
            if self._push is not None:
                await self._push.run()

    def _own_provider(self) -> TracerProvider | None:
        """A provider whose spans are pushed; None where they are not to be, or are the application's own business."""
        if not (self.is_pushed and self._policy.otlp.traces):
            return None
        try:
            from trunkline.monitoring.otel.spool import own_provider  # noqa: PLC0415 - only where wanted
        except ImportError:
            return None  # `watch` says so
        provider, self._spool = own_provider(self._policy.otlp)
        return provider

    async def _check(self) -> None:
        if self._missing is not None:
            raise self._missing
        if self._push is not None:
            await self._push.check()

    def _note_failure(self, name: str, error: Exception) -> None:
        if self._bus is not None:
            self._bus.note_failure(name, error)
