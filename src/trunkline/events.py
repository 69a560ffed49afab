"""The one event stream: frozen facts in the past tense.

Logs, metrics, health, alerts and the dashboard are folds over it. Events carry low-cardinality labels and
numbers, never arguments, results or credentials. `at` is in seconds on the event loop's clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from trunkline.call import CacheOutcome, Delivery, Method

__all__ = [
    "AttemptFinished",
    "CallFinished",
    "CallStarted",
    "CircuitChanged",
    "CircuitState",
    "ConfigRejected",
    "ConfigReloaded",
    "ConnectFailed",
    "ConnectStarted",
    "ConnectionEnded",
    "ConnectionOpened",
    "Emit",
    "Event",
    "LoopLagged",
    "Observer",
    "ObserverFailed",
    "RetryScheduled",
    "ServerProbed",
    "ToolDrifted",
    "ToolsChanged",
]

CircuitState: TypeAlias = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""

    at: float


@dataclass(frozen=True, slots=True)
class CallStarted(Event):
    """A call entered the client. Exactly one `CallFinished` with the same `call_id` follows."""

    call_id: str
    method: Method
    name: str
    domain: str


@dataclass(frozen=True, slots=True)
class CallFinished(Event):
    """A call has its answer or its error."""

    call_id: str
    method: Method
    name: str
    domain: str
    server: str
    outcome: str
    """`ok`, `tool_error`, `cancelled`, or the class name of the error raised."""
    duration: float
    """Seconds, queueing and retries included."""
    attempts: int
    cache: CacheOutcome
    fallback: str | None
    may_have_run: bool
    tracked: bool
    """Whether the call was made inside a tracked domain operation, which counts the domain's request itself."""


@dataclass(frozen=True, slots=True)
class AttemptFinished(Event):
    """One attempt at one server ended."""

    call_id: str
    method: Method
    name: str
    domain: str
    server: str
    replica: str | None
    outcome: str
    duration: float
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class RetryScheduled(Event):
    """Another attempt will follow after `delay` seconds."""

    call_id: str
    name: str
    server: str
    attempt: int
    """The number of the attempt that failed, from 1."""
    delay: float
    reason: str


@dataclass(frozen=True, slots=True)
class CircuitChanged(Event):
    """A circuit moved from one state to another."""

    server: str
    replica: str | None
    old: CircuitState
    new: CircuitState
    reason: str


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
class ServerProbed(Event):
    """A background health probe ended."""

    server: str
    replica: str | None
    healthy: bool
    duration: float
    reason: str


@dataclass(frozen=True, slots=True)
class LoopLagged(Event):
    """The event loop woke late by `lag` seconds."""

    lag: float


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
class ObserverFailed(Event):
    """An observer raised. It costs nobody else an event; every failure is counted, the first is announced."""

    observer: str
    error: str


Observer: TypeAlias = Callable[[Event], None]
Emit: TypeAlias = Callable[[Event], None]
