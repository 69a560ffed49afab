"""What one tool or one domain obeys, beside its server's policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trunkline.policy.cache import CachePolicy
from trunkline.policy.checks import positive, ratio, require

__all__ = ["DomainPolicy", "FallbackPolicy", "ToolPolicy"]


@dataclass(frozen=True, slots=True)
class FallbackPolicy:
    """What answers instead of a tool that cannot: another tool first, then an answer given here."""

    enabled: bool = True
    tool: str | None = None
    """Name of the substitute, as shown to callers."""
    arguments: Mapping[str, Any] | None = None
    """The substitute's arguments: "$query" is the call's own argument `query`, left out where the call has none; "$$"
    begins a text with one dollar sign; anything else stands for itself. None passes on the call's own arguments."""
    answer: str | Mapping[str, Any] | None = None
    """The last resort: a text, or a table as structured content."""

    def __post_init__(self) -> None:
        require(self.tool != "", "tool", self.tool, "the name of a tool")
        require(self.arguments is None or self.tool is not None, "arguments", self.arguments, "a tool to give them to")


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """What differs for one tool. The key in the configuration is the tool's name as shown to callers."""

    idempotent: bool | None = None
    """Whether running it twice is harmless; None leaves it to the annotations of a trusted server."""
    timeout: float | None = None
    """Seconds the whole call may take; None takes the server's."""
    attempt_timeout: float | None = None
    """Seconds one attempt may take; None takes the server's."""
    fallback: FallbackPolicy = field(default_factory=FallbackPolicy)
    cache: CachePolicy = field(default_factory=CachePolicy)
    """How long its answers may be used again. Without a `ttl` the server's policy counts, where the server is trusted
    and calls the tool read-only."""

    def __post_init__(self) -> None:
        positive(self, "timeout", "attempt_timeout")


@dataclass(frozen=True, slots=True)
class DomainPolicy:
    """What one domain is held to; each threshold becomes an alert, see `trunkline.alerts`."""

    enabled: bool = True
    """Whether there are alerts about this domain's requests at all."""
    p95: float | None = None
    """Seconds that 95 of 100 requests must not exceed."""
    p99: float | None = None
    """Seconds that 99 of 100 requests must not exceed."""
    mean: float | None = None
    """Seconds that requests may take on average."""
    error_ratio: float | None = None
    """Share of requests that may fail, instead of the 5 % that holds for every domain."""
    slo: float | None = None
    """Share of requests that are to go well over a month, such as 0.999: alerts when a fiftieth of what may fail has
    failed within an hour, or a twentieth within six."""
    min_events: int | None = None
    """Requests in a rule's long window below which nothing is said of this domain; None takes the rule's."""

    def __post_init__(self) -> None:
        positive(self, "p95", "p99", "mean", "min_events")
        ratio(self, "error_ratio")
        require(self.slo is None or 0 < self.slo < 1, "slo", self.slo, "a share greater than 0, below 1")
