"""Two clients in front of one server, with a real Redis between them: what one's circuit learns spares the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.servers.redis_servers import RedisServer, redis_server
from tests.servers.watching import Record, eventually
from trunkline import AttemptTimeout, CircuitOpen, Infrastructure
from trunkline.events import CircuitChanged
from trunkline.resilience.circuit import Circuit
from trunkline.testing import executions, faults, faulty_http

pytestmark = [pytest.mark.anyio, pytest.mark.integration, pytest.mark.requirement("CIRCUIT-SHARED")]

FAILURES = 3


@dataclass
class Side:
    """One client, and what it was told."""

    infra: Infrastructure
    record: Record

    @property
    def circuit(self) -> Circuit:
        return self.infra.mcp_client.fleet.stacks["lab"].replicas[0].circuit

    async def learns(self) -> None:
        """Find out for itself that the server hangs."""
        for _ in range(FAILURES):
            with pytest.raises(AttemptTimeout):
                await self.infra.mcp_client.call_tool("lab_fault", faults.hang("hung"), 0.5)
        assert self.circuit.state == "open"

    async def looks_up(self, op: str) -> None:
        await self.infra.mcp_client.call_tool("lab_lookup", {"op": op})


@dataclass
class Pair:
    one: Side
    other: Side
    redis: RedisServer
    journal: Path


def configuration(address: str, redis: str) -> dict[str, Any]:
    policy = {
        "retry": {"enabled": False},
        # Long enough that no probe of the test's own length ends it, nor is it told as over.
        "breaker": {"shared": True, "consecutive": FAILURES, "open_for": 60.0},
        "health": {"enabled": False},
    }
    return {
        "mcpServers": {"lab": {"url": address}},
        "trunkline": {"defaults": policy, "cache": {"redis": {"url": redis, "deadline": 5.0}}},
    }


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[Pair]:
    journal, records = folder / "journal", (Record(), Record())
    async with redis_server() as redis, faulty_http(journal=journal) as origin:
        settings = configuration(origin.url, redis.url)
        async with (
            Infrastructure.from_config(settings, observers=[records[0]]) as one,
            Infrastructure.from_config(settings, observers=[records[1]]) as other,
        ):
            sides = Side(one, records[0]), Side(other, records[1])
            await eventually(lambda: all(_has_begun_to_listen(side) for side in sides))
            for side in sides:
                await side.looks_up("well")
            yield Pair(*sides, redis, journal)


def _has_begun_to_listen(side: Side) -> bool:
    tier = side.infra.sharing.tier
    return tier is not None and tier.is_available and tier.synced_at > 0


async def test_one_learns_and_the_other_refuses_without_an_attempt(tmp_path: Path) -> None:
    async with pair(tmp_path) as both:
        await both.one.learns()
        await both.other.record.until(CircuitChanged, new="open", heard=True)
        with pytest.raises(CircuitOpen) as refused:
            await both.other.looks_up("spared")
        assert refused.value.retry_after is not None
        assert 0 < refused.value.retry_after <= both.one.infra.settings.servers["lab"].policy.breaker.open_for
        assert executions(both.journal, "before")["spared"] == 0
        # Nothing goes round: what was heard is told to nobody.
        assert [event.heard for event in both.one.record.of(CircuitChanged)] == [False]


async def test_what_one_proves_closes_what_the_other_opened_on_its_word(tmp_path: Path) -> None:
    async with pair(tmp_path) as both:
        await both.one.learns()
        await both.other.record.until(CircuitChanged, new="open", heard=True)
        for _ in range(2):
            both.one.circuit.probe_succeeded(anyio.current_time())
        await both.other.record.until(CircuitChanged, new="closed", heard=True)
        await both.other.looks_up("back")
        assert executions(both.journal)["back"] == 1


async def test_without_redis_each_circuit_is_its_own_and_nothing_is_told_late(tmp_path: Path) -> None:
    async with pair(tmp_path) as both:
        both.redis.kill()
        await both.one.learns()
        await both.other.looks_up("on its own")
        assert both.other.circuit.state == "closed"
        assert both.other.record.of(CircuitChanged) == []
        # Redis is back, and empty: nothing of what happened meanwhile is told late.
        await both.redis.start()
        await eventually(lambda: _has_begun_to_listen(both.other))
        await both.other.looks_up("still on its own")
        assert executions(both.journal)["still on its own"] == 1
