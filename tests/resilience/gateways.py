"""A gateway as a process of its own in front of real servers, and what it has to say for itself."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2

from trunkline.testing.processes import Option, free_port, stdio_command

__all__ = ["RunningGateway", "entered_gateway", "running_gateway"]

STARTUP = 40.0
"""Seconds until every server behind is connected: cold starts on a shared core are slow."""

_UNHANDLED = re.compile(r"Traceback|\b(?:ERROR|CRITICAL)\b|never retrieved|never awaited|Exception in ")


@dataclass
class RunningGateway:
    """A gateway that runs, or has run."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    token: str | None = None
    """Of who may watch, where it asks who calls."""
    _read: int = 0

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def complaints(self) -> list[str]:
        """Lines of its log, since this was last asked, that tell of something it did not handle, and what follows."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            said = log.read().decode("utf-8", "replace")
        self._read = self.log.stat().st_size
        lines = said.splitlines()
        first = next((number for number, line in enumerate(lines) if _UNHANDLED.search(line)), None)
        return [] if first is None else lines[first : first + 60]

    def open_files(self) -> int:
        """Its file descriptors."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def get(self, path: str) -> Any:
        """The JSON at `path`."""
        return self.page(path).json()

    def page(self, path: str) -> httpx2.Response:
        """What is at `path`."""
        return httpx2.get(f"{self.url}{path}", timeout=10.0, headers=self.headers)

    @property
    def headers(self) -> dict[str, str]:
        """Of who may watch."""
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    def peak(self) -> int:
        """Bytes it had in memory at most, so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def resident(self) -> int:
        """Bytes it has in memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()[1]) * resource.getpagesize()


@contextmanager
def running_gateway(
    folder: Path,
    *servers: str,
    options: Mapping[str, Option] | None = None,
    others: Mapping[str, Any] | None = None,
    port: int | None = None,
    token: str | None = None,
    **table: Any,
) -> Iterator[RunningGateway]:
    """A gateway in front of one faulty server for each name, all connected.

    `options` are the servers', `others` are entries for further servers, `table` is the `trunkline` table;
    where that has principals, `token` is that of one who may watch.
    """
    config = folder / "mcp.json"
    program, arguments = stdio_command(**(options or {}))
    named = {**{name: {"command": program, "args": arguments} for name in servers}, **(others or {})}
    config.write_text(json.dumps({"mcpServers": named, "trunkline": table}), "utf-8")
    port, log = port or free_port(), folder / "log"
    with log.open("wb") as stderr:
        command = [sys.executable, "-m", "trunkline", "serve", str(config), "--port", str(port)]
        process = subprocess.Popen(command, stderr=stderr, stdin=subprocess.DEVNULL)
    try:
        running = RunningGateway(process, port, log, token)
        anyio.run(_connected, running)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait(10)


@asynccontextmanager
async def entered_gateway(folder: Path, *servers: str, **given: Any) -> AsyncIterator[RunningGateway]:
    """The same where a loop runs already: waiting for it has a loop of its own, in a thread."""
    gateway = running_gateway(folder, *servers, **given)
    running = await anyio.to_thread.run_sync(gateway.__enter__)
    try:
        yield running
    finally:
        gateway.__exit__(None, None, None)


async def _connected(running: RunningGateway) -> None:
    with anyio.fail_after(STARTUP):
        async with httpx2.AsyncClient(headers=running.headers) as client:
            while True:
                assert running.process.poll() is None, running.log.read_text("utf-8", "replace")
                try:
                    told = (await client.get(f"{running.url}/api/v1/status")).json()
                except httpx2.TransportError:
                    told = {"servers": []}
                if told["servers"] and all(part["state"] == "healthy" for part in told["servers"]):
                    return
                await anyio.sleep(0.1)
