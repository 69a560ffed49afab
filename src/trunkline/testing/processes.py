"""The faulty servers as real processes, in one line: a command for stdio, a server of its own over HTTP.

Options are those of the scripts (`python -m trunkline.testing.faulty_stdio --help`), as keywords: `journal=path`,
`page_size=3`, `refuse_sigterm=True`, `flap="10:5"`.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import TypeAlias

import anyio
from anyio.abc import Process

from trunkline.endpoint import HttpEndpoint, StdioEndpoint

__all__ = ["FaultyHttp", "Option", "faulty_http", "faulty_stdio", "free_port", "http_command", "stdio_command"]

_SCRIPTS = Path(__file__).parent
_STARTUP = 20.0
"""Seconds a server may take to listen: far more than it needs, on any machine."""
_REAP = 10.0
"""Seconds a killed process may take to be gone."""
_FIRST, _END = 20_000, 32_768
_BEGIN = random.SystemRandom().randrange(_FIRST, _END)
_SHARED_PORTS = cycle([*range(_BEGIN, _END), *range(_FIRST, _BEGIN)])
"""Ports in turn from a random one on, so that processes that start servers at the same time hardly ever meet. Below
those that the system hands out: between asking for a port and listening there is time for somebody to be given it."""

Option: TypeAlias = str | int | float | Path


def faulty_stdio(**options: Option) -> StdioEndpoint:
    """The faulty server as a child process of whoever connects to it."""
    program, arguments = stdio_command(**options)
    return StdioEndpoint(program, tuple(arguments))


def stdio_command(**options: Option) -> tuple[str, list[str]]:
    """Program and arguments of the server on stdin and stdout."""
    return _command("faulty_stdio.py", options)


def http_command(**options: Option) -> tuple[str, list[str]]:
    """Program and arguments of the server over HTTP."""
    return _command("faulty_http.py", options)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on, and that the system gives to nobody who asks for any."""
    while True:
        port: int = next(_SHARED_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class FaultyHttp:
    """A server process over HTTP that leads a process group of its own. Its address outlives it: see `restart`."""

    def __init__(self, port: int, command: list[str], *, listens: bool) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/mcp"
        self._command = command
        self._listens = listens
        self._process: Process | None = None

    def __repr__(self) -> str:
        return f"<FaultyHttp [{self.url}, {f'pid {self._process.pid}' if self._process else 'not running'}]>"

    @property
    def pid(self) -> int:
        """Of the running process; it is the id of the group too."""
        return self._running().pid

    async def start(self) -> None:
        """Start the process and wait until it listens; raises TimeoutError or EndOfStream when it does not."""
        self._process = await anyio.open_process(
            self._command, stdin=subprocess.DEVNULL, stderr=None, start_new_session=True
        )
        if self._listens and self._process.stdout is not None:
            with anyio.fail_after(_STARTUP):
                await self._process.stdout.receive()

    async def kill(self) -> None:
        """SIGKILL the whole group and wait until the process is gone. Does nothing when it is not running."""
        if self._process is None:
            return
        process, self._process = self._process, None
        # The leader may be dead and its children alive: the group is killed either way.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with anyio.fail_after(_REAP, shield=True):
            await process.aclose()

    async def restart(self) -> None:
        """Kill it and start another one at the same address."""
        await self.kill()
        await self.start()

    async def wait(self) -> int:
        """The exit status, once the process has ended by itself."""
        process = self._running()
        with anyio.fail_after(_REAP):
            return await process.wait()

    @property
    def endpoint(self) -> HttpEndpoint:
        """Where it is, for a client's settings."""
        return HttpEndpoint(self.url)

    def stop(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        os.killpg(self.pid, signal.SIGSTOP)

    def cont(self) -> None:
        """Let it go on after `stop`."""
        os.killpg(self.pid, signal.SIGCONT)

    def _running(self) -> Process:
        if self._process is None:
            msg = "the server is not running: it was killed and not started again"
            raise RuntimeError(msg)
        return self._process


@asynccontextmanager
async def faulty_http(
    *, port: int | None = None, listens: bool = True, **options: Option
) -> AsyncGenerator[FaultyHttp, None]:
    """A server over HTTP, listening; killed with its whole process group at the end, whatever happened to it.

    `listens=False` does not wait for that, for servers that are late or never come.
    """
    port = free_port() if port is None else port
    program, arguments = http_command(port=port, **options)
    server = FaultyHttp(port, [program, *arguments], listens=listens)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()


def _command(script: str, options: dict[str, Option]) -> tuple[str, list[str]]:
    arguments = [str(_SCRIPTS / script)]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            arguments.append(flag)
        elif value is not False:
            arguments += [flag, str(value)]
    return sys.executable, arguments
