"""R6: Redis paused, killed, full, black-holed or slow under 64 callers: no call fails, none waits for long.

In `make test` there are 16 of them. What the cache adds to a call is measured where it is added: the time spent on
asking the shared tier. The same callers with a sound Redis call beside it, for comparison. Figures that a busy machine
spoils are asserted in the drill only.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

import anyio
import pytest
from mcp.server.mcpserver import MCPServer

from tests.resilience.conftest import Report
from tests.servers.redis_servers import BEST, RedisServer, redis_server
from tests.servers.watching import Record, eventually, text_of
from trunkline import CallError, EnhancedMCPClient, InProcessEndpoint, ServerSettings, ToolPolicy
from trunkline.cache.cache_manager import CacheManager
from trunkline.cache.entry import CacheKey
from trunkline.cache.redis_tier import RedisTier
from trunkline.cache.tier import Found
from trunkline.policy import CachePolicy, CacheSettings, RedisPolicy
from trunkline.testing import FaultProxy

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.resilience,
    pytest.mark.timeout(600),
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
]

IS_DRILL: Final = "STORM_SECONDS" in os.environ
SECONDS: Final = float(os.environ.get("STORM_SECONDS", "2"))
CALLERS: Final = 64 if IS_DRILL else 16
PACE: Final = 0.4
"""Seconds between two calls of one caller."""
QUESTIONS: Final = 300
TTL: Final = 0.5
"""Seconds an answer is fresh: memory soon has none, and the shared tier is asked."""


ONCE: Final = 0.1
"""Seconds in which whoever is just asking may have to wait for the deadline; then nobody does."""


class TimedTier(RedisTier):
    """A tier that writes down how long each look-up took."""

    def __init__(self, url: str) -> None:
        super().__init__(RedisPolicy(url=url), namespace="drill", emit=Record(), rng=random.Random(1))
        self.asked: list[tuple[float, float]] = []
        """When, and for how long."""

    async def read(self, key: CacheKey) -> Found | None:
        """What it has."""
        began = time.perf_counter()
        try:
            return await super().read(key)
        finally:
            self.asked.append((began, time.perf_counter() - began))


@dataclass(slots=True)
class Told:
    """What callers were told."""

    calls: int = 0
    failed: list[str] = field(default_factory=list)
    wrong: int = 0
    seconds: list[tuple[float, float]] = field(default_factory=list)
    """When each began, and how long it took."""


class Origin:
    """The server behind it all, in this process."""

    def __init__(self) -> None:
        self.asked = 0
        self.server = MCPServer("origin")
        self.server.add_tool(self.known, name="known")

    def __repr__(self) -> str:
        return f"<Origin [{self.asked} asked]>"

    async def known(self, number: int) -> str:
        """Says what it was asked."""
        self.asked += 1
        return f"answer {number}"


def client_of(origin: Origin, cache: CacheManager) -> EnhancedMCPClient:
    policy = ToolPolicy(idempotent=True, cache=CachePolicy(ttl=TTL, stale=0.0, stale_if_error=60.0))
    server = ServerSettings("s", InProcessEndpoint(origin.server))
    return EnhancedMCPClient([server], tools={"s_known": policy}, cache=cache)


async def call_on(client: EnhancedMCPClient, number: int, told: Told, *, until: Callable[[], bool]) -> None:
    rng = random.Random(number)
    await anyio.sleep(PACE * rng.random())
    while not until():
        asked, began = rng.randrange(QUESTIONS), time.perf_counter()
        try:
            result = await client.call_tool("s_known", {"number": asked}, timeout=10)
            told.wrong += text_of(result) != f"answer {asked}"
        except CallError as error:
            told.failed.append(repr(error))
        told.calls += 1
        told.seconds.append((began, time.perf_counter() - began))
        await anyio.sleep(PACE)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault, and its end."""

    begin: Callable[[RedisServer, FaultProxy], Awaitable[None]]
    end: Callable[[RedisServer, FaultProxy], Awaitable[None]]
    opens: bool = True
    """Whether the tier is not to be asked while it lasts."""


async def _pause(server: RedisServer, _proxy: FaultProxy) -> None:
    server.pause()


async def _resume(server: RedisServer, _proxy: FaultProxy) -> None:
    server.resume()


async def _kill(server: RedisServer, _proxy: FaultProxy) -> None:
    server.kill()


async def _start(server: RedisServer, _proxy: FaultProxy) -> None:
    await server.start()


async def _fill_up(server: RedisServer, _proxy: FaultProxy) -> None:
    server.fill_up()


async def _empty_out(server: RedisServer, _proxy: FaultProxy) -> None:
    server.empty_out()


async def _freeze(_server: RedisServer, proxy: FaultProxy) -> None:
    proxy.freeze()


async def _slow_down(_server: RedisServer, proxy: FaultProxy) -> None:
    proxy.latency = 0.2


async def _heal(_server: RedisServer, proxy: FaultProxy) -> None:
    proxy.heal()


