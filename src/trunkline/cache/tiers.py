"""Both tiers as one: what is in memory, what a shared tier adds, and which of it still counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mcp_types import Result

from trunkline import clock
from trunkline.cache.entry import CacheKey, Entry
from trunkline.cache.memory import OVERHEAD, Memory
from trunkline.cache.tags import Versions
from trunkline.cache.tier import Claim, SharedTier
from trunkline.policy import CacheSettings

__all__ = ["Held", "Tiers"]

_PARSED = 3
"""What an answer costs as an object, beside the bytes of its JSON and in terms of them."""


@dataclass(slots=True)
class Held:
    """An entry in memory."""

    entry: Entry
    parsed: Result | None = None
    """The answer as the one object that all callers get, where the policy says so."""
    checked: int = -1
    """The count of moved versions at which its tags were last found to match."""


class Tiers:
    """Entries by key. What is not known to be valid is not there."""

    def __init__(self, settings: CacheSettings, tier: SharedTier | None, *, draw: Callable[[], bytes]) -> None:
        """Hold entries; `draw` gives versions, each of which is given once in all processes."""
        self.memory: Memory[Held] = Memory(settings.max_bytes)
        self.versions = Versions(draw)
        self.faults = 0
        """How often the shared tier raised, which it must not."""
        self._tier = tier
        self._max_unsynced = settings.redis.max_unsynced
        if tier is not None:
            tier.listen(self.versions.hear, self.versions.forget)

    def __repr__(self) -> str:
        return f"<Tiers {self.memory!r} {self.versions!r} {self._tier!r}>"

    @property
    def is_shared(self) -> bool:
        """Whether there is a tier beside memory."""
        return self._tier is not None

    def peek(self, key: CacheKey, now: float) -> Held | None:
        """What memory has, if it is known to count and not gone; whether it is fresh is for the caller to ask."""
        held = self.memory.get(key.digest)
        if held is None:
            return None
        if held.checked != self.versions.moves:
            moves = self.versions.moves
            match = self.versions.match(key.tags, held.entry.versions)
            if match is False:
                self.memory.discard(key.digest)
            if not match:
                return None
            held.checked = moves
        entry = held.entry
        if entry.stored + entry.fresh_for <= now and entry.freshness(now) == "gone":
            self.memory.discard(key.digest)
            return None
        return held if self.is_in_touch(entry.confirmed, now) else None

    def is_in_touch(self, since: float, now: float) -> bool:
        """Whether what was right at a moment still counts: what others made invalid since would have been heard."""
        return self._tier is None or now - max(since, self._tier.synced_at) <= self._max_unsynced

    async def ask(self, key: CacheKey) -> bool:
        """Bring memory up to date with the shared tier; whether that could say anything about the key."""
        tier = self._tier
        if tier is None or not key.is_shareable or not tier.is_available:
            return False
        asked, gaps, before = clock.now(), self.versions.gaps, self.versions.known(key.tags)
        try:
            found = await tier.read(key)
        except Exception:  # boundary: whatever is wrong with the tier, it is a miss
            self.faults += 1
            return False
        # What was told while it was on its way may be newer.
        replaced = (
            None
            if found is None or gaps != self.versions.gaps
            else self.versions.learn(key.tags, found.versions, before)
        )
        if found is None or replaced is None:
            return False
        if replaced:
            self.bump(replaced)
            return False
        held, theirs = self.memory.get(key.digest), found.entry
        if theirs is not None and (held is None or held.entry.stored < theirs.stored or not self._counts(key, held)):
            held = Held(theirs)
            self._put(key, held)
        if held is not None and self._counts(key, held):
            held.entry.confirmed = max(held.entry.confirmed, asked)
        return True

    def store(self, key: CacheKey, entry: Entry, parsed: Result | None = None, *, is_told: bool) -> bool:
        """Keep an entry, unless a tag of it has moved since the server was asked; `is_told` writes to the tier, too."""
        if self.versions.match(key.tags, entry.versions) is not True:
            return False
        self._put(key, Held(entry, parsed, self.versions.moves))
        if is_told and self._tier is not None and key.is_shareable:
            try:
                self._tier.write(key, entry)
            except Exception:  # boundary: the server has answered; that nobody else hears it is no error of the call
                self.faults += 1
        return True

    def share(self, keys: Iterable[CacheKey], held: Held, parsed: Result) -> None:
        """Keep the one object that all callers are given beside an entry that is in memory under one of these keys."""
        held.parsed = parsed
        for key in keys:
            if self.memory.get(key.digest) is held:
                self._put(key, held)

    async def claim(self, key: CacheKey, seconds: float) -> Claim | bool:
        """The leave to ask the server for all processes; False where another has it, True to go on without."""
        if self._tier is None:
            return True
        try:
            return await self._tier.claim(key, seconds)
        except Exception:  # boundary: whatever is wrong with the tier, each process asks for itself
            self.faults += 1
            return True

    async def write_through(self, key: CacheKey, entry: Entry) -> None:
        """Have an entry in the shared tier before anything else happens."""
        if self._tier is not None:
            try:
                await self._tier.write_through(key, entry)
            except Exception:  # boundary: whatever is wrong with the tier, it does not have the entry
                self.faults += 1

    def bump(self, tags: Iterable[str], *, is_told: bool = True) -> None:
        """Make everything with one of these tags invalid, here at once; `is_told` says to other processes, too."""
        given = self.versions.bump(tuple(tags))
        if is_told and self._tier is not None:
            self._tier.bump(given)

    def _counts(self, key: CacheKey, held: Held) -> bool:
        return self.versions.match(key.tags, held.entry.versions) is True

    def _put(self, key: CacheKey, held: Held) -> None:
        size = len(held.entry.body)
        self.memory.put(key.digest, held, OVERHEAD + size + (_PARSED * size if held.parsed is not None else 0))
