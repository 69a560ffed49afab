"""The shared tier on every server there is: old and new Redis, two Valkeys."""

from __future__ import annotations

import time
from random import Random

import anyio
import pytest

from tests.servers.redis_servers import KINDS, RedisServer, redis_server
from tests.servers.shared_tiers import NAMESPACE, TAGS, Hearing, entry_of, is_right, key_of, patient, tier
from tests.servers.watching import Record, eventually
from trunkline.cache.entry import CacheKey, Entry
from trunkline.cache.keyspace import Keyspace
from trunkline.cache.redis_lease import RedisLease
from trunkline.cache.redis_tier import RedisTier
from trunkline.clock import now
from trunkline.events import SharedCacheFound, SharedCacheLost
from trunkline.testing import FaultProxy

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.integration,
    pytest.mark.parametrize("kind", KINDS),
]

NAMES = Keyspace(NAMESPACE)


async def stored(by: RedisTier, number: int, *, age: float = 0.0) -> CacheKey:
    """An entry that is there."""
    key = key_of(number)
    found = await by.read(key)
    assert found is not None
    assert await by.write_through(key, entry_of(number, found, age=age))
    return key


async def entry_in(of: RedisTier, key: CacheKey) -> Entry | None:
    """What a tier that can be asked has."""
    found = await of.read(key)
    assert found is not None, of.statistics()
    return found.entry


@pytest.mark.requirement("SEED-CACHE-1")
async def test_what_one_process_writes_another_reads_with_its_age(kind: str) -> None:
    async with redis_server(kind) as server, tier(patient(server.url)) as one, tier(patient(server.url)) as other:
        key = key_of(1)
        nothing = await one.read(key)
        assert nothing is not None
        assert nothing.entry is None
        one.write(key, entry_of(1, nothing, age=7.0))
        await eventually(lambda: one.statistics().client.written == 1)

        entry = await entry_in(other, key)
        assert entry is not None
        assert is_right(1, entry)
        assert now() - entry.stored == pytest.approx(7.0, abs=2.0)
        assert (entry.method, entry.fresh_for, entry.stale_for, entry.origin_time) == ("tools/call", 60.0, 60.0, 0.25)
        assert entry.confirmed >= entry.stored
        # Another namespace on the same server is another world.
        assert server.ask("EXISTS", Keyspace("other").entry(key.digest)) == 0


async def test_a_tag_without_a_version_is_given_one_and_all_are_given_the_same(kind: str) -> None:
    async with redis_server(kind) as server, tier(patient(server.url)) as one, tier(patient(server.url)) as other:
        key, finds = key_of(1), []

        async def look(by: RedisTier) -> None:
            finds.append(await by.read(key))

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(look, one)
                tasks.start_soon(look, other)
        versions = [dict(found.versions) for found in finds if found is not None]
        assert len(versions) == 20
        assert all(seen == versions[0] for seen in versions)
        assert set(versions[0]) == set(TAGS)
        assert len(set(versions[0].values())) == len(TAGS)


async def test_a_new_version_of_a_tag_is_heard_by_others_and_nobody_is_given_what_was(kind: str) -> None:
    async with redis_server(kind) as server, tier(patient(server.url)) as one, tier(patient(server.url)) as other:
        here, there = Hearing(one), Hearing(other)
        key = await stored(one, 1)
        one.bump({"tool:s_t": b"second", "tool:s_u": b"first"})
        await eventually(lambda: there.bumped == {"tool:s_t": b"second", "tool:s_u": b"first"})
        assert await entry_in(one, key) is None
        assert await entry_in(other, key) is None
        assert here.bumped == {}
        assert (here.gaps, there.gaps) == (0, 0)
        assert other.statistics().outdated == 1
        assert one.statistics().unheard == 0


async def test_one_process_has_the_lease_until_it_gives_it_back_or_its_time_is_over(kind: str) -> None:
    async with redis_server(kind) as server, tier(patient(server.url)) as one, tier(patient(server.url)) as other:
        key, name = key_of(1), NAMES.lease(key_of(1).digest)
        first = await one.claim(key, 60.0)
        assert isinstance(first, RedisLease)
        assert await other.claim(key, 60.0) is False
        await first.release()
        second = await other.claim(key, 60.0)
        assert isinstance(second, RedisLease)
        # Whose time is over takes nothing from the next one.
        await first.release()
        assert server.ask("EXISTS", name) == 1
        await second.release()
        brief = await one.claim(key, 0.05)
        assert isinstance(brief, RedisLease)
        await eventually(lambda: server.ask("EXISTS", name) == 0)
        assert isinstance(await other.claim(key, 60.0), RedisLease)


