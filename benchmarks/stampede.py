"""P5: many callers miss the same answer at once: how often the server is asked, and what that costs a shared Redis.

    python benchmarks/stampede.py [--rounds 5] [--json FILE] [--quick]

Counted where it cannot be embellished: calls in the journal of a real server, commands in Redis's own statistics.

- 200 callers in one process.
- 200 callers whose first, for whom the server was asked, gives up.
- 4 processes with 50 callers each, one Redis, and a policy with a lease.
- A process that holds the lease is killed: when does another, which waits for it, ask the server?
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from subprocess import PIPE
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # real servers stand with the tests, which a script does not see

from tests.servers.redis_servers import RedisServer, redis_server  # noqa: E402
from tests.servers.sharing import SharingClient, commands  # noqa: E402
from tests.servers.watching import eventually  # noqa: E402
from trunkline import CachePolicy, EnhancedMCPClient, HttpEndpoint, ServerSettings, ToolPolicy  # noqa: E402
from trunkline.testing import journal  # noqa: E402
from trunkline.testing.processes import FaultyHttp, faulty_http  # noqa: E402

CROWD = 200
PROCESSES, CALLERS = 4, 50
ORIGIN = 0.5
"""Seconds the server takes."""
LEASE = 2.0
GRACE = 0.5
"""Seconds beyond the lease after which somebody has gone on."""
MOST_COMMANDS = 100


def arguments(op: str) -> dict[str, Any]:
    """The same question for all."""
    return {"op": op, "delay_ms": round(1000 * ORIGIN)}


async def crowd(client: EnhancedMCPClient, op: str, callers: int) -> list[str]:
    """Ask from many tasks at once; how each came by its answer."""
    found: list[str] = []

    async def caller() -> None:
        result = await client.call_tool("s_lookup", arguments(op))
        found.append("error" if result.is_error else result.provenance.cache)

    async with anyio.create_task_group() as tasks:
        for _ in range(callers):
            tasks.start_soon(caller)
    return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one stampede."""

    origin: int
    """Calls the server was asked for."""
    answered: int
    seconds: float
    commands: int = 0
    """That Redis was given, of all processes together."""


@asynccontextmanager
async def one_process(folder: Path) -> AsyncGenerator[EnhancedMCPClient]:
    """A client of a server with a journal, which keeps answers in memory."""
    async with faulty_http(journal=folder / "journal") as server:
        policy = ToolPolicy(cache=CachePolicy(ttl=300.0))
        async with EnhancedMCPClient([ServerSettings("s", server.endpoint)], tools={"s_lookup": policy}) as client:
            yield client


async def together(client: EnhancedMCPClient, folder: Path, op: str) -> Outcome:
    """All ask, and all wait."""
    started = time.perf_counter()
    found = await crowd(client, op, CROWD)
    ran = journal.executions(folder / "journal", "before")[op]
    return Outcome(ran, len(found) - found.count("error"), time.perf_counter() - started)


async def leader_gives_up(client: EnhancedMCPClient, folder: Path, op: str) -> Outcome:
    """All ask; the one that came first is cancelled once the server is at work."""
    started, leader, found = time.perf_counter(), anyio.CancelScope(), list[str]()

    async def lead() -> None:
        with leader:
            await client.call_tool("s_lookup", arguments(op))

    async def follow() -> None:
        found.extend(await crowd(client, op, CROWD - 1))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lead)
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(follow)
        await eventually(lambda: journal.executions(folder / "journal", "before")[op])
        leader.cancel()
    ran = journal.executions(folder / "journal", "before")[op]
    return Outcome(ran, len(found) - found.count("error"), time.perf_counter() - started)


class Worker:
    """Another process with a client of the same server and the same Redis."""

    def __init__(self, process: Process) -> None:
        self.process = process
        assert process.stdout is not None
        self._lines = TextReceiveStream(process.stdout)
        self._rest = ""

    async def tell(self, *words: object) -> None:
        """Say one line."""
        assert self.process.stdin is not None
        await self.process.stdin.send((json.dumps(words) + "\n").encode())

    async def hear(self) -> Any:
        """The next line."""
        with anyio.fail_after(60):
            while "\n" not in self._rest:
                self._rest += await self._lines.receive()
        line, _, self._rest = self._rest.partition("\n")
        return json.loads(line)

    def kill(self) -> None:
        """SIGKILL."""
        _kill(self.process)


@asynccontextmanager
async def workers(redis: RedisServer, server: FaultyHttp, count: int) -> AsyncGenerator[list[Worker]]:
    """Processes that are in touch with both, and wait to be told."""
    command = [sys.executable, str(Path(__file__)), "--worker", redis.url, server.url]
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            process = await stack.enter_async_context(
                await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=None)
            )
            stack.callback(_kill, process)
            found.append(Worker(process))
        for worker in found:
            assert await worker.hear() == "ready"
        yield found


