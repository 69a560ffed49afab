"""Answers that are for one person only."""

from __future__ import annotations

import pytest
from mcp.server import MCPServer

from trunkline import CachePolicy, EnhancedMCPClient, InProcessEndpoint, ToolPolicy


@pytest.mark.anyio
async def test_what_alice_was_answered_is_not_for_bob() -> None:
    server = MCPServer("mail")

    @server.tool()
    def unread() -> str:
        return "2 messages"

    tools = {"mail_unread": ToolPolicy(cache=CachePolicy(ttl=60))}
    async with EnhancedMCPClient({"mail": InProcessEndpoint(server)}, tools=tools) as client:
        alice, bob = client.for_principal("alice"), client.for_principal("bob")
        await alice.call_tool("mail_unread", {})
        result = await bob.call_tool("mail_unread", {})
        assert result.provenance.cache == "miss"
        result = await alice.call_tool("mail_unread", {})
        assert result.provenance.cache == "hit"
