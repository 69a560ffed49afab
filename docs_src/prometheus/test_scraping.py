"""The examples of docs/prometheus.md."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from trunkline import MetricsCollector
from trunkline.monitoring import PrometheusExporter
from trunkline.monitoring.readings import Reading
from trunkline.monitoring.scrape import MetricsPage
from trunkline.monitoring.workers import WorkerSnapshots

pytestmark = pytest.mark.anyio


async def scrape(app: Starlette) -> str:
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://app") as client,
    ):
        return (await client.get("/metrics/")).text


async def test_an_application_of_its_own_is_scraped() -> None:
    metrics = MetricsCollector()
    metrics.record("speech", "transcribe", duration=0.25)

    app = Starlette(routes=[Mount("/metrics", MetricsPage(PrometheusExporter(metrics)))])

    assert 'trunkline_domain_request_duration_seconds_count{domain="speech"' in await scrape(app)


async def test_a_number_of_ones_own_is_exported() -> None:
    metrics = MetricsCollector()
    waiting = ["a.wav", "b.wav"]

    def queue() -> list[Reading]:
        return [Reading("speech_queue_length", "gauge", "Files that wait.", {(): len(waiting)})]

    metrics.read_also("queue", queue)

    assert "speech_queue_length 2\n" in PrometheusExporter(metrics).render()


async def test_workers_are_scraped_as_one(tmp_path: Path) -> None:
    def application(folder: Path) -> Starlette:
        metrics = MetricsCollector()
        metrics.record("speech", "transcribe", duration=0.25)
        exporter = PrometheusExporter(metrics)
        workers = WorkerSnapshots(exporter, folder)

        @asynccontextmanager
        async def lifespan(_app: Starlette) -> AsyncIterator[None]:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(workers.keep)
                yield
                tasks.cancel_scope.cancel()

        page = MetricsPage(exporter, workers.gathered)
        return Starlette(routes=[Mount("/metrics", page)], lifespan=lifespan)

    await scrape(application(tmp_path))
    text = await scrape(application(tmp_path))
    (count,) = [
        line for line in text.splitlines() if line.startswith("trunkline_domain_request_duration_seconds_count")
    ]
    assert count.endswith(" 2")