async def work(redis_url: str, server_url: str) -> None:
    """Be a worker: ask as told, and tell what came of it."""
    policy = CachePolicy(ttl=300.0, lease=LEASE)
    async with SharingClient(redis_url, HttpEndpoint(server_url), {"lookup": policy}) as client:
        await client.in_touch()
        print(json.dumps("ready"), flush=True)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            op, callers = json.loads(line)
            print(json.dumps(Counter(await crowd(client, op, callers))), flush=True)


async def processes(redis: RedisServer, found: list[Worker], folder: Path, op: str) -> Outcome:
    """All callers of all processes ask."""
    redis.ask("CONFIG", "RESETSTAT")
    started = time.perf_counter()
    for worker in found:
        await worker.tell(op, CALLERS)
    told = [Counter(await worker.hear()) for worker in found]
    seconds = time.perf_counter() - started
    answered = sum(counts.total() - counts["error"] for counts in told)
    ran = journal.executions(folder / "journal", "before")[op]
    return Outcome(ran, answered, seconds, sum(commands(redis).values()))


async def holder_is_killed(found: list[Worker], folder: Path, op: str) -> float:
    """Seconds from the death of the process that was asking until another one asked."""
    holder, other = found
    path = folder / "journal"
    await holder.tell(op, 1)
    await eventually(lambda: journal.executions(path, "before")[op])
    await other.tell(op, CALLERS)
    holder.kill()
    killed = time.time()
    await eventually(lambda: journal.executions(path, "before")[op] > 1, within=LEASE + 20)
    answered = Counter(await other.hear())
    assert answered.total() - answered["error"] == CALLERS, answered
    return [entry.time for entry in journal.read(path) if entry.op == op and entry.phase == "before"][1] - killed


async def main(rounds: int) -> dict[str, Any]:
    """All four."""
    told: dict[str, Any] = {}

    def show(name: str, outcomes: list[Outcome], goal: str, *, kept: bool) -> None:
        told[name] = [asdict(outcome) for outcome in outcomes]
        origin, answered = Counter(found.origin for found in outcomes), Counter(found.answered for found in outcomes)
        cost = f", {' '.join(str(found.commands) for found in outcomes)} commands" if outcomes[0].commands else ""
        print(
            f"{name:<36}origin calls {_said(origin)}, answered {_said(answered)}{cost}, "
            f"{median(found.seconds for found in outcomes):.2f} s   goal {goal}: {'kept' if kept else 'MISSED'}",
            flush=True,
        )

    with TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        async with one_process(folder) as client:
            outcomes = [await together(client, folder, f"a{number}") for number in range(rounds)]
            kept = all(found.origin == 1 and found.answered == CROWD for found in outcomes)
            show("200 callers, one process", outcomes, "1 origin call", kept=kept)
            outcomes = [await leader_gives_up(client, folder, f"b{number}") for number in range(rounds)]
            kept = all(found.origin == 1 and found.answered == CROWD - 1 for found in outcomes)
            show("the first of them gives up", outcomes, "199 answered", kept=kept)
        async with redis_server() as redis, faulty_http(journal=folder / "journal") as server:
            async with workers(redis, server, PROCESSES) as found:
                outcomes = [await processes(redis, found, folder, f"c{number}") for number in range(rounds)]
            kept = all(
                each.origin == 1 and each.answered == PROCESSES * CALLERS and each.commands <= MOST_COMMANDS
                for each in outcomes
            )
            show("4 processes x 50, one Redis, lease", outcomes, f"1 and {MOST_COMMANDS} commands", kept=kept)
            waits = []
            for number in range(rounds):
                async with workers(redis, server, 2) as found:
                    waits.append(await holder_is_killed(found, folder, f"d{number}"))
            verdict = "kept" if max(waits) <= LEASE + GRACE else "MISSED"
            print(
                f"{'holder of the lease killed':<36}another asks after {median(waits):.2f} s, at most {max(waits):.2f}"
                f"   goal {LEASE + GRACE:.1f} s: {verdict}"
            )
            told["holder killed"] = waits
    return told


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()


def _said(counts: Counter[int]) -> str:
    return " ".join(f"{value}" if times == counts.total() else f"{value} (x{times})" for value, times in counts.items())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Many callers who miss the same answer at once.")
    parser.add_argument("--rounds", type=int, default=5, help="times each is done")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="once each")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        anyio.run(work, *options.worker)
    else:
        figures = anyio.run(main, 1 if options.quick else options.rounds)
        if options.json is not None:
            options.json.write_text(json.dumps(figures, indent=2) + "\n")
