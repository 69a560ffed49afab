"""P6: how many calls of the reference agent workload are answered without waiting; beside a plain cache.

    python benchmarks/hit_ratio.py [--minutes 120] [--seed 1] [--json FILE] [--quick]

The workload: 20 calls a second (Poisson), whose arguments are 2,000 different ones by Zipf's law (exponent 1), to a
tool that takes half a second. Virtual time: no sockets and no sleeping, but the real client, stack, cache and protocol,
and a real server in the same process. "Without waiting" is measured at the caller, as no time spent. An answer nobody
has asked for before is a compulsory miss, whatever the cache does. The plain cache is a table with a time to live, as
most people write it: no joining of equal calls, nothing served stale. It sees the same calls at the same moments.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import anyio
import trio
from mcp.server.mcpserver import MCPServer
from trio.testing import MockClock

from trunkline import EnhancedMCPClient, InProcessEndpoint, ServerSettings, ToolPolicy
from trunkline.policy import CachePolicy, HealthPolicy, ServerPolicy

KEYS, EXPONENT, PER_SECOND, ORIGIN = 2000, 1.0, 20.0, 0.5
WARM = 30 * 60.0
"""Seconds after which most of what is asked for has been asked for before."""
GOAL = 0.94
SEED_GOAL = 0.80

Fetch = Callable[[int], Awaitable[str]]
"""Answers one call; how it came by the answer."""


@dataclass(frozen=True, slots=True)
class Case:
    """One way of keeping answers."""

    name: str
    ttl: float
    stale: float
    is_plain: bool = False
    goal: float | None = None


CASES = (
    Case("plain, TTL 300", 300, 0, is_plain=True),
    Case("ours, TTL 300 + stale 300", 300, 300, goal=GOAL),
    Case("plain, TTL 60", 60, 0, is_plain=True),
    Case("ours, TTL 60 + stale 60", 60, 60, goal=SEED_GOAL),
)


@dataclass(slots=True)
class Tally:
    """What the callers got."""

    calls: int = 0
    without_waiting: int = 0
    warm_calls: int = 0
    warm_without_waiting: int = 0
    compulsory: int = 0
    """Calls with arguments that nobody had used before."""
    outcomes: Counter[str] = field(default_factory=Counter)
    origin_calls: int = 0

    def figures(self) -> dict[str, float]:
        """As shares of all calls."""
        return {
            "calls": self.calls,
            "without_waiting": self.without_waiting / self.calls,
            "without_waiting_warm": self.warm_without_waiting / max(1, self.warm_calls),
            "fresh": self.outcomes["hit"] / self.calls,
            "stale": self.outcomes["stale"] / self.calls,
            "coalesced": self.outcomes["coalesced"] / self.calls,
            "compulsory": self.compulsory / self.calls,
            "origin_calls": self.origin_calls,
        }


def arguments(rng: random.Random, keys: int) -> Callable[[], int]:
    """Draws of the keys by Zipf's law."""
    weights = list(accumulate((rank + 1) ** -EXPONENT for rank in range(keys)))
    return lambda: bisect_left(weights, rng.random() * weights[-1])


async def workload(fetch: Fetch, *, seconds: float, seed: int, scale: float = 1.0) -> Tally:
    """Make the calls, each in a task of its own; `scale` takes a share of the keys, and as much less of the calls."""
    rng, tally, seen = random.Random(seed), Tally(), set[int]()
    draw, started = arguments(rng, round(scale * KEYS)), anyio.current_time()

    async def one_call(number: int) -> None:
        asked = anyio.current_time()
        outcome = await fetch(number)
        took, is_warm = anyio.current_time() - asked, asked - started >= WARM
        tally.calls += 1
        tally.warm_calls += is_warm
        tally.without_waiting += took == 0.0
        tally.warm_without_waiting += is_warm and took == 0.0
        tally.outcomes[outcome] += 1

    async with anyio.create_task_group() as tasks:
        while anyio.current_time() - started < seconds:
            number = draw()
            if number not in seen:
                seen.add(number)
                tally.compulsory += 1
            tasks.start_soon(one_call, number)
            await anyio.sleep(rng.expovariate(scale * PER_SECOND))
    return tally


class PlainTtl:
    """The cache that most people write."""

    def __init__(self, ttl: float, origin: Callable[[int], Awaitable[Any]]) -> None:
        self._ttl = ttl
        self._origin = origin
        self._held: dict[int, tuple[float, Any]] = {}

    async def fetch(self, number: int) -> str:
        """Answer one call."""
        held = self._held.get(number)
        if held is not None and anyio.current_time() < held[0]:
            return "hit"
        answer = await self._origin(number)
        self._held[number] = (anyio.current_time() + self._ttl, answer)
        return "miss"


async def simulate(case: Case, *, seconds: float, seed: int) -> Tally:
    """Run the workload; inside an event loop whose clock is virtual."""
    server, executed = MCPServer("origin", log_level="ERROR"), 0

    @server.tool()
    async def read(n: int) -> str:
        nonlocal executed
        executed += 1
        await anyio.sleep(ORIGIN)
        return f"the answer to {n}"

    if case.is_plain:
        tally = await workload(PlainTtl(case.ttl, read).fetch, seconds=seconds, seed=seed)
        tally.origin_calls = executed
        return tally
    settings = ServerSettings("s", InProcessEndpoint(server), ServerPolicy(health=HealthPolicy(enabled=False)))
    policy = ToolPolicy(cache=CachePolicy(ttl=case.ttl, stale=case.stale))
    async with EnhancedMCPClient([settings], tools={"s_read": policy}, rng=random.Random(seed)) as client:

        async def ours(number: int) -> str:
            return (await client.call_tool("s_read", {"n": number})).provenance.cache

        # The first call of all pays for connecting; it is no part of the workload.
        await client.call_tool("s_read", {"n": -1})
        executed = 0
        tally = await workload(ours, seconds=seconds, seed=seed)
        tally.origin_calls = executed
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description="The reference agent workload through the cache, in virtual time.")
    parser.add_argument("--minutes", type=float, help="virtual minutes of each case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument(
        "--quick", action="store_true", help="two cases, four virtual minutes: shows that it works, and little else"
    )
    options = parser.parse_args()
    minutes = options.minutes or (4.0 if options.quick else 120.0)
    print(f"{minutes:g} virtual minutes of {PER_SECOND:g} calls/s, Zipf {EXPONENT:g} over {KEYS:,}, origin {ORIGIN} s")
    columns = ("no wait", f"after {WARM / 60:g} min", "fresh", "stale", "joined", "compulsory", "origin")
    print(f"{'':<28}" + "".join(f"{column:>13}" for column in columns))
    told = []
    for case in CASES[2:] if options.quick else CASES:
        started = time.perf_counter()

        async def run(case: Case = case) -> Tally:
            return await simulate(case, seconds=60 * minutes, seed=options.seed)

        figures = trio.run(run, clock=MockClock(autojump_threshold=0)).figures()
        shares = ("without_waiting", "without_waiting_warm", "fresh", "stale", "coalesced", "compulsory")
        verdict = ""
        if case.goal is not None:
            verdict = f"   goal {case.goal:.0%}: {'kept' if figures['without_waiting'] >= case.goal else 'MISSED'}"
        line = "".join(f"{figures[name]:>13.1%}" for name in shares)
        print(f"{case.name:<28}{line}{figures['origin_calls']:>13,.0f}{verdict}", flush=True)
        told.append({"case": case.name, "goal": case.goal, "seconds": time.perf_counter() - started, **figures})
    if options.json is not None:
        options.json.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
