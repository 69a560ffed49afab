from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Generator

import anyio
import pytest

from trunkline.call import CURRENT_DOMAIN
from trunkline.monitoring.metrics import MetricsCollector

pytestmark = pytest.mark.requirement("TRACKING")


@pytest.fixture
def metrics() -> MetricsCollector:
    return MetricsCollector()


def outcomes(metrics: MetricsCollector) -> list[str]:
    return [series.labels[-1] for series in metrics.store.requests for _ in range(len(series.pending))]


def test_a_generator_is_one_request_in_its_domain_and_lends_none_to_its_reader(metrics: MetricsCollector) -> None:
    inside: list[str | None] = []

    @metrics.track("speech", "stream")
    def words() -> Generator[str, int, str]:
        inside.append(CURRENT_DOMAIN.get())
        sent = yield "one"
        inside.append(CURRENT_DOMAIN.get())
        yield f"sent {sent}"
        return "end"

    assert inspect.isgeneratorfunction(words)
    reader = words()
    assert metrics.domains() == ()
    assert next(reader) == "one"
    assert (CURRENT_DOMAIN.get(), metrics.domain("speech").in_flight) == (None, 1)
    assert reader.send(7) == "sent 7"
    with pytest.raises(StopIteration, match="end"):
        next(reader)
    assert inside == ["speech", "speech"]
    assert (outcomes(metrics), metrics.domain("speech").in_flight) == (["ok"], 0)


def test_what_is_thrown_into_a_generator_arrives_inside(metrics: MetricsCollector) -> None:
    @metrics.track("speech", "stream")
    def patient() -> Generator[str]:
        try:
            yield "one"
        except KeyError:
            yield "caught"
        raise ValueError("mine")

    reader = patient()
    next(reader)
    assert reader.throw(KeyError("thrown")) == "caught"
    with pytest.raises(ValueError, match="mine"):
        next(reader)
    assert outcomes(metrics) == ["error"]


def test_a_generator_whose_reader_stops_early_is_closed_in_its_domain_and_cancelled(metrics: MetricsCollector) -> None:
    closed_in: list[str | None] = []

    @metrics.track("speech", "stream")
    def endless() -> Generator[int]:
        try:
            while True:
                yield 1
        finally:
            closed_in.append(CURRENT_DOMAIN.get())

    reader = endless()
    next(reader)
    reader.close()
    assert (closed_in, outcomes(metrics)) == (["speech"], ["cancelled"])


@pytest.mark.anyio
async def test_an_async_generator_is_one_request_in_its_domain(metrics: MetricsCollector) -> None:
    inside: list[str | None] = []

    @metrics.track("speech", "stream")
    async def words(count: int) -> AsyncGenerator[int, str]:
        for number in range(count):
            await anyio.lowlevel.checkpoint()
            inside.append(CURRENT_DOMAIN.get())
            sent = yield number
            if sent:
                inside.append(sent)

    assert inspect.isasyncgenfunction(words)
    between = [(CURRENT_DOMAIN.get(), metrics.domain("speech").in_flight) async for _ in words(2)]
    reader = words(2)
    await anext(reader)
    assert await reader.asend("hello") == 1
    await reader.aclose()
    assert between == [(None, 1), (None, 1)]
    assert inside == ["speech", "speech", "speech", "hello", "speech"]
    assert sorted(outcomes(metrics)) == ["cancelled", "ok"]


@pytest.mark.anyio
async def test_an_async_generator_fails_is_cancelled_and_catches_like_any_other(metrics: MetricsCollector) -> None:
    @metrics.track("speech", "stream")
    async def words() -> AsyncGenerator[str]:
        try:
            yield "one"
        except KeyError:
            yield "caught"
        await anyio.sleep_forever()

    reader = words()
    await anext(reader)
    assert await reader.athrow(KeyError("thrown")) == "caught"
    with anyio.move_on_after(0.01):
        await anext(reader)
    failing = words()
    await anext(failing)
    with pytest.raises(ZeroDivisionError):
        await failing.athrow(ZeroDivisionError())
    assert sorted(outcomes(metrics)) == ["cancelled", "error"]


@pytest.mark.anyio
async def test_an_object_with_an_async_call_is_tracked_to_its_end(metrics: MetricsCollector) -> None:
    class Answer:
        async def __call__(self) -> int:
            await anyio.lowlevel.checkpoint()
            return metrics.domain("speech").in_flight

    tracked = metrics.track("speech", "answer")(Answer())
    assert await tracked() == 1
    assert outcomes(metrics) == ["ok"]
