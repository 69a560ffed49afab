"""R7 and R9: parts of ours fail, or callers give up, and nothing of it can be seen in the results or is left behind."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import os
import random
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvicorn
from anyio.abc import TaskGroup
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from tests.resilience.conftest import Report
from tests.resilience.storms import child_pids, kill_children_every
from tests.servers.watching import eventually
from trunkline import (
    Alert,
    CallError,
    EnhancedMCPClient,
    Infrastructure,
    ServerPolicy,
    ServerSettings,
    configure_logging,
)
from trunkline.config import load
from trunkline.events import Event
from trunkline.gateway.address import listen
from trunkline.gateway.app import build_app
from trunkline.monitoring import ProcessLog
from trunkline.monitoring.prometheus import PrometheusExporter
from trunkline.policy import LoggingPolicy
from trunkline.telemetry import Telemetry
from trunkline.testing import faulty_http, faulty_stdio

pytestmark = [pytest.mark.anyio, pytest.mark.resilience, pytest.mark.timeout(600)]

SECONDS = float(os.environ.get("STORM_SECONDS", "2"))
ROUNDS = max(1, int(SECONDS / 4))

CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("s_echo", {"text": "hello ☎"}),
    ("s_add", {"a": 2, "b": 3}),
    ("s_fail", {"message": "as a tool does"}),
    ("s_rpc_error", {"code": -32050, "message": "as a protocol does"}),
    ("s_add", {"a": "two"}),
    ("s_nothing", {}),
    ("s_fault", {"kind": "crash_before"}),
    ("s_lookup", {"op": "after the crash"}),
)


async def results(infra: Infrastructure) -> list[str]:
    """What a domain gets for a sequence of calls of every kind, as bytes it could have written down."""
    found = []
    for name, arguments in CALLS * ROUNDS:
        try:
            result = await infra.mcp_client.call_tool(name, arguments, domain="drill")
            found.append(result.model_dump_json())
        except CallError as error:
            found.append(f"{error.code} {error.may_have_run} {error}")
    return found


def configuration(folder: Path) -> Path:
    """A file with the faulty server, repeatable by its own word."""
    endpoint = faulty_stdio()
    path = folder / "trunkline.toml"
    args = ", ".join(f"'{argument}'" for argument in endpoint.args)
    path.write_text(
        f"[mcpServers.s]\ncommand = '{endpoint.command}'\nargs = [{args}]\n"
        "[trunkline.servers.s]\ntrust_annotations = true\n"
    )
    return path


class Sabotaged:
    """An infrastructure, and how it would show that a part of it fails."""

    def __init__(self, infra: Infrastructure, shows: Callable[[], bool]) -> None:
        self.infra = infra
        self.shows = shows


def announced(infra: Infrastructure) -> Callable[[], bool]:
    """Failures of observers are counted by the bus and shown among the metrics."""
    return lambda: bool(infra.bus.failures) and infra.metrics.dashboard()["telemetry"]["observer_failures"] > 0


@asynccontextmanager
async def nothing(folder: Path) -> AsyncGenerator[Sabotaged, None]:
    async with Infrastructure.from_config(configuration(folder)) as infra:
        yield Sabotaged(infra, lambda: not infra.bus.failures)


@asynccontextmanager
async def observers_that_raise(folder: Path) -> AsyncGenerator[Sabotaged, None]:
    def raising(event: Event) -> None:
        raise ZeroDivisionError(repr(event))

    async with Infrastructure.from_config(configuration(folder), observers=[raising]) as infra:
        yield Sabotaged(infra, announced(infra))


@asynccontextmanager
async def a_log_handler_that_raises(folder: Path) -> AsyncGenerator[Sabotaged, None]:
    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError(28, "No space left on device")

    logger, handler = logging.getLogger("trunkline"), Raising()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        async with Infrastructure.from_config(configuration(folder)) as infra:
            yield Sabotaged(infra, announced(infra))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


class FullDisk(io.TextIOBase):
    """What a log is written to when there is no room left, until there is."""

    def __init__(self) -> None:
        self.is_full = True
        self.written = ""

    def write(self, text: str) -> int:
        if self.is_full:
            raise OSError(28, "No space left on device")
        self.written += text
        return len(text)


@asynccontextmanager
async def a_full_disk_under_the_log(folder: Path) -> AsyncGenerator[Sabotaged, None]:
    disk = FullDisk()
    undo = configure_logging(level="DEBUG", stream=disk)  # type: ignore[arg-type]
    try:
        async with Infrastructure.from_config(configuration(folder)) as infra:

            def shows() -> bool:
                disk.is_full = False
                logging.getLogger("drill").warning("there is room again")
                return "log_records_dropped" in disk.written and not infra.bus.failures

            yield Sabotaged(infra, shows)
    finally:
        undo()


class SlowSink(io.StringIO):
    """What a log is written to when each write takes `seconds`, until the test is over."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.is_over = threading.Event()

    def write(self, text: str) -> int:
        self.is_over.wait(self.seconds)
        return len(text)


