"""What one process learns another serves. Two infrastructures play two processes, with one Redis between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.servers.redis_servers import redis_server
from tests.servers.watching import eventually
from trunkline import Infrastructure
from trunkline.testing import executions, faulty_http


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the only event loop on which a Redis is shared


def configuration(address: str, redis: str) -> dict[str, Any]:
    return {
        "mcpServers": {"search": {"url": address}},
        "trunkline": {
            "tools": {"search_lookup": {"cache": {"ttl": 300}}},
            # Patient, for a test; else an answer that takes longer than 50 ms is a miss.
            "cache": {"namespace": "shop", "partition": "shop", "redis": {"url": redis, "deadline": 5.0}},
        },
    }


async def in_touch(infra: Infrastructure) -> None:
    await eventually(lambda: any(part.state == "healthy" for part in infra.health.report().others))


@pytest.mark.anyio
async def test_what_one_process_learns_another_serves_and_what_it_invalidates_is_invalid_there(tmp_path: Path) -> None:
    async with redis_server() as redis, faulty_http(journal=tmp_path / "journal") as origin:
        shared = configuration(origin.url, redis.url)
        async with Infrastructure.from_config(shared) as one, Infrastructure.from_config(shared) as other:
            await in_touch(one)
            await in_touch(other)

            first = await one.mcp_client.call_tool("search_lookup", {"op": "trunk lines"})
            again = await other.mcp_client.call_tool("search_lookup", {"op": "trunk lines"})
            assert (first.provenance.cache, again.provenance.cache) == ("miss", "hit")

            one.cache.invalidate(tool="search_lookup")
            with anyio.fail_after(20):
                while again.provenance.cache == "hit":
                    await anyio.sleep(0.01)
                    again = await other.mcp_client.call_tool("search_lookup", {"op": "trunk lines"})
        assert executions(tmp_path / "journal")["trunk lines"] == 2
