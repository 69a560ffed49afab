"""The page that is scraped: as an application of its own, and without holding up anybody."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import anyio
import httpx2 as httpx
import pytest

from trunkline.monitoring.metrics import MetricsCollector
from trunkline.monitoring.negotiation import CONTENT_TYPES, Format
from trunkline.monitoring.prometheus import PrometheusExporter
from trunkline.monitoring.scrape import MetricsPage

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("form", CONTENT_TYPES)
async def test_each_format_is_served_as_asked_and_marked(form: Format) -> None:
    metrics = MetricsCollector()
    metrics.record("speech", "transcribe", duration=0.1)
    exporter = PrometheusExporter(metrics)
    page = MetricsPage(exporter)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=page), base_url="http://metrics") as client:
        answer = await client.get("/", headers={"Accept": CONTENT_TYPES[form]})
    assert answer.headers["content-type"] == CONTENT_TYPES[form]
    assert answer.headers["vary"] == "Accept"
    assert answer.content == b"".join(exporter.pieces(form))
    assert repr(page) == "<MetricsPage of <PrometheusExporter [2 series rendered]>>"


async def test_a_server_that_hands_out_the_requests_body_for_ever_does_not_keep_a_long_page_from_its_end() -> None:
    metrics, sent = MetricsCollector(max_series=2000), list[MutableMapping[str, Any]]()
    for number in range(500):
        metrics.record("speech", f"operation {number}", duration=0.1)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    with anyio.fail_after(30):
        await MetricsPage(PrometheusExporter(metrics))({"type": "http", "headers": []}, receive, send)
    assert len(sent) > 3, "long enough for looks at whether anybody reads on"
    assert not sent[-1].get("more_body", False)


@pytest.mark.parametrize("form", CONTENT_TYPES)
async def test_others_run_while_a_long_page_is_rendered(form: Format) -> None:
    metrics = MetricsCollector(max_series=5000)
    for number in range(2000):
        metrics.record("speech", f"operation {number}", duration=0.1)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    page = MetricsPage(PrometheusExporter(metrics))
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app=page), base_url="http://metrics") as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(others)
        await client.get("/", headers={"Accept": CONTENT_TYPES[form]})
        tasks.cancel_scope.cancel()
    assert turns >= 20, "one turn at least for every hundred series"
