"""What is kept of one answer, under which key, and how fresh it still is. Pure; both tiers hold these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["CacheKey", "Entry", "Freshness"]

Freshness: TypeAlias = Literal["fresh", "stale", "kept", "gone"]
"""Served; served and refreshed; served only where nothing else answers; not served."""


@dataclass(frozen=True, slots=True)
class CacheKey:
    """The identity of an answer: two calls with the same digest may be given the same one."""

    digest: bytes
    """BLAKE2b-128 over everything that makes a difference, see `key`."""
    tags: tuple[str, ...]
    """Names under which it can be invalidated, in a fixed order."""
    is_shareable: bool
    """Whether it may leave this process: the principal it was made for is known."""


@dataclass(slots=True)
class Entry:
    """One answer. Times are seconds on the event loop's clock; a shared tier translates them."""

    method: str
    """The protocol's name for the question; it says what the body is."""
    body: bytes
    """The result's JSON as MCP has it on the wire."""
    versions: tuple[bytes, ...]
    """The version of each tag of its key, in their order, from before the server was asked."""
    stored: float
    fresh_for: float
    """Seconds from `stored`."""
    stale_for: float
    """Seconds after that."""
    kept_for: float
    """Seconds after that."""
    origin_time: float
    """Seconds the server took to answer."""
    confirmed: float
    """When it was last known that nobody had invalidated it."""
    recheck_at: float = 0.0
    """Until then it is served as it is, although it has expired: the server has just failed."""

    def freshness(self, now: float) -> Freshness:
        """How it may be used now."""
        age = now - self.stored
        if age < self.fresh_for:
            return "fresh"
        if age < self.fresh_for + self.stale_for:
            return "stale"
        return "kept" if age < self.lifetime else "gone"

    @property
    def lifetime(self) -> float:
        """Seconds from `stored` until it is gone."""
        return self.fresh_for + self.stale_for + self.kept_for
