"""Keeps the registry's availability in step with what happens to connections and circuits. An observer."""

from __future__ import annotations

from trunkline.events import (
    CircuitChanged,
    ConnectFailed,
    ConnectionEnded,
    ConnectionOpened,
    Event,
)
from trunkline.registry.tool_registry import ToolRegistry

__all__ = ["AvailabilityFold"]


class AvailabilityFold:
    """Marks a server's tools unavailable while it has no connection, degraded while its circuit is not closed."""

    def __init__(self, registry: ToolRegistry) -> None:
        self._registry = registry

    def __call__(self, event: Event) -> None:
        """Take note of one event."""
        match event:
            case ConnectionOpened():
                self._registry.mark(event.server, "available", "connected", event.at)
            case ConnectionEnded(ready=0) | ConnectFailed(ready=0):
                self._registry.mark(event.server, "unavailable", event.reason, event.at)
            case CircuitChanged(new="open"):
                self._registry.mark(event.server, "unavailable", f"circuit open: {event.reason}", event.at)
            case CircuitChanged(new="half_open"):
                self._registry.mark(event.server, "degraded", "circuit half open", event.at)
            case CircuitChanged(new="closed"):
                self._registry.mark(event.server, "available", event.reason, event.at)
            case _:
                pass
