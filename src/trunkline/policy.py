"""What each part of the call path obeys: frozen numbers with their units, checked at birth.

No behaviour here. A policy's docstrings are the reference of the configuration file: the keys are the field names.
Sources of the defaults: `docs/decisions/0004-defaults.md`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

__all__ = [
    "BreakerPolicy",
    "BulkheadPolicy",
    "DomainPolicy",
    "Era",
    "HealthPolicy",
    "PoolPolicy",
    "RetryPolicy",
    "ServerPolicy",
    "ToolPolicy",
    "require",
]

Era: TypeAlias = Literal["auto", "2025-11-25", "2026-07-28"]


def require(condition: bool, field_name: str, found: object, expected: str) -> None:
    """Raise a `ValueError` in the words all policies use."""
    if not condition:
        raise ValueError(f"{field_name} = {found!r}: expected {expected}")


def _positive(policy: object, *names: str) -> None:
    for name in names:
        value = getattr(policy, name)
        require(value is None or value > 0, name, value, "a number greater than 0")


def _not_negative(policy: object, *names: str) -> None:
    for name in names:
        value = getattr(policy, name)
        require(value is None or value >= 0, name, value, "0 or more")


def _ratio(policy: object, *names: str) -> None:
    for name in names:
        value = getattr(policy, name)
        require(value is None or 0 < value <= 1, name, value, "a ratio greater than 0, at most 1")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When an attempt is tried again: only what cannot have run, or may run twice; always within a budget."""

    enabled: bool = True
    attempts: int = 3
    """Attempts at most, the first included. Attempts that were provably never sent do not count."""
    base: float = 0.05
    """Seconds: the first backoff is drawn from [0, base], each next from twice that range (full jitter)."""
    cap: float = 5.0
    """Seconds: no backoff is longer."""
    budget: float = 100.0
    """Tokens of one server's retry budget."""
    cost: float = 10.0
    """Tokens one retry costs; given back whole when that retry succeeds."""
    timeout_cost: float = 20.0
    """Tokens a retry after a timeout costs."""
    refund: float = 1.0
    """Tokens a success at the first attempt gives back."""

    def __post_init__(self) -> None:
        require(self.attempts >= 1, "attempts", self.attempts, "1 or more")
        _positive(self, "base", "cap", "budget")
        _not_negative(self, "cost", "timeout_cost", "refund")


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a server is left alone for a while."""

    enabled: bool = True
    consecutive: int = 5
    """Hard failures in a row that open the circuit."""
    ratio: float = 0.5
    """Share of failures within the window that opens the circuit."""
    minimum: int = 10
    """Outcomes the window must hold before a ratio counts."""
    window: float = 30.0
    """Seconds looked back."""
    slow_ratio: float = 0.8
    """Share of slow answers within the window that opens the circuit."""
    slow: float | None = None
    """Seconds from which an answer is slow; None takes 80 % of the attempt timeout."""
    open_for: float = 2.0
    """Seconds the circuit first stays open; doubles each time it opens again without having recovered."""
    open_cap: float = 60.0
    """Seconds: it never stays open longer."""
    successes: int = 2
    """Successful probes that close the circuit."""

    def __post_init__(self) -> None:
        require(self.consecutive >= 1, "consecutive", self.consecutive, "1 or more")
        require(self.minimum >= 1, "minimum", self.minimum, "1 or more")
        require(self.successes >= 1, "successes", self.successes, "1 or more")
        _ratio(self, "ratio", "slow_ratio")
        _positive(self, "window", "slow", "open_for", "open_cap")


@dataclass(frozen=True, slots=True)
class BulkheadPolicy:
    """How many attempts one server may be given at once, and how many may wait for their turn."""

    enabled: bool = True
    limit: int | None = None
    """Attempts in flight; None takes 32 over HTTP and 8 over stdio."""
    waiting: int = 512
    """Attempts that may wait, first come first served; one more is refused at once."""

    def __post_init__(self) -> None:
        _positive(self, "limit")
        _not_negative(self, "waiting")


@dataclass(frozen=True, slots=True)
class PoolPolicy:
    """How connections to one server are opened, kept and closed."""

    connections: int = 1
    """Connections kept open. One multiplexes any number of calls; over stdio each is a process of its own."""
    connect_timeout: float = 30.0
    """Seconds a connection may take to start, shake hands and list its tools."""
    base: float = 0.05
    """Seconds: first pause before reconnecting, doubled each time, with jitter; tried without limit."""
    cap: float = 5.0
    """Seconds: no pause is longer; while calls wait it is at most 0.1 s over HTTP, 1 s over stdio."""
    patience: float = 10.0
    """Seconds a server may be unreachable before calls to it are refused at once instead of waiting for it."""
    grace: float = 2.0
    """Seconds a connection being closed may take to finish its calls, and a child process to exit by itself."""

    def __post_init__(self) -> None:
        require(self.connections >= 1, "connections", self.connections, "1 or more")
        _positive(self, "connect_timeout", "base", "cap")
        _not_negative(self, "patience", "grace")


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """How a server is watched in the background."""

    enabled: bool = True
    interval: float = 10.0
    """Seconds between probes, jittered by a fifth."""
    timeout: float = 5.0
    """Seconds a probe may take."""
    down_after: int = 3
    """Bad signs in a row that make a server `down`; the first makes it `degraded`."""
    up_after: int = 2
    """Good signs in a row that make it `healthy` again."""
    restart_after: int = 3
    """Probes in a row without any answer after which the connection is replaced; 0 for never."""

    def __post_init__(self) -> None:
        _positive(self, "interval", "timeout")
        require(self.down_after >= 1, "down_after", self.down_after, "1 or more")
        require(self.up_after >= 1, "up_after", self.up_after, "1 or more")
        _not_negative(self, "restart_after")


@dataclass(frozen=True, slots=True)
class ServerPolicy:
    """Everything one server's stack obeys."""

    timeout: float = 30.0
    """Seconds a whole call may take (its deadline), unless the call says otherwise."""
    attempt_timeout: float = 10.0
    """Seconds one attempt may take, waiting for its turn and for a connection included."""
    trust_annotations: bool = False
    """Whether the server's own readOnlyHint and idempotentHint are believed. They are claims: trust is yours."""
    prefix: str | None = None
    """What stands before the underscore in this server's tool names; None takes the server's name, "" means none."""
    era: Era = "auto"
    """Protocol era; `auto` asks the server once and keeps the answer."""
    refresh: float = 300.0
    """Seconds between listings of the server's tools, jittered by a fifth."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    bulkhead: BulkheadPolicy = field(default_factory=BulkheadPolicy)
    pool: PoolPolicy = field(default_factory=PoolPolicy)
    health: HealthPolicy = field(default_factory=HealthPolicy)

    def __post_init__(self) -> None:
        _positive(self, "timeout", "attempt_timeout", "refresh")


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """What differs for one tool. The key in the configuration is the tool's name as shown to callers."""

    idempotent: bool | None = None
    """Whether running it twice is harmless; None leaves it to the annotations of a trusted server."""
    timeout: float | None = None
    """Seconds the whole call may take; None takes the server's."""
    attempt_timeout: float | None = None
    """Seconds one attempt may take; None takes the server's."""

    def __post_init__(self) -> None:
        _positive(self, "timeout", "attempt_timeout")


@dataclass(frozen=True, slots=True)
class DomainPolicy:
    """What one domain is held to; the thresholds become alerts."""

    p95: float | None = None
    """Seconds."""
    error_ratio: float | None = None

    def __post_init__(self) -> None:
        _positive(self, "p95")
        _ratio(self, "error_ratio")
