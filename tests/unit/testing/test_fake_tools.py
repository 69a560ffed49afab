"""A domain's tests need no server: `FakeTools` answers as the test says and keeps what was asked."""

from __future__ import annotations

import inspect
import json
from typing import Any

import anyio
import pytest
from mcp_types import CallToolResult, TextContent

from examples.audio_processor import AudioProcessor
from tests.servers.watching import text_of
from trunkline import (
    AttemptTimeout,
    CallError,
    CircuitOpen,
    ConnectionLost,
    DeadlineExceeded,
    EnhancedMCPClient,
    InvalidArguments,
    MetricsCollector,
    Provenance,
    ToolNotFound,
    ToolResult,
)
from trunkline.events import CallFinished, CallStarted, Event
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


async def test_the_text_of_structured_content_is_json_as_over_a_wire() -> None:
    said = {"title": "Gr\u00fc\u00dfe", "found": True, "next": None, "pair": (1, 2)}
    result = await FakeTools({"a": said}).call_tool("a")
    assert text_of(result) == '{"title": "Gr\u00fc\u00dfe", "found": true, "next": null, "pair": [1, 2]}'
    assert result.structured_content == json.loads(text_of(result))


async def test_what_one_caller_does_to_an_answer_no_other_sees() -> None:
    whole = ToolResult(content=[TextContent(text="ok")], structured_content={"rows": [1]})
    tools = FakeTools({"mapping": {"rows": [1]}, "whole": whole})
    for name in ("mapping", "whole"):
        changed = await tools.call_tool(name)
        assert changed.structured_content is not None
        changed.structured_content["rows"].append(2)
        assert (await tools.call_tool(name)).structured_content == {"rows": [1]}


async def test_listings_show_the_schemas_arguments_are_checked_against() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    tools = FakeTools({"a": "ok", "b": "ok"}, schemas={"a": schema})
    listed = {tool.name: tool.input_schema for tool in (await tools.list_tools()).tools}
    assert listed == {"a": schema, "b": {"type": "object"}}


async def test_arguments_are_kept_as_they_were_when_the_call_was_made() -> None:
    def sort(rows: list[int]) -> str:
        rows.sort()
        return "ok"

    tools, rows, meta = FakeTools({"a": sort}), [2, 1], {"trace": ["one"]}
    await tools.call_tool("a", {"rows": rows}, meta=meta)
    assert rows == [2, 1], "nor does the tool reach the caller's objects, as it could not over a wire"
    rows.append(3)
    meta["trace"].append("two")
    assert tools.called("a") == [{"rows": [2, 1]}]
    assert tools.calls[0].meta == {"trace": ["one"]}


async def test_a_result_keeps_the_provenance_the_test_gave_it() -> None:
    own = Provenance(server="other", attempts=3, fallback="other", duration=1.5)
    marked = ToolResult(content=[]).with_provenance(own)
    tools = FakeTools({"marked": marked, "plain": "ok"}, provenance=Provenance(server="s", attempts=2))
    for _ in range(2):
        assert (await tools.call_tool("marked")).provenance == own
    assert (await tools.call_tool("plain")).provenance == Provenance(server="s", attempts=2)
    assert (await FakeTools({"a": "ok"}).call_tool("a")).provenance == Provenance(server="fake", attempts=1)


async def hang() -> str:
    await anyio.sleep_forever()
    raise AssertionError("nobody sleeps forever and wakes")


async def test_a_slow_answer_ends_at_the_calls_deadline() -> None:
    tools = FakeTools({"a": hang})
    with pytest.raises(DeadlineExceeded) as raised:
        await tools.call_tool("a", timeout=0.01)
    assert raised.value.may_have_run
    assert [call.name for call in tools.calls] == ["a"]


async def test_a_slow_answer_ends_at_the_attempts_timeout_where_one_is_given() -> None:
    with pytest.raises(AttemptTimeout):
        await FakeTools({"a": hang}).call_tool("a", None, 0.01)


async def test_calls_are_told_to_observers_as_the_real_clients_are() -> None:
    events: list[Event] = []
    answers: dict[str, Any] = {"a": "ok", "b": CallToolResult(content=[], is_error=True), "c": hang}
    answers["d"] = ConnectionLost("gone", attempts=3)
    tools = FakeTools(answers, observers=[events.append])
    for name in ("a", "b"):
        await tools.for_domain("news").call_tool(name)
    for name in ("c", "d", "e"):
        with pytest.raises(CallError):
            await tools.call_tool(name, timeout=0.01)
    started = [event for event in events if isinstance(event, CallStarted)]
    finished = [event for event in events if isinstance(event, CallFinished)]
    assert len(events) == 10
    assert [event.call_id for event in started] == [event.call_id for event in finished]
    assert [(event.name, event.domain, event.server, event.outcome, event.attempts) for event in finished] == [
        ("a", "news", "fake", "ok", 1),
        ("b", "news", "fake", "tool_error", 1),
        ("c", "unattributed", "fake", "DeadlineExceeded", 1),
        ("d", "unattributed", "fake", "ConnectionLost", 3),
        ("e", "unattributed", "", "ToolNotFound", 0),
    ]


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
