"""A server that is down, and what it said last."""

from __future__ import annotations

import anyio
import pytest

from trunkline import CachePolicy, EnhancedMCPClient, PoolPolicy, ServerPolicy, ServerSettings, ToolPolicy
from trunkline.testing import faulty_http

TOOLS = {"search_lookup": ToolPolicy(cache=CachePolicy(ttl=0.05, stale=0, stale_if_error=3600))}
IMPATIENT = ServerPolicy(pool=PoolPolicy(patience=0))


@pytest.mark.anyio
async def test_an_old_answer_is_better_than_none_and_says_so() -> None:
    async with faulty_http() as origin:
        settings = ServerSettings("search", origin.endpoint, IMPATIENT)
        async with EnhancedMCPClient([settings], tools=TOOLS) as client:
            await client.call_tool("search_lookup", {"op": "trunk lines"})
            await anyio.sleep(0.1)
            await origin.kill()
            result = await client.call_tool("search_lookup", {"op": "trunk lines"})
            assert result.provenance.cache == "stale"
            assert result.provenance.degraded
