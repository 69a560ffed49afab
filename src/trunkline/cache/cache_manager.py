"""The cache of one process: what callers may ask of it, what it counted, and the task its background work runs in."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup

from trunkline import clock
from trunkline.cache.flight import Flights
from trunkline.cache.key import Keys, shard_of
from trunkline.cache.landing import Landing
from trunkline.cache.plan import Plan
from trunkline.cache.statistics import CacheStatistics, CacheStats
from trunkline.cache.tags import ALL, custom_tag, hashed, mine_tag, principal_tag, server_tag, tool_tag
from trunkline.cache.tier import SharedTier
from trunkline.cache.tiers import Tiers
from trunkline.events import CacheInvalidated, Emit, Event, InvalidationScope
from trunkline.policy import CacheSettings
from trunkline.pool.owner import Owner

__all__ = ["CacheManager"]

_PAUSE = 1.0
"""Seconds before a shared tier that gave up is run again."""


def _ignore(_event: Event) -> None:
    """Tell nobody."""


def _now() -> float:
    try:
        return clock.now()
    except RuntimeError:
        return time.monotonic()  # no event loop runs here: the clock that asyncio's has


class CacheManager:
    """Answers that may be used again, in memory and in a tier that several processes share.

    A client starts and stops the one it is given. Until it is started, nothing is refreshed in the background and
    callers that miss together each ask the server.
    """

    def __init__(
        self,
        settings: CacheSettings | None = None,
        *,
        tier: SharedTier | None = None,
        emit: Emit = _ignore,
        rng: random.Random | None = None,
    ) -> None:
        """Describe the cache; `tier` is what it shares with other processes, `emit` is told of invalidations."""
        self.settings = settings or CacheSettings()
        self.rng = rng or random.Random()  # spreads expiry, guards nothing
        # From the system unless a test says otherwise: a forked process must not draw its parent's versions again.
        self.tiers = Tiers(self.settings, tier, draw=partial(secrets.token_bytes if rng is None else rng.randbytes, 8))
        self.flights: Flights[Landing] = Flights()
        self.keys = Keys()
        self.statistics = CacheStatistics()
        self.tasks: TaskGroup | None = None
        """Where flights run; None while it is not started."""
        self.stocked: set[str] = set()
        """Servers that something was kept of."""
        self._tier = tier
        self._emit = emit
        self._users = 0
        self._owner = Owner(self._main)
        self._stopping = anyio.Event()

    def __repr__(self) -> str:
        return f"<CacheManager {self.tiers.memory!r} {self.flights!r}>"

    async def start(self) -> None:
        """Start its background work. Whoever starts it stops it; with the last one it ends."""
        self._users += 1
        if self._users == 1:
            self._owner, self._stopping = Owner(self._main), anyio.Event()
            try:
                await self._owner.start()
            except BaseException:
                # Cancelled half-way in: nobody will stop what nobody has started.
                self._users -= 1
                self._stopping.set()
                raise

    async def stop(self) -> None:
        """End its background work; what it holds stays."""
        self._users -= 1
        if self._users == 0:
            self._stopping.set()
            await self._owner.wait_ended()

    async def _main(self, tasks: TaskGroup) -> None:
        self.tasks = tasks
        try:
            if self._tier is not None:
                tasks.start_soon(self._keep_in_touch, self._tier)
            await self._stopping.wait()
        finally:
            self.tasks = None
            tasks.cancel_scope.cancel()

    async def _keep_in_touch(self, tier: SharedTier) -> None:
        while True:
            try:
                await tier.run()
            except Exception:  # boundary: whatever is wrong with the tier, it costs its entries and nothing else
                self.statistics.faults += 1
            await anyio.sleep(_PAUSE)

    def invalidate(
        self,
        *,
        tool: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        server: str | None = None,
        tag: str | None = None,
        principal: str | None = None,
    ) -> None:
        """Make answers invalid, here at once, in other processes as soon as they hear of it: never served again.

        Takes as long for one as for a million. Of several conditions the narrowest that can be named counts, so that
        at times more goes than was asked for, and never less.

        Args:
            tool: Answers of this tool, by the name shown to callers.
            arguments: Of those, answers to a call with these arguments.
            server: Answers of this server.
            tag: Answers that a policy gave this tag.
            principal: Answers given to this principal.

        Raises:
            ValueError: No condition was given (`clear` drops everything), or arguments without a tool.
        """
        if arguments is not None and tool is None:
            msg = "arguments: expected with the tool they are given to"
            raise ValueError(msg)
        who = None if principal is None else hashed(principal, self.settings.namespace)
        scope: InvalidationScope
        if tool is not None:
            scope, name = "tool", tool
            invalid = tool_tag(tool) if arguments is None else shard_of(tool, arguments)
        elif tag is not None:
            scope, name, invalid = "tag", tag, custom_tag(tag)
        elif server is not None:
            scope, name = "server", server
            invalid = server_tag(server) if who is None else mine_tag(server, who)
        elif who is not None:
            scope, name, invalid = "principal", "", principal_tag(who)
        else:
            msg = "nothing to invalidate was named; clear() drops everything"
            raise ValueError(msg)
        self._invalidate(scope, name, invalid)

    def clear(self) -> None:
        """Make everything invalid, in all processes of the namespace, and free the memory."""
        self._invalidate("all", "", ALL)
        self.tiers.memory.clear()

    def resize(self, max_bytes: int) -> None:
        """Take so many bytes of memory from now on, and not those of the settings."""
        self.tiers.memory.resize(max_bytes)

    def _invalidate(self, scope: InvalidationScope, name: str, tag: str) -> None:
        self.statistics.invalidations += 1
        self.tiers.bump((tag,))
        self._emit(CacheInvalidated(_now(), scope, name))

    def changed(self, plan: Plan, principal: str | None) -> None:
        """A call was made that may have changed what others were told: that is invalid now."""
        partition = self.settings.partition if principal is None else principal
        is_default = plan.invalidates is None
        if is_default and not self.tiers.is_shared and plan.server not in self.stocked:
            return
        # What was answered to nobody in particular never left this process.
        self.tiers.bump(plan.moved(partition), is_told=not is_default or partition is not None)

    def stats(self) -> CacheStats:
        """What it did since it was made. A plain read."""
        counted, memory = self.statistics, self.tiers.memory
        total, tools, domains = counted.totals()
        return CacheStats(
            total=total,
            tools=tools,
            domains=domains,
            bypassed=dict(counted.bypassed),
            refused=dict(counted.refused),
            faults=counted.faults + self.tiers.faults,
            refreshes=counted.refreshes,
            invalidations=counted.invalidations,
            entries=len(memory),
            bytes=memory.used,
            max_bytes=memory.limit,
            evictions=memory.evictions,
            under_way=len(self.flights),
        )
