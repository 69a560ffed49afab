"""The ladder over real sessions: other servers, a substitute tool with its own arguments, answers by code or file."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import CallToolResult, TextContent

from tests.servers.watching import text_of
from trunkline import (
    CallError,
    CircuitOpen,
    EnhancedMCPClient,
    FallbackPolicy,
    InProcessEndpoint,
    RetryPolicy,
    ServerPolicy,
    ServerSettings,
    ServerUnavailable,
    ToolPolicy,
)
from trunkline.fallbacks import FallbackFunction, mapped
from trunkline.policy import PoolPolicy
from trunkline.testing import ScriptedServer
from trunkline.testing.scripted_server import words

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-RES-3")]

AWAY = ServerPolicy(pool=PoolPolicy(patience=0.0, base=0.01, cap=0.02), fallback=("b",))


@asynccontextmanager
async def two(
    *, tools: dict[str, ToolPolicy] | None = None, fallbacks: dict[str, FallbackFunction] | None = None, **policy: Any
) -> AsyncGenerator[tuple[EnhancedMCPClient, ScriptedServer], None]:
    """Server `a`, whose circuit is open, and server `b`, which answers with its name."""
    a, b = ScriptedServer(), ScriptedServer(*[words("from b")] * 9)
    once = ServerPolicy(trust_annotations=True, retry=RetryPolicy(enabled=False), **policy)
    servers = [ServerSettings("a", a.endpoint, once), ServerSettings("b", b.endpoint, ServerPolicy())]
    async with EnhancedMCPClient(servers, tools=tools, fallbacks=fallbacks) as client:
        await client.list_tools()
        client.fleet.stacks["a"].replicas[0].circuit.force_open(0.0)
        yield client, b


async def test_the_fallback_server_answers_under_the_same_bare_name_and_is_named() -> None:
    async with two(fallback=("b",)) as (client, b):
        result = await client.call_tool("a_read", {"n": 1})
        assert text_of(result) == "from b"
        assert (result.provenance.fallback, result.provenance.server, result.provenance.degraded) == ("b", "b", True)
        assert [tool for tool, _ in b.executed] == ["read"]


async def test_a_fallback_server_that_is_no_server_is_passed_over() -> None:
    async with two(fallback=("nobody", "b")) as (client, _):
        assert (await client.call_tool("a_read")).provenance.fallback == "b"


async def test_a_server_is_never_its_own_fallback() -> None:
    async with two(fallback=("a",)) as (client, _):
        with pytest.raises(CircuitOpen):
            await client.call_tool("a_read")


async def test_a_server_that_was_never_reached_falls_back_by_the_name_of_its_tool() -> None:
    class Broken:
        """No MCP server at all."""

    b = ScriptedServer(words("from b"))
    servers = [ServerSettings("a", InProcessEndpoint(Broken()), AWAY), ServerSettings("b", b.endpoint)]
    async with EnhancedMCPClient(servers) as client:
        await client.list_tools()
        result = await client.call_tool("a_read", timeout=20.0)
    assert text_of(result) == "from b"


async def test_the_fallback_tool_is_given_its_own_arguments() -> None:
    policy = FallbackPolicy(tool="b_read", arguments={"n": "$count"})
    async with two(tools={"a_write": ToolPolicy(fallback=policy)}) as (client, b):
        result = await client.call_tool("a_write", {"count": 3, "other": 1})
        assert (text_of(result), result.provenance.fallback) == ("from b", "b_read")
        assert [tool for tool, _ in b.executed] == ["read"]


@pytest.mark.parametrize(
    ("answer", "text", "structured"),
    [("closed", "closed", None), ({"open": False}, '{"open": false}', {"open": False})],
)
async def test_an_answer_from_the_configuration_is_the_last_resort(
    answer: Any, text: str, structured: dict[str, Any] | None
) -> None:
    policy = FallbackPolicy(tool="b_gone", answer=answer)
    async with two(tools={"a_read": ToolPolicy(fallback=policy)}) as (client, _):
        result = await client.call_tool("a_read")
        assert (text_of(result), result.structured_content) == (text, structured)
        assert (result.provenance.fallback, result.provenance.degraded) == ("static", True)


async def test_a_function_answers_before_the_configuration_does() -> None:
    told: list[object] = []

    def instead(arguments: dict[str, Any], error: CallError) -> CallToolResult:
        told.extend([arguments, type(error)])
        return CallToolResult(content=[TextContent(text="by code")])

    policy = FallbackPolicy(answer="by file")
    async with two(tools={"a_read": ToolPolicy(fallback=policy)}, fallbacks={"a_read": instead}) as (client, _):
        result = await client.call_tool("a_read", {"n": 1})
        assert (text_of(result), result.provenance.fallback) == ("by code", "callable")
    assert told == [{"n": 1}, CircuitOpen]


async def test_a_function_may_be_async_and_may_fail() -> None:
    async def later(arguments: dict[str, Any], _error: CallError) -> str:
        return f"later {arguments['n']}"

    def broken(_arguments: dict[str, Any], _error: CallError) -> str:
        raise ZeroDivisionError

    async with two(fallbacks={"a_read": later, "a_write": broken}) as (client, _):
        assert text_of(await client.call_tool("a_read", {"n": 1})) == "later 1"
        with pytest.raises(CircuitOpen):
            await client.call_tool("a_write")


async def test_a_fallback_that_is_not_enabled_is_not_there() -> None:
    policy = FallbackPolicy(enabled=False, tool="b_read", answer="x")
    async with two(tools={"a_read": ToolPolicy(fallback=policy)}) as (client, _):
        with pytest.raises(CircuitOpen):
            await client.call_tool("a_read")


async def test_without_a_fallback_the_error_is_the_servers_own() -> None:
    async with EnhancedMCPClient([ServerSettings("a", InProcessEndpoint(object()), AWAY)]) as client:
        with pytest.raises(ServerUnavailable):
            await client.call_tool("a_read", timeout=5.0)


def test_arguments_are_mapped_by_name_or_given_as_they_are() -> None:
    given_ = {"query": "cats", "n": 3}
    onto = {"q": "$query", "limit": 5, "lang": "en", "cost": "$$5", "page": "$missing", "nested": {"a": "$n"}}
    assert mapped(given_, onto) == {"q": "cats", "limit": 5, "lang": "en", "cost": "$5", "nested": {"a": "$n"}}


@given(st.dictionaries(st.text(), st.integers()))
def test_without_a_mapping_the_same_arguments_are_passed_on(arguments: dict[str, int]) -> None:
    passed = mapped(arguments, None)
    assert passed == arguments
    assert passed is not arguments
