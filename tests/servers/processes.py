"""The faulty servers as real processes: their commands, and one over HTTP that is always cleaned up.

Options are those of the scripts, as keywords: `journal=path`, `page_size=3`, `refuse_sigterm=True`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio.abc import Process

import trunkline.testing

SCRIPTS = Path(next(iter(trunkline.testing.__path__)))
STARTUP = 20.0
"""Seconds a server may take to listen: far more than it needs, on any machine."""
REAP = 10.0
"""Seconds a killed process may take to be gone."""

Option = str | int | float | Path


def stdio_command(**options: Option) -> tuple[str, list[str]]:
    """Program and arguments of the server on stdin and stdout."""
    return _command("faulty_stdio.py", options)


def http_command(**options: Option) -> tuple[str, list[str]]:
    """Program and arguments of the server over HTTP."""
    return _command("faulty_http.py", options)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class HttpServer:
    """A server process over HTTP that leads a process group of its own. Its address outlives it: see `restart`."""

    def __init__(self, port: int, command: list[str], *, listens: bool) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/mcp"
        self._command = command
        self._listens = listens
        self._process: Process | None = None

    def __repr__(self) -> str:
        return f"<HttpServer [{self.url}, {f'pid {self._process.pid}' if self._process else 'not running'}]>"

    @property
    def pid(self) -> int:
        """Of the running process; it is the id of the group too."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    async def start(self) -> None:
        """Start the process and wait until it listens; raises TimeoutError or EndOfStream when it does not."""
        self._process = await anyio.open_process(
            self._command, stdin=subprocess.DEVNULL, stderr=None, start_new_session=True
        )
        if self._listens:
            assert self._process.stdout is not None
            with anyio.fail_after(STARTUP):
                await self._process.stdout.receive()

    async def kill(self) -> None:
        """SIGKILL the whole group and wait until the process is gone. Does nothing when it is not running."""
        if self._process is None:
            return
        process, self._process = self._process, None
        # The leader may be dead and its children alive: the group is killed either way.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with anyio.fail_after(REAP, shield=True):
            await process.aclose()

    async def restart(self) -> None:
        """Kill it and start another one at the same address."""
        await self.kill()
        await self.start()

    async def wait(self) -> int:
        """The exit status, once the process has ended by itself."""
        assert self._process is not None, "the server is not running"
        with anyio.fail_after(REAP):
            return await self._process.wait()

    def stop(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        os.killpg(self.pid, signal.SIGSTOP)

    def cont(self) -> None:
        """Let it go on after `stop`."""
        os.killpg(self.pid, signal.SIGCONT)


@asynccontextmanager
async def http_server(
    *, port: int | None = None, listens: bool = True, **options: Option
) -> AsyncGenerator[HttpServer, None]:
    """A server over HTTP, listening; killed with its whole process group at the end, whatever happened to it.

    `listens=False` does not wait for that, for servers that are late or never come.
    """
    port = free_port() if port is None else port
    program, arguments = http_command(port=port, **options)
    server = HttpServer(port, [program, *arguments], listens=listens)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()


def _command(script: str, options: dict[str, Option]) -> tuple[str, list[str]]:
    arguments = [str(SCRIPTS / script)]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            arguments.append(flag)
        elif value is not False:
            arguments += [flag, str(value)]
    return sys.executable, arguments
