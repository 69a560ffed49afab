"""The two shared tiers that caches are tried with: one in this process, in virtual time, and a real one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress

import redis

from tests.resilience.cache_operations import PROCESSES
from tests.servers.pretend_redis import PretendRedis
from tests.servers.redis_servers import RedisServer
from trunkline.cache.link import Link
from trunkline.cache.link_keeper import Connect
from trunkline.policy import RedisPolicy
from trunkline.testing import FaultProxy

__all__ = ["PretendSurroundings", "RealSurroundings"]


class PretendSurroundings:
    """A Redis in this process, and a wire to it for each process."""

    max_unsynced = 5.0

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._redis = PretendRedis()
        usual = self._rng.choice((0.0, 0.0, 0.001, 0.01))
        self._wires = [self._redis.wire(random.Random(self._rng.random()), usual) for _ in range(PROCESSES)]

    def way(self, number: int, rng: random.Random) -> tuple[RedisPolicy, Connect | None]:
        """The wire of that number."""
        wire = self._wires[number]

        def connect(_policy: RedisPolicy, _waits: float) -> Link:
            return self._redis.link(wire)

        return RedisPolicy(url="redis://pretended", max_unsynced=self.max_unsynced), connect

    async def heal(self) -> None:
        """All is well again."""
        for wire in self._wires:
            wire.heal()
        self._redis.heal()

    async def meddle(self, kind: str, number: int) -> None:  # noqa: C901 - a row for each fault
        """Let something go wrong."""
        redis, wire, rng = self._redis, self._wires[number], self._rng
        match kind:
            case "cut":
                wire.cut()
            case "black_hole":
                wire.is_black_hole = True
            case "refuse":
                wire.is_refusing = True
                wire.cut()
            case "slow":
                wire.latency = rng.choice((0.002, 0.02, 0.04, 0.2))
            case "lossy":
                wire.loses = 0.02
            case "shift":
                wire.shifts = 1
            case "garble":
                wire.garbles = 3
            case "trim":
                del redis.stream[: rng.randrange(len(redis.stream) + 1)]
            case "flush":
                redis.flush()
            case "kill":
                redis.kill()
            case "pause":
                redis.is_paused = True
            case "fill":
                redis.is_full = True
            case "step_clock":
                redis.offset += rng.choice((-100.0, -3.0, 3.0, 100.0))
            case _:
                self._meddle_with_values(kind)

    def _meddle_with_values(self, kind: str) -> None:
        values = self._redis.values
        names = self._redis.keys(b":t:" if "tag" in kind else b":e:")
        changed = meddled(kind, names, [values[name][0] for name in names], self._rng)
        for name, value in changed.items():
            if value is None:
                del values[name]
            else:
                values[name] = value, values[name][1]


def meddled(
    kind: str, names: Sequence[bytes], values: Sequence[bytes], rng: random.Random
) -> dict[bytes, bytes | None]:
    """What becomes of some of these values; None where one goes."""
    chosen = [place for place in range(len(names)) if rng.random() < 0.5]
    if "drop" in kind:
        return {names[place]: None for place in chosen}
    if "swap" in kind:
        others = chosen[1:] + chosen[:1]
        return {names[place]: values[other] for place, other in zip(chosen, others, strict=True)}
    return {names[place]: _spoilt(values[place], rng) for place in chosen}


def _spoilt(value: bytes, rng: random.Random) -> bytes:
    if not value:
        return rng.randbytes(40)
    place = rng.randrange(len(value))
    changed = bytes([value[place] ^ rng.randrange(1, 256)])
    return rng.choice(
        (
            value[:place] + changed + value[place + 1 :],
            value[:place] + changed + value[place:],
            value[:place],
            rng.randbytes(40),
        )
    )


class RealSurroundings:
    """A real server, and a proxy in front of it for each process."""

    max_unsynced = 1.0

    def __init__(self, seed: int, server: RedisServer, proxies: Sequence[FaultProxy]) -> None:
        self._rng = random.Random(seed)
        self._server = server
        self._proxies = proxies
        self._is_paused = self._is_down = False

    def way(self, number: int, rng: random.Random) -> tuple[RedisPolicy, Connect | None]:
        """Through the proxy of that number."""
        url = f"redis://127.0.0.1:{self._proxies[number].port}/0"
        return RedisPolicy(url=url, max_unsynced=self.max_unsynced, deadline=0.2, open_for=0.05, open_cap=0.1), None

    async def heal(self) -> None:
        """All is well again."""
        for proxy in self._proxies:
            proxy.heal()
        if self._is_down:
            await self._server.start()
        elif self._is_paused:
            self._server.resume()
        else:
            self._server.empty_out()
        self._is_down = self._is_paused = False

    async def meddle(self, kind: str, number: int) -> None:
        """Let something go wrong."""
        proxy, rng = self._proxies[number], self._rng
        match kind:
            case "cut":
                proxy.cut()
            case "black_hole":
                proxy.freeze()
            case "refuse":
                proxy.is_refusing = True
                proxy.cut()
            case "slow":
                proxy.latency = rng.choice((0.002, 0.02, 0.2))
            case "lossy":
                proxy.cut_after = rng.randrange(2000)
            case "shift":
                # Into the middle of answers, on connections that are there and on those to come.
                proxy.insert_at = rng.randrange(3000)
                proxy.cut()
            case "step_clock":
                proxy.corrupt_every = rng.randrange(300, 3000)
            case _ if not (self._is_paused or self._is_down):
                await self._meddle_with_server(kind)

    async def _meddle_with_server(self, kind: str) -> None:
        server, rng = self._server, self._rng
        match kind:
            case "trim":
                server.ask("XTRIM", "trunkline:n:1:bp", "MAXLEN", rng.randrange(3))
            case "flush":
                server.ask("FLUSHALL")
            case "kill":
                server.kill()
                self._is_down = True
            case "pause":
                server.pause()
                self._is_paused = True
            case "fill":
                server.fill_up()
            case _:
                names = sorted(server.ask("KEYS", "trunkline:n:1:t:*" if "tag" in kind else "trunkline:n:1:e:*"))
                values = server.ask("MGET", *names) if names else []
                there = [(name, value) for name, value in zip(names, values, strict=True) if value is not None]
                changed = meddled(kind, [name for name, _ in there], [value for _, value in there], rng)
                for name, value in changed.items():
                    with suppress(redis.OutOfMemoryError):
                        server.ask(*(("DEL", name) if value is None else ("SET", name, value, "PX", 60_000)))