async def test_what_was_told_while_a_receiver_was_away_is_replayed(kind: str) -> None:
    async with redis_server(kind) as server, FaultProxy("127.0.0.1", server.port) as proxy:
        far = f"redis://127.0.0.1:{proxy.port}"
        async with tier(patient(server.url)) as one, tier(patient(far)) as other:
            # What waits for more than a moment is told as yet another version, and its own process hears of it.
            here, there = Hearing(one), Hearing(other)
            told = {f"tag:{number}": b"%d" % number for number in range(300)}
            for _ in range(3):
                here.bumped.clear()
                there.bumped.clear()
                proxy.is_refusing = True
                proxy.cut()
                await eventually(lambda: not other.is_available)
                for tag, version in told.items():
                    one.bump({tag: version})
                await eventually(lambda: one.statistics().unheard == 0)
                proxy.heal()
                await eventually(
                    lambda: there.bumped == told | here.bumped, told=lambda: there.bumped.items() ^ told.items()
                )
                assert there.gaps == 0


async def test_a_stream_that_was_trimmed_beyond_a_receiver_is_a_gap(kind: str) -> None:
    async with redis_server(kind) as server, FaultProxy("127.0.0.1", server.port) as proxy:
        far = f"redis://127.0.0.1:{proxy.port}"
        async with tier(patient(server.url)) as one, tier(patient(far)) as other:
            there = Hearing(other)
            proxy.is_refusing = True
            proxy.cut()
            await eventually(lambda: not other.is_available)
            one.bump({"tool:s_t": b"missed"})
            await eventually(lambda: one.statistics().unheard == 0)
            server.ask("XTRIM", NAMES.backplane, "MAXLEN", 0)
            healed = now()
            proxy.heal()
            await eventually(lambda: there.gaps == 1)
            assert other.statistics().backplane.gaps == 1
            await eventually(lambda: other.synced_at > healed)
            one.bump({"tool:s_t": b"heard"})
            await eventually(lambda: there.bumped.get("tool:s_t") == b"heard")


async def test_everything_forgotten_by_the_server_is_a_gap_and_brings_nothing_back(kind: str) -> None:
    async with redis_server(kind) as server, tier(patient(server.url)) as one, tier(patient(server.url)) as other:
        here, there = Hearing(one), Hearing(other)
        key = await stored(one, 1)
        server.ask("FLUSHALL")
        await eventually(lambda: (here.gaps, there.gaps) == (1, 1))
        assert await entry_in(other, key) is None
        assert one.is_available
        await stored(other, 1)
        assert await entry_in(one, key) is not None


async def test_an_evicted_version_brings_nothing_back(kind: str) -> None:
    async with redis_server(kind) as server, tier(patient(server.url)) as it:
        key = await stored(it, 1)
        before = await it.read(key)
        assert before is not None
        assert before.entry is not None
        server.ask("DEL", NAMES.tag("tool:s_t").key)
        after = await it.read(key)
        assert after is not None
        assert after.entry is None
        assert after.versions["tool:s_t"] != before.versions["tool:s_t"]
        assert after.versions["all"] == before.versions["all"]


async def test_a_server_that_evicts_what_it_likes_makes_misses_and_nothing_else(kind: str) -> None:
    limits = ("--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru")
    async with redis_server(kind, *limits) as server, tier(patient(server.url)) as it:
        counts = {"right": 0, "wrong": 0, "unknown": 0}
        for number in range(600):
            key = key_of(number, (f"shard:{number % 50}", *TAGS))
            found = await it.read(key)
            if found is None:
                counts["unknown"] += 1
                continue
            await it.write_through(key, entry_of(number, found, key.tags, size=20_000))
            again = await it.read(key)
            if again is not None and again.entry is not None:
                counts["right" if is_right(number, again.entry) else "wrong"] += 1
        assert counts["wrong"] == 0
        assert counts["right"] > 300, counts
        assert server.ask("INFO", "stats")["evicted_keys"] > 100


async def test_a_server_that_is_started_again_is_found_again_empty(kind: str) -> None:
    record = Record()
    async with redis_server(kind) as server, tier(patient(server.url), record=record) as it:
        heard = Hearing(it)
        key = await stored(it, 1)
        server.kill()
        await record.until(SharedCacheLost)
        assert await it.read(key) is None
        await server.start()
        await record.until(SharedCacheFound, count=2)
        await eventually(lambda: heard.gaps == 1)
        assert await entry_in(it, key) is None
        await stored(it, 1)
        assert await entry_in(it, key) is not None


async def test_every_key_has_the_prefix_and_an_end(kind: str) -> None:
    async with redis_server(kind) as server, tier(patient(server.url)) as it:
        await stored(it, 1)
        it.bump({"tool:s_t": b"v", "principal:someone@example.org": b"v"})
        await it.claim(key_of(2), 60.0)
        await eventually(lambda: it.statistics().unheard == 0)
        names = server.ask("KEYS", "*")
        # An entry, three tags and the principal's, a lease, the stream.
        assert len(names) == 7
        assert all(name.startswith(NAMES.prefix) for name in names)
        assert all(server.ask("PTTL", name) > 0 for name in names)
        assert not any(b"someone" in name for name in names)


