"""What happened to servers, their replicas, connections and tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from trunkline.events.event import Event

__all__ = [
    "CircuitChanged",
    "CircuitState",
    "ConnectFailed",
    "ConnectStarted",
    "ConnectionEnded",
    "ConnectionOpened",
    "ListingChanged",
    "PinMismatched",
    "PinsChecked",
    "ReplicaEjected",
    "ReplicaReadmitted",
    "ResourceUpdated",
    "ServerProbed",
    "ToolDrifted",
    "ToolsChanged",
]

CircuitState: TypeAlias = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class ConnectStarted(Event):
    """A connection is being opened."""

    server: str
    replica: str | None


@dataclass(frozen=True, slots=True)
class ConnectionOpened(Event):
    """A connection finished its handshake and its listing, and takes calls."""

    server: str
    replica: str | None
    era: str
    """Protocol version: `2025-11-25` (handshake) or `2026-07-28` (stateless), or an older handshake's."""
    duration: float


@dataclass(frozen=True, slots=True)
class ConnectionEnded(Event):
    """An open connection ended, by its own fault or because it was closed."""

    server: str
    replica: str | None
    reason: str
    in_flight: int
    """Attempts that were waiting for an answer on it."""
    ready: int
    """Connections to this server that still take calls."""
    deliberate: bool = False
    """Whether it was closed or replaced by us, not lost."""
    lasted: float = 0.0
    """Seconds it took calls."""


@dataclass(frozen=True, slots=True)
class ConnectFailed(Event):
    """A connection could not be opened; another try follows after `delay` seconds."""

    server: str
    replica: str | None
    reason: str
    failures: int
    """In a row."""
    delay: float
    ready: int
    """Connections to this server that take calls."""


@dataclass(frozen=True, slots=True)
class CircuitChanged(Event):
    """A circuit moved from one state to another."""

    server: str
    replica: str | None
    old: CircuitState
    new: CircuitState
    reason: str
    heard: bool = False
    """Whether another process's word made it, not what was seen here."""


@dataclass(frozen=True, slots=True)
class ReplicaEjected(Event):
    """A replica does worse than the others and is left out for a while."""

    server: str
    replica: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReplicaReadmitted(Event):
    """A replica that was left out is asked again."""

    server: str
    replica: str
    reason: str


@dataclass(frozen=True, slots=True)
class ServerProbed(Event):
    """A background health probe ended."""

    server: str
    replica: str | None
    healthy: bool
    duration: float
    reason: str


@dataclass(frozen=True, slots=True)
class ListingChanged(Event):
    """A server told that what it lists has changed, or may have done so unheard."""

    server: str
    replica: str | None
    listing: Literal["prompts", "resources"]


@dataclass(frozen=True, slots=True)
class ResourceUpdated(Event):
    """A server told that a resource has another content. Of the address nothing is fit for a label."""

    server: str
    replica: str | None
    uri: str


@dataclass(frozen=True, slots=True)
class ToolsChanged(Event):
    """A server's listing differs from the one known before. Tool names as shown to callers."""

    server: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    total: int


@dataclass(frozen=True, slots=True)
class ToolDrifted(Event):
    """A tool kept its name and changed its description or schemas."""

    server: str
    name: str
    old_fingerprint: str
    new_fingerprint: str


@dataclass(frozen=True, slots=True)
class PinMismatched(Event):
    """A tool that a server lists is not what was accepted."""

    server: str
    name: str
    """As shown to callers."""
    parts: tuple[str, ...]
    """What has changed; empty for a tool that was never accepted."""
    refused: bool
    """Whether it is hidden and its calls are refused; the policy may allow it."""
    reason: str


@dataclass(frozen=True, slots=True)
class PinsChecked(Event):
    """Other tools than before are refused because they are not what was accepted."""

    refused: int
    """Tools of all servers."""
    reason: str
    """Which, and what to do; empty where there is none."""
