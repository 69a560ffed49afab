"""What one process makes invalid, no other serves: after cuts, a trim of the stream, evicted versions, a Redis anew.

Two caches share a real Redis, the receiver's behind a proxy that cuts. The receiver holds every answer in memory; the
tool answers with a number that is raised before an answer is made invalid, so that an old number is an old answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest
from mcp.server.mcpserver import MCPServer

from tests.servers.redis_servers import RedisServer, redis_server
from tests.servers.sharing import SharingClient
from tests.servers.watching import eventually, text_of
from trunkline import CachePolicy, clock
from trunkline.endpoint import InProcessEndpoint
from trunkline.testing.proxy import FaultProxy

pytestmark = [pytest.mark.anyio, pytest.mark.integration, pytest.mark.requirement("INVALIDATION")]

INVALIDATIONS, CUTS = 2000, 5
POLICY = CachePolicy(ttl=3600.0, jitter=0.0, tags=("all of them",))


class Origin:
    """A tool whose answers have a number each, which the test raises."""

    def __init__(self) -> None:
        self.numbers: Counter[int] = Counter()
        self.server = MCPServer("origin", log_level="ERROR")

        @self.server.tool(structured_output=False)
        async def read(n: int) -> str:
            return str(self.numbers[n])


class Pair:
    """A sender, a receiver behind a proxy, and the Redis of both."""

    def __init__(
        self, origin: Origin, redis: RedisServer, proxy: FaultProxy, sender: SharingClient, receiver: SharingClient
    ) -> None:
        self.origin = origin
        self.redis = redis
        self.proxy = proxy
        self.sender = sender
        self.receiver = receiver

    async def fill(self, count: int) -> None:
        """Let the receiver hold so many answers."""
        for number in range(count):
            await self.receiver.call_tool("s_read", {"n": number})
        await self.receiver.settled()

    def change(self, number: int) -> None:
        """Change an answer, and make what is held of it invalid."""
        self.origin.numbers[number] += 1
        self.sender.cache.invalidate(tool="s_read", arguments={"n": number})

    async def heard(self) -> None:
        """Wait until the sender has said everything, and the receiver heard everything that was said by then."""
        await self.sender.settled()
        await self.receiver.in_touch(since=clock.now())

    async def stale(self, client: SharingClient, count: int) -> list[int]:
        """Which answers a client still has of an earlier time."""
        return [
            number
            for number in range(count)
            if text_of(await client.call_tool("s_read", {"n": number})) != str(self.origin.numbers[number])
        ]


@asynccontextmanager
async def pair() -> AsyncGenerator[Pair]:
    """Both in touch."""
    origin = Origin()
    endpoint = InProcessEndpoint(origin.server)
    async with redis_server() as redis, FaultProxy("127.0.0.1", redis.port) as proxy:
        sender = SharingClient(redis.url, endpoint, {"read": POLICY})
        receiver = SharingClient(f"redis://127.0.0.1:{proxy.port}/0", endpoint, {"read": POLICY})
        async with sender, receiver:
            await sender.in_touch()
            await receiver.in_touch()
            yield Pair(origin, redis, proxy, sender, receiver)


async def test_nothing_stale_is_served_after_five_cuts_in_two_thousand_invalidations() -> None:
    async with pair() as both:
        await both.fill(INVALIDATIONS)
        hits, accepted = both.receiver.cache.stats().total.hits, both.proxy.accepted
        for number in range(INVALIDATIONS):
            both.change(number)
            match number % (INVALIDATIONS // CUTS):
                case 100:
                    both.proxy.is_refusing = True
                    both.proxy.cut()
                case 200:
                    both.proxy.heal()
            if number % 10 == 0:
                # Not all in one message: what is said while the receiver is away is what matters.
                await both.sender.settled()
        await both.heard()
        assert both.proxy.accepted >= accepted + CUTS
        assert await both.stale(both.receiver, INVALIDATIONS) == []
        assert both.receiver.cache.stats().total.hits == hits


async def test_a_receiver_that_was_away_while_the_stream_was_trimmed_serves_nothing_stale() -> None:
    async with pair() as both:
        await both.fill(50)
        both.proxy.freeze()
        await eventually(lambda: not both.receiver.tier.is_available)
        for number in range(0, 50, 2):
            both.change(number)
        await both.sender.settled()
        both.redis.ask("XTRIM", both.sender.tier.client.keys.backplane, "MAXLEN", 0)
        gaps = both.receiver.tier.statistics().backplane.gaps
        both.proxy.heal()
        both.proxy.cut()
        await both.heard()
        assert both.receiver.tier.statistics().backplane.gaps > gaps
        assert await both.stale(both.receiver, 50) == []


async def test_an_answer_whose_tags_version_was_evicted_is_not_served() -> None:
    async with pair() as both:
        await both.fill(50)
        for number in range(50):
            both.change(number)
        await both.heard()
        keys = both.sender.tier.client.keys
        for name in both.redis.admin.scan_iter(match=keys.prefix + b"t:*"):
            both.redis.admin.delete(name)
        assert await both.stale(both.receiver, 50) == []
        assert await both.stale(both.sender, 50) == []
        newcomer = SharingClient(both.redis.url, InProcessEndpoint(both.origin.server), {"read": POLICY})
        async with newcomer:
            await newcomer.in_touch()
            assert await both.stale(newcomer, 50) == []


async def test_a_newcomer_is_not_served_an_answer_whose_tags_version_is_gone() -> None:
    async with pair() as both:
        await both.fill(50)
        keys = both.sender.tier.client.keys
        tag = keys.tag("tag:all of them").key
        both.origin.numbers.update(range(50))
        both.sender.cache.invalidate(tag="all of them")
        await both.sender.settled()
        assert both.redis.admin.delete(tag) == 1
        assert await both.stale(both.sender, 50) == []
        newcomer = SharingClient(both.redis.url, InProcessEndpoint(both.origin.server), {"read": POLICY})
        async with newcomer:
            await newcomer.in_touch()
            assert await both.stale(newcomer, 50) == []


async def test_what_was_invalidated_while_redis_was_down_and_begun_anew_is_not_served() -> None:
    async with pair() as both:
        await both.fill(50)
        both.redis.kill()
        for number in range(0, 50, 2):
            both.change(number)
        await both.redis.start()
        await both.heard()
        assert await both.stale(both.receiver, 50) == []


async def test_what_was_invalidated_just_before_redis_lost_its_memory_is_not_served() -> None:
    async with pair() as both:
        await both.fill(50)
        both.proxy.freeze()
        for number in range(50):
            both.change(number)
        await both.sender.settled()
        await both.redis.restart()
        both.proxy.heal()
        await both.heard()
        assert await both.stale(both.receiver, 50) == []


async def test_while_nothing_is_heard_an_answer_in_memory_is_served_for_a_bounded_time() -> None:
    async with pair() as both:
        await both.fill(1)
        both.proxy.freeze()
        both.change(0)
        changed = clock.now()
        limit = both.receiver.cache.settings.redis.max_unsynced
        found = "0"
        while found == "0":
            found = text_of(await both.receiver.call_tool("s_read", {"n": 0}))
            assert clock.now() - changed < limit + 2, "served for longer than without word is allowed"
            await anyio.sleep(0.05)
        assert found == "1"
