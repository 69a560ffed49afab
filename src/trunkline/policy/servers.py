"""What one server's connections, probes and stack obey."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from trunkline.policy.attempts import (
    BreakerPolicy,
    BulkheadPolicy,
    HedgePolicy,
    OutlierPolicy,
    RatePolicy,
    RetryPolicy,
)
from trunkline.policy.cache import CachePolicy, ListingCachePolicy
from trunkline.policy.checks import not_negative, positive, require
from trunkline.policy.pins import PinPolicy

__all__ = ["Era", "HealthPolicy", "PoolPolicy", "ServerPolicy"]

Era: TypeAlias = Literal["auto", "2025-11-25", "2026-07-28"]


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
        positive(self, "connect_timeout", "base", "cap")
        not_negative(self, "patience", "grace")


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
        positive(self, "interval", "timeout")
        require(self.down_after >= 1, "down_after", self.down_after, "1 or more")
        require(self.up_after >= 1, "up_after", self.up_after, "1 or more")
        not_negative(self, "restart_after")


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
    interactive: bool = True
    """Whether it may ask back while a call runs. Clients of the handshake era that can be asked have a connection each
    to it then, which for a stdio server is a process each; where not, all share, and it is told that nobody answers."""
    era: Era = "auto"
    """Protocol era; `auto` asks the server once and keeps the answer."""
    refresh: float = 300.0
    """Seconds between listings of the server's tools, jittered by a fifth."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    bulkhead: BulkheadPolicy = field(default_factory=BulkheadPolicy)
    rate: RatePolicy = field(default_factory=RatePolicy)
    outlier: OutlierPolicy = field(default_factory=OutlierPolicy)
    hedge: HedgePolicy = field(default_factory=HedgePolicy)
    pool: PoolPolicy = field(default_factory=PoolPolicy)
    health: HealthPolicy = field(default_factory=HealthPolicy)
    cache: CachePolicy = field(default_factory=CachePolicy)
    """For tools that have none of their own, where this server is trusted and calls them read-only."""
    listings: ListingCachePolicy = field(default_factory=ListingCachePolicy)
    pins: PinPolicy = field(default_factory=PinPolicy)
    """What happens to tools that differ from what was accepted, where `trunkline.pins` names a file."""
    fallback: tuple[str, ...] = ()
    """Servers that are asked in turn when this one has no answer. They must have the tool under the same bare name."""
    reserve: float = 0.2
    """Share of a call's time that is kept for its fallbacks, where it has any."""

    def __post_init__(self) -> None:
        positive(self, "timeout", "attempt_timeout", "refresh")
        require(0 <= self.reserve < 1, "reserve", self.reserve, "a share from 0, below 1")
        repeated = {name for name in self.fallback if self.fallback.count(name) > 1}
        require(not repeated, "fallback", list(self.fallback), "each server at most once")
