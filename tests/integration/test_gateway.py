"""The gateway as a process in front of real servers, asked by the SDK's own client in both eras."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp_types import TextContent

from trunkline.testing.processes import free_port, stdio_command

pytestmark = [pytest.mark.anyio, pytest.mark.integration]

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ROOT / ".servers" / "bin"
STARTUP = 40.0
"""Seconds until every server behind is connected: cold starts on a shared core are slow."""
ERAS = ("legacy", "2026-07-28")


@dataclass
class Gateway:
    """A gateway that runs, or has run."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return httpx2.get(f"{self.url}{path}", headers=headers, timeout=10.0)


def server(name: str) -> str:
    program = SERVERS / name
    assert program.exists(), f"{program} is missing: run make servers"
    return str(program)


def configure(folder: Path) -> Path:
    """A configuration with three real servers, a faulty one, and one that is not there."""
    repository = folder / "repository"
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True, timeout=30)
    program, arguments = stdio_command()
    servers = {
        "time": {"command": server("mcp-server-time"), "args": ["--local-timezone", "UTC"]},
        "git": {"command": server("mcp-server-git"), "args": ["--repository", str(repository)]},
        "everything": {"command": server("mcp-server-everything"), "args": ["stdio"]},
        "faulty": {"command": program, "args": [*arguments, "--journal", str(folder / "journal")]},
        "missing": {"command": str(folder / "no-such-program")},
    }
    config = folder / "mcp.json"
    config.write_text(json.dumps({"mcpServers": servers}), "utf-8")
    return config


@contextmanager
def gateway(folder: Path, config: Path) -> Iterator[Gateway]:
    """A gateway whose servers are connected; killed at the end if it still runs."""
    port, log = free_port(), folder / "log"
    with log.open("w") as stderr:
        command = [sys.executable, "-m", "trunkline", "serve", str(config), "--port", str(port)]
        process = subprocess.Popen(command, stderr=stderr, stdin=subprocess.DEVNULL, text=True)
    try:
        running = Gateway(process, f"http://127.0.0.1:{port}", log)
        anyio.run(_connected, running)
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


async def _connected(running: Gateway) -> None:
    with anyio.fail_after(STARTUP):
        async with httpx2.AsyncClient() as client:
            while True:
                assert running.process.poll() is None, running.log.read_text()
                try:
                    told = (await client.get(f"{running.url}/api/v1/status")).json()
                except httpx2.TransportError:
                    told = {"servers": []}
                states = {part["name"]: part["state"] for part in told["servers"]}
                if sum(state == "healthy" for state in states.values()) == 4 and states["missing"] == "down":
                    return
                await anyio.sleep(0.1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with gateway(folder, configure(folder)) as started:
        yield started


def first_text(result: Any) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_reaches_each_server_in_either_era_and_says_who_answered(running: Gateway, era: str) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("time_get_current_time", {"timezone": "UTC"}),
        ("git_git_status", {"repo_path": str(running.log.parent / "repository")}),
        ("everything_echo", {"message": "hello"}),
    ]
    with anyio.fail_after(30):
        async with Client(f"{running.url}/mcp", mode=era) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert names == [tool.name for tool in (await client.list_tools()).tools]
            for name, arguments in calls:
                assert name in names
                result = await client.call_tool(name, arguments)
                assert not result.is_error
                assert result.meta is not None
                told = result.meta["trunkline/provenance"]
                assert (told["server"], told["attempts"], told["degraded"]) == (name.split("_")[0], 1, False)


@pytest.mark.parametrize("era", ERAS)
async def test_progress_of_a_call_arrives_at_who_asked_for_it(running: Gateway, era: str) -> None:
    heard: list[tuple[float, float | None]] = []

    async def progressed(progress: float, total: float | None, message: str | None) -> None:
        assert message is None or message
        heard.append((progress, total))

    with anyio.fail_after(30):
        async with Client(f"{running.url}/mcp", mode=era) as client:
            await client.call_tool("faulty_progress", {"steps": 3, "delay_ms": 30}, progress_callback=progressed)
    assert heard == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("era", ERAS)
async def test_errors_teach_the_model_and_tell_the_program_whether_the_tool_may_have_run(
    running: Gateway, era: str
) -> None:
    with anyio.fail_after(30):
        async with Client(f"{running.url}/mcp", mode=era) as client:
            lesson = await client.call_tool("time_get_current_time", {"timezon": "UTC"})
            assert lesson.is_error
            assert '"timezone"' in first_text(lesson)

            with pytest.raises(MCPError) as unavailable:
                await client.call_tool("missing_anything", {})
            assert unavailable.value.error.code == 31004
            assert unavailable.value.error.data["error"] == "ServerUnavailable"
            assert unavailable.value.error.data["may_have_run"] is False

            with pytest.raises(MCPError) as refused:
                await client.call_tool("faulty_rpc_error", {"code": -32603, "message": "no"})
            assert refused.value.error.code == 31014
            assert refused.value.error.data["may_have_run"] is True

            failed = await client.call_tool("faulty_fail", {"message": "as tools do"})
            assert (failed.is_error, first_text(failed)) == (True, "as tools do")


async def test_a_tool_nobody_has_is_the_protocols_own_error(running: Gateway) -> None:
    with anyio.fail_after(30):
        async with Client(f"{running.url}/mcp", mode="2026-07-28") as client:
            with pytest.raises(MCPError) as error:
                await client.call_tool("time_get_curent_time", {"timezone": "UTC"})
    assert error.value.error.code == -32602
    assert "time_get_current_time" in error.value.error.message


