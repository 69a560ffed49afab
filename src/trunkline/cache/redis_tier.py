"""What several processes share of their caches, in Redis or Valkey: entries, versions of tags, leases.

Every fault is a miss, and everything has a deadline; the parts say how. Without the server, on another event loop than
asyncio too, everything goes on in memory.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import anyio

from trunkline.cache.backplane import Backplane, BackplaneStatistics
from trunkline.cache.entry import CacheKey, Entry
from trunkline.cache.invalidations import Invalidations
from trunkline.cache.link import NotKnown, Refused
from trunkline.cache.link_keeper import Connect
from trunkline.cache.redis_client import RedisClient, RedisStatistics
from trunkline.cache.redis_lease import RedisLease
from trunkline.cache.shared_entries import SharedEntries
from trunkline.cache.tier import Claim, Found
from trunkline.events import Emit
from trunkline.policy import RedisPolicy

__all__ = ["RedisTier", "TierStatistics"]


@dataclass(frozen=True, slots=True)
class TierStatistics:
    """What the tier was good for so far."""

    client: RedisStatistics
    backplane: BackplaneStatistics
    reads: int
    """Entries that were asked for."""
    found: int
    """Entries that could be used."""
    unknown: int
    """Entries of which the tier could not say whether it has them: late, lost, or not even asked."""
    outdated: int
    """Entries that had been invalidated."""
    damaged: Mapping[str, int]
    """Entries and versions that were not what was asked for, by kind."""
    seeded: int
    """Tags that had no version and were given one."""
    unheard: int
    """Invalidations that wait to be heard."""
    lost: int
    """Invalidations for which there was no room to wait."""


class RedisTier:
    """A `SharedTier` in Redis. Only `run` it; whatever is missing is "not known"."""

    def __init__(
        self,
        policy: RedisPolicy,
        *,
        namespace: str,
        emit: Emit,
        rng: random.Random,
        connect: Connect | None = None,
    ) -> None:
        """Describe it; raises ConfigError for an unusable address, and where redis-py is not installed."""
        self.client = RedisClient(policy, emit=emit, rng=rng, namespace=namespace, connect=connect)
        self.backplane = Backplane(self.client, max_unsynced=policy.max_unsynced)
        self._invalidations = Invalidations(self.client, self.backplane, draw=_new_version)
        self._entries = SharedEntries(
            self.client, draw=_new_version, replace=self._invalidations.replace, deadline=policy.deadline
        )
        self._deadline = policy.deadline

    def __repr__(self) -> str:
        return f"<RedisTier {self._entries!r} {self.client!r} {self.backplane!r} {self._invalidations.outbox!r}>"

    @property
    def is_available(self) -> bool:
        """Whether asking is worth it: it answered last time."""
        return self.client.is_available

    @property
    def synced_at(self) -> float:
        """When it was last known that no invalidation of others is outstanding."""
        return self.backplane.synced_at

    def statistics(self) -> TierStatistics:
        """The counts so far. No I/O."""
        counts, outbox = self._entries.counts, self._invalidations.outbox
        return TierStatistics(
            client=self.client.statistics(),
            backplane=self.backplane.statistics(),
            reads=counts["reads"],
            found=counts["found"],
            unknown=counts["unknown"],
            outdated=counts["outdated"],
            damaged=dict(self._entries.damaged),
            seeded=counts["seeded"],
            unheard=len(outbox),
            lost=outbox.lost,
        )

    def listen(self, on_bumped: Callable[[Mapping[str, bytes]], None], on_gap: Callable[[], None]) -> None:
        """Tell of new versions, and of gaps."""
        self._invalidations.listen(on_bumped, on_gap)

    async def check(self) -> None:
        """Ask for a sign of life, for `HealthMonitor.watch`; raises with the reason where there is none."""
        await self.client.check()

    async def run(self) -> None:
        """Keep in touch until cancelled; then send what still waits, within two deadlines."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.client.run)
                tasks.start_soon(self.backplane.run)
                tasks.start_soon(self._invalidations.run)
        finally:
            with anyio.CancelScope(shield=True):
                # What a program has done last counts as well.
                if self.is_available:
                    await self._invalidations.tell()
                    await self.client.flush(self._deadline)
                await self.client.aclose()

    async def read(self, key: CacheKey) -> Found | None:
        """What it has; None where it cannot say in time, or has not heard what was made invalid here."""
        outbox = self._invalidations.outbox
        if not key.is_shareable or any(tag in outbox for tag in key.tags):
            return None
        return await self._entries.read(key)

    def write(self, key: CacheKey, entry: Entry) -> None:
        """Store an entry in the background; dropped and counted where too much is waiting."""
        if key.is_shareable:
            commands = self._entries.writing(key, entry)
            self.client.put(self.client.keys.entry(key.digest), len(entry.body), commands)

    async def write_through(self, key: CacheKey, entry: Entry) -> bool:
        """Store an entry now; whether it is known to have arrived."""
        commands = self._entries.writing(key, entry) if key.is_shareable else []
        if not commands:
            return False
        replies = await self.client.execute(commands)
        return not isinstance(replies, NotKnown) and not isinstance(replies[0], Refused)

    def bump(self, versions: Mapping[str, bytes]) -> None:
        """Give tags new versions, everywhere. Repeated until it has been heard; the last version of a tag wins."""
        self._invalidations.bump(versions)

    async def claim(self, key: CacheKey, seconds: float) -> Claim | bool:
        """The claim; False where another process has it; True to go on without (the tier cannot say)."""
        if not key.is_shareable:
            return True
        lease = RedisLease(self.client, self.client.keys.lease(key.digest))
        is_taken = await lease.take(seconds)
        return True if is_taken is None else lease if is_taken else False


def _new_version() -> bytes:
    return secrets.token_bytes(12)
