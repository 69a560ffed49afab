"""P4: what joining reads of the shared tier is worth, beside redis-py's own pool on the same server.

    python benchmarks/redis_tier.py [--quick] [--url redis://…]

Without an address it starts a server of its own (`make servers` or `make parts`). Both clients get the same keys, of
1.28 KB, with 1, 8 and 64 callers at once; they alternate in rounds, so that a change of the machine's speed hits both.
Quoted are medians over rounds and, for the ratio, the median of the per-round ratios with its quartiles.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles

import anyio
import redis.asyncio

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.servers.redis_servers import KINDS, redis_server
from trunkline.cache.entry import CacheKey, Entry
from trunkline.cache.redis_tier import RedisTier
from trunkline.clock import now
from trunkline.policy import RedisPolicy

KEYS = 200
BODY = b'{"content":[{"type":"text","text":"' + b"x" * 1_240 + b'"}]}'

Get = Callable[[int], Awaitable[object]]


async def rate(get: Get, callers: int, gets: int) -> float:
    """Answers a second with so many callers at once."""

    async def call(first: int) -> None:
        for number in range(first, first + gets // callers):
            if await get(number % KEYS) is None:
                message = "a value that is there was not found"
                raise RuntimeError(message)

    started = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for caller in range(callers):
            tasks.start_soon(call, caller * 7)
    return (gets // callers) * callers / (time.perf_counter() - started)


async def compare(name: str, theirs: Get, ours: Get, *, callers: int, gets: int, rounds: int) -> None:
    """Alternate the two, and print how much faster the second is."""
    for get in (theirs, ours):
        await rate(get, callers, gets // 4)
    pairs = []
    for number in range(rounds):
        order = (theirs, ours) if number % 2 == 0 else (ours, theirs)
        figures = [await rate(get, callers, gets) for get in order]
        pairs.append((figures[0], figures[1]) if number % 2 == 0 else (figures[1], figures[0]))
    ratios = [fast / slow for slow, fast in pairs]
    low, _, high = quantiles(ratios, n=4)
    print(
        f"{name:<12} {callers:>3} at once   pool {median(slow for slow, _ in pairs):9,.0f}/s   "
        f"joined {median(fast for _, fast in pairs):9,.0f}/s   "
        f"ratio {median(ratios):5.2f} [{low:.2f} .. {high:.2f}]"
    )


@asynccontextmanager
async def filled_tier(url: str) -> AsyncGenerator[RedisTier]:
    """The tier with an entry for each key; a busy machine may take longer than its deadline."""
    tier = RedisTier(RedisPolicy(url=url, deadline=2.0), namespace="bench", emit=lambda _: None, rng=random.Random(1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tier.run)
        await tier.client.links.until_found()
        for number in range(KEYS):
            found = await tier.read(key(number))
            if found is None:
                message = "the server does not answer"
                raise RuntimeError(message)
            versions = tuple(found.versions.values())
            await tier.write_through(
                key(number), Entry("tools/call", BODY, versions, now(), 3600.0, 0.0, 0.0, 0.1, now())
            )
        yield tier
        tasks.cancel_scope.cancel()


def key(number: int) -> CacheKey:
    """A key as calls have it: six tags, most of them in common."""
    tags = ("all", "server:s", "tool:s_t", "principal:p", "server:s principal:p", f"shard:{number}")
    return CacheKey(number.to_bytes(16, "big"), tags, is_shareable=True)


@asynccontextmanager
async def address_of(url: str | None) -> AsyncGenerator[str]:
    """The server that is to be measured, or one of its own."""
    if url is not None:
        yield url
    else:
        async with redis_server(KINDS[0]) as server:
            yield server.url


async def main(url: str | None, gets: int, rounds: int) -> None:
    """Plain values first, then whole entries with the versions of their tags."""
    print(f"{rounds} interleaved rounds of {gets} gets; medians, quartiles in brackets")
    async with address_of(url) as address, filled_tier(address) as tier:
        pool = redis.asyncio.Redis.from_url(address)
        names = [tier.client.keys.entry(key(number).digest) for number in range(KEYS)]
        for callers in (1, 8, 64):
            await compare(
                "values",
                lambda number: pool.get(names[number]),
                lambda number: tier.client.get(names[number]),
                callers=callers,
                gets=gets if callers > 1 else gets // 4,
                rounds=rounds,
            )
        for callers in (1, 64):
            await compare(
                "entries",
                lambda number: pool.get(names[number]),
                lambda number: tier.read(key(number)),
                callers=callers,
                gets=gets if callers > 1 else gets // 4,
                rounds=rounds,
            )
        await pool.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What joining reads of the shared tier is worth.")
    parser.add_argument("--url", help="a Redis or Valkey server; by default one is started")
    parser.add_argument("--gets", type=int, default=6_000, help="gets in a round")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each")
    parser.add_argument("--quick", action="store_true", help="only whether it runs")
    options = parser.parse_args()
    size = (640, 4) if options.quick else (options.gets, options.rounds)
    anyio.run(main, options.url, *size)