async def test_what_others_write_into_it_is_a_miss_and_counted(kind: str) -> None:
    async with redis_server(kind) as server, tier(patient(server.url)) as it:
        key = await stored(it, 1)
        good = server.ask("GET", NAMES.entry(key.digest))
        for rubbish in (b"", b"{}", good[:-1], good[:40] + bytes([good[40] ^ 1]) + good[41:]):
            server.ask("SET", NAMES.entry(key.digest), rubbish)
            assert await entry_in(it, key) is None
        assert sum(it.statistics().damaged.values()) == 4
        # A list where a value should be: no answer at all in a cluster, nothing on one server.
        server.ask("DEL", NAMES.entry(key.digest))
        server.ask("RPUSH", NAMES.entry(key.digest), "x")
        assert await entry_in(it, key) is None
        assert it.is_available


async def test_the_entry_of_another_key_is_never_served_and_its_connection_not_trusted(kind: str) -> None:
    record = Record()
    async with redis_server(kind) as server, tier(patient(server.url), record=record) as it:
        key, other = await stored(it, 1), await stored(it, 2)
        server.ask("COPY", NAMES.entry(other.digest), NAMES.entry(key.digest), "REPLACE")
        assert await entry_in(it, key) is None
        lost = await record.until(SharedCacheLost)
        assert lost.reason == "it sent what belongs to another question"
        await record.until(SharedCacheFound, count=2)
        assert await entry_in(it, other) is not None


async def test_a_version_nobody_understands_is_replaced(kind: str) -> None:
    async with redis_server(kind) as server, tier(patient(server.url)) as it:
        heard = Hearing(it)
        key = await stored(it, 1)
        server.ask("SET", NAMES.tag("tool:s_t").key, "what somebody else wrote")
        assert await it.read(key) is None
        await eventually(lambda: "tool:s_t" in heard.bumped)
        await eventually(lambda: it.statistics().unheard == 0)
        found = await it.read(key)
        assert found is not None
        assert found.entry is None
        assert found.versions["tool:s_t"] == heard.bumped["tool:s_t"]


async def test_a_message_nobody_understands_counts_as_a_gap(kind: str) -> None:
    async with redis_server(kind) as server, tier(patient(server.url)) as it:
        heard, others = Hearing(it), RedisTier(patient(server.url), namespace=NAMESPACE, emit=Record(), rng=Random(1))
        message = others.backplane.message
        good = message("bump", b'{"tag": "6f6b"}')
        changed = [
            tuple(new if field == old else field for field in good)
            for old, new in (("bump", "bumq"), (b'{"tag": "6f6b"}', b'{"tab": "6f6b"}'))
        ]
        unread = (message("bump", b"[1]"), message("bump", b"{"), ("XADD", NAMES.backplane, "*", "x", "y"))
        for damaged in (*unread, *changed):
            server.ask(*damaged)
            await eventually(lambda: heard.gaps)
            heard.gaps = 0
        # Kinds of later versions are for later versions.
        server.ask(*message("unheard-of", b"anything"))
        server.ask(*good)
        await eventually(lambda: heard.bumped == {"tag": b"ok"})
        assert heard.gaps == 0


async def test_what_was_done_last_is_told_before_it_ends(kind: str) -> None:
    async with redis_server(kind) as server, tier(patient(server.url)) as other:
        there = Hearing(other)
        async with tier(patient(server.url)) as one:
            found = await one.read(key_of(1))
            assert found is not None
            one.write(key_of(1), entry_of(1, found))
            one.bump({"tool:s_u": b"last"})
        await eventually(lambda: there.bumped == {"tool:s_u": b"last"})
        assert await entry_in(other, key_of(1)) is not None


async def test_all_lanes_hang_up_at_the_end(kind: str) -> None:
    async with redis_server(kind) as server:
        async with tier(patient(server.url)) as it:
            await stored(it, 1)
            names = {client["name"] for client in clients_of(server)}
            assert "trunkline" in names
        await eventually(lambda: not any(client["name"] == "trunkline" for client in clients_of(server)))


def clients_of(server: RedisServer) -> list[dict[str, str]]:
    """Who is connected."""
    clients: list[dict[str, str]] = server.admin.client_list()
    return clients


async def test_the_servers_clock_dates_entries_not_ours(kind: str) -> None:
    async with redis_server(kind) as server, tier(patient(server.url)) as it:
        clock = it.client.clock
        assert clock is not None
        # The server runs on this machine, so both clocks say the same.
        assert clock.shared(now()) == pytest.approx(time.time(), abs=1.0)
        await it.check()
        assert it.client.clock is not clock
