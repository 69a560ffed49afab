"""A tool whose answers are kept for five minutes, and for an hour more should its server have none."""

from __future__ import annotations

import tomllib

import pytest
from mcp.server import MCPServer

from trunkline import EnhancedMCPClient, InProcessEndpoint
from trunkline.config import load

CONFIGURATION = """
[mcpServers.search]
url = "https://search.internal/mcp"

[trunkline.tools.search_web]                 # the name as shown to callers, or a pattern: "search_*"
cache = { ttl = 300, stale_if_error = 3600 } # seconds
"""


@pytest.mark.anyio
async def test_the_second_of_two_equal_calls_asks_no_server() -> None:
    asked: list[str] = []
    server = MCPServer("search")

    @server.tool()
    def web(query: str) -> str:
        asked.append(query)
        return f"three pages about {query}"

    tools = load(tomllib.loads(CONFIGURATION)).tools
    async with EnhancedMCPClient({"search": InProcessEndpoint(server)}, tools=tools) as client:
        first = await client.call_tool("search_web", {"query": "trunk lines"})
        again = await client.call_tool("search_web", {"query": "trunk lines"})
        assert (first.provenance.cache, again.provenance.cache) == ("miss", "hit")
        assert again.content == first.content
        assert asked == ["trunk lines"]

        result = await client.call_tool("search_web", {"query": "trunk lines"}, cache="refresh")
        assert result.provenance.attempts == 1
