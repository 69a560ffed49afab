"""Spans of calls, attempts and requests: by the conventions, in one trace, and never at a call's expense."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, Sampler
from opentelemetry.semconv._incubating.attributes import (
    error_attributes,
    gen_ai_attributes,
    jsonrpc_attributes,
    mcp_attributes,
    network_attributes,
    rpc_attributes,
    server_attributes,
)
from opentelemetry.trace import SpanKind, StatusCode

from trunkline import CallError, EnhancedMCPClient, RetryPolicy, ServerError, ServerPolicy, ServerSettings, ToolNotFound
from trunkline.bus import EventBus
from trunkline.events import AttemptFinished, CallFinished, CallStarted, Event
from trunkline.monitoring.otel.spans import OpenTelemetryTracer
from trunkline.policy import Era
from trunkline.testing.scripted_server import ScriptedServer, Step, die, fail, hang, refuse

pytestmark = pytest.mark.anyio

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"

CONVENTIONS = "open-telemetry/semantic-conventions-genai, docs/gen-ai, as of 2026-08; opentelemetry-semconv 0.66b2"
"""What the tables below were read from."""

CALL_KEYS = {"gen_ai.operation.name", "gen_ai.tool.name", "error.type"}
ATTEMPT_KEYS = CALL_KEYS | {
    "mcp.method.name",
    "mcp.protocol.version",
    "network.transport",
    "network.protocol.name",
    "rpc.response.status_code",
    "server.address",
    "server.port",
}
CONSTANTS = {
    "gen_ai.operation.name": gen_ai_attributes.GEN_AI_OPERATION_NAME,
    "gen_ai.tool.name": gen_ai_attributes.GEN_AI_TOOL_NAME,
    "gen_ai.prompt.name": gen_ai_attributes.GEN_AI_PROMPT_NAME,
    "error.type": error_attributes.ERROR_TYPE,
    "mcp.method.name": mcp_attributes.MCP_METHOD_NAME,
    "mcp.protocol.version": mcp_attributes.MCP_PROTOCOL_VERSION,
    "mcp.session.id": mcp_attributes.MCP_SESSION_ID,
    "jsonrpc.request.id": jsonrpc_attributes.JSONRPC_REQUEST_ID,
    "network.transport": network_attributes.NETWORK_TRANSPORT,
    "network.protocol.name": network_attributes.NETWORK_PROTOCOL_NAME,
    "rpc.response.status_code": rpc_attributes.RPC_RESPONSE_STATUS_CODE,
    "server.address": server_attributes.SERVER_ADDRESS,
    "server.port": server_attributes.SERVER_PORT,
}


class Recorded:
    """A client of one scripted server, and the spans it made."""

    def __init__(self, client: EnhancedMCPClient, exporter: InMemorySpanExporter, events: list[Event]) -> None:
        self.client = client
        self.events = events
        self._exporter = exporter

    @property
    def spans(self) -> list[ReadableSpan]:
        """Those that have ended, in the order of their ends."""
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> ReadableSpan:
        (span,) = (span for span in self.spans if span.name == name)
        return span


@asynccontextmanager
async def recorded(
    *steps: Step, era: Era = "2026-07-28", sampler: Sampler | None = None, **policies: Any
) -> AsyncGenerator[Recorded, None]:
    provider, exporter = TracerProvider(sampler=sampler, shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    events: list[Event] = []
    failures: list[Exception] = []
    tracer = OpenTelemetryTracer(provider, on_failure=lambda _name, error: failures.append(error))
    bus = EventBus([events.append], tracer=tracer)
    bus.subscribe(tracer.observe, tracer.kinds)
    policy = ServerPolicy(trust_annotations=True, era=era, **policies)
    settings = ServerSettings("s", ScriptedServer(*steps).endpoint, policy)
    async with EnhancedMCPClient([settings], bus=bus, rng=random.Random(7)) as client:
        yield Recorded(client, exporter, events)
    assert failures == []


def parent_of(span: ReadableSpan) -> str | None:
    return None if span.parent is None else trace.format_span_id(span.parent.span_id)


def id_of(span: ReadableSpan) -> str:
    return trace.format_span_id(span.context.span_id)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.mark.requirement("OTEL-SPANS")
async def test_a_call_is_a_span_and_its_attempt_a_client_span_below_it() -> None:
    async with recorded() as world:
        result = await world.client.call_tool("s_read", domain="speech")
        call, attempt = world.named("execute_tool s_read"), world.named("tools/call read")
    assert (call.kind, call.parent, call.status.status_code) == (SpanKind.INTERNAL, None, StatusCode.UNSET)
    assert (attempt.kind, parent_of(attempt), attempt.status.status_code) == (
        SpanKind.CLIENT,
        id_of(call),
        StatusCode.UNSET,
    )
    assert result.provenance.trace_id == trace.format_trace_id(call.context.trace_id)
    told = attributes(call)
    assert told.pop("trunkline.call.id")
    assert told == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "s_read",
        "trunkline.domain": "speech",
        "trunkline.outcome": "ok",
        "trunkline.attempts": 1,
        "trunkline.cache": "bypass",
        "trunkline.degraded": False,
        "trunkline.server": "s",
    }
    assert attributes(attempt) == {
        "mcp.method.name": "tools/call",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "read",
        "mcp.protocol.version": "2026-07-28",
        "trunkline.server": "s",
        "trunkline.outcome": "ok",
    }


@pytest.mark.requirement("OTEL-SPANS")
@pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize(
    ("step", "error", "code"),
    [(fail, "tool_error", None), (refuse(-32050), "-32050", "-32050"), (hang, "AttemptTimeout", None)],
)
async def test_a_failure_is_an_error_of_the_call_and_of_its_attempt_without_the_servers_words(
    era: Era, step: Step, error: str, code: str | None
) -> None:
    async with recorded(step, era=era, retry=RetryPolicy(enabled=False)) as world:
        try:
            await world.client.call_tool("s_read", read_timeout_seconds=0.05)
        except CallError as failure:
            assert isinstance(failure, ServerError) == (code is not None)
        call, attempt = world.named("execute_tool s_read"), world.named("tools/call read")
    for span in (call, attempt):
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
        assert span.events == ()
        assert attributes(span).get("rpc.response.status_code") == code
    assert attributes(call)["error.type"] == error
    assert attributes(attempt)["error.type"] == ("timeout" if error == "AttemptTimeout" else error)


@pytest.mark.requirement("OTEL-SPANS")
async def test_each_attempt_has_a_span_of_its_own_and_the_retry_is_told_on_the_call() -> None:
    async with recorded(die, era="2025-11-25") as world:
        result = await world.client.call_tool("s_read")
        call = world.named("execute_tool s_read")
        attempts = [span for span in world.spans if span.name == "tools/call read"]
    assert result.provenance.attempts == 2
    assert [attributes(span).get("error.type") for span in attempts] == ["ConnectionLost", None]
    assert {parent_of(span) for span in attempts} == {id_of(call)}
    assert call.status.status_code is StatusCode.UNSET
    (retry,) = call.events
    assert (retry.name, dict(retry.attributes or {})["error.type"]) == ("trunkline.retry", "ConnectionLost")


@pytest.mark.requirement("OTEL-SPANS")
async def test_what_its_caller_cancelled_has_ended_and_is_no_error() -> None:
    async with recorded(hang) as world:
        with anyio.move_on_after(0.05):
            await world.client.call_tool("s_read")
        for span in (world.named("execute_tool s_read"), world.named("tools/call read")):
            assert (span.status.status_code, attributes(span)["trunkline.outcome"]) == (StatusCode.UNSET, "cancelled")
        assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.requirement("OTEL-SPANS")
async def test_a_made_up_name_is_cut_to_a_name_and_fails_as_what_it_is() -> None:
    async with recorded() as world:
        with pytest.raises(ToolNotFound):
            await world.client.call_tool("s_x\n" + "y" * 10_000)
        (span,) = world.spans
    assert attributes(span)["error.type"] == "ToolNotFound"
    assert span.name.startswith("execute_tool s_xy")
    assert len(span.name) < 150


@pytest.mark.requirement("OTEL-SPANS")
async def test_names_and_attributes_are_those_of_the_conventions() -> None:
    async with recorded(fail, refuse(-32050)) as world:
        for _ in range(2):
            try:
                await world.client.call_tool("s_write")
            except ServerError:
                continue
        spans = world.spans
    assert {name: str(constant) for name, constant in CONSTANTS.items()} == {name: name for name in CONSTANTS}
    for span in spans:
        standard = {key for key in attributes(span) if not key.startswith("trunkline.")}
        allowed = CALL_KEYS | {"rpc.response.status_code"} if span.kind is SpanKind.INTERNAL else ATTEMPT_KEYS
        assert standard <= allowed, CONVENTIONS
        assert (
            attributes(span)["gen_ai.operation.name"] == gen_ai_attributes.GenAiOperationNameValues.EXECUTE_TOOL.value
        )
        if span.kind is SpanKind.CLIENT:
            assert attributes(span)["mcp.method.name"] == mcp_attributes.McpMethodNameValues.TOOLS_CALL.value


@pytest.mark.requirement("OTEL-CONTEXT")
async def test_a_call_stands_below_its_tasks_span_and_leaves_the_task_as_it_was() -> None:
    async with recorded() as world:
        provider = TracerProvider(shutdown_on_exit=False)
        with provider.get_tracer("app").start_as_current_span("answer a question") as outer:
            result = await world.client.call_tool("s_read")
            assert trace.get_current_span() is outer
        call = world.named("execute_tool s_read")
    assert parent_of(call) == trace.format_span_id(outer.get_span_context().span_id)
    assert result.provenance.trace_id == trace.format_trace_id(outer.get_span_context().trace_id)


@pytest.mark.requirement("OTEL-CONTEXT")
async def test_a_call_stands_below_the_span_its_own_meta_names() -> None:
    async with recorded() as world:
        meta = {"traceparent": f"00-{TRACE}-{PARENT}-01", "progressToken": 7}
        result = await world.client.call_tool("s_read", meta=meta)
        assert (result.provenance.trace_id, parent_of(world.named("execute_tool s_read"))) == (TRACE, PARENT)
        broken: dict[str, Any] = {"traceparent": ["not", "a", "text"]}
        result = await world.client.call_tool("s_read", meta=broken)
        assert result.provenance.trace_id not in (None, TRACE)


@pytest.mark.requirement("OTEL-CONTEXT")
async def test_an_agents_own_span_for_the_same_tool_is_written_to_and_not_doubled() -> None:
    async with recorded(fail) as world:
        provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        known = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "s_read"}
        with provider.get_tracer("agent").start_as_current_span("execute_tool s_read", attributes=known) as span:
            await world.client.call_tool("s_read")
            assert span.is_recording()
            await world.client.call_tool("s_write")
        (agents,) = exporter.get_finished_spans()
    assert attributes(agents)["error.type"] == "tool_error"
    assert attributes(agents)["trunkline.attempts"] == 1
    assert [span.name for span in world.spans] == ["tools/call read", "tools/call write", "execute_tool s_write"]
    assert parent_of(world.spans[0]) == id_of(agents)


@pytest.mark.requirement("OTEL-CONTEXT")
async def test_events_name_the_trace_of_their_call() -> None:
    async with recorded() as world:
        result = await world.client.call_tool("s_read")
        told = [event for event in world.events if isinstance(event, (CallStarted, AttemptFinished, CallFinished))]
    assert [event.trace_id for event in told] == [result.provenance.trace_id] * 3


@pytest.mark.requirement("OTEL-SAMPLING")
async def test_what_is_not_sampled_makes_no_span_and_still_has_an_id() -> None:
    async with recorded(sampler=ParentBased(ALWAYS_OFF)) as world:
        result = await world.client.call_tool("s_read")
        assert (len(result.provenance.trace_id or ""), world.spans) == (32, [])
        sampled = await world.client.call_tool("s_read", meta={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        assert sampled.provenance.trace_id == TRACE
        assert [span.name for span in world.spans] == ["tools/call read", "execute_tool s_read"]


@pytest.mark.requirement("OTEL-COST")
async def test_without_an_sdk_there_are_no_spans_no_ids_and_nothing_is_attached() -> None:
    tracer = OpenTelemetryTracer(on_failure=lambda _name, error: pytest.fail(repr(error)))
    async with EnhancedMCPClient({"s": ScriptedServer().endpoint}, bus=EventBus(tracer=tracer)) as client:
        before = context.get_current()
        result = await client.call_tool("s_read")
        assert result.provenance.trace_id is None
        assert context.get_current() is before


LATE = """
import sys
import anyio
from trunkline import Infrastructure, InProcessEndpoint
from trunkline.config import Settings
from trunkline.endpoint import ServerSettings
from trunkline.testing.scripted_server import ScriptedServer

