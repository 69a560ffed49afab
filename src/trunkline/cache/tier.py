"""The seam between the cache of one process and what it shares with others.

Nothing here raises for a fault of the shared tier: a fault is "not known", and the caller goes on without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from trunkline.cache.entry import CacheKey, Entry

__all__ = ["Claim", "Found", "SharedTier"]


@dataclass(frozen=True, slots=True)
class Found:
    """What the shared tier says about a key."""

    entry: Entry | None
    """None where there is none, or where a tag has another version by now."""
    versions: Mapping[str, bytes]
    """The present version of every tag of the key. One that had none has been given one: absent is invalid."""


class Claim(Protocol):
    """The leave to ask the server for what several processes miss."""

    async def release(self) -> None:
        """Let others go on; it ends by itself when its time is over."""
        ...


class SharedTier(Protocol):
    """Entries and versions of tags that several processes share, within the deadline of its policy."""

    @property
    def is_available(self) -> bool:
        """Whether asking is worth it: it answered last time. Not before it has been reached for the first time."""
        ...

    @property
    def synced_at(self) -> float:
        """When it was last known (seconds on the loop's clock) that no invalidation of others is outstanding here."""
        ...

    def listen(self, on_bumped: Callable[[Mapping[str, bytes]], None], on_gap: Callable[[], None]) -> None:
        """Tell of tags that were given new versions, and that some may have been missed: all are unknown.

        Those are other processes' versions, and ours where what was asked for could not be told in time: it is then
        told as yet another version, because somebody may have been faster.
        """
        ...

    async def run(self) -> None:
        """Keep in touch with the tier, until cancelled."""
        ...

    async def read(self, key: CacheKey) -> Found | None:
        """What it has; None where it cannot say in time."""
        ...

    def write(self, key: CacheKey, entry: Entry) -> None:
        """Store an entry in the background; dropped and counted where too much is waiting."""
        ...

    async def write_through(self, key: CacheKey, entry: Entry) -> bool:
        """Store an entry now; whether it is known to have arrived."""
        ...

    def bump(self, versions: Mapping[str, bytes]) -> None:
        """Give tags new versions, everywhere. Repeated until it has been heard; the last version of a tag wins."""
        ...

    async def claim(self, key: CacheKey, seconds: float) -> Claim | bool:
        """The claim; False where another process has it; True to go on without (the tier cannot say)."""
        ...
