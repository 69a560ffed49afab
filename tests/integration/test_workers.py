"""Four worker processes are scraped as one; one is killed, and what it counted stays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx2
import pytest

from tests.unit.monitoring.protobuf_reader import read
from trunkline.monitoring.negotiation import CONTENT_TYPES
from trunkline.testing.processes import free_port

pytestmark = [pytest.mark.anyio, pytest.mark.integration]

WORKER = Path(__file__).resolve().parents[1] / "servers" / "worker.py"
REQUESTS = "trunkline_domain_request_duration_seconds"
PATIENCE = 30.0


@dataclass(frozen=True)
class Told:
    """What one page says."""

    requests: int
    held: int
    """One by each worker that lives."""


@dataclass
class Worker:
    process: subprocess.Popen[bytes]
    url: str

    async def told(self) -> Told:
        """By the binary format; the text says the same, but where a worker came or went between the two."""
        async with httpx2.AsyncClient() as client:
            while True:
                answer = await client.get(self.url, headers={"Accept": CONTENT_TYPES["protobuf"]})
                text = (await client.get(self.url)).text
                found = read(answer.content)
                (histogram,) = found[REQUESTS].histograms.values()
                told = Told(histogram.count, int(found["trunkline_held"].values[()]))
                if f"trunkline_held {told.held}\n" in text:
                    break
        assert sum(histogram.buckets.values()) == histogram.count
        assert histogram.total == pytest.approx(0.1 * histogram.count)
        assert found["trunkline_build_info"].values.popitem()[1] == 1
        return told

    async def tells(self, expected: Told) -> None:
        with anyio.fail_after(PATIENCE):
            while await self.told() != expected:  # noqa: ASYNC110 - it is in another process
                await anyio.sleep(0.1)


@asynccontextmanager
async def workers(folder: Path, *requests: int) -> AsyncIterator[list[Worker]]:
    started: list[Worker] = []
    try:
        for number in requests:
            port = free_port()
            command = [sys.executable, str(WORKER), str(folder), str(port), str(number)]
            started.append(Worker(start(command), f"http://127.0.0.1:{port}/"))
        with anyio.fail_after(PATIENCE):
            for worker in started:
                await listening(worker)
        yield started
    finally:
        for worker in started:
            worker.process.kill()
        for worker in started:
            worker.process.wait(10)


def start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)


async def listening(worker: Worker) -> None:
    while True:
        assert worker.process.poll() is None
        try:
            await worker.told()
        except httpx2.TransportError:
            await anyio.sleep(0.05)
        else:
            return


@pytest.mark.requirement("G13")
async def test_a_scrape_of_any_worker_is_the_sum_and_never_falls_when_one_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "workers"
    async with workers(folder, 1, 20, 300, 4000) as four:
        for worker in four:
            await worker.tells(Told(4321, 4))
        killed, *others = four
        seen: list[Told] = []
        killed.process.kill()
        killed.process.wait(10)
        with anyio.fail_after(PATIENCE):
            while len(seen) < 15 or seen[-1].held > 3:
                seen += [await worker.told() for worker in others]
        # Without it three live; what it counted is there in every scrape, before and after it is noticed.
        assert {told.requests for told in seen} == {4321}
        assert [told.held for told in seen] == sorted((told.held for told in seen), reverse=True)
        async with workers(folder, 50_000) as (replacement,):
            for worker in (replacement, *others):
                await worker.tells(Told(54321, 4))
            replacement.process.terminate()
            replacement.process.wait(10)
        for worker in others:
            await worker.tells(Told(54321, 3))
        assert len(list(folder.glob("*.snapshot"))) == 3, "of those that ended nothing but their counts is left"
