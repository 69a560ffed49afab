"""Processes that share a cache, all in this one: tiers that run, what they hear, and entries to share."""

from __future__ import annotations

import json
import math
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import anyio

from tests.servers.watching import Record, eventually
from trunkline.cache.entry import CacheKey, Entry
from trunkline.cache.redis_tier import RedisTier
from trunkline.cache.tier import Found
from trunkline.clock import now
from trunkline.policy import RedisPolicy

__all__ = ["TAGS", "Hearing", "entry_of", "is_right", "key_of", "patient", "tier"]

TAGS = ("all", "server:s", "tool:s_t")
NAMESPACE = "test"


class Hearing:
    """What a tier tells its process."""

    def __init__(self, of: RedisTier) -> None:
        self.bumped: dict[str, bytes] = {}
        self.gaps = 0
        of.listen(self._on_bumped, self._on_gap)

    def _on_bumped(self, versions: Mapping[str, bytes]) -> None:
        self.bumped.update(versions)

    def _on_gap(self) -> None:
        self.gaps += 1


def patient(url: str, **others: object) -> RedisPolicy:
    """A policy for tests that are not about deadlines: a busy machine may take a while."""
    return RedisPolicy(url=url, **{"deadline": 2.0, "open_for": 0.05, "open_cap": 0.2, **others})  # type: ignore[arg-type]


@asynccontextmanager
async def tier(policy: RedisPolicy, *, record: Record | None = None, found: bool = True) -> AsyncGenerator[RedisTier]:
    """A tier that runs, and by default is in touch and has heard everything."""
    made = RedisTier(policy, namespace=NAMESPACE, emit=record or Record(), rng=random.Random(1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.run)
        if found:
            await eventually(lambda: made.is_available and made.synced_at > -math.inf, told=made.statistics)
        yield made
        tasks.cancel_scope.cancel()


def key_of(number: int, tags: tuple[str, ...] = TAGS, *, is_shareable: bool = True) -> CacheKey:
    """A key."""
    return CacheKey(number.to_bytes(16, "big"), tags, is_shareable)


def entry_of(number: int, found: Found, tags: tuple[str, ...] = TAGS, *, age: float = 0.0, size: int = 0) -> Entry:
    """The one right answer for the key of this number, made with the versions that were found."""
    body = json.dumps({"answer": number, "padding": "x" * size}).encode()
    versions = tuple(found.versions[tag] for tag in tags)
    return Entry("tools/call", body, versions, now() - age, 60.0, 60.0, 0.0, 0.25, now())


def is_right(number: int, entry: Entry) -> bool:
    """Whether an entry is the answer for the key of this number."""
    return bool(json.loads(entry.body)["answer"] == number)
