"""Keeps the registry's availability in step with what happens to connections and circuits. An observer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from trunkline.events import (
    CircuitChanged,
    ConnectFailed,
    ConnectionEnded,
    ConnectionOpened,
    Event,
    ReplicaEjected,
    ReplicaReadmitted,
)
from trunkline.registry.availability import AvailabilityState
from trunkline.registry.tool_registry import ToolRegistry

__all__ = ["AvailabilityFold"]


class AvailabilityFold:
    """Marks a server's tools unavailable while it has no connection, degraded while its circuit is not closed.

    Of several replicas, one that is available makes the tools callable; they are degraded while others are not.
    """

    kinds: ClassVar = (
        CircuitChanged,
        ConnectFailed,
        ConnectionEnded,
        ConnectionOpened,
        ReplicaEjected,
        ReplicaReadmitted,
    )
    """The events that tell it anything."""

    def __init__(self, registry: ToolRegistry, replicas_of: Callable[[str], Sequence[str | None]]) -> None:
        """Mark in `registry`; `replicas_of` gives the present replicas of a server, None for a lone one."""
        self._registry = registry
        self._replicas_of = replicas_of
        self._known: dict[str, dict[str | None, tuple[AvailabilityState, str]]] = {}

    def __call__(self, event: Event) -> None:
        """Take note of one event."""
        match event:
            case ConnectionOpened():
                self._note(event.server, event.replica, "available", "connected", event.at)
            case ConnectionEnded(ready=0) | ConnectFailed(ready=0):
                self._note(event.server, event.replica, "unavailable", event.reason, event.at)
            case CircuitChanged(new="open"):
                self._note(event.server, event.replica, "unavailable", f"circuit open: {event.reason}", event.at)
            case CircuitChanged(new="half_open"):
                self._note(event.server, event.replica, "degraded", "circuit half open", event.at)
            case CircuitChanged(new="closed") | ReplicaReadmitted():
                self._note(event.server, event.replica, "available", event.reason, event.at)
            case ReplicaEjected():
                self._note(event.server, event.replica, "degraded", f"left out: {event.reason}", event.at)
            case _:
                pass

    def _note(self, server: str, replica: str | None, state: AvailabilityState, reason: str, at: float) -> None:
        present = self._replicas_of(server)
        known = {name: told for name, told in self._known.get(server, {}).items() if name in present}
        if replica in present:
            known[replica] = (state, reason)
        self._known[server] = known
        if not known:
            del self._known[server]
        else:
            self._registry.mark(server, *_together(known), at)


def _together(known: Mapping[str | None, tuple[AvailabilityState, str]]) -> tuple[AvailabilityState, str]:
    """The state of a server by those of its replicas (one or more), and why."""
    if len(known) == 1:
        return next(iter(known.values()))
    out = {name: told for name, told in known.items() if told[0] != "available"}
    if not out:
        return "available", f"{len(known)} replicas available"
    name, (_, reason) = next(iter(out.items()))
    words = f"{len(out)} of {len(known)} replicas are not available; {name}: {reason}"
    is_down = all(state == "unavailable" for state, _ in known.values())
    return "unavailable" if is_down else "degraded", words
