"""A worker process of an application: records what it is told to, and serves the metrics of all workers.

python worker.py FOLDER PORT REQUESTS
"""

from __future__ import annotations

import sys

import anyio
import uvicorn

from trunkline.monitoring.metrics import MetricsCollector
from trunkline.monitoring.prometheus import PrometheusExporter
from trunkline.monitoring.readings import Reading
from trunkline.monitoring.scrape import MetricsPage
from trunkline.monitoring.workers import WorkerSnapshots


async def main(folder: str, port: int, requests: int) -> None:
    metrics = MetricsCollector()
    metrics.read_also("held", lambda: [Reading("trunkline_held", "gauge", "Things held.", {(): 1})])
    for _ in range(requests):
        metrics.record("speech", "transcribe", duration=0.1)
    exporter = PrometheusExporter(metrics)
    workers = WorkerSnapshots(exporter, folder)
    page = MetricsPage(exporter, workers.gathered)
    config = uvicorn.Config(page, port=port, lifespan="off", log_config=None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(workers.keep)
        await uvicorn.Server(config).serve()
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
