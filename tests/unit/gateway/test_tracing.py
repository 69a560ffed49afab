"""Spans of the gateway: below the caller's, above the calls' own, in one trace from end to end."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError
from opentelemetry import baggage
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id

from trunkline import Infrastructure, InProcessEndpoint
from trunkline.config import Settings
from trunkline.endpoint import ServerSettings
from trunkline.gateway.app import build_app
from trunkline.gateway.requests import PROVENANCE_KEY
from trunkline.gateway.server import build_server
from trunkline.monitoring.otel.spans import OpenTelemetryTracer
from trunkline.policy import TelemetryPolicy
from trunkline.telemetry import Telemetry
from trunkline.testing.scripted_server import ScriptedServer, Step, fail, refuse

pytestmark = pytest.mark.anyio

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OTHER, ELSEWHERE = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ERAS = ("legacy", "2026-07-28")


def traceparent(trace: str = TRACE, parent: str = PARENT) -> str:
    return f"00-{trace}-{parent}-01"


@asynccontextmanager
async def gateway(
    *steps: Step, policy: TelemetryPolicy | None = None
) -> AsyncGenerator[tuple[Infrastructure, InMemorySpanExporter], None]:
    """An infrastructure in front of one scripted server, `s`, and the spans it made."""
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    settings = Settings("configuration", {"s": ServerSettings("s", InProcessEndpoint(ScriptedServer(*steps)))})
    telemetry = Telemetry(policy or TelemetryPolicy(), tracer_provider=provider)
    async with Infrastructure(settings, telemetry=telemetry) as infra:
        yield infra, exporter


def served(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = (
        span
        for span in exporter.get_finished_spans()
        if span.kind is SpanKind.SERVER and span.name == "tools/call s_read"
    )
    return span


def ids(span: ReadableSpan) -> tuple[str, str | None]:
    return format_trace_id(span.context.trace_id), None if span.parent is None else format_span_id(span.parent.span_id)


@pytest.mark.requirement("OTEL-GATEWAY", "OTEL-CONTEXT")
@pytest.mark.parametrize("era", ERAS)
async def test_a_request_is_below_the_span_its_meta_names_and_the_call_is_below_the_request(era: str) -> None:
    meta: Any = {"traceparent": traceparent()}
    async with gateway() as (infra, exporter), Client(build_server(infra), mode=era) as client:
        result = await client.call_tool("s_read", {}, meta=meta)
        request = served(exporter)
        call = next(span for span in exporter.get_finished_spans() if span.name == "execute_tool s_read")
    assert ids(request) == (TRACE, PARENT)
    assert ids(call) == (TRACE, format_span_id(request.context.span_id))
    assert (result.meta or {})[PROVENANCE_KEY]["trace_id"] == TRACE
    told = dict(request.attributes or {})
    assert told.pop("jsonrpc.request.id")
    assert told.pop("mcp.protocol.version")
    assert told == {
        "mcp.method.name": "tools/call",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "s_read",
        "network.transport": "pipe",
    }


@pytest.mark.requirement("OTEL-GATEWAY")
async def test_a_tool_that_failed_is_an_error_of_the_request_and_a_mistaken_caller_is_none() -> None:
    async with gateway(fail, refuse(-32050)) as (infra, exporter), Client(build_server(infra)) as client:
        await client.call_tool("s_read", {})
        failed = served(exporter)
        exporter.clear()
        with pytest.raises(MCPError):
            await client.call_tool("s_read", {})
        refused = served(exporter)
        exporter.clear()
        with pytest.raises(MCPError):
            await client.call_tool("s_nothing", {})
        (unknown,) = (span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER)
    assert (failed.status.status_code, (failed.attributes or {})["error.type"]) == (StatusCode.ERROR, "tool_error")
    assert (refused.status.status_code, (refused.attributes or {})["error.type"]) == (StatusCode.ERROR, "31014")
    assert unknown.status.status_code is StatusCode.UNSET
    assert (unknown.attributes or {})["rpc.response.status_code"] == "-32602"
    assert "error.type" not in (unknown.attributes or {})


async def ask(infra: Infrastructure, headers: dict[str, str], meta: dict[str, Any]) -> None:
    """One call over HTTP, as a client that traces by headers makes it."""
    app = build_app(infra, "127.0.0.1", 80)
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": "s_read",
            "arguments": {},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
                **meta,
            },
        },
    }
    sent = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "s_read",
        **headers,
    }
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        answer = await client.post("/mcp", json=body, headers=sent)
    assert answer.status_code == 200, answer.text


@pytest.mark.requirement("OTEL-GATEWAY", "OTEL-CONTEXT")
@pytest.mark.parametrize(
    ("headers", "meta", "expected", "links"),
    [
        ({"traceparent": traceparent()}, {}, (TRACE, PARENT), []),
        ({"traceparent": traceparent(OTHER, ELSEWHERE)}, {"traceparent": traceparent()}, (TRACE, PARENT), [OTHER]),
        ({"traceparent": traceparent()}, {"traceparent": "00-0-0-00"}, (TRACE, PARENT), []),
        ({"traceparent": "nonsense"}, {"traceparent": {"no": "text"}}, None, []),
        ({}, {}, None, []),
    ],
    ids=["headers", "meta before headers", "broken meta", "all broken", "nothing"],
)
async def test_over_http_the_context_comes_from_meta_else_from_the_headers(
    headers: dict[str, str], meta: dict[str, Any], expected: tuple[str, str] | None, links: list[str]
) -> None:
    async with gateway() as (infra, exporter):
        await ask(infra, headers, meta)
        request = served(exporter)
        assert infra.bus.failures == {}
    if expected is None:
        assert ids(request)[1] is None
    else:
        assert ids(request) == expected
    assert [format_trace_id(link.context.trace_id) for link in request.links] == links
    told = dict(request.attributes or {})
    assert (told["network.transport"], told["network.protocol.name"]) == ("tcp", "http")


@pytest.mark.requirement("OTEL-CONTEXT")
@pytest.mark.parametrize("passes", [True, False])
async def test_a_callers_baggage_goes_on_unless_that_is_switched_off(passes: bool) -> None:
    heard: list[dict[str, object]] = []

    async def listen(_server: ScriptedServer, _context: object) -> str:
        heard.append(dict(baggage.get_all()))
        return "heard"

    meta: Any = {"baggage": "tenant=blue"}
    policy = TelemetryPolicy(baggage=passes)
    async with gateway(listen, policy=policy) as (infra, _), Client(build_server(infra)) as client:
        await client.call_tool("s_read", {}, meta=meta)
    assert heard == [{"tenant": "blue"} if passes else {}]


@pytest.mark.requirement("OTEL-COST")
async def test_without_a_tracer_requests_pass_unfollowed() -> None:
    settings = Settings("configuration", {"s": ServerSettings("s", InProcessEndpoint(ScriptedServer()))})
    async with Infrastructure(settings, telemetry=Telemetry(TelemetryPolicy(enabled=False))) as infra:
        assert infra.telemetry.tracer is None
        async with Client(build_server(infra)) as client:
            meta: Any = {"traceparent": traceparent()}
            result = await client.call_tool("s_read", {}, meta=meta)
    assert (result.meta or {})[PROVENANCE_KEY]["trace_id"] is None
    assert isinstance(Telemetry(TelemetryPolicy()).tracer, OpenTelemetryTracer)
