"""A domain's tests need no server: `FakeTools` answers as the test says and keeps what was asked."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from mcp_types import CallToolResult, TextContent

from examples.audio_processor import AudioProcessor
from tests.servers.watching import text_of
from trunkline import (
    CircuitOpen,
    EnhancedMCPClient,
    InvalidArguments,
    MetricsCollector,
    Provenance,
    ToolNotFound,
)
from trunkline.testing import FakeTools

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-TEST-1")]


async def test_the_seeds_example_is_tested_without_a_server() -> None:
    tools = FakeTools({"stt_transcribe_file": "hello"})
    assert await AudioProcessor(tools, MetricsCollector()).transcribe("clip.wav") == "hello"
    assert tools.called("stt_transcribe_file") == [{"path": "clip.wav"}]
    assert [(call.domain, call.timeout) for call in tools.calls] == [("speech", 20)]


async def test_a_domain_that_looks_at_provenance_sees_what_the_test_says() -> None:
    tools = FakeTools({"stt_transcribe_file": "hello"}, provenance=Provenance(fallback="other", degraded=True))
    assert await AudioProcessor(tools, MetricsCollector()).transcribe("clip.wav") is None


async def test_structured_content_whole_results_and_errors_are_answers() -> None:
    whole = CallToolResult(content=[TextContent(text="no")], is_error=True)
    tools = FakeTools({"a": {"sum": 3}, "b": whole, "c": CircuitOpen("no", retry_after=2.0)})
    assert (await tools.call_tool("a")).structured_content == {"sum": 3}
    assert (await tools.call_tool("b")).is_error
    with pytest.raises(CircuitOpen):
        await tools.call_tool("c")
    assert [call.name for call in tools.calls] == ["a", "b", "c"]


async def test_answers_are_given_one_after_the_other_and_the_last_one_stays() -> None:
    tools = FakeTools({"a": [CircuitOpen("no", retry_after=1.0), "one", "two"]})
    with pytest.raises(CircuitOpen):
        await tools.call_tool("a")
    assert [text_of(await tools.call_tool("a")) for _ in range(3)] == ["one", "two", "two"]


async def test_a_function_of_the_arguments_may_answer_in_either_way() -> None:
    async def later(n: int) -> str:
        return f"later {n}"

    tools = FakeTools({"now": lambda n: f"now {n}", "later": later})
    assert text_of(await tools.call_tool("now", {"n": 1})) == "now 1"
    assert text_of(await tools.call_tool("later", {"n": 2})) == "later 2"


async def test_an_unknown_tool_is_not_found_and_the_nearest_name_is_told() -> None:
    with pytest.raises(ToolNotFound) as raised:
        await FakeTools({"search_web": "x"}).call_tool("serch_web")
    assert raised.value.suggestions == ("search_web",)


async def test_arguments_are_checked_where_a_schema_is_given() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    tools = FakeTools({"a": "ok"}, schemas={"a": schema})
    with pytest.raises(InvalidArguments):
        await tools.call_tool("a", {"n": "three"})
    assert text_of(await tools.call_tool("a", {"n": 3})) == "ok"


async def test_calls_are_kept_with_the_domain_they_were_made_for() -> None:
    tools, metrics = FakeTools({"a": "ok"}), MetricsCollector()
    await tools.call_tool("a")
    await tools.for_domain("bound").call_tool("a")
    async with metrics.track("tracked", "operation"):
        await tools.call_tool("a")
    await tools.call_tool("a", domain="given")
    assert [call.domain for call in tools.calls] == ["unattributed", "bound", "tracked", "given"]


async def test_an_answer_can_be_changed() -> None:
    tools = FakeTools({"a": "one"})
    tools.answer("a", "two")
    assert text_of(await tools.call_tool("a")) == "two"
    assert [tool.name for tool in (await tools.list_tools()).tools] == ["a"]
    assert repr(tools) == "<FakeTools [1 tools, 1 calls]>"


def test_it_is_called_exactly_as_the_real_client_is() -> None:
    def surface(kind: type) -> dict[str, Any]:
        return {
            name: inspect.signature(member)
            for name, member in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    real, fake = surface(EnhancedMCPClient), surface(FakeTools)
    assert {name: fake[name] for name in real} == real


async def test_entering_and_leaving_it_starts_nothing() -> None:
    async with FakeTools({"a": "ok"}) as tools:
        assert text_of(await tools.call_tool("a")) == "ok"
        assert tools.health().servers == ()
