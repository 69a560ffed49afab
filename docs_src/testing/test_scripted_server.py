"""The whole stack (retries, circuits, deadlines) in front of a server that does what a script says."""

from __future__ import annotations

import pytest

from trunkline import EnhancedMCPClient, ServerPolicy, ServerSettings
from trunkline.testing import ScriptedServer
from trunkline.testing.scripted_server import hang, words


@pytest.mark.anyio
async def test_a_call_that_may_run_twice_survives_a_server_that_hangs_once() -> None:
    server = ScriptedServer(hang, words("second try"))
    policy = ServerPolicy(trust_annotations=True, attempt_timeout=0.2)
    async with EnhancedMCPClient([ServerSettings("s", server.endpoint, policy)]) as client:
        result = await client.call_tool("s_read")
    assert result.provenance.attempts == 2
    assert [tool for tool, _ in server.executed] == ["read", "read"]
