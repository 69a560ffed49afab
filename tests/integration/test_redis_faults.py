"""What a bad Redis does to those who ask it: nothing, after one short wait. Sixty-four of them ask all the time."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from tests.servers.crowds import crowd
from tests.servers.redis_servers import BEST, KINDS, RedisServer, redis_server
from tests.servers.shared_tiers import entry_of, key_of, patient, tier
from tests.servers.watching import Record, eventually
from trunkline.cache.redis_tier import RedisTier
from trunkline.cache.tier import Found
from trunkline.clock import now
from trunkline.events import SharedCacheFound, SharedCacheLost
from trunkline.policy import RedisPolicy
from trunkline.testing import FaultProxy

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.integration,
    pytest.mark.resilience,
    pytest.mark.requirement("SEED-TEST-4"),
]

FEW = tuple(dict.fromkeys((KINDS[0], BEST)))
DEADLINE = 0.05
LATE = 0.5
"""Seconds that a busy machine may add to anything. What it guards against takes seconds: 5 to 60."""
BACK = 2.0
"""Seconds until it is of use again: the promise."""


def behind(proxy: FaultProxy, **others: float) -> RedisPolicy:
    """The settings that are promised something, for a server behind a bad network."""
    return RedisPolicy(url=f"redis://127.0.0.1:{proxy.port}", deadline=DEADLINE, **others)  # type: ignore[arg-type]


Hurt: TypeAlias = Callable[[RedisServer, FaultProxy], Awaitable[None]]


async def pause(server: RedisServer, _: FaultProxy) -> None:
    server.pause()


async def resume(server: RedisServer, _: FaultProxy) -> None:
    server.resume()


async def kill(server: RedisServer, _: FaultProxy) -> None:
    server.kill()


async def start(server: RedisServer, _: FaultProxy) -> None:
    await server.start()


async def swallow(_: RedisServer, proxy: FaultProxy) -> None:
    proxy.freeze()


async def slow_down(_: RedisServer, proxy: FaultProxy) -> None:
    proxy.latency = 0.2


async def refuse(_: RedisServer, proxy: FaultProxy) -> None:
    proxy.is_refusing = True
    proxy.cut()


async def heal(_: RedisServer, proxy: FaultProxy) -> None:
    proxy.heal()


FAULTS = {
    "paused": (pause, resume),
    "killed": (kill, start),
    "black hole": (swallow, heal),
    "slow": (slow_down, heal),
    "cut off": (refuse, heal),
}


@pytest.mark.parametrize("kind", FEW)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_bad_server_costs_each_one_short_wait_and_then_nothing(fault: str, kind: str) -> None:
    hurt, mend = FAULTS[fault]
    record = Record()
    async with (
        redis_server(kind) as server,
        FaultProxy("127.0.0.1", server.port) as proxy,
        crowd(behind(proxy), record) as seen,
    ):
        it = seen.of
        lost = len(record.of(SharedCacheLost))
        seen.waits.clear()
        await hurt(server, proxy)
        await record.until(SharedCacheLost, count=lost + 1)
        await seen.until_more()
        worst_once = max(seen.waits)

        # Nobody waits any more, and nothing is sent but probes.
        before = it.statistics()
        seen.waits.clear()
        hits = seen.hits
        await seen.until_more(2_000)
        while_open = sorted(seen.waits)
        after = it.statistics()
        assert seen.hits == hits
        assert not it.is_available

        await mend(server, proxy)
        mended = now()
        await seen.until_hit()
        back = now() - mended

    assert worst_once <= DEADLINE + LATE
    assert while_open[len(while_open) // 2] < 0.001
    assert max(while_open) <= LATE
    assert after.unknown - before.unknown == after.reads - before.reads >= 2_000
    # A probe is a handshake on each lane, and a question.
    assert after.client.commands - before.client.commands < 100
    assert back <= BACK + LATE
    assert seen.wrong == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_full_server_still_answers_and_takes_nothing_new(kind: str) -> None:
    record = Record()
    async with redis_server(kind) as server, crowd(patient(server.url), record) as seen:
        it = seen.of
        server.fill_up()
        it.write(key_of(1), entry_of(1, await found_in(it)))
        await eventually(lambda: it.statistics().client.refused.get("full"))
        await seen.until_hit()
        # What has to be invalid is, although nothing can be written, and it is tried until others can be told.
        it.bump({"tool:s_t": b"told when there is room"})
        await eventually(lambda: server.ask("EXISTS", it.client.keys.tag("tool:s_t").key) == 0)
        assert await it.read(key_of(1)) is None
        assert it.statistics().unheard == 1
        server.empty_out()
        await eventually(lambda: it.statistics().unheard == 0)
        await seen.until_hit()
        assert seen.wrong == 0


async def found_in(it: RedisTier) -> Found:
    found = None
    while found is None:
        found = await it.read(key_of(1))
    return found


def noticed(it: RedisTier) -> int:
    """Faults and damaged values so far."""
    counts = it.statistics()
    return sum(counts.client.faults.values()) + sum(counts.damaged.values())


@pytest.mark.parametrize("damage", ["changed bytes", "shifted bytes", "cut answers"])
async def test_damage_on_the_way_never_becomes_an_answer(damage: str) -> None:
    async with (
        redis_server() as server,
        FaultProxy("127.0.0.1", server.port, rng=random.Random(7)) as proxy,
        crowd(behind(proxy, open_for=0.02, open_cap=0.1)) as seen,
    ):
        draw, rounds = random.Random(8), 0
        # A changed byte in a value that nobody reads again shows nothing; a busy machine reads less.
        while rounds < 15 or (noticed(seen.of) < 5 and rounds < 60):
            rounds += 1
            shown, forwarded = noticed(seen.of), proxy.forwarded
            match damage:
                case "changed bytes":
                    proxy.corrupt_every = draw.randrange(100, 2_000)
                case "shifted bytes":
                    proxy.insert_at = draw.randrange(2_000, 20_000)
                case _:
                    proxy.cut_after = draw.randrange(2_000, 20_000)

            def has_shown(shown: int = shown, forwarded: int = forwarded) -> bool:
                return noticed(seen.of) > shown or proxy.forwarded > forwarded + 200_000

            await eventually(has_shown)
            proxy.heal()
            await seen.until_hit()
        assert noticed(seen.of) >= 5
    assert seen.wrong == 0


async def test_writes_that_find_no_room_are_dropped_and_counted_and_block_nobody() -> None:
    async with redis_server() as server, FaultProxy("127.0.0.1", server.port) as proxy:
        policy = patient(f"redis://127.0.0.1:{proxy.port}", pending_writes=10)
        async with tier(policy) as it:
            found = await it.read(key_of(1))
            assert found is not None
            proxy.freeze()
            for number in range(200):
                it.write(key_of(number), entry_of(number, found))
            # One portion is under way, ten wait.
            assert it.statistics().client.dropped_writes >= 180
            proxy.heal()
            await eventually(lambda: it.statistics().client.written >= 10)


async def test_nobody_is_left_waiting_for_a_server_that_goes_away_while_a_program_ends() -> None:
    async with redis_server() as server:
        async with tier(RedisPolicy(url=server.url, deadline=DEADLINE)) as it:
            it.bump({"all": b"v"})
            server.pause()
            leaving = now()
        # Two deadlines for the last words, a second for what is under way.
        assert now() - leaving < 2 * DEADLINE + 1.0 + LATE
        server.resume()


async def test_a_tier_that_is_lost_and_found_says_so_once_each_time() -> None:
    record = Record()
    async with redis_server() as server, tier(patient(server.url), record=record) as it:
        for round_ in range(1, 4):
            server.kill()
            await record.until(SharedCacheLost, count=round_)
            await eventually(lambda: it.statistics().client.faults.get("unreachable", 0) >= 2)
            await server.start()
            found = await record.until(SharedCacheFound, count=round_ + 1)
            assert found.lasted > 0
        assert len(record.of(SharedCacheLost)) == 3
        assert len(record.of(SharedCacheFound)) == 4
