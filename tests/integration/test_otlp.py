"""Metrics and traces as a real collector gets them, and what a collector that is away does: nothing to any call."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp_types import TextContent
from opentelemetry import baggage, context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from tests.servers.collector import Collector, collector, until
from tests.servers.echoing import echoing_http, echoing_stdio
from tests.servers.watching import eventually
from trunkline import HttpEndpoint, Infrastructure, StdioEndpoint
from trunkline.gateway import status
from trunkline.monitoring.buckets import BOUNDS
from trunkline.monitoring.prometheus import PrometheusExporter
from trunkline.testing import faulty_stdio

pytestmark = [pytest.mark.anyio, pytest.mark.integration]

CHILD = faulty_stdio()


def entry(endpoint: StdioEndpoint | HttpEndpoint) -> dict[str, Any]:
    if isinstance(endpoint, HttpEndpoint):
        return {"url": endpoint.url}
    return {"command": endpoint.command, "args": list(endpoint.args)}


@asynccontextmanager
async def pushing(
    endpoint: str, server: StdioEndpoint | HttpEndpoint = CHILD, **otlp: Any
) -> AsyncGenerator[Infrastructure, None]:
    """An infrastructure in front of a server, `s`, that pushes to `endpoint` ten times a second."""
    table = {"endpoint": endpoint, "interval": 0.1, "timeout": 0.5, **otlp}
    config = {"mcpServers": {"s": entry(server)}, "trunkline": {"telemetry": {"otlp": table}}}
    async with Infrastructure.from_config(config) as infra:
        yield infra


def values(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    """Attributes as OTLP writes them in JSON, as a plain mapping."""
    return {each["key"]: next(iter(each["value"].values())) for each in attributes}


def identifier(encoded: str) -> str:
    return base64.b64decode(encoded).hex()


@pytest.fixture(scope="module")
async def running() -> AsyncGenerator[Collector, None]:
    async with collector() as one:
        yield one


@pytest.fixture
async def well(running: Collector) -> Collector:
    await running.behave("ok")
    return running


@pytest.mark.requirement("OTLP-METRICS", "OTLP-CONFIG")
async def test_a_collector_gets_what_the_store_has(well: Collector) -> None:
    async with pushing(well.url, headers={"X-Tenant": "blue"}) as infra:
        for duration in (0.0, 1e-9, 0.013, 0.013, 0.4, 7.0, 600.0):
            infra.metrics.record("speech", "transcribe", duration=duration)
        await infra.mcp_client.call_tool("s_echo", {"text": "hello"}, domain="speech")
        await infra.mcp_client.call_tool("s_fail", {"message": "no"}, domain="speech")
        name = "gen_ai.execute_tool.duration"

        async def has_both() -> bool:
            found = (await well.metrics()).get(name, {}).get("exponentialHistogram", {"dataPoints": []})
            return len(found["dataPoints"]) == 2

        await until(has_both)
        metrics = await well.metrics()
        store = infra.metrics.store
        pushes = await well.pushes("metrics")

        requests = metrics["trunkline.domain_request_duration"]
        (point,) = (
            point
            for point in requests["exponentialHistogram"]["dataPoints"]
            if values(point["attributes"])["operation"] == "transcribe"
        )
        (series,) = (series for series in store.requests if series.labels[1] == "transcribe")
        buckets, count, total = store.distribution(series)
    assert (requests["unit"], point["scale"]) == ("s", 3)
    assert (int(point["count"]), point["sum"]) == (count, total)
    assert int(point["zeroCount"]) == buckets[0] == 2
    first = point["positive"]["offset"]
    hits = {first + place: int(times) for place, times in enumerate(point["positive"]["bucketCounts"]) if int(times)}
    # (2^(i/8), 2^((i+1)/8)] holds each of the values that are longer than the zero bucket is wide.
    for value, times in ((0.013, 2), (0.4, 1), (7.0, 1)):
        (index,) = (index for index in hits if 2 ** (index / 8) < value <= 2 ** ((index + 1) / 8))
        assert hits.pop(index) == times
    assert hits == {72: 1}, "what is longer than the last bound is told as the bucket that begins there"
    assert point["zeroThreshold"] == BOUNDS[0]

    calls = metrics[name]["exponentialHistogram"]
    assert calls["aggregationTemporality"] == "AGGREGATION_TEMPORALITY_CUMULATIVE"
    told = {values(each["attributes"])["outcome"]: values(each["attributes"]) for each in calls["dataPoints"]}
    assert told["ok"] == {"domain": "speech", "mcp_server": "s", "gen_ai.tool.name": "s_echo", "outcome": "ok"}
    assert told["tool_error"]["error.type"] == "tool_error"
    assert (
        values(metrics["mcp.client.operation.duration"]["exponentialHistogram"]["dataPoints"][0]["attributes"])[
            "mcp.method.name"
        ]
        == "tools/call"
    )
    cache = metrics["trunkline.cache_requests"]["sum"]
    assert (cache["isMonotonic"], sum(point["asDouble"] for point in cache["dataPoints"])) == (True, 2.0)
    assert metrics["trunkline.tools"]["gauge"]["dataPoints"][0]["asDouble"] > 1
    latest = pushes[-1]
    assert (latest["path"], latest["headers"]["x-tenant"]) == ("/v1/metrics", "blue")
    resource = latest["body"]["resourceMetrics"][0]["resource"]
    assert values(resource["attributes"])["service.name"] == "trunkline"


@pytest.mark.requirement("OTLP-TRACES", "OTEL-SPANS")
async def test_a_collector_gets_the_spans_of_a_call_and_of_its_attempts(well: Collector) -> None:
    async with pushing(well.url, metrics=False) as infra:
        good = await infra.mcp_client.call_tool("s_echo", {"text": "hello"}, domain="speech")
        bad = await infra.mcp_client.call_tool("s_fail", {"message": "unspeakable"}, domain="speech")
    # The last push is made when everything ends.
    spans = [span for span in await well.spans() if identifier(span["traceId"]) == good.provenance.trace_id]
    call, attempt = sorted(spans, key=lambda span: "parentSpanId" in span)
    assert (call["name"], call["kind"]) == ("execute_tool s_echo", "SPAN_KIND_INTERNAL")
    assert (attempt["name"], attempt["kind"]) == ("tools/call echo", "SPAN_KIND_CLIENT")
    assert attempt["parentSpanId"] == call["spanId"]
    assert values(attempt["attributes"])["network.transport"] == "pipe"
    failed = [span for span in await well.spans() if identifier(span["traceId"]) == bad.provenance.trace_id]
    assert [span["status"] for span in failed] == [{"code": "STATUS_CODE_ERROR"}] * 2
    assert "unspeakable" not in json.dumps(await well.pushes("traces"))


@pytest.mark.requirement("OTEL-SAMPLING", "OTLP-CONFIG")
async def test_what_is_not_sampled_is_not_pushed_unless_its_parent_is(well: Collector) -> None:
    traced = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with pushing(well.url, metrics=False, sample=0.0) as infra:
        unseen = await infra.mcp_client.call_tool("s_echo", {"text": "hello"})
        meta = {"traceparent": f"00-{traced}-00f067aa0ba902b7-01"}
        await infra.mcp_client.call_tool("s_echo", {"text": "hello"}, meta=meta)
    found = {identifier(span["traceId"]) for span in await well.spans()}
    assert traced in found
    assert unseen.provenance.trace_id not in found


@asynccontextmanager
async def echoing(transport: str) -> AsyncGenerator[StdioEndpoint | HttpEndpoint, None]:
    if transport == "stdio":
        yield echoing_stdio()
        return
    async with echoing_http() as endpoint:
        yield endpoint


@pytest.mark.requirement("OTEL-CONTEXT")
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_a_server_is_told_the_attempt_the_state_and_the_baggage_in_meta(transport: str, well: Collector) -> None:
    parent = SpanContext(0xA, 0xB, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("v", "1")]))
    within = trace.set_span_in_context(NonRecordingSpan(parent), baggage.set_baggage("tenant", "blue"))
    async with echoing(transport) as server, pushing(well.url, server, metrics=False) as infra:
        token = context.attach(within)
        result = await infra.mcp_client.call_tool("s_meta", {}, meta={"mine": 1})
        context.detach(token)
    assert isinstance(result.content[0], TextContent)
    said = json.loads(result.content[0].text)
    _, trace_id, span_id, flags = said["traceparent"].split("-")
    (attempt,) = (
        span
        for span in await well.spans()
        if span["name"] == "tools/call meta" and identifier(span["spanId"]) == span_id
    )
    assert identifier(attempt["traceId"]) == trace_id == result.provenance.trace_id == f"{0xA:032x}"
    assert (flags, said["tracestate"], said["baggage"], said["mine"]) == ("01", "v=1", "tenant=blue", 1)


def collector_is(infra: Infrastructure) -> tuple[str, str]:
    (found,) = (other for other in infra.health.report().others if other.name == "otlp")
    return found.state, found.reason


@pytest.mark.requirement("OTLP-FAILURES", "INV-4")
@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("503", "answered 503 Service Unavailable"),
        ("400", "answered 400 Bad Request"),
        ("hang", "took longer than 0.5 s"),
        ("garbage", "cannot be reached (RemoteProtocolError)"),
    ],
)
async def test_a_collector_in_trouble_is_counted_and_shown_and_forgotten_when_it_is_well(
    mode: str, reason: str, well: Collector
) -> None:
    await well.behave(mode)
    async with pushing(well.url) as infra:
        result = await infra.mcp_client.call_tool("s_echo", {"text": "hello"})
        assert not result.is_error
        await eventually(lambda: reason in collector_is(infra)[1])
        assert collector_is(infra)[0] == "degraded"
        told = status.status(infra)["overall"]
        assert told["sentence"].endswith("The telemetry collector is away; nothing is lost but telemetry.")
        assert infra.health.report().is_ready
        exported = PrometheusExporter(infra.metrics).render()
        assert 'trunkline_otlp_pushes_total{signal="metrics",result="failed"}' in exported
        await well.behave("ok")
        await eventually(lambda: collector_is(infra)[0] == "healthy")
        if mode != "400":

            async def has_span() -> bool:
                found = {identifier(span["traceId"]) for span in await well.spans()}
                return result.provenance.trace_id in found

            await until(has_span)


@pytest.mark.requirement("OTLP-FAILURES")
async def test_what_a_collector_rejects_of_a_push_is_counted_and_no_trouble(well: Collector) -> None:
    await well.behave("partial")
    async with pushing(well.url) as infra:
        await infra.mcp_client.call_tool("s_echo", {"text": "hello"})
        await eventually(
            lambda: 'trunkline_otlp_rejected_total{signal="metrics"}' in PrometheusExporter(infra.metrics).render()
        )
        await eventually(lambda: collector_is(infra)[0] == "healthy")


@pytest.mark.requirement("OTLP-FAILURES")
async def test_a_collector_that_hangs_delays_the_end_by_its_share_and_no_more(well: Collector) -> None:
    await well.behave("hang")
    before = len(await well.pushes("metrics"))

    async def is_hanging() -> bool:
        return len(await well.pushes("metrics")) > before

    async with pushing(well.url, timeout=600.0) as infra:
        await infra.mcp_client.call_tool("s_echo", {"text": "hello"})
        await until(is_hanging)
        ended = anyio.current_time() + 20
    assert anyio.current_time() < ended
