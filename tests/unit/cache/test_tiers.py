"""Two tiers as one: what is not known to be valid is not there, whoever made it invalid."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any, cast

import anyio
import pytest

from tests.unit.cache.plans import a_plan
from tests.unit.cache.shared import Shared, Tier
from trunkline.cache.entry import CacheKey, Entry
from trunkline.cache.tier import Found
from trunkline.cache.tiers import Tiers
from trunkline.policy import CacheSettings

pytestmark = pytest.mark.anyio

PLAN = a_plan()


def key(n: int = 1, principal: str | None = "ada") -> CacheKey:
    return PLAN.space(principal).key({"n": n})


def one(tier: Tier | None = None) -> Tiers:
    return Tiers(CacheSettings(), tier, draw=partial(secrets.token_bytes, 8))


async def keep(tiers: Tiers, at: CacheKey, body: bytes = b"{}", *, lifetime: float = 60.0) -> bool:
    """Keep an answer as the layer does: the shared tier is asked first, then the versions are captured."""
    is_told = await tiers.ask(at)
    return store(tiers, at, tiers.versions.current(at.tags), body, lifetime=lifetime, is_told=is_told)


def store(
    tiers: Tiers,
    at: CacheKey,
    versions: tuple[bytes, ...],
    body: bytes = b"{}",
    *,
    lifetime: float = 60.0,
    is_told: bool = False,
) -> bool:
    now = anyio.current_time()
    return tiers.store(at, Entry("tools/call", body, versions, now, lifetime, 0.0, 0.0, 0.1, now), is_told=is_told)


async def has(tiers: Tiers, at: CacheKey) -> bool:
    if tiers.peek(at, anyio.current_time()) is None:
        await tiers.ask(at)
    return tiers.peek(at, anyio.current_time()) is not None


async def test_what_was_kept_is_there_until_it_is_gone() -> None:
    tiers = one()
    assert await keep(tiers, key(), lifetime=5.0)
    assert await has(tiers, key())
    assert not await has(tiers, key(2))
    await anyio.sleep(5.0)
    assert not await has(tiers, key())
    assert len(tiers.memory) == 0


@pytest.mark.parametrize("number", range(6))
async def test_an_entry_with_a_bumped_tag_is_not_there_whichever_it_is(number: int) -> None:
    tiers = one()
    await keep(tiers, key())
    tiers.bump([key().tags[number]])
    assert not await has(tiers, key())
    assert len(tiers.memory) == 0


async def test_an_answer_whose_tags_moved_while_the_server_was_asked_is_not_kept() -> None:
    tiers = one()
    captured = tiers.versions.current(key().tags)
    tiers.bump([key().tags[2]])
    assert not store(tiers, key(), captured)
    assert not await has(tiers, key())


async def test_what_one_process_keeps_another_finds() -> None:
    shared = Shared()
    here, there = one(shared.tier()), one(shared.tier())
    await keep(here, key(), b"theirs")
    assert await has(there, key())
    held = there.peek(key(), anyio.current_time())
    assert held is not None
    assert held.entry.body == b"theirs"


async def test_what_was_made_for_nobody_in_particular_stays_here() -> None:
    shared = Shared()
    here = one(shared.tier())
    await keep(here, key(principal=None))
    assert shared.entries == {}
    assert shared.tiers[0].reads == 0
    assert await has(here, key(principal=None))


async def test_what_one_process_makes_invalid_no_other_serves() -> None:
    shared = Shared()
    here, there = one(shared.tier()), one(shared.tier())
    await keep(here, key())
    assert await has(there, key())
    here.bump(["server:s"])
    assert not await has(there, key())
    assert not await has(here, key())


async def test_a_tier_that_has_not_heard_of_a_bump_does_not_bring_the_old_answer_back() -> None:
    shared = Shared()
    here = one(shared.tier())
    await keep(here, key(), b"old")
    shared.tiers[0].is_deaf = True
    here.bump(["server:s"])
    for _ in range(2):
        assert not await has(here, key())
    await keep(here, key(), b"new")
    held = here.peek(key(), anyio.current_time())
    assert held is not None
    assert held.entry.body == b"new"
    shared.tiers[0].reconnect()
    assert not await has(one(shared.tier()), key(2))


async def test_after_a_gap_entries_in_memory_count_again_once_the_tier_confirms_them() -> None:
    shared = Shared()
    here = one(shared.tier())
    await keep(here, key())
    shared.tiers[0].gap()
    assert here.peek(key(), anyio.current_time()) is None
    assert await has(here, key())
    assert len(here.memory) == 1


async def test_after_a_gap_in_which_something_was_made_invalid_it_is_gone() -> None:
    shared = Shared()
    here, there = one(shared.tier()), one(shared.tier())
    await keep(here, key())
    shared.tiers[0].is_deaf = True
    there.bump(["server:s"])
    shared.tiers[0].is_deaf = False
    shared.tiers[0].gap()
    assert not await has(here, key())


async def test_without_word_from_others_an_entry_is_served_for_so_long_and_then_has_to_be_confirmed() -> None:
    shared = Shared()
    here = one(shared.tier())
    tier = shared.tiers[0]
    await keep(here, key())
    tier.synced = anyio.current_time()
    await anyio.sleep(4.9)
    assert here.peek(key(), anyio.current_time()) is not None
    await anyio.sleep(0.2)
    assert here.peek(key(), anyio.current_time()) is None
    assert await has(here, key())
    await anyio.sleep(5.1)
    tier.is_available = False
    assert not await has(here, key())


async def test_in_touch_with_the_tier_memory_is_enough() -> None:
    shared = Shared()
    here = one(shared.tier())
    await keep(here, key())
    reads = shared.tiers[0].reads
    await anyio.sleep(30.0)
    assert here.peek(key(), anyio.current_time()) is not None
    assert shared.tiers[0].reads == reads


async def test_the_newer_of_two_answers_counts() -> None:
    shared = Shared()
    here, there = one(shared.tier()), one(shared.tier())
    await keep(here, key(), b"old")
    await anyio.sleep(1.0)
    await keep(there, key(), b"new")
    await here.ask(key())
    held = here.peek(key(), anyio.current_time())
    assert held is not None
    assert held.entry.body == b"new"


class Late(Tier):
    """What it reads is a second old when it arrives."""

    async def read(self, key: CacheKey) -> Found | None:
        found = await super().read(key)
        await anyio.sleep(1.0)
        return found


@pytest.mark.parametrize("was_known", [True, False])
@pytest.mark.parametrize("by", ["itself", "another process", "nobody knows"])
async def test_what_is_made_invalid_while_the_shared_tier_is_asked_is_not_brought_back(
    was_known: bool, by: str
) -> None:
    shared = Shared()
    here, there = one(Late(shared)), one(shared.tier())
    shared.tiers.append(cast("Tier", here._tier))
    await keep(there, key(), b"old")
    if was_known:
        here.versions.hear(shared.versions)
    answered = []

    async def ask() -> None:
        answered.append(await here.ask(key()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await anyio.sleep(0.5)
        if by == "itself":
            here.bump(["server:s"])
        elif by == "another process":
            there.bump(["server:s"])
        else:
            here.versions.forget()
    assert answered == [False]
    assert here.peek(key(), anyio.current_time()) is None


async def test_an_entry_is_confirmed_as_of_when_the_shared_tier_was_asked() -> None:
    shared = Shared()
    here, there = one(Late(shared)), one(shared.tier())
    tier = cast("Late", here._tier)
    await keep(there, key())
    tier.synced = anyio.current_time() - 100.0
    asked = anyio.current_time()
    assert await here.ask(key())
    held = here.peek(key(), anyio.current_time())
    assert held is not None
    assert held.entry.confirmed == asked


async def test_a_version_that_the_shared_tier_has_lost_is_replaced_there_too() -> None:
    shared = Shared()
    here, there = one(shared.tier()), one(shared.tier())
    await keep(here, key(), b"old")
    before = dict(shared.versions)
    here.bump(["server:s"])
    shared.versions.update(before)
    assert not await here.ask(key())
    assert here.peek(key(), anyio.current_time()) is None
    assert shared.versions["server:s"] != before["server:s"]
    assert not await has(there, key())


class Broken(Tier):
    """Raises, which it must not."""

    async def read(self, key: CacheKey) -> Any:
        raise OSError

    async def claim(self, key: CacheKey, seconds: float) -> Any:
        raise OSError

    def write(self, key: CacheKey, entry: Entry) -> None:
        raise OSError

    async def write_through(self, key: CacheKey, entry: Entry) -> bool:
        raise OSError


async def test_an_answer_that_the_tier_cannot_take_is_kept_here_all_the_same() -> None:
    here = one(Broken(Shared()))
    assert store(here, key(), here.versions.current(key().tags), is_told=True)
    assert here.peek(key(), anyio.current_time()) is not None
    assert here.faults == 1


async def test_a_tier_that_raises_is_a_miss_and_counted() -> None:
    here = one(Broken(Shared()))
    assert not await here.ask(key())
    assert await here.claim(key(), 1.0) is True
    await here.write_through(key(), Entry("tools/call", b"{}", (), 0.0, 1.0, 0.0, 0.0, 0.0, 0.0))
    assert here.faults == 3


async def test_a_tier_that_is_away_is_not_asked() -> None:
    shared = Shared()
    here = one(shared.tier())
    shared.tiers[0].is_available = False
    assert not await here.ask(key())
    assert shared.tiers[0].reads == 0


async def test_the_tiers_say_in_one_line_what_they_hold() -> None:
    tiers = one()
    await keep(tiers, key())
    assert repr(tiers).startswith("<Tiers <Memory [1 entries")
    assert "\n" not in repr(tiers)
