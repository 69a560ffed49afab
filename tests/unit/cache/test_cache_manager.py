"""What callers may ask of the cache: invalidation by whatever names an answer, in one step; statistics; its life."""

from __future__ import annotations

import time
from typing import Any

import anyio
import pytest

from tests.unit.cache.plans import a_plan
from tests.unit.cache.shared import Shared, Tier
from trunkline.cache.cache_manager import CacheManager
from trunkline.cache.entry import CacheKey, Entry
from trunkline.events import CacheInvalidated, Event
from trunkline.policy import CacheSettings

pytestmark = pytest.mark.anyio

PLANS = {name: a_plan(name, server=name[0]) for name in ("s_read", "s_look", "t_read")}
PLANS["t_read"].tags = (*PLANS["t_read"].tags, "tag:news")


def key(name: str = "s_read", principal: str = "ada", n: int = 1) -> CacheKey:
    return PLANS[name].space(principal).key({"n": n})


ALL = [key(name, principal, n) for name in PLANS for principal in ("ada", "bob") for n in (1, 2)]


def filled(cache: CacheManager) -> CacheManager:
    for each in ALL:
        versions = cache.tiers.versions.current(each.tags)
        cache.tiers.store(each, Entry("tools/call", b"{}", versions, 0.0, 60.0, 0.0, 0.0, 0.0, 0.0), is_told=False)
    return cache


def left(cache: CacheManager) -> set[bytes]:
    return {each.digest for each in ALL if cache.tiers.peek(each, 1.0) is not None}


def of(name: str | None = None, principal: str | None = None, n: int | None = None) -> set[bytes]:
    return {
        key(a, b, c).digest
        for a in PLANS
        for b in ("ada", "bob")
        for c in (1, 2)
        if (name is None or a.startswith(name)) and principal in (None, b) and n in (None, c)
    }


@pytest.mark.parametrize(
    ("conditions", "gone"),
    [
        pytest.param({"tool": "s_read"}, of("s_read"), id="tool"),
        pytest.param({"tool": "s_read", "arguments": {"n": 1}}, of("s_read", n=1), id="key"),
        pytest.param({"server": "s"}, of("s"), id="server"),
        pytest.param({"server": "s", "principal": "ada"}, of("s", "ada"), id="server of a principal"),
        pytest.param({"principal": "ada"}, of(principal="ada"), id="principal"),
        pytest.param({"tag": "news"}, of("t_read"), id="tag"),
        pytest.param({"tool": "s_read", "server": "s", "principal": "ada"}, of("s_read"), id="more than was asked for"),
        pytest.param({"tool": "nobody_has"}, set(), id="nothing of that name"),
    ],
)
async def test_what_is_named_is_gone_and_the_rest_stays(conditions: dict[str, Any], gone: set[bytes]) -> None:
    cache = filled(CacheManager())
    assert left(cache) == of()
    cache.invalidate(**conditions)
    assert left(cache) == of() - gone
    assert cache.stats().invalidations == 1


@pytest.mark.parametrize("conditions", [{}, {"arguments": {"n": 1}}, {"server": "s", "arguments": {}}])
async def test_an_invalidation_that_names_nothing_is_refused(conditions: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"clear\(\)|arguments"):
        CacheManager().invalidate(**conditions)


async def test_a_clear_leaves_nothing_and_frees_the_memory() -> None:
    cache = filled(CacheManager())
    cache.clear()
    assert left(cache) == set()
    assert (cache.stats().entries, cache.stats().bytes) == (0, 0)


async def test_invalidating_takes_as_long_for_many_as_for_few() -> None:
    def seconds(entries: int) -> float:
        cache = CacheManager(CacheSettings(max_bytes=10**9))
        for number in range(entries):
            at = key(n=number)
            versions = cache.tiers.versions.current(at.tags)
            cache.tiers.store(at, Entry("tools/call", b"{}", versions, 0.0, 60.0, 0.0, 0.0, 0.0, 0.0), is_told=False)
        taken = []
        for _ in range(50):
            started = time.perf_counter()
            cache.invalidate(server="s")
            taken.append(time.perf_counter() - started)
        return min(taken)

    # A search would take a thousand times as long.
    assert seconds(20_000) < 20 * seconds(20) + 1e-4


async def test_an_invalidation_is_told_without_saying_whom_it_was_for() -> None:
    events: list[Event] = []
    cache = CacheManager(emit=events.append)
    cache.invalidate(tool="s_read", arguments={"secret": "sesame"})
    cache.invalidate(principal="ada")
    cache.invalidate(server="s", principal="ada")
    cache.invalidate(tag="news")
    cache.clear()
    told = [(event.scope, event.name) for event in events if isinstance(event, CacheInvalidated)]
    assert told == [("tool", "s_read"), ("principal", ""), ("server", "s"), ("tag", "news"), ("all", "")]


def test_it_can_be_invalidated_where_no_event_loop_runs() -> None:
    cache = filled(CacheManager())
    cache.invalidate(server="s")
    assert cache.stats().invalidations == 1


async def test_an_invalidation_reaches_other_processes() -> None:
    shared = Shared()
    here, there = filled(CacheManager(tier=shared.tier())), CacheManager(tier=shared.tier())
    there.invalidate(server="s")
    assert left(here) == of("t_read")


def is_working(cache: CacheManager) -> bool:
    return cache.tasks is not None


async def test_whoever_starts_it_stops_it_and_with_the_last_one_it_ends() -> None:
    shared = Shared()
    cache = CacheManager(tier=shared.tier())
    await cache.start()
    await cache.start()
    await anyio.wait_all_tasks_blocked()
    assert shared.tiers[0].is_running
    await cache.stop()
    assert is_working(cache)
    await cache.stop()
    assert not is_working(cache)
    assert not shared.tiers[0].is_running
    await cache.start()
    assert is_working(cache)
    await cache.stop()


class Fragile(Tier):
    """Gives up at once, and once more."""

    runs = 0

    async def run(self) -> None:
        self.runs += 1
        if self.runs < 3:
            raise OSError
        await super().run()


async def test_a_shared_tier_that_gives_up_is_run_again_and_harms_nobody() -> None:
    tier = Fragile(Shared())
    cache = CacheManager(tier=tier)
    await cache.start()
    await anyio.sleep(5.0)
    assert (tier.is_running, tier.runs, cache.stats().faults) == (True, 3, 2)
    await cache.stop()


async def test_a_start_that_is_cancelled_leaves_nothing_running() -> None:
    cache = CacheManager()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await cache.start()
    await anyio.wait_all_tasks_blocked()
    assert cache.tasks is None
    await cache.start()
    await cache.stop()


def test_a_cache_says_in_one_line_what_it_holds() -> None:
    said = repr(filled(CacheManager()))
    assert said.startswith("<CacheManager <Memory [12 entries,")
    assert said.endswith("<Flights [0 under way, 0 waiting]>>")
