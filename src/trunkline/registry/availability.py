"""What the registry tells: whether a tool can be called, what changed, and what has happened so far.

Times here are seconds since the epoch: they are for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Availability", "AvailabilityState", "HistoryEntry", "RegistryChange"]

AvailabilityState: TypeAlias = Literal["available", "degraded", "unavailable", "unknown"]
"""`degraded` is slow or partly failing and still callable; `unknown` is not tried so far."""


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a tool can be called, since when, and why."""

    state: AvailabilityState
    since: float
    """Seconds since the epoch at which this state began."""
    reason: str = ""

    @property
    def is_callable(self) -> bool:
        """Whether a call has a chance: available or degraded."""
        return self.state in ("available", "degraded")


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of the registry's history."""

    at: float
    """Seconds since the epoch."""
    server: str
    tool: str | None
    """As shown to callers; None for what concerns the whole server."""
    what: str
    """`added`, `removed`, `listed`, `changed`, `drifted`, `renamed`, `duplicate`, `dropped`, `refused`, `unaccepted`
    (differs from the pins file, and is allowed to), `accepted` or a state."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RegistryChange:
    """What one change did to one server's tools. Names as shown to callers."""

    kind: Literal["tools", "availability"]
    server: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """Kept their names; their definitions differ, or they are refused, or no longer."""
    availability: Availability | None = None
    """The new state, for a change of kind `availability`."""
