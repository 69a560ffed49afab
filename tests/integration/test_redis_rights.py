"""The rights that docs/cache.md gives Trunkline's user in Redis: enough for all that it does, and for nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.servers.redis_servers import KINDS, RedisServer, cluster, redis_server
from tests.servers.watching import eventually
from trunkline import Infrastructure
from trunkline.sharing import Sharing
from trunkline.testing import faulty_http

pytestmark = [pytest.mark.anyio, pytest.mark.integration, pytest.mark.requirement("CACHE-RIGHTS")]

GUIDE = (Path(__file__).parents[2] / "docs" / "cache.md").read_text("utf-8")
PASSWORD = "correct-horse"


def give_rights(server: RedisServer, *more: str) -> str:
    """Make the guide's user there; returns the address with its name and password."""
    (line,) = re.findall(r"^(ACL SETUSER .*)$", GUIDE, re.MULTILINE)
    server.ask(*line.replace("PASSWORD", PASSWORD).split(), *more)
    return server.url.replace("redis://", f"redis://trunkline:{PASSWORD}@")


async def does_everything(address: str, redis: dict[str, Any], *servers: RedisServer) -> None:
    """Two processes' cache, leases, invalidations and circuits; fails where anything of it was refused."""
    settings = {
        "mcpServers": {"lab": {"url": address}},
        "trunkline": {
            "defaults": {"breaker": {"shared": True}},
            "tools": {"lab_lookup": {"cache": {"ttl": 60, "lease": 5}}},
            "cache": {"namespace": "shop", "partition": "shop", "redis": {"deadline": 5.0, **redis}},
        },
    }
    async with Infrastructure.from_config(settings) as one, Infrastructure.from_config(settings) as other:
        await eventually(lambda: all(_is_in_touch(each.sharing) for each in (one, other)))
        await one.mcp_client.call_tool("lab_lookup", {"op": "a"})
        await eventually(lambda: any(server.admin.keys("*:e:*") for server in servers))
        found = await other.mcp_client.call_tool("lab_lookup", {"op": "a"})
        assert found.provenance.cache == "hit"
        before = _counts(other.sharing).backplane.messages
        one.cache.invalidate(tool="lab_lookup")
        await eventually(lambda: _counts(other.sharing).backplane.messages > before)
        circuit = one.mcp_client.fleet.stacks["lab"].replicas[0].circuit
        circuit.hear_opened(5.0, anyio.current_time())
        circuit.force_closed(anyio.current_time())
        for each in (one, other):
            assert _counts(each.sharing).client.refused == {}
            assert "denied" not in _counts(each.sharing).client.faults


def _is_in_touch(sharing: Sharing) -> bool:
    return sharing.tier is not None and sharing.tier.is_available and sharing.tier.synced_at > 0


def _counts(sharing: Sharing) -> Any:
    assert sharing.tier is not None
    return sharing.tier.statistics()


@pytest.mark.parametrize("kind", KINDS)
async def test_the_guides_user_may_do_what_is_needed(kind: str) -> None:
    async with redis_server(kind) as server, faulty_http() as origin:
        await does_everything(origin.url, {"url": give_rights(server)}, server)
        assert server.ask("ACL", "LOG") == []


async def test_the_guides_user_may_do_what_is_needed_in_a_cluster() -> None:
    async with cluster() as nodes, faulty_http() as origin:
        urls = [give_rights(node, "+cluster", "+command") for node in nodes]
        assert "`+cluster +command`" in GUIDE
        # A moment of being moved is a fault like any other: only rights are at stake here.
        await does_everything(origin.url, {"url": urls[0], "mode": "cluster"}, *nodes)
        assert [node.ask("ACL", "LOG") for node in nodes] == [[], [], []]


async def test_the_guides_user_may_do_nothing_else() -> None:
    async with redis_server() as server:
        give_rights(server)
        for command in ("FLUSHDB", "KEYS *", "CONFIG GET maxmemory", "SUBSCRIBE x", "SCAN 0", "SHUTDOWN"):
            told = server.ask("ACL", "DRYRUN", "trunkline", *command.split())
            assert b"no permissions" in told
        assert b"no permissions" in server.ask("ACL", "DRYRUN", "trunkline", "GET", "trunkline:other:1:e:00")