@asynccontextmanager
async def a_log_that_falls_behind(folder: Path, seconds: float) -> AsyncGenerator[Sabotaged, None]:
    sink = SlowSink(seconds)
    log = ProcessLog(LoggingPolicy(level="debug"), stream=sink, waiting=3)
    try:
        async with Infrastructure.from_config(configuration(folder)) as infra:
            infra.metrics.read_also("log", log.readings)

            def shows() -> bool:
                exported = PrometheusExporter(infra.metrics).render()
                dropped = re.search(r'trunkline_log_records_total\{result="dropped"\} (\d+)', exported)
                return dropped is not None and int(dropped[1]) > len(CALLS) and not infra.bus.failures

            yield Sabotaged(infra, shows)
    finally:
        sink.is_over.set()
        log()


def configuration_is_reported(infra: Infrastructure) -> Callable[[], bool]:
    return lambda: any(other.name == "configuration" for other in infra.health.report().others)


@asynccontextmanager
async def a_configuration_file_that_is_broken(folder: Path) -> AsyncGenerator[Sabotaged, None]:
    path = configuration(folder)
    async with Infrastructure.from_config(path) as infra:
        path.write_text("[mcpServers.s\n")
        shows = configuration_is_reported(infra)
        await eventually(shows)
        yield Sabotaged(infra, shows)


@asynccontextmanager
async def a_configuration_file_that_is_gone(folder: Path) -> AsyncGenerator[Sabotaged, None]:
    path = configuration(folder)
    async with Infrastructure.from_config(path) as infra:
        path.unlink()
        shows = configuration_is_reported(infra)
        await eventually(shows)
        yield Sabotaged(infra, shows)


@asynccontextmanager
async def a_metrics_fold_that_raises(folder: Path) -> AsyncGenerator[Sabotaged, None]:
    """Records that cannot be added up stand in the way of the fold, again and again."""
    async with Infrastructure.from_config(configuration(folder)) as infra, anyio.create_task_group() as tasks:
        poisoned = infra.metrics.store.requests.find(("poisoned", "operation", "ok"))

        async def poison() -> None:
            while True:
                poisoned.append((infra.metrics.store.clock(), None))  # type: ignore[arg-type]
                await anyio.sleep(0.05)

        def shows() -> bool:
            told = infra.metrics.dashboard()
            exported = PrometheusExporter(infra.metrics).render()
            others = told["domains"]["drill"]["lifetime"]["requests"]
            is_counted = told["telemetry"]["records_lost"] > 2 and 'records_lost_total{error="TypeError"}' in exported
            return is_counted and others >= len(CALLS)

        tasks.start_soon(poison)
        yield Sabotaged(infra, shows)
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def beside_bad_readers(
    folder: Path, path: str, reason: str, misbehave: Callable[[socket.socket], Awaitable[None]]
) -> AsyncGenerator[Sabotaged, None]:
    """A gateway in this process; `misbehave` is what ever new clients do once they have asked for `path`."""
    opened: list[socket.socket] = []
    async with Infrastructure.from_config(configuration(folder)) as infra, anyio.create_task_group() as tasks:
        listener = listen("127.0.0.1", 0)
        # Or the whole answer fits into the buffers on the way.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for number in range(300):
            infra.metrics.record(f"noise-{number}", "operation", duration=0.1)
        port = listener.getsockname()[1]
        app = build_app(infra, "127.0.0.1", port, patience=0.5)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, log_level="critical", timeout_graceful_shutdown=1))

        async def ask() -> None:
            while len(opened) < 40:
                client = socket.socket()
                opened.append(client)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect(("127.0.0.1", port))
                client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                await misbehave(client)
                await anyio.sleep(0.1)

        def shows() -> bool:
            told = infra.metrics.dashboard()["telemetry"]["answers_abandoned"]
            exported = PrometheusExporter(infra.metrics).render()
            return told > 0 and f'abandoned_total{{path="{path}",reason="{reason}"}}' in exported

        tasks.start_soon(server.serve, [listener])
        try:
            await eventually(lambda: server.started)
            async with anyio.create_task_group() as asking:
                asking.start_soon(ask)
                yield Sabotaged(infra, shows)
                asking.cancel_scope.cancel()
        finally:
            for client in opened:
                client.close()
            server.should_exit = True


