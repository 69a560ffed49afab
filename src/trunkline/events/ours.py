"""What happened to our own parts, and to what is no MCP server."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.events.event import Event

__all__ = [
    "ConfigRejected",
    "ConfigReloaded",
    "DependencyProbed",
    "LoopLagged",
    "ObserverFailed",
]


@dataclass(frozen=True, slots=True)
class ConfigReloaded(Event):
    """A changed configuration is in force."""

    source: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConfigRejected(Event):
    """A changed configuration is invalid; the last good one stays in force."""

    source: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DependencyProbed(Event):
    """A background probe of something that is no MCP server (a shared cache, an exporter) ended."""

    name: str
    healthy: bool
    duration: float
    """Seconds."""
    reason: str
    """Empty when healthy."""


@dataclass(frozen=True, slots=True)
class LoopLagged(Event):
    """The event loop woke late by `lag` seconds."""

    lag: float


@dataclass(frozen=True, slots=True)
class ObserverFailed(Event):
    """An observer raised. It costs nobody else an event; every failure is counted, the first is announced."""

    observer: str
    error: str
