"""Answers that are known to be old: said by a tool that writes, or by you."""

from __future__ import annotations

import tomllib

import pytest
from mcp.server import MCPServer

from trunkline import Infrastructure, InProcessEndpoint, ServerSettings
from trunkline.config import Settings, load

CONFIGURATION = """
[trunkline.tools.shop_list_items]
cache = { ttl = 600, tags = ["catalogue"] }
[trunkline.tools.shop_add_item]
cache = { invalidates = ["catalogue"] }
[trunkline.tools.search_web]
cache = { ttl = 300 }
"""


def shop() -> MCPServer:
    server, items = MCPServer("shop"), ["chair"]

    @server.tool()
    def list_items() -> list[str]:
        return items

    @server.tool()
    def add_item(name: str) -> str:
        items.append(name)
        return f"{name} added"

    return server


def search() -> MCPServer:
    server = MCPServer("search")

    @server.tool()
    def web(query: str) -> str:
        return f"three pages about {query}"

    return server


def infrastructure() -> Infrastructure:
    made = {"shop": shop(), "search": search()}
    servers = {name: ServerSettings(name, InProcessEndpoint(server)) for name, server in made.items()}
    return Infrastructure(Settings("example", servers, load(tomllib.loads(CONFIGURATION)).tools))


@pytest.mark.anyio
async def test_a_tool_that_writes_makes_what_it_changes_invalid() -> None:
    async with infrastructure() as infra:
        client = infra.mcp_client
        await client.call_tool("shop_list_items", {})
        await client.call_tool("shop_add_item", {"name": "lamp"})
        result = await client.call_tool("shop_list_items", {})
        assert result.provenance.cache == "miss"
        assert result.structured_content == {"result": ["chair", "lamp"]}


@pytest.mark.anyio
async def test_whoever_knows_better_says_so() -> None:
    async with infrastructure() as infra:

        async def is_kept() -> bool:
            result = await infra.mcp_client.for_principal("alice").call_tool("search_web", {"query": "trunk lines"})
            return result.provenance.cache == "hit"

        assert (await is_kept(), await is_kept()) == (False, True)
        infra.cache.invalidate(tool="search_web")
        assert (await is_kept(), await is_kept()) == (False, True)
        infra.cache.invalidate(tool="search_web", arguments={"query": "trunk lines"})
        assert (await is_kept(), await is_kept()) == (False, True)
        infra.cache.invalidate(server="search", principal="alice")
        assert (await is_kept(), await is_kept()) == (False, True)
        infra.cache.invalidate(tag="catalogue")
        assert await is_kept()
        infra.cache.clear()
        assert not await is_kept()
