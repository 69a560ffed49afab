"""What it takes to make answers invalid: for one tag of 50,000 entries, and until another process stops serving them.

    python benchmarks/invalidation.py [--entries 50000] [--rounds 400] [--json FILE] [--quick]

- Here: `invalidate(tag=…)` returns, and the next call is not served from the cache any more. Beside it the same for a
  tag of one entry, and the removal of a set of keys from Redis, which is how tags are mostly made.
- There: another real process, sharing the cache through a real Redis, calls the tool without pause and notes when it is
  no longer served what it held. From the call of `invalidate` in one process to the first call in the other that is not
  served from memory; both read the system's one monotonic clock.

That nothing old is served after cuts and restarts is for tests/integration/test_redis_invalidation.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median, quantiles
from subprocess import PIPE
from typing import Any

import anyio
import anyio.lowlevel
from anyio.streams.text import TextReceiveStream
from mcp.server.mcpserver import MCPServer

sys.path.insert(0, str(Path(__file__).parents[1]))  # real servers stand with the tests, which a script does not see

from tests.servers.redis_servers import RedisServer, redis_server
from tests.servers.sharing import SharingClient
from trunkline import CachePolicy
from trunkline.endpoint import InProcessEndpoint

GOAL_HERE, GOAL_THERE = 1e-3, 50e-3
"""Seconds: the median of `invalidate` for the large tag; the 99th percentile until another process follows."""
MEMORY = 1024**3


def origin() -> InProcessEndpoint:
    """A server with two tools that answer at once."""
    server = MCPServer("origin", log_level="ERROR")

    @server.tool(structured_output=False)
    async def many(n: int) -> str:
        return f"the answer to {n}"

    @server.tool(structured_output=False)
    async def one(n: int) -> str:
        return f"the answer to {n}"

    return InProcessEndpoint(server)


def sharing(url: str) -> SharingClient:
    """A client whose tools have a tag each."""
    tools = {name: CachePolicy(ttl=3600.0, tags=(name,)) for name in ("many", "one")}
    return SharingClient(url, origin(), tools, max_bytes=MEMORY)


async def fill(client: SharingClient, entries: int) -> None:
    """Hold so many answers with the large tag; those that an invalidation ended are asked for again."""
    async with anyio.create_task_group() as tasks:

        async def some(first: int) -> None:
            for number in range(first, entries, 16):
                await client.call_tool("s_many", {"n": number})

        for first in range(16):
            tasks.start_soon(some, first)


async def here(client: SharingClient, redis: RedisServer, entries: int, rounds: int) -> dict[str, list[float]]:
    """Seconds that making a tag invalid takes here, until it returns and until Redis has it."""
    told: dict[str, list[float]] = {
        "returned": [],
        "returned, one entry": [],
        "known to Redis": [],
        "a set of keys": [],
    }
    await fill(client, entries)
    await client.call_tool("s_one", {"n": 1})
    await client.settled()
    for number in range(rounds):
        started = time.perf_counter()
        client.cache.invalidate(tag="many")
        told["returned"].append(time.perf_counter() - started)
        while client.tier.statistics().unheard:
            await anyio.lowlevel.checkpoint()
        told["known to Redis"].append(time.perf_counter() - started)
        found = await client.call_tool("s_many", {"n": number})
        assert found.provenance.cache == "miss", found.provenance
        started = time.perf_counter()
        client.cache.invalidate(tag="one")
        told["returned, one entry"].append(time.perf_counter() - started)
    for _ in range(min(rounds, 5)):
        pipeline = redis.admin.pipeline(transaction=False)
        for number in range(entries):
            pipeline.set(f"plain:{number}", b"x" * 100)
            pipeline.sadd("plain", f"plain:{number}")
        pipeline.execute()
        started = time.perf_counter()
        members = list(redis.admin.smembers("plain"))
        for first in range(0, len(members), 10_000):
            redis.admin.delete(*members[first : first + 10_000])
        redis.admin.delete("plain")
        told["a set of keys"].append(time.perf_counter() - started)
    return told


async def watch(url: str) -> None:
    """Be the other process: hold an answer, say so, and say when it was no longer served."""
    async with sharing(url) as client:
        await client.in_touch()
        while True:
            await client.call_tool("s_one", {"n": 1})
            await client.settled()
            print(json.dumps("ready"), flush=True)
            while True:
                found = await client.call_tool("s_one", {"n": 1})
                if found.provenance.cache != "hit":
                    break
                # A caller that never waits would keep the loop from hearing anything.
                await anyio.lowlevel.checkpoint()
            print(json.dumps(time.monotonic()), flush=True)


async def there(client: SharingClient, redis: RedisServer, rounds: int) -> list[float]:
    """Seconds until another process does not serve what was made invalid here."""
    command = [sys.executable, str(Path(__file__)), "--watch", redis.url]
    async with await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=None) as process:
        assert process.stdout is not None
        lines, rest, found = TextReceiveStream(process.stdout), "", list[float]()

        async def hear() -> Any:
            nonlocal rest
            with anyio.fail_after(60):
                while "\n" not in rest:
                    rest += await lines.receive()
            line, _, rest = rest.partition("\n")
            return json.loads(line)

        for _ in range(rounds):
            assert await hear() == "ready"
            # It may still be about to serve its first hit.
            await anyio.sleep(0.002)
            started = time.monotonic()
            client.cache.invalidate(tag="one")
            found.append(await hear() - started)
        process.kill()
    return found


def said(name: str, values: list[float], goal: str = "", *, kept: bool = True) -> None:
    """One line: median, 99th percentile and worst."""
    cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else [values[0]] * 99
    figures = "".join(f"{1000 * value:>10.3f} ms" for value in (median(values), cuts[98], max(values)))
    verdict = f"   goal {goal}: {'kept' if kept else 'MISSED'}" if goal else ""
    print(f"{name:<44}{figures}{verdict}", flush=True)


async def main(entries: int, rounds: int) -> dict[str, list[float]]:
    """Here, then there."""
    async with redis_server() as redis, sharing(redis.url) as client:
        await client.in_touch()
        print(f"{redis.kind}, {entries:,} entries{'':<18}{'median':>13}{'p99':>13}{'worst':>13}")
        told = await here(client, redis, entries, min(rounds, 200))
        said(
            f"invalidate(), a tag of {entries:,}",
            told["returned"],
            f"{1000 * GOAL_HERE:g} ms",
            kept=median(told["returned"]) <= GOAL_HERE,
        )
        said("the same, a tag of 1", told["returned, one entry"])
        said(
            "until Redis knows, and every newcomer",
            told["known to Redis"],
            f"{1000 * GOAL_HERE:g} ms",
            kept=median(told["known to Redis"]) <= GOAL_HERE,
        )
        said("deleting a set of as many keys from Redis", told["a set of keys"])
        told["another process"] = await there(client, redis, rounds)
        p99 = quantiles(told["another process"], n=100, method="inclusive")[98]
        said(
            "until another process follows",
            told["another process"],
            f"p99 {1000 * GOAL_THERE:g} ms",
            kept=p99 <= GOAL_THERE,
        )
    return told


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What it takes to make answers invalid, here and in other processes.")
    parser.add_argument("--entries", type=int, default=50_000, help="entries with the large tag")
    parser.add_argument("--rounds", type=int, default=400, help="invalidations that another process is to follow")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="few of each: shows that it works, and little else")
    parser.add_argument("--watch", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.watch:
        anyio.run(watch, options.watch)
    else:
        figures = anyio.run(main, *((500, 10) if options.quick else (options.entries, options.rounds)))
        if options.json is not None:
            options.json.write_text(json.dumps(figures, indent=2) + "\n")
