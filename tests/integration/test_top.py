"""`trunkline top` in a real terminal, before a real gateway in front of a real server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import pytest
from mcp import Client, MCPError

from tests.servers.terminals import in_terminal
from trunkline.cli.main import main
from trunkline.testing.processes import free_port, http_command

pytestmark = pytest.mark.integration

GUIDE = Path(__file__).parents[2] / "docs" / "terminal.md"


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def environment() -> dict[str, str]:
    """Of a person's terminal: this one may have a fixed size, or none at all."""
    return {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")} | {"TERM": "xterm"}


async def call_in_vain(url: str) -> None:
    async with Client(url) as client:
        with suppress(MCPError):
            await client.call_tool("lab_rpc_error", {"code": -32603, "message": "no"})


def looks(url: str) -> list[list[str]]:
    """The guide's commands that look once, at this gateway."""
    commands = re.findall(r"^\$ trunkline (top --.*)$", GUIDE.read_text("utf-8"), re.MULTILINE)
    return [[*command.split(), url] for command in commands]


@pytest.mark.requirement("CLI-TOP-1")
def test_a_kill_a_recovery_and_a_gateway_that_is_away_and_back_are_seen_as_they_happen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port, gateway_port = free_port(), free_port()
    program, arguments = http_command(port=port)
    server, url = [program, *arguments], f"http://127.0.0.1:{gateway_port}"
    config = tmp_path / "mcp.json"
    policies = {"pool": {"cap": 0.2, "patience": 0.2}, "health": {"interval": 0.3}}
    document = {"mcpServers": {"lab": {"url": f"http://127.0.0.1:{port}/mcp"}}, "trunkline": {"defaults": policies}}
    config.write_text(json.dumps(document), "utf-8")
    gateway = [sys.executable, "-m", "trunkline", "serve", str(config), "--port", str(gateway_port)]
    top = [sys.executable, "-m", "trunkline", "top", url]
    with in_terminal(top, environment=environment()) as terminal:
        terminal.until(f"Trunkline  {url}", "The gateway is away since", "refused")
        with running(gateway) as first:
            with running(server):
                terminal.until("● The server works; 10 tools can be called.", "lab", "healthy", without="is away")
            terminal.until("● The server is down.", "since", "    lab: ", "lab       down ")
            with running(server):
                terminal.until("● The server works; 10 tools can be called.")
                terminal.press(b"j\r")
                terminal.until("Server lab  is healthy since", "circuit closed", "lab_append", "that failed: none")
                anyio.run(call_in_vain, f"{url}/mcp")
                terminal.until("lab_rpc_error  ", "The latest calls that failed", "ServerError", without="failed: none")
                terminal.press(b"\x1b")
                assert len(terminal.until("● The server works").splitlines()) == 30
                terminal.resize(60, 12)
                terminal.until("● The server works", without="LAST 3 MIN")
                assert [main(look) for look in looks(url)] == [0, 0]
                text, _, told = capsys.readouterr().out.partition("{")
                assert "● The server works; 10 tools can be called." in text
                assert json.loads("{" + told)["servers"]["lab"]["state"] == "healthy"
                first.send_signal(signal.SIGTERM)
                terminal.until("✖ The gateway is away since", "Below is how things were")
                with running(gateway):
                    terminal.until("● The server works", without="is away")
        assert main(["top", "--once", url]) == 1
        assert len(terminal.screen.splitlines()) == 12
        terminal.press(b"q")
        assert terminal.end() == 0
        assert terminal.settings == terminal.before
        assert terminal.written.endswith(b"\x1b[?25h\x1b[?1049l")


def test_whatever_ends_it_gives_the_terminal_back() -> None:
    command = [sys.executable, "-m", "trunkline", "top", f"http://127.0.0.1:{free_port()}"]
    with in_terminal(command, environment=environment()) as one, in_terminal(command, environment=environment()) as two:
        for terminal, number, status in ((one, signal.SIGINT, 0), (two, signal.SIGTERM, 128 + signal.SIGTERM)):
            terminal.until("The gateway is away since")
            assert terminal.settings != terminal.before
            terminal.process.send_signal(number)
            assert terminal.end() == status
            assert terminal.settings == terminal.before
            assert terminal.written.endswith(b"\x1b[?25h\x1b[?1049l")
