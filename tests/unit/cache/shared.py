"""A tier that several caches of one test share, as several processes share a Redis: by the contract of `SharedTier`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import anyio

from trunkline.cache.entry import CacheKey, Entry
from trunkline.cache.tier import Claim, Found

__all__ = ["Shared", "Tier"]


@dataclass
class Shared:
    """What they share."""

    entries: dict[bytes, Entry] = field(default_factory=dict)
    versions: dict[str, bytes] = field(default_factory=dict)
    tiers: list[Tier] = field(default_factory=list)
    claimed: set[bytes] = field(default_factory=set)
    drawn: int = 0

    def tier(self) -> Tier:
        """The tier as one more process sees it."""
        self.tiers.append(Tier(self))
        return self.tiers[-1]

    def version(self, tag: str) -> bytes:
        """The present version of a tag: absent is new."""
        if tag not in self.versions:
            self.drawn += 1
            self.versions[tag] = b"tier%04d" % self.drawn
        return self.versions[tag]


class Tier:
    """One process's end of it."""

    def __init__(self, shared: Shared) -> None:
        self.is_available = True
        self.is_deaf = False
        """Whether it neither sends nor hears of bumps, as while it is cut off."""
        self.delay = 0.0
        self.reads = 0
        self.writes = 0
        self.synced: float | None = None
        """When it was last in touch; None is now."""
        self.is_running = False
        self._shared = shared
        self._outbox: dict[str, bytes] = {}
        self._on_bumped: Callable[[Mapping[str, bytes]], None] = lambda _versions: None
        self._on_gap: Callable[[], None] = lambda: None

    @property
    def synced_at(self) -> float:
        return anyio.current_time() if self.synced is None else self.synced

    def listen(self, on_bumped: Callable[[Mapping[str, bytes]], None], on_gap: Callable[[], None]) -> None:
        self._on_bumped, self._on_gap = on_bumped, on_gap

    async def run(self) -> None:
        self.is_running = True
        try:
            await anyio.sleep_forever()
        finally:
            self.is_running = False

    def gap(self) -> None:
        """Some bumps may have been missed."""
        self._on_gap()

    async def read(self, key: CacheKey) -> Found | None:
        self.reads += 1
        await anyio.sleep(self.delay)
        if not self.is_available:
            return None
        versions = {tag: self._shared.version(tag) for tag in key.tags}
        entry = self._shared.entries.get(key.digest)
        if entry is not None and entry.versions != tuple(versions[tag] for tag in key.tags):
            entry = None
        return Found(None if entry is None else replace(entry), versions)

    def write(self, key: CacheKey, entry: Entry) -> None:
        assert key.is_shareable
        self.writes += 1
        self._shared.entries[key.digest] = replace(entry)

    async def write_through(self, key: CacheKey, entry: Entry) -> bool:
        self.write(key, entry)
        return True

    def bump(self, versions: Mapping[str, bytes]) -> None:
        self._outbox.update(versions)
        if not self.is_deaf:
            self.reconnect()

    def reconnect(self) -> None:
        """Send what is waiting to be sent."""
        self.is_deaf = False
        told, self._outbox = self._outbox, {}
        self._shared.versions.update(told)
        for other in self._shared.tiers:
            if other is not self and not other.is_deaf:
                other._on_bumped(told)

    async def claim(self, key: CacheKey, seconds: float) -> Claim | bool:
        if key.digest in self._shared.claimed:
            return False
        self._shared.claimed.add(key.digest)
        return _Claim(self._shared, key.digest)


class _Claim:
    def __init__(self, shared: Shared, digest: bytes) -> None:
        self._shared = shared
        self._digest = digest

    async def release(self) -> None:
        self._shared.claimed.discard(self._digest)