@pytest.mark.parametrize("era", ERAS)
async def test_a_caller_that_leaves_cancels_its_call_upstream(running: Gateway, era: str) -> None:
    journal = running.log.parent / "journal"
    operation = f"left-{era}"
    with anyio.fail_after(30):
        async with Client(f"{running.url}/mcp", mode=era) as client:
            with anyio.move_on_after(1.0):
                await client.call_tool("faulty_append", {"op": operation, "delay_ms": 20_000})
            told = await client.call_tool("faulty_echo", {"text": "still here"})
        assert first_text(told) == "still here"
        while running.get("/api/v1/status").json()["servers"][3]["connections"]["in_flight"]:  # noqa: ASYNC110 - in another process
            await anyio.sleep(0.05)
    assert not [line for line in journal.read_text().splitlines() if operation in line and '"done"' in line]


@pytest.mark.parametrize("era", ERAS)
async def test_prompts_resources_and_completions_pass_through(running: Gateway, era: str) -> None:
    with anyio.fail_after(30):
        async with Client(f"{running.url}/mcp", mode=era) as client:
            prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
            assert "everything_simple-prompt" in prompts
            assert (await client.get_prompt("everything_simple-prompt")).messages
            resources = (await client.list_resources()).resources
            assert resources
            assert (await client.read_resource(resources[0].uri)).contents


@pytest.mark.parametrize("era", ERAS)
async def test_the_gateway_speaks_over_stdio_too(tmp_path: Path, era: str) -> None:
    config = tmp_path / "mcp.json"
    program, arguments = stdio_command()
    config.write_text(json.dumps({"mcpServers": {"faulty": {"command": program, "args": arguments}}}), "utf-8")
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "trunkline", "serve", str(config), "--stdio"], env=dict(os.environ)
    )
    with anyio.fail_after(40):
        async with Client(command, mode=era) as client:
            result = await client.call_tool("faulty_add", {"a": 2, "b": 3})
    assert result.structured_content == {"sum": 5}


@pytest.mark.parametrize("path", ["/", "/mcp", "/metrics", "/health/live", "/health/ready", "/api/v1/status", "/nope"])
def test_every_route_refuses_other_hosts_and_origins(running: Gateway, path: str) -> None:
    assert running.get(path, Host="evil.example").status_code == 421
    assert running.get(path, Origin="https://evil.example").status_code == 403
    assert running.get(path, Origin="null").status_code == 403


def test_metrics_of_calls_are_served_in_both_formats(running: Gateway) -> None:
    plain = running.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "trunkline_build_info{" in plain.text
    for line in plain.text.splitlines():
        assert line.startswith("# ") or float(line.rsplit(" ", 1)[1]) >= 0
    openmetrics = running.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")


def children(pid: int) -> set[int]:
    """Every living descendant of a process, from /proc."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    found = {pid}
    while grown := {child for child, parent in parents.items() if parent in found} - found:
        found |= grown
    return found - {pid}


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


@pytest.mark.parametrize("with_client", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_one_signal_ends_it_within_five_seconds_and_leaves_no_process(
    tmp_path: Path, number: signal.Signals, *, with_client: bool
) -> None:
    taken = [await _ending(tmp_path, number, with_client=with_client)]
    # A machine that is busy with other things can make one longer, and hardly three.
    while taken[-1] > 5.0 and len(taken) < 3:
        taken.append(await _ending(tmp_path, number, with_client=with_client))
    assert min(taken) <= 5.0


async def _ending(folder: Path, number: signal.Signals, *, with_client: bool) -> float:
    """Seconds from a signal to the end of a gateway, which leaves nothing behind."""
    config = folder / "mcp.json"
    program, arguments = stdio_command()
    time_server = {"command": server("mcp-server-time"), "args": ["--local-timezone", "UTC"]}
    stubborn = {"command": program, "args": [*arguments, "--refuse-sigterm"]}
    # SIGTERM would wait for the call otherwise, which is test_draining's to see; Ctrl-C does not.
    table = {"gateway": {"drain": {"timeout": 0}}} if number == signal.SIGTERM else {}
    servers = {"time": time_server, "stubborn": stubborn}
    config.write_text(json.dumps({"mcpServers": servers, "trunkline": table}), "utf-8")
    port = free_port()
    process = subprocess.Popen(  # noqa: ASYNC220 - started at once, read after its end
        [sys.executable, "-m", "trunkline", "serve", str(config), "--port", str(port)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with anyio.fail_after(STARTUP):
            async with httpx2.AsyncClient() as web:
                states: list[str] = []
                while states != ["healthy", "healthy"]:
                    await anyio.sleep(0.1)
                    try:
                        told = (await web.get(f"http://127.0.0.1:{port}/health/ready")).json()
                    except httpx2.TransportError:
                        continue
                    states = [part["state"] for part in told["dependencies"]]
            family = children(process.pid)
            assert len(family) >= 2
            if with_client:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_hang_on, f"http://127.0.0.1:{port}/mcp")
                    await anyio.sleep(1.0)
                    taken = await _ended_by(process, number)
                    tasks.cancel_scope.cancel()
            else:
                taken = await _ended_by(process, number)
        assert process.returncode == 0
        assert alive(family) == set()
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
        return taken
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


async def _ended_by(process: subprocess.Popen[str], number: signal.Signals) -> float:
    started = time.monotonic()
    process.send_signal(number)
    with anyio.fail_after(50.0):  # before the call would end by itself
        while process.poll() is None:  # noqa: ASYNC110 - another process
            await anyio.sleep(0.02)
    return time.monotonic() - started


async def _hang_on(url: str) -> None:
    async with Client(url, mode="legacy") as client:
        try:
            await client.call_tool("stubborn_sleep", {"seconds": 60})
        except MCPError:
            await anyio.sleep_forever()