TROUBLES: Final = {
    "paused": Trouble(_pause, _resume),
    "killed": Trouble(_kill, _start),
    "out of memory": Trouble(_fill_up, _empty_out, opens=False),
    "black-holed": Trouble(_freeze, _heal),
    "slow (200 ms)": Trouble(_slow_down, _heal),
}


@pytest.mark.requirement("R6")
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_trouble_with_redis_fails_no_call_and_is_over_when_redis_is_back(trouble: str, report: Report) -> None:
    fault, origin, in_trouble, spared = TROUBLES[trouble], Origin(), Told(), Told()
    is_over = False
    async with AsyncExitStack() as stack:
        server, sound = [await stack.enter_async_context(redis_server(BEST)) for _ in range(2)]
        proxy, untouched = [
            await stack.enter_async_context(FaultProxy("127.0.0.1", each.port)) for each in (server, sound)
        ]
        tier, _, beside = tiers = [TimedTier(f"redis://127.0.0.1:{each.port}/0") for each in (proxy, proxy, untouched)]
        used, other, safe = [
            await stack.enter_async_context(client_of(origin, CacheManager(CacheSettings(partition="all"), tier=each)))
            for each in tiers
        ]
        lags = list[float]()

        async def watch_the_loop() -> None:
            while not is_over:
                at = time.perf_counter()
                await anyio.sleep(0.005)
                lags.append(time.perf_counter() - at - 0.005)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch_the_loop)
            for number in range(CALLERS):
                tasks.start_soon(lambda n: call_on(used, n, in_trouble, until=lambda: is_over), number)
                tasks.start_soon(lambda n: call_on(safe, n, spared, until=lambda: is_over), number)
            await eventually(lambda: all(each.is_available for each in tiers))
            await shared_hit(used, other)
            await anyio.sleep(SECONDS / 2)
            lags.clear()
            began, before = time.perf_counter(), tier.statistics().client.faults
            await fault.begin(server, proxy)
            await anyio.sleep(SECONDS)
            if fault.opens:
                await eventually(lambda: not tier.is_available)
            is_open_at = len(tier.asked)
            await anyio.sleep(SECONDS)
            asked_while_open = len(tier.asked) - is_open_at
            trials = sum(tier.statistics().client.faults.values()) - sum(before.values())
            ended = time.perf_counter()
            await fault.end(server, proxy)
            back = time.perf_counter()
            await shared_hit(used, other)
            back = time.perf_counter() - back
            await anyio.sleep(SECONDS / 4)
            is_over = True
    good = [took for at, took in tier.asked if at < began]
    usual = statistics.median(good)
    during = [(at, took - usual) for at, took in tier.asked if began <= at < ended]
    # Once whoever is just asking has to wait for the deadline: those who ask together with the first that does.
    noticed = next((at for at, added in during if added > 0.02), began) + ONCE
    first = [added for at, added in during if at < noticed]
    after = [max(0.0, added) for at, added in during if at >= noticed]
    # Where the tier is not asked, nothing is added.
    skipped = sum(noticed <= at < ended for at, _ in in_trouble.seconds)
    after += [0.0] * max(0, skipped - len(after))
    longest, p99, lag = max(first, default=0.0), quantile(after), quantile(lags)
    if not fault.opens:
        # It is asked as ever, so what it adds is what it takes longer than one without trouble does meanwhile.
        p99 = max(0.0, p99 + usual - quantile([took for at, took in beside.asked if noticed <= at < ended]))
    calls, spared_calls = (
        1e3 * quantile([took for at, took in told.seconds if at >= began]) for told in (in_trouble, spared)
    )
    report(
        "R6",
        f"Redis {trouble}",
        f"{in_trouble.calls} calls, {len(in_trouble.failed)} failed, {in_trouble.wrong} wrong; added at first at most "
        f"{1e3 * longest:.0f} ms, then p99 {1e3 * p99:.2f} ms, in {trials} trials (p99 of calls {calls:.1f} ms, "
        f"beside a sound Redis {spared_calls:.1f}, the loop's own lag {1e3 * lag:.1f}); shared hits {back:.2f} s after",
    )
    assert in_trouble.calls > CALLERS
    assert not in_trouble.failed
    assert not in_trouble.wrong
    if fault.opens:
        assert not asked_while_open, "callers wait for nothing that is known to be away"
        assert trials
    assert back <= 20.0, "what has been away is tried again before long, on any machine"
    if IS_DRILL:
        assert longest <= 0.075 + max(lags)
        assert p99 <= 0.001 + lag
        assert back <= 2.0 + max(lags)


async def shared_hit(used: EnhancedMCPClient, other: EnhancedMCPClient) -> None:
    """Wait until what one process asked is found by another one in the shared tier."""
    number = QUESTIONS
    with anyio.fail_after(60):
        while True:
            number += 1
            await used.call_tool("s_known", {"number": number})
            await anyio.sleep(0.02)
            if (await other.call_tool("s_known", {"number": number})).provenance.cache == "hit":
                return


def quantile(seconds: list[float], share: float = 0.99) -> float:
    return sorted(seconds)[int(share * len(seconds))] if seconds else 0.0
