"""R1, R2, R3: what callers are told while servers are killed under load, against what the servers' journals say.

`STORM_SECONDS` makes the storms longer; `make resilience` does.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest

from tests.resilience.conftest import Report
from tests.resilience.storms import Ledger, kill_children_every, storm
from trunkline import EnhancedMCPClient, HttpEndpoint, ServerPolicy, ServerSettings, StdioEndpoint
from trunkline.events import CallFinished, ConnectionOpened, Event
from trunkline.testing import journal
from trunkline.testing.processes import FaultyHttp, faulty_http, stdio_command

pytestmark = [pytest.mark.anyio, pytest.mark.resilience, pytest.mark.timeout(600)]

SECONDS = float(os.environ.get("STORM_SECONDS", "6"))
CALLERS = 12
ERAS = ["2025-11-25", "2026-07-28"]
TRUSTED = ServerPolicy(trust_annotations=True)


def check_ledgers(ledger: Ledger, journal_file: Path) -> None:
    """What holds for any tool: nobody is told "ok" of what was not run, nor "rejected" of what was begun."""
    begun, done = journal.executions(journal_file, "before"), journal.executions(journal_file, "after")
    lied_ok = sorted(op for op in ledger.succeeded if not done[op])
    lied_rejected = sorted(op for op in ledger.rejected if begun[op])
    assert not lied_ok, f"said ok and not run: {lied_ok}"
    assert not lied_rejected, f"said rejected and begun: {lied_rejected}"


def told(ledger: Ledger) -> str:
    """What callers were told, in numbers."""
    return f"{ledger.calls} calls, {len(ledger.uncertain)} told that they may have run"


def check_nothing_ran_twice(ledger: Ledger, journal_file: Path) -> None:
    """By the lines that the server writes before the side effect."""
    assert ledger.uncertain, "no call was under way at any kill: that proves nothing"
    begun = journal.executions(journal_file, "before")
    assert {op: times for op, times in begun.items() if times > 1} == {}


@asynccontextmanager
async def stdio_storm(era: str, journal_file: Path, tool: str) -> AsyncIterator[tuple[Ledger, int]]:
    """A storm on a child process that is killed every second; yields what callers were told and the kills."""
    program, arguments = stdio_command(era=era, journal=journal_file)
    server = ServerSettings("s", StdioEndpoint(program, tuple(arguments)), TRUSTED)
    ledger, ended, killed = Ledger(), False, 0
    async with EnhancedMCPClient([server]) as client, anyio.create_task_group() as tasks:

        async def kill() -> None:
            nonlocal killed
            killed = await kill_children_every(1.0, str(journal_file), until=lambda: ended)

        tasks.start_soon(kill)
        await storm(client, tool, ledger, callers=CALLERS, seconds=SECONDS)
        ended = True
    yield ledger, killed


@pytest.mark.requirement("R1")
@pytest.mark.parametrize("era", ERAS)
async def test_repeatable_calls_succeed_while_their_server_is_killed_every_second(
    era: str, tmp_path: Path, report: Report
) -> None:
    async with stdio_storm(era, tmp_path / "journal", "s_lookup") as (ledger, killed):
        figures = f"{ledger.calls} calls, {killed} kills, {ledger.success_ratio:.3%} succeeded"
        report("R1", f"stdio {era}", figures)
        assert killed >= SECONDS / 2, "the server was not killed often enough to prove anything"
        assert ledger.calls > 100
        assert ledger.success_ratio >= 0.999
    check_ledgers(ledger, tmp_path / "journal")


@pytest.mark.requirement("R2")
@pytest.mark.parametrize("era", ERAS)
async def test_calls_that_must_not_run_twice_never_do_while_their_server_is_killed(
    era: str, tmp_path: Path, report: Report
) -> None:
    async with stdio_storm(era, tmp_path / "journal", "s_append") as (ledger, killed):
        report("R2", f"stdio {era}", f"{told(ledger)}, {killed} kills")
        assert killed >= SECONDS / 2
        assert len(ledger.succeeded) > 50
    check_nothing_ran_twice(ledger, tmp_path / "journal")
    check_ledgers(ledger, tmp_path / "journal")


class Recovery:
    """How long traffic takes to resume after a server listens again, in seconds."""

    def __init__(self) -> None:
        self._listens_since: float | None = None
        self.restarts = 0
        self.gaps: list[float] = []
        self.connections = 0

    def listens(self) -> None:
        """The server listens again now."""
        self._listens_since = anyio.current_time()
        self.restarts += 1

    def observe(self, event: Event) -> None:
        """Take note of the first success after that, and of connections."""
        self.connections += isinstance(event, ConnectionOpened)
        succeeded = isinstance(event, CallFinished) and event.outcome == "ok"
        if self._listens_since is not None and succeeded:
            self.gaps.append(event.at - self._listens_since)
            self._listens_since = None


async def restart_now_and_then(server: FaultyHttp, recovery: Recovery) -> None:
    """Kill the server, leave it dead for a while, start it again; until the time is over, then leave it running."""
    end = anyio.current_time() + SECONDS
    while anyio.current_time() < end:
        await anyio.sleep(1.0)
        await server.kill()
        await anyio.sleep(0.7)
        await server.start()
        recovery.listens()


async def http_storm(era: str, journal_file: Path, tool: str) -> tuple[Ledger, Recovery]:
    """A storm on an HTTP server that is restarted again and again."""
    ledger, recovery = Ledger(), Recovery()
    async with faulty_http(era=era, journal=journal_file) as server:
        settings = ServerSettings("s", HttpEndpoint(server.url), TRUSTED)
        client = EnhancedMCPClient([settings], observers=[recovery.observe])
        async with client, anyio.create_task_group() as tasks:
            tasks.start_soon(partial(restart_now_and_then, server, recovery))
            await storm(client, tool, ledger, callers=CALLERS, seconds=SECONDS + 1)
    return ledger, recovery


@pytest.mark.requirement("R3")
@pytest.mark.parametrize("era", ERAS)
async def test_no_repeatable_call_fails_while_an_http_server_is_restarted(
    era: str, tmp_path: Path, report: Report
) -> None:
    ledger, recovery = await http_storm(era, tmp_path / "journal", "s_lookup")
    gaps = sorted(recovery.gaps)
    resumed = f"traffic resumed after {gaps[len(gaps) // 2]:.2f} s (median), {gaps[-1]:.2f} s (worst)"
    failed = ledger.calls - len(ledger.succeeded)
    report("R3", f"http {era}", f"{ledger.calls} calls, {len(gaps)} restarts, {failed} failed, {resumed}")
    # The last may come when the callers have gone.
    assert len(gaps) >= max(2, recovery.restarts - 1), f"traffic did not resume after each of {recovery.restarts}"
    assert ledger.success_ratio == 1.0
    # The median: the machine may be busy with something else while one of the servers starts.
    assert gaps[len(gaps) // 2] <= 0.5
    check_ledgers(ledger, tmp_path / "journal")


@pytest.mark.requirement("R2")
@pytest.mark.parametrize("era", ERAS)
async def test_calls_that_must_not_run_twice_never_do_while_an_http_server_restarts(
    era: str, tmp_path: Path, report: Report
) -> None:
    ledger, recovery = await http_storm(era, tmp_path / "journal", "s_append")
    report("R2", f"http {era}", f"{told(ledger)}, {recovery.connections - 1} restarts")
    assert recovery.connections >= 3, "the server was not restarted often enough to prove anything"
    check_nothing_ran_twice(ledger, tmp_path / "journal")
    check_ledgers(ledger, tmp_path / "journal")
