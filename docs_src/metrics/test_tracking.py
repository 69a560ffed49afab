"""What is counted as a request of a domain, and how it is said: blocks, functions, generators, numbers by hand."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from trunkline import MetricsCollector


@pytest.mark.anyio
async def test_blocks_functions_and_generators_are_requests() -> None:
    metrics = MetricsCollector()

    async with metrics.track("speech", "transcribe"):  # also `with`; calls made inside belong to the domain
        ...

    @metrics.track("speech", "summarise")  # sync or async
    async def summarise(text: str) -> str:
        return text[:100]

    @metrics.track("speech", "words")  # one request, from the first item asked for to the last
    async def words(text: str) -> AsyncGenerator[str]:
        for word in text.split():
            yield word

    job = metrics.track("speech", "index").start()  # where a block does not fit
    job.stop("error")

    await summarise("a long text")
    assert [word async for word in words("two words")] == ["two", "words"]
    speech = metrics.domain("speech")
    assert (speech.requests, speech.errors, speech.in_flight) == (4, 1, 0)


def test_what_was_measured_elsewhere_is_recorded() -> None:
    metrics = MetricsCollector()

    metrics.record("speech", "transcribe", duration=0.25)  # seconds
    metrics.record("speech", "transcribe", duration=9.0, outcome="timeout")  # all but ok and cancelled are errors

    served = metrics.recorder("speech", "transcribe")  # for the hottest paths: looked up once
    served(0.25)

    assert metrics.domain("speech").error_ratio == pytest.approx(1 / 3)
