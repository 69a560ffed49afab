"""One attempt, as it is told once it has ended: what became of it, how long its server took, and in which trace."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import anyio
import pytest
from mcp_types import ListResourcesResult, PaginatedRequestParams
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_trace_id

from tests.servers.curious import Curious, Person
from tests.servers.embedded import a_call
from tests.servers.watching import Record
from tests.unit.pool.pools import POLICY, a_pool, running, said
from trunkline import ConnectionLost, ServerError
from trunkline.call import Delivery
from trunkline.events import AttemptFinished, ConnectStarted
from trunkline.exchange import Exchange
from trunkline.monitoring.otel.spans import OpenTelemetryTracer
from trunkline.testing.scripted_server import ScriptedServer, die, fail, refuse, slow, words

pytestmark = pytest.mark.anyio


async def test_an_attempt_is_told_with_everything_that_is_known_of_it() -> None:
    server, record = ScriptedServer(slow(2.0)), Record()
    async with running(a_pool(server, record, replica="s#2")) as pool:
        await anyio.sleep(1.0)
        call = a_call("read")
        await pool.send(call)

    (attempt,) = record.of(AttemptFinished)
    assert attempt == AttemptFinished(
        at=3.0,
        call_id="1",
        method="tools/call",
        name="s_read",
        domain="d",
        server="s",
        replica="s#2",
        outcome="ok",
        duration=2.0,
        delivery=Delivery.ANSWERED,
    )
    assert call.server_time == 2.0
    assert record.of(ConnectStarted) == [ConnectStarted(0.0, "s", "s#2")]


async def test_the_outcome_of_an_attempt_tells_a_tools_failure_from_a_lost_connection_and_from_an_answer() -> None:
    server, record = ScriptedServer(fail, die), Record()
    server.add_request_handler("resources/list", PaginatedRequestParams, no_resources)
    async with running(a_pool(server, record, replace(POLICY, era="2025-11-25"))) as pool:
        await pool.send(a_call("read"))
        listing = replace(a_call("read"), method="resources/list")
        assert isinstance(await pool.send(listing), ListResourcesResult)
        with pytest.raises(ConnectionLost):
            await pool.send(a_call("read"))

    assert [attempt.outcome for attempt in record.of(AttemptFinished)] == ["tool_error", "ok", "ConnectionLost"]


async def no_resources(_context: object, _params: object) -> ListResourcesResult:
    return ListResourcesResult(resources=[])


async def test_the_time_in_which_somebody_is_asked_is_not_the_servers() -> None:
    async def work() -> None:
        await anyio.sleep(2.0)

    record = Record()
    async with running(a_pool(Curious(work), record, replace(POLICY, era="2025-11-25"))) as pool:
        call = a_call("ask")
        call.exchange = Exchange(Person("Ada", takes=30.0), waited=100.0)
        assert said(await pool.send(call)) == "Ada"

    (attempt,) = record.of(AttemptFinished)
    assert attempt.duration == pytest.approx(2.0)
    assert call.server_time == pytest.approx(2.0)


async def test_an_attempt_is_a_span_below_its_call_and_ends_with_what_became_of_it() -> None:
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    failures = list[object]()
    tracer = OpenTelemetryTracer(provider, on_failure=lambda *failure: failures.append(failure))
    record = Record()
    async with running(a_pool(ScriptedServer(words("ok"), refuse(-32000)), record, replica="s#2")) as pool:
        for failing in (False, True):
            call = a_call("read")
            call.span = tracer.start(call)
            with pytest.raises(ServerError) if failing else nullcontext():
                await pool.send(call)
            assert call.span is not None
            call.span.end("over")

    first, outer, second, _ = exporter.get_finished_spans()
    told, failed = dict(first.attributes or {}), dict(second.attributes or {})
    assert (first.parent, first.name) == (outer.context, "tools/call read")
    place = (told["trunkline.server"], told["trunkline.replica"], told["mcp.protocol.version"])
    assert place == ("s", "s#2", "2026-07-28")
    assert "error.type" not in told
    assert (told["trunkline.outcome"], failed["trunkline.outcome"]) == ("ok", "ServerError")
    assert (failed["error.type"], failed["rpc.response.status_code"]) == ("-32000", "-32000")
    assert failures == []
    attempts = record.of(AttemptFinished)
    assert [attempt.trace_id for attempt in attempts] == [
        format_trace_id(span.context.trace_id) for span in (first, second)
    ]
    assert [attempt.error_code for attempt in attempts] == [None, -32000]
