"""The servers as processes: slow, silent, loud and stubborn ones, and that none is left behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import anyio
import pytest

from tests.servers.raw import call, http_peer, request, stdio_peer
from trunkline.testing.journal import Entry, read
from trunkline.testing.processes import faulty_http, free_port, stdio_command

pytestmark = [pytest.mark.anyio, pytest.mark.integration]

PATIENCE = 10.0


async def assert_gone(pid: int) -> None:
    """The process ends within bounds; one that is dead and not reaped yet counts as gone."""
    with anyio.fail_after(PATIENCE):
        while _is_running(pid):
            await anyio.lowlevel.checkpoint()


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def grandchild(journal: Path) -> Entry:
    (entry,) = (entry for entry in read(journal) if entry.phase == "spawned")
    return entry


async def test_a_server_ends_when_its_input_does() -> None:
    async with stdio_peer() as peer:
        await peer.ask(call(1, "echo", text="hello"))
        await peer.close_input()

        assert await peer.wait() == 0


async def test_a_server_may_exit_before_it_serves() -> None:
    async with stdio_peer(exit_at_start=3) as peer:
        assert await peer.wait() == 3


async def test_a_server_may_neither_serve_nor_exit() -> None:
    async with stdio_peer(hang_at_start=True) as peer:
        await peer.send(request(1, "server/discover"))
        with anyio.move_on_after(0.5) as waited:
            await peer.receive()

        assert waited.cancelled_caught
        assert peer.process.returncode is None


async def test_a_server_that_is_late_serves_what_was_sent_in_time() -> None:
    async with stdio_peer(delay_start=0.3) as peer:
        assert "result" in await peer.ask(request(1, "server/discover"))


async def test_a_server_may_be_loud_on_stderr_and_still_serve() -> None:
    async with stdio_peer(stderr_flood=10_000) as peer:
        await peer.send(call(1, "fault", kind="stderr", bytes=5_000))
        await peer.receive()
        assert peer.process.stderr is not None
        received = 0
        with anyio.fail_after(PATIENCE):
            while received < 15_000:
                received += len(await peer.process.stderr.receive())

    assert received == 15_000


async def test_a_stubborn_server_outlives_the_end_of_its_input_and_sigterm() -> None:
    async with stdio_peer(refuse_sigterm=True) as peer:
        await peer.ask(call(1, "echo", text="hello"))
        await peer.close_input()
        peer.process.terminate()
        with anyio.move_on_after(0.5) as waited:
            await peer.process.wait()
        assert waited.cancelled_caught

        peer.process.kill()
        assert await peer.wait() == -signal.SIGKILL


async def test_a_grandchild_outlives_a_server_that_is_killed_alone(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with stdio_peer(spawn_grandchild=True, journal=journal) as peer:
        await peer.ask(call(1, "echo", text="hello"))
        entry = grandchild(journal)
        try:
            assert os.getpgid(entry.pid) == os.getpgid(peer.process.pid)
            peer.process.kill()
            await peer.wait()
            assert _is_running(entry.pid)
        finally:
            os.kill(entry.pid, signal.SIGKILL)
        await assert_gone(entry.pid)


async def test_an_http_server_takes_its_grandchild_along_even_if_it_died_first(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with faulty_http(spawn_grandchild=True, journal=journal) as server, http_peer(server.url) as peer:
        await peer.post(call(1, "fault", kind="crash_before"))
        await server.wait()
        assert _is_running(grandchild(journal).pid)

    await assert_gone(grandchild(journal).pid)


async def test_an_http_server_comes_back_at_the_same_address() -> None:
    async with faulty_http() as server:
        first = server.pid
        await server.restart()
        async with http_peer(server.url) as peer:
            status, _ = await peer.ask(call(1, "echo", text="hello"))

        assert status == 200
        assert server.pid != first
        await assert_gone(first)


async def test_a_killed_http_server_is_gone_and_may_be_killed_again() -> None:
    async with faulty_http() as server:
        pid = server.pid
        await server.kill()
        await server.kill()

        await assert_gone(pid)
        with pytest.raises(OSError, match="All connection attempts failed"):
            async with http_peer(server.url):
                raise AssertionError("somebody listens")


async def test_a_stopped_http_server_keeps_its_connections_and_answers_when_it_goes_on() -> None:
    async with faulty_http() as server, http_peer(server.url) as peer:
        server.stop()
        await peer.post(call(1, "echo", text="hello"))
        with anyio.move_on_after(0.3) as waited:
            await peer.head()
        assert waited.cancelled_caught

        server.cont()
        status, _ = await peer.head()
        assert status == 200


async def test_an_http_server_that_is_late_is_not_waited_for_when_told_so() -> None:
    async with faulty_http(port=free_port(), listens=False, hang_at_start=True) as server:
        with pytest.raises(OSError, match="All connection attempts failed"):
            async with http_peer(server.url):
                raise AssertionError("somebody listens")


def test_options_become_flags(tmp_path: Path) -> None:
    _, arguments = stdio_command(journal=tmp_path, page_size=3, refuse_sigterm=True, hang_at_start=False)

    assert arguments[1:] == ["--journal", str(tmp_path), "--page-size", "3", "--refuse-sigterm"]
    assert Path(arguments[0]).name == "faulty_stdio.py"
