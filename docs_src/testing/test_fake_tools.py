"""A domain's own tests, without any server."""

from __future__ import annotations

import pytest

from trunkline import CircuitOpen, EnhancedMCPClient
from trunkline.testing import FakeTools


async def headline(client: EnhancedMCPClient, topic: str) -> str:
    """The code under test: one call, and a plan for when it cannot be had."""
    try:
        result = await client.call_tool("news_search", {"topic": topic}, domain="news")
    except CircuitOpen:
        return "no news today"
    return str((result.structured_content or {})["title"])


@pytest.mark.anyio
async def test_the_headline_is_the_title_of_the_first_hit() -> None:
    tools = FakeTools({"news_search": {"title": "Trunk line opened"}})
    assert await headline(tools, "railways") == "Trunk line opened"
    assert tools.called("news_search") == [{"topic": "railways"}]


@pytest.mark.anyio
async def test_without_the_server_there_is_no_news() -> None:
    tools = FakeTools({"news_search": CircuitOpen("it keeps failing", retry_after=5.0)})
    assert await headline(tools, "railways") == "no news today"