@asynccontextmanager
async def alerts_nobody_can_be_told_of(
    folder: Path, sink: str, address: Callable[[socket.socket], str] | None
) -> AsyncGenerator[Sabotaged, None]:
    """Alerts that come and go, and a sink at what `address` makes of a socket; a function that raises without one."""
    path = configuration(folder)
    with socket.socket() as place, path.open("a") as file:
        place.bind(("127.0.0.1", 0))
        file.write(
            "[trunkline.alerts]\ninterval = 0.02\ngroup_wait = 0\n"
            "[trunkline.alerts.rules.DomainErrors]\n"
            "long = 0.2\nshort = 0\nmin_events = 1\nfor = 0\nkeep_firing_for = 0\n"
        )
        if address is not None:
            file.write(f"[trunkline.alerts.sinks.{sink}]\nurl = '{address(place)}'\ntimeout = 0.1\nattempts = 1\n")
        file.flush()
        async with Infrastructure.from_config(path) as infra:
            if address is None:

                def raising(alert: Alert) -> None:
                    raise ZeroDivisionError(alert.summary)

                raising.__qualname__ = sink
                infra.alerts.subscribe(raising)

            def shows() -> bool:
                infra.metrics.record("sabotaged", "operation", duration=0.1, outcome="error")
                failed = sum(told.failed for told in infra.alerts.sinks())
                exported = PrometheusExporter(infra.metrics).render()
                name = f'trunkline_alert_notifications_total{{sink="{sink}",result="failed"}}'
                return failed > 0 and name in exported and f"{name} 0" not in exported

            yield Sabotaged(infra, shows)


def deaf(place: socket.socket) -> str:
    """The address of somebody who listens, and never answers."""
    place.listen(1)
    return f"http://127.0.0.1:{place.getsockname()[1]}/"


def closed(place: socket.socket) -> str:
    """An address at which nobody listens."""
    return f"http://127.0.0.1:{place.getsockname()[1]}/"


async def hang(client: socket.socket) -> None:
    """Read nothing, and keep the connection."""


async def break_off(client: socket.socket) -> None:
    """Read a little, and reset the connection."""
    await anyio.wait_readable(client)
    client.recv(100)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@asynccontextmanager
async def a_span_processor_that_raises(folder: Path) -> AsyncGenerator[Sabotaged, None]:
    class Raising(SpanProcessor):
        def on_end(self, span: object) -> None:
            raise OSError(28, "No space left on device")

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Raising())
    settings = load(configuration(folder))
    telemetry = Telemetry(settings.telemetry, tracer_provider=provider)
    async with Infrastructure(settings, telemetry=telemetry) as infra:
        yield Sabotaged(infra, announced(infra))