async def main():
    endpoint = InProcessEndpoint(ScriptedServer())
    async with Infrastructure(Settings("s", {"s": ServerSettings("s", endpoint)})) as infra:
        before = (await infra.mcp_client.call_tool("s_read")).provenance.trace_id
        loaded = [name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))]
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
        after = (await infra.mcp_client.call_tool("s_read")).provenance.trace_id
        print(before, loaded, len(after or ""))

anyio.run(main)
"""


@pytest.mark.requirement("OTEL-COST", "OTEL-CONTEXT")
def test_no_sdk_is_loaded_and_one_that_is_set_up_later_gets_the_spans() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("None [] 32\n", 0), done.stderr


class Careless(SpanProcessor):
    """Raises at whatever it is told."""

    def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:
        raise ZeroDivisionError

    def on_end(self, span: ReadableSpan) -> None:
        raise ZeroDivisionError


class CarelessAtTheEnd(Careless):
    def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:
        """Do nothing yet."""


@pytest.mark.requirement("OTLP-FAILURES", "INV-4")
@pytest.mark.parametrize("processor", [Careless, CarelessAtTheEnd])
async def test_a_span_processor_that_raises_is_counted_and_changes_no_call(processor: type[SpanProcessor]) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor())
    bus = EventBus()
    bus.tracer = OpenTelemetryTracer(provider, on_failure=bus.note_failure)
    async with EnhancedMCPClient({"s": ScriptedServer().endpoint}, bus=bus) as client:
        token = context.attach(baggage.set_baggage("mine", "yes"))
        result = await client.call_tool("s_read")
        assert not result.is_error
        assert baggage.get_all() == {"mine": "yes"}
        context.detach(token)
    assert bus.failures[("tracer", "ZeroDivisionError")] >= 1
