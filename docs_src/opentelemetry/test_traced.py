"""Calls in a trace: what a call, its attempt and a tool's failure look like to an SDK of OpenTelemetry."""

from __future__ import annotations

import pytest
from mcp.server import MCPServer
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from trunkline import EnhancedMCPClient, InProcessEndpoint
from trunkline.bus import EventBus
from trunkline.policy import TelemetryPolicy
from trunkline.telemetry import Telemetry


@pytest.mark.anyio
async def test_a_call_is_found_by_its_trace() -> None:
    server = MCPServer("search")

    @server.tool()
    def web(query: str) -> str:
        return f"three pages about {query}"

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter := InMemorySpanExporter()))

    telemetry = Telemetry(TelemetryPolicy(), tracer_provider=provider)  # or none: then the process's own
    bus = EventBus(tracer=telemetry.tracer)
    async with EnhancedMCPClient({"search": InProcessEndpoint(server)}, bus=bus) as client:
        with provider.get_tracer("app").start_as_current_span("answer a question"):
            result = await client.call_tool("search_web", {"query": "trunk lines"})

    attempt, call, question = exporter.get_finished_spans()
    assert (call.name, attempt.name) == ("execute_tool search_web", "tools/call web")
    assert result.provenance.trace_id == f"{question.context.trace_id:032x}"
    assert attempt.parent == call.context
