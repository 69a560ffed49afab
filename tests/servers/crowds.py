"""Sixty-four that ask a shared tier all the time, and what they have seen."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from tests.servers.shared_tiers import entry_of, is_right, key_of, tier
from tests.servers.watching import Record, eventually
from trunkline.cache.redis_tier import RedisTier
from trunkline.clock import now
from trunkline.policy import RedisPolicy

__all__ = ["Crowd", "crowd"]

WORKERS = 64
KEYS = 20


@dataclass
class Crowd:
    """What those who ask have seen."""

    of: RedisTier
    hits: int = 0
    wrong: int = 0
    unknown: int = 0
    waits: list[float] = field(default_factory=list)

    async def ask(self, rng: random.Random) -> None:
        """Ask for this and that, without end."""
        while True:
            number = rng.randrange(KEYS)
            started = now()
            found = await self.of.read(key_of(number))
            self.waits.append(now() - started)
            if found is None:
                self.unknown += 1
            elif found.entry is not None:
                self.hits += 1
                self.wrong += not is_right(number, found.entry)
            else:
                self.of.write(key_of(number), entry_of(number, found))
            await anyio.sleep(0.01)

    async def until_more(self, count: int = 200) -> None:
        """Wait until so many more have asked."""
        goal = len(self.waits) + count
        await eventually(lambda: len(self.waits) >= goal)

    async def until_hit(self) -> None:
        """Wait until somebody finds something again."""
        goal = self.hits + 1
        await eventually(lambda: self.hits >= goal, told=self.of.statistics)


@asynccontextmanager
async def crowd(policy: RedisPolicy, record: Record | None = None) -> AsyncGenerator[Crowd]:
    """A tier that many ask at once, and that has what they ask for."""
    async with tier(policy, record=record) as it, anyio.create_task_group() as tasks:
        seen = Crowd(it)
        for number in range(WORKERS):
            tasks.start_soon(seen.ask, random.Random(number))
        await seen.until_hit()
        yield seen
        tasks.cancel_scope.cancel()
