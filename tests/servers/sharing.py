"""Clients that share a cache through a real Redis, and what a test or a benchmark asks of them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

from tests.servers.redis_servers import RedisServer
from tests.servers.watching import eventually
from trunkline import CachePolicy, EnhancedMCPClient, HealthPolicy, ServerPolicy, ServerSettings, ToolPolicy
from trunkline.bus import EventBus
from trunkline.cache.cache_manager import CacheManager
from trunkline.cache.redis_tier import RedisTier
from trunkline.endpoint import Endpoint
from trunkline.policy import CacheSettings, RedisPolicy

__all__ = ["SharingClient", "commands"]

_PATIENT = RedisPolicy(deadline=2.0, open_for=0.05, open_cap=0.2)
"""For what is not about deadlines: a busy machine may take a while."""


class SharingClient(EnhancedMCPClient):
    """One process's client of a server `s`, whose tools' answers it shares with others; all in one process, or not."""

    def __init__(
        self,
        redis_url: str,
        endpoint: Endpoint,
        tools: dict[str, CachePolicy],
        *,
        max_bytes: int = CacheSettings().max_bytes,
        server: ServerPolicy | None = None,
        redis: RedisPolicy = _PATIENT,
    ) -> None:
        """Describe it."""
        settings = CacheSettings(partition="app", max_bytes=max_bytes, redis=replace(redis, url=redis_url))
        bus, rng = EventBus(), random.Random()
        self.tier = RedisTier(settings.redis, namespace=settings.namespace, emit=bus.emit, rng=rng)
        super().__init__(
            [ServerSettings("s", endpoint, server or ServerPolicy(health=HealthPolicy(enabled=False)))],
            tools={f"s_{name}": ToolPolicy(cache=policy) for name, policy in tools.items()},
            cache=CacheManager(settings, tier=self.tier, emit=bus.emit, rng=rng),
            bus=bus,
        )

    async def in_touch(self, *, since: float = -math.inf) -> None:
        """Wait until it has heard everything that others had said by `since`, on the loop's clock."""
        await eventually(
            lambda: self.tier.is_available and self.tier.synced_at > since,
            told=lambda: (self.tier, self.tier.statistics()),
        )

    async def settled(self) -> None:
        """Wait until others could hear everything it had to say, and what it had to write is written."""
        await eventually(lambda: not self.tier.statistics().unheard, told=self.tier.statistics)
        await self.tier.client.flush(20)


def commands(server: RedisServer, *, counts: Callable[[str], bool] = lambda _name: True) -> dict[str, int]:
    """How often the server was given each command since its counts were reset, what it takes to ask this left out."""
    told = server.admin.info("commandstats")
    found = {name.removeprefix("cmdstat_"): int(stats["calls"]) for name, stats in told.items()}
    meddling = ("info", "config", "config|resetstat", "hello", "client", "client|setinfo")
    return {name: calls for name, calls in found.items() if name not in meddling and counts(name)}
