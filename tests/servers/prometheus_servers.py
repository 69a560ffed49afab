"""Debian's Prometheus as a process, and pages for it to scrape."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
import uvicorn

from trunkline.testing.processes import free_port

PATIENCE = 30.0
"""Seconds that anything here may take: far more than it needs, on any machine."""


@dataclass
class Prometheus:
    """A Prometheus that runs."""

    url: str
    log: Path

    def query(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """What an instant query finds now, by labels without job and instance."""
        response = httpx2.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=10.0)
        if response.status_code == 503:
            response.raise_for_status()
        answer = response.json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        assert not answer.get("warnings"), answer
        found = {}
        for sample in answer["data"]["result"]:
            labels = {name: value for name, value in sample["metric"].items() if name not in ("job", "instance")}
            assert "value" in sample, f"{expression}: a histogram, no number"
            found[tuple(sorted(labels.items()))] = float(sample["value"][1])
        return found

    def present(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """What an instant query finds as soon as it finds something: one late scrape makes all that was there stale."""
        found: dict[tuple[tuple[str, str], ...], float] = {}

        def is_there() -> bool:
            nonlocal found
            found = self.query(expression)
            return bool(found)

        self.wait_until(is_there)
        return found

    def number(self, expression: str) -> float:
        """The value of a query that finds exactly one."""
        (value,) = self.present(expression).values()
        return value

    def unit(self, name: str, job: str) -> str:
        """The unit of a metric as the target told it: in OpenMetrics only."""
        asked = {"metric": name, "match_target": f'{{job="{job}"}}'}
        (told,) = httpx2.get(f"{self.url}/api/v1/targets/metadata", params=asked, timeout=10.0).json()["data"]
        return str(told["unit"])

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait until `condition` holds; fails when it does not in time."""
        assert anyio.run(_holds, condition), self.log.read_text()


async def _holds(condition: Callable[[], object]) -> bool:
    """Whether `condition` came to hold in time."""
    with anyio.move_on_after(PATIENCE):
        while True:
            with suppress(httpx2.HTTPError):  # it does not listen, or is not ready yet
                if condition():
                    return True
            await anyio.sleep(0.1)
    return False


@contextmanager
def prometheus(folder: Path, jobs: Mapping[str, str], *, native: bool = False) -> Iterator[Prometheus]:
    """A Prometheus that scrapes each job's URL every second, and has scraped each of them twice."""
    folder.mkdir()
    scrapes = [
        {"job_name": job, "static_configs": [{"targets": [url.removeprefix("http://").partition("/")[0]]}]}
        for job, url in jobs.items()
    ]
    for scrape, url in zip(scrapes, jobs.values(), strict=True):
        scrape["metrics_path"] = "/" + url.removeprefix("http://").partition("/")[2]
    config: dict[str, Any] = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}}
    # JSON is YAML.
    (folder / "prometheus.yml").write_text(json.dumps(config | {"scrape_configs": scrapes}), "utf-8")
    port, log = free_port(), folder / "log"
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *(["--enable-feature=native-histograms"] if native else []),
    ]
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
    try:
        running = Prometheus(f"http://127.0.0.1:{port}", log)
        running.wait_until(lambda: [len(jobs)] == list(running.query("count(sum_over_time(up[1m]) >= 2)").values()))
        yield running
    finally:
        process.kill()
        process.wait(10)


@contextmanager
def page(app: Any) -> Iterator[str]:
    """An ASGI application served over HTTP by a thread of its own; its address."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def in_text(url: str) -> Any:
    """An ASGI application that passes on the page at `url` in the plain text format, whatever it is asked for."""

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        async with httpx2.AsyncClient() as client:
            answer = await client.get(url, headers={"Accept": "text/plain"})
        kind = answer.headers["content-type"]
        assert kind.startswith("text/plain; version=0.0.4")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind.encode())]})
        await send({"type": "http.response.body", "body": answer.content})

    return app
