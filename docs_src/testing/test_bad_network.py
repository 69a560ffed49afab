"""A network that is cut in the middle of an answer, and is whole again afterwards."""

from __future__ import annotations

import pytest

from trunkline import EnhancedMCPClient, HttpEndpoint, ServerPolicy, ServerSettings
from trunkline.testing import FaultProxy, faulty_http


@pytest.mark.anyio
async def test_a_cut_connection_costs_a_call_that_may_run_twice_nothing_but_time() -> None:
    async with faulty_http() as server, FaultProxy("127.0.0.1", server.port) as proxy:
        policy = ServerPolicy(trust_annotations=True)
        settings = ServerSettings("s", HttpEndpoint(proxy.url), policy)
        async with EnhancedMCPClient([settings]) as client:
            await client.call_tool("s_echo", {"text": "before"})
            proxy.cut()
            result = await client.call_tool("s_echo", {"text": "after"})
    assert not result.is_error
