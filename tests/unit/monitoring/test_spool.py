"""Spans that wait for their push, and one push: bounded, counted, and told in words that can be shown."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import httpx2
import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from trunkline import ConfigError, MetricsCollector
from trunkline.bus import EventBus
from trunkline.monitoring.otel.delivery import Delivered, Delivery
from trunkline.monitoring.otel.spool import SpanSpool
from trunkline.policy import OtlpPolicy, TelemetryPolicy
from trunkline.telemetry import OTEL_EXTRA, Telemetry

pytestmark = pytest.mark.anyio

ENDPOINT = "http://user:hunter2@collector.internal:4318/base/"


def spans(spool: SpanSpool, count: int) -> list[str]:
    """End so many spans; their names."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(spool)
    names = [f"span-{number}" for number in range(count)]
    for name in names:
        provider.get_tracer("test").start_span(name).end()
    return names


def names_of(some: list[ReadableSpan]) -> list[str]:
    return [span.name for span in some]


@pytest.mark.requirement("OTLP-FAILURES")
def test_a_spool_keeps_so_many_spans_and_counts_the_rest() -> None:
    spool = SpanSpool(100, Resource.create())
    names = spans(spool, 250)
    assert (len(spool), spool.dropped) == (100, 150)
    taken = spool.take(60)
    assert names_of(taken) == names[:60]
    spans(spool, 30)
    spool.put_back(taken)
    assert (len(spool), spool.dropped) == (100, 180), "what is put back has only the room that is left"
    assert names_of(spool.take(30)) == names[:30], "and keeps its place"
    assert repr(spool) == "<SpanSpool [70 of 100 spans wait, 180 dropped]>"


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 8192


async def delivered(answer: httpx2.Response | Exception) -> Delivered:
    def reply(_request: httpx2.Request) -> httpx2.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(reply)) as client:
        return await Delivery(OtlpPolicy(endpoint=ENDPOINT), client).push("traces", b"")


@pytest.mark.requirement("OTLP-FAILURES")
@pytest.mark.parametrize(
    ("answer", "reason", "may_retry", "retry_after"),
    [
        (httpx2.Response(200), "", False, 0.0),
        (httpx2.Response(202, content=b"not OTLP at all"), "", False, 0.0),
        (httpx2.Response(200, content=endless()), "", False, 0.0),
        (httpx2.Response(429, headers={"retry-after": "7"}), "answered 429 Too Many Requests", True, 7.0),
        (httpx2.Response(503, headers={"retry-after": "86400"}), "answered 503 Service Unavailable", True, 300.0),
        (httpx2.Response(503, headers={"retry-after": "soon"}), "answered 503 Service Unavailable", True, 0.0),
        (httpx2.Response(400), "answered 400 Bad Request", False, 0.0),
        (httpx2.Response(799), "answered 799", False, 0.0),
        (httpx2.ConnectError("refused by hunter2"), "cannot be reached (ConnectError)", True, 0.0),
        (ValueError("hunter2"), "cannot be spoken to (ValueError)", False, 0.0),
    ],
    ids=["well", "no OTLP", "endless", "slower", "much slower", "broken", "mistaken", "unknown", "away", "a bug"],
)
async def test_what_came_of_a_push_is_told_without_anything_of_a_credential(
    answer: httpx2.Response | Exception, reason: str, may_retry: bool, retry_after: float
) -> None:
    done = await delivered(answer)
    assert done.reason.removeprefix("the collector at http://collector.internal:4318 ") == reason
    assert (done.may_retry, done.retry_after, done.rejected) == (may_retry, retry_after, 0)


@pytest.mark.requirement("OTLP-FAILURES")
async def test_without_the_extra_calls_are_served_and_health_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("spool", "push"):
        monkeypatch.setitem(sys.modules, f"trunkline.monitoring.otel.{name}", None)
    telemetry = Telemetry(TelemetryPolicy(otlp=OtlpPolicy(endpoint=ENDPOINT)))
    telemetry.watch(EventBus(), MetricsCollector())
    assert telemetry.tracer is not None
    with pytest.raises(ConfigError, match=r"trunkline\[otel\]") as caught:
        await telemetry._check()
    assert str(caught.value) == OTEL_EXTRA