@asynccontextmanager
async def a_collector_that(folder: Path, *, refuses: bool) -> AsyncGenerator[Sabotaged, None]:
    """One that refuses connections, or one that takes them and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    if refuses:
        listener.close()
    path = configuration(folder)
    otlp = f"endpoint = 'http://127.0.0.1:{port}'\ninterval = 0.05\ntimeout = 0.2\n"
    path.write_text(f"{path.read_text()}[trunkline.telemetry.otlp]\n{otlp}")
    async with Infrastructure.from_config(path) as infra:

        def shows() -> bool:
            found = {other.name: other.state for other in infra.health.report().others}
            exported = PrometheusExporter(infra.metrics).render()
            is_counted = 'trunkline_otlp_pushes_total{signal="traces",result="failed"}' in exported
            return found.get("otlp") in ("degraded", "down") and is_counted and not infra.bus.failures

        yield Sabotaged(infra, shows)
    listener.close()


SABOTAGE: dict[str, Callable[[Path], AbstractAsyncContextManager[Sabotaged]]] = {
    "metrics fold raises": a_metrics_fold_that_raises,
    "scrape breaks off": partial(beside_bad_readers, path="/metrics", reason="left", misbehave=break_off),
    "scrape never reads": partial(beside_bad_readers, path="/metrics", reason="stopped reading", misbehave=hang),
    "dashboard hangs": partial(beside_bad_readers, path="/api/v1/status", reason="stopped reading", misbehave=hang),
    "alert sink raises": partial(alerts_nobody_can_be_told_of, sink="raising", address=None),
    "alert sink hangs": partial(alerts_nobody_can_be_told_of, sink="deaf", address=deaf),
    "alert sink refuses": partial(alerts_nobody_can_be_told_of, sink="closed", address=closed),
    "observer raises": observers_that_raise,
    "exporter raises": a_span_processor_that_raises,
    "exporter refuses": partial(a_collector_that, refuses=True),
    "exporter hangs": partial(a_collector_that, refuses=False),
    "log handler raises": a_log_handler_that_raises,
    "disk full": a_full_disk_under_the_log,
    "log sink hangs": partial(a_log_that_falls_behind, seconds=threading.TIMEOUT_MAX),
    "log queue fills": partial(a_log_that_falls_behind, seconds=0.02),
    "config broken": a_configuration_file_that_is_broken,
    "config gone": a_configuration_file_that_is_gone,
}


@pytest.mark.requirement("R7", "INV-4")
@pytest.mark.parametrize("part", SABOTAGE)
async def test_what_callers_get_is_the_same_whatever_part_of_ours_fails(
    part: str, tmp_path: Path, report: Report
) -> None:
    async with nothing(tmp_path) as sound:
        expected = await results(sound.infra)
    async with SABOTAGE[part](tmp_path) as sabotaged:
        found = await results(sabotaged.infra)
        await eventually(sabotaged.shows)
    assert sum(each.startswith("{") for each in expected) >= 4 * ROUNDS, "there was hardly anything to spoil"
    same = sum(one == other for one, other in zip(expected, found, strict=True))
    report("R7", part, f"{same} of {len(expected)} results the same, byte for byte")
    assert found == expected


def open_files() -> int:
    """File descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.requirement("R9")
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_calls_given_up_at_any_moment_leave_nothing_behind(
    transport: str, tmp_path: Path, report: Report
) -> None:
    rng, given_up, answered, failed = random.Random(4), 0, 0, Counter[str]()
    gc.collect()
    files, tasks_before = open_files(), len(asyncio.all_tasks())
    marker = str(tmp_path / "journal")
    async with faulty_http() as server:
        endpoint = server.endpoint if transport == "http" else faulty_stdio(journal=marker)
        policy = ServerPolicy(trust_annotations=True)
        async with EnhancedMCPClient([ServerSettings("s", endpoint, policy)]) as client:
            end = anyio.current_time() + SECONDS

            def is_over() -> bool:
                # On a busy machine it takes longer until enough has happened to prove anything.
                past = anyio.current_time() - end
                return past >= 0 and ((given_up > 100 and answered > 20) or past >= 60)

            async def impatient() -> None:
                nonlocal given_up, answered
                while not is_over():
                    with anyio.move_on_after(rng.expovariate(20.0)) as patience:
                        try:
                            await client.call_tool("s_lookup", {"op": "x", "delay_ms": 3})
                            answered += 1
                        except CallError as error:
                            failed[error.code] += 1
                    given_up += patience.cancelled_caught

            async def make_trouble(tasks: TaskGroup) -> None:
                if transport == "stdio":
                    await kill_children_every(0.7, marker, until=is_over)
                else:
                    while not is_over():
                        await anyio.sleep(0.7)
                        await server.restart()
                tasks.cancel_scope.cancel()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(make_trouble, tasks)
                for _ in range(24):
                    tasks.start_soon(impatient)
            (replica,) = client.fleet.stacks["s"].replicas

            def is_at_rest() -> bool:
                pool, admission = replica.pool.statistics(), replica.admission
                return not (pool.in_flight or pool.waiting or admission.in_flight or admission.waiting)

            await eventually(is_at_rest)
            await eventually(lambda: replica.pool.is_ready)
            result = await client.call_tool("s_echo", {"text": "still there"})
            assert not result.is_error
    gc.collect()
    await eventually(lambda: child_pids(marker) == [])
    await eventually(lambda: len(asyncio.all_tasks()) <= tasks_before, told=lambda: "tasks are left")
    await eventually(lambda: open_files() <= files, told=lambda: "files are left open")
    figures = (
        f"{given_up} given up, {answered} answered, {failed.total()} failed; "
        "0 permits, calls, tasks, children, files left"
    )
    report("R9", transport, figures)
    assert given_up > 100
    assert answered > 20, failed
    assert failed.total() < 100, failed
