"""What the attempts of one server's calls obey: retry, breaker, bulkhead, rate, replicas and hedging."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.policy.checks import not_negative, positive, ratio, require

__all__ = [
    "BreakerPolicy",
    "BulkheadPolicy",
    "HedgePolicy",
    "OutlierPolicy",
    "RatePolicy",
    "RetryPolicy",
]


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
        positive(self, "base", "cap", "budget")
        not_negative(self, "cost", "timeout_cost", "refund")


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
    shared: bool = False
    """Whether processes that share a Redis tell one another of circuits that open and close, for servers over HTTP."""

    def __post_init__(self) -> None:
        require(self.consecutive >= 1, "consecutive", self.consecutive, "1 or more")
        require(self.minimum >= 1, "minimum", self.minimum, "1 or more")
        require(self.successes >= 1, "successes", self.successes, "1 or more")
        ratio(self, "ratio", "slow_ratio")
        positive(self, "window", "slow", "open_for", "open_cap")


@dataclass(frozen=True, slots=True)
class BulkheadPolicy:
    """How many attempts one server may be given at once, and how many may wait for their turn."""

    enabled: bool = True
    limit: int | None = None
    """Attempts in flight; None takes 32 over HTTP and 8 over stdio."""
    waiting: int = 512
    """Attempts that may wait, first come first served; one more is refused at once."""

    adaptive: bool = False
    """Whether the limit follows what the server can take: times 0.7 on overload, slowly up while it copes (AIMD)."""
    minimum: int = 1
    """Attempts in flight below which an adaptive limit never falls."""

    def __post_init__(self) -> None:
        positive(self, "limit", "minimum")
        not_negative(self, "waiting")
        if self.limit is not None:
            require(self.minimum <= self.limit, "minimum", self.minimum, "at most the limit")


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """How many attempts one server may be sent in a time, all its replicas together."""

    enabled: bool = True
    per_second: float | None = None
    """Attempts a second in the long run; None for no limit."""
    burst: int = 10
    """Attempts that may be sent at once after a quiet while."""

    def __post_init__(self) -> None:
        positive(self, "per_second")
        require(self.burst >= 1, "burst", self.burst, "1 or more")


@dataclass(frozen=True, slots=True)
class OutlierPolicy:
    """When one of several replicas is left out for doing worse than the others."""

    enabled: bool = True
    consecutive: int = 5
    """Hard failures in a row that eject a replica; it is back when its circuit has closed again."""
    deviations: float = 1.9
    """Standard deviations below the mean of all replicas' success ratios from which one is an outlier."""
    margin: float = 0.1
    """Share that the success ratio must also be below the mean: among equals, chance is no outlier."""
    peers: int = 5
    """Replicas with enough outcomes there must be, before any is compared with the others."""
    minimum: int = 50
    """Outcomes of a replica within the window that are enough."""
    window: float = 30.0
    """Seconds looked back."""
    base: float = 5.0
    """Seconds an ejection lasts at first; longer by as much each time it happens again."""
    cap: float = 300.0
    """Seconds: no ejection lasts longer."""
    most: float | None = None
    """Share of the replicas that may be out at once; None takes all but one of up to four, and half of more."""

    def __post_init__(self) -> None:
        require(self.consecutive >= 1, "consecutive", self.consecutive, "1 or more")
        require(self.peers >= 2, "peers", self.peers, "2 or more")
        require(self.minimum >= 1, "minimum", self.minimum, "1 or more")
        positive(self, "window", "base", "cap")
        not_negative(self, "deviations", "margin")
        ratio(self, "most")


@dataclass(frozen=True, slots=True)
class HedgePolicy:
    """When a second replica is asked because the first is slow. Tools that may run twice only; off by default."""

    enabled: bool = False
    quantile: float = 0.95
    """Of the tool's own latencies: who is slower than that is worth a second attempt."""
    minimum: int = 100
    """Latencies of a tool that must be known before its quantile counts; at most 10,000, as so many are kept."""
    delay: float | None = None
    """Seconds to wait before the quantile is known; None hedges nothing until then."""
    extra: float = 0.05
    """Second attempts per call, at most: in any n calls in a row n times as many, rounded up."""

    def __post_init__(self) -> None:
        require(0 < self.quantile < 1, "quantile", self.quantile, "a number between 0 and 1")
        require(1 <= self.minimum <= 10_000, "minimum", self.minimum, "1 to 10000, as so many latencies are kept")
        positive(self, "delay")
        ratio(self, "extra")
