"""Four gateways, as real processes, in front of one server, with one Redis between them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp_types import TextContent

from tests.servers.redis_servers import RedisServer, redis_server
from tests.servers.watching import PATIENCE, eventually
from trunkline.testing import FaultyHttp, executions, faulty_http
from trunkline.testing.processes import free_port

pytestmark = [pytest.mark.anyio, pytest.mark.integration, pytest.mark.requirement("CACHE-FLEET")]

STARTUP = 60.0
"""Seconds until four processes are connected: cold starts on a shared core are slow."""
FLEET = 4
OPS = ("a", "b", "c", "d")


@dataclass
class Gateway:
    """A gateway that runs."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    async def look_up(self, op: str) -> tuple[str, Mapping[str, Any]]:
        """What it answers, and where it says that this came from."""
        async with Client(f"{self.url}/mcp") as client:
            result = await client.call_tool("lab_lookup", {"op": op})
        (block,) = result.content
        assert isinstance(block, TextContent)
        assert result.meta is not None
        return block.text, result.meta["trunkline/provenance"]

    async def has_forgotten(self, op: str) -> None:
        """Ask until it has to ask the server."""
        with anyio.fail_after(PATIENCE):
            outcome = "hit"
            while outcome != "miss":
                outcome = (await self.look_up(op))[1]["cache"]

    def get(self, path: str) -> Any:
        return httpx2.get(f"{self.url}{path}", timeout=10.0).json()

    def redis(self) -> str:
        """The state of the shared cache, as the status page shows it."""
        return str(self.get("/api/v1/status")["cache"]["redis"])


@dataclass
class Fleet:
    gateways: list[Gateway]
    redis: RedisServer
    origin: FaultyHttp
    journal: Path

    def asked(self, op: str) -> int:
        """How often the server itself was asked."""
        return executions(self.journal)[op]

    async def answers(self, op: str) -> list[str]:
        """What each gateway answers, one after the other."""
        return [(await gateway.look_up(op))[0] for gateway in self.gateways]


def configuration(origin: FaultyHttp, redis: RedisServer) -> dict[str, Any]:
    return {
        "mcpServers": {"lab": {"url": origin.url}},
        "trunkline": {
            "tools": {"lab_look*": {"cache": {"ttl": 300, "tags": ["looked-up"]}}},
            # Patient: on a busy machine, an answer may take longer than one wants to wait for it.
            "cache": {"namespace": "fleet", "partition": "everybody", "redis": {"url": redis.url, "deadline": 5.0}},
        },
    }


@contextmanager
def gateway(folder: Path, number: int, config: Path) -> Iterator[Gateway]:
    port, log = free_port(), folder / f"log-{number}"
    with log.open("w") as stderr:
        command = [sys.executable, "-m", "trunkline", "serve", str(config), "--port", str(port)]
        process = subprocess.Popen(command, stderr=stderr, stdin=subprocess.DEVNULL, text=True)
    try:
        yield Gateway(process, f"http://127.0.0.1:{port}", log)
    finally:
        process.kill()
        process.wait(10)


async def connected(gateway: Gateway) -> None:
    with anyio.fail_after(STARTUP):
        while True:
            assert gateway.process.poll() is None, gateway.log.read_text()
            try:
                told = gateway.get("/api/v1/status")
            except httpx2.TransportError:
                await anyio.sleep(0.1)
                continue
            if told["servers"][0]["state"] == "healthy" and told["cache"]["redis"] == "healthy":
                return
            await anyio.sleep(0.1)


@asynccontextmanager
async def fleet(folder: Path) -> AsyncIterator[Fleet]:
    journal, config = folder / "journal", folder / "trunkline.json"
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server())
        origin = await stack.enter_async_context(faulty_http(journal=journal))
        config.write_text(json.dumps(configuration(origin, redis)), "utf-8")
        gateways = [stack.enter_context(gateway(folder, number, config)) for number in range(FLEET)]
        for each in gateways:
            await connected(each)
        yield Fleet(gateways, redis, origin, journal)


def trunkline(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "trunkline", *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


async def test_what_one_gateway_learns_the_others_serve(tmp_path: Path) -> None:
    async with fleet(tmp_path) as all_of_them:
        first, *others = all_of_them.gateways
        words, provenance = await first.look_up("a")
        assert (words, provenance["cache"], provenance["attempts"]) == ("a", "miss", 1)
        # Written to Redis in the background: what each of the others finds there, it finds in the end.
        await eventually(lambda: all_of_them.redis.admin.keys("*:e:*"))
        for other in others:
            words, provenance = await other.look_up("a")
            assert (words, provenance["cache"], provenance["attempts"]) == ("a", "hit", 0)
        assert all_of_them.asked("a") == 1


async def test_one_invalidation_reaches_every_gateway(tmp_path: Path) -> None:
    async with fleet(tmp_path) as all_of_them:
        gateways = all_of_them.gateways
        for op in OPS:
            assert await all_of_them.answers(op) == [op] * FLEET
        before = {op: all_of_them.asked(op) for op in OPS}
        printed = trunkline("cache", "invalidate", gateways[2].url, "--tag", "looked-up")
        assert printed == 'invalidated: tag "looked-up"\n'
        # Each is asked for something that no other one has been asked for since: what it has is its own old answer.
        for op, each in zip(OPS, gateways, strict=True):
            await each.has_forgotten(op)
            assert all_of_them.asked(op) == before[op] + 1


async def test_killing_redis_changes_no_answer_and_its_return_is_noticed(tmp_path: Path) -> None:
    async with fleet(tmp_path) as all_of_them:
        gateways, redis = all_of_them.gateways, all_of_them.redis
        assert await all_of_them.answers("a") == ["a"] * FLEET
        redis.kill()
        for op in ("a", "b"):
            assert await all_of_them.answers(op) == [op] * FLEET
        await eventually(lambda: all(each.redis() in ("degraded", "down") for each in gateways))
        for each in gateways:
            told = each.get("/health/ready")
            assert told["status"] == "ready"
            assert any(reason.startswith("redis is ") for reason in told["reasons"])
            assert "shared_cache_lost" in each.log.read_text()
        await redis.start()
        await eventually(lambda: all(each.redis() == "healthy" for each in gateways))
        assert await all_of_them.answers("c") == ["c"] * FLEET
