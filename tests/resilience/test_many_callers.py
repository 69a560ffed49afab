"""MANY-CALLERS: five hundred callers of one gateway at once, fifty in `make test`, while a server dies and returns.

The gateway is a process of its own; `STORM_SECONDS` says how long they go on, a minute for the whole promise.
"""

from __future__ import annotations

import math
import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.resilience.conftest import Report
from tests.resilience.gateways import RunningGateway, running_gateway
from tests.resilience.many_callers import MODERN, OLDER, Crowd, member
from tests.security.callers import principals
from trunkline.testing.processes import free_port, http_command

pytestmark = [
    pytest.mark.resilience,
    pytest.mark.requirement("MANY-CALLERS"),
    pytest.mark.timeout(600),
]

IS_DRILL = "STORM_SECONDS" in os.environ
SECONDS = float(os.environ.get("STORM_SECONDS", "3"))
CALLERS = 500 if IS_DRILL else 50
KEPT = min(2 * 64, CALLERS)
"""Connections to the two servers that the gateway keeps for whoever calls next: as many as it needed at a time."""
NAMES = ("ann", "bea", "cem", "dan", "hasty")
"""Principals, one after the other; the last one may come five times a second, all its callers together."""
MEBIBYTE = 1024 * 1024
GROWTH = 30
"""MiB by which memory may grow after the first third: buffers, and answers that are kept."""


class Dying:
    """A server over HTTP that is killed, and started again at the same address."""

    def __init__(self) -> None:
        self.port = free_port()
        program, arguments = http_command(port=self.port)
        self._command = [program, *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self.deaths = 0

    def start(self) -> None:
        """Start it; that it listens is not waited for."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """SIGKILL, where it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
            self.deaths += 1


@pytest.fixture
def dying() -> Iterator[Dying]:
    server = Dying()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def gateway(tmp_path: Path, dying: Dying) -> Iterator[RunningGateway]:
    told = principals(**{name: {} for name in NAMES[:-1]}, hasty={"rate": 5, "burst": 5}, olga={"watch": True})
    table: dict[str, Any] = {
        "gateway": {"principals": told, "audit": False},
        # So much that a slow machine fails nobody: who has to wait is answered late.
        "defaults": {
            "timeout": 280.0,
            "attempt_timeout": 140.0,
            "bulkhead": {"limit": CALLERS, "waiting": 4096},
            "health": {"restart_after": 0},
        },
        "tools": {"good_echo": {"cache": {"ttl": 1}}},
    }
    others = {"dying": {"url": f"http://127.0.0.1:{dying.port}/mcp"}}
    with running_gateway(tmp_path, "good", others=others, token="olga-token", **table) as running:
        yield running


@dataclass
class Seen:
    """What was seen of the gateway from outside."""

    opened: int = 0
    """Files it had open before anybody came."""
    warm: int = 0
    """Bytes it had in memory once all callers had called for a while."""


async def come_and_call(gateway: RunningGateway, dying: Dying, crowd: Crowd, seen: Seen) -> None:
    """Have all callers come, call for a while, and leave; the server dies and returns meanwhile."""
    tls = ssl.create_default_context()
    begun, everybody, ends = 0, anyio.Event(), math.inf
    door = anyio.CapacityLimiter(50)

    async def come(number: int, principal: str, era: str) -> None:
        nonlocal begun
        headers = {"Authorization": f"Bearer {principal}-token"}
        async with AsyncExitStack() as stack:
            async with door:
                coming = member(number, principal, era, gateway.url, headers, crowd, tls)
                caller = await stack.enter_async_context(coming)
                await caller.call("good")
            begun += 1
            if begun == CALLERS:
                everybody.set()
            await everybody.wait()
            while anyio.current_time() < ends:
                if not await caller.call("dying" if caller.rng.random() < 0.2 else "good"):
                    await anyio.sleep(1.0)

    async with anyio.create_task_group() as tasks:
        callers = zip(range(CALLERS), cycle(NAMES), cycle((MODERN, OLDER, OLDER, MODERN)))
        for number, principal, era in callers:
            # Who may hardly come at all opens no session.
            tasks.start_soon(come, number, principal, MODERN if principal == "hasty" else era)
        await everybody.wait()
        ends = anyio.current_time() + SECONDS
        await anyio.sleep(SECONDS / 3)
        seen.warm = gateway.resident()
        for _ in range(max(1, int(SECONDS / 15))):
            dying.kill()
            await anyio.sleep(min(2.0, SECONDS / 3))
            dying.start()
            await anyio.sleep(min(8.0, SECONDS / 6))


async def afterwards(gateway: RunningGateway, crowd: Crowd) -> None:
    """Every principal is served by every server again, and nothing of the callers is left."""
    tls = ssl.create_default_context()
    for principal in NAMES:
        headers = {"Authorization": f"Bearer {principal}-token"}
        async with member(CALLERS, principal, MODERN, gateway.url, headers, crowd, tls) as caller:
            for server in ("good", "dying"):
                for _ in range(200):
                    if await caller.call(server):
                        break
                    await anyio.sleep(0.3)
                else:
                    pytest.fail(f"{server} does not serve {principal} again")


def busy(gateway: RunningGateway) -> list[str]:
    """What is under way or waiting, of every server."""
    return [
        f"{server['name']}: {server['connections']}"
        for server in gateway.get("/api/v1/status")["servers"]
        if server["connections"]["in_flight"] or server["connections"]["waiting"]
    ]


def test_many_callers_get_their_own_answers_while_a_server_dies_and_returns(
    gateway: RunningGateway, dying: Dying, report: Report
) -> None:
    crowd, seen = Crowd(), Seen(opened=gateway.open_files())
    anyio.run(come_and_call, gateway, dying, crowd, seen)
    grown = (gateway.resident() - seen.warm) / MEBIBYTE
    last = Crowd()
    anyio.run(afterwards, gateway, last)
    failed = sum(crowd.errors.values())
    report(
        "MANY-CALLERS",
        f"{CALLERS} callers",
        f"{crowd.right.total():,} right answers, {len(crowd.wrong)} wrong, {failed:,} errors while a server was away "
        f"{dying.deaths} times, {crowd.too_many.total():,} told to come later, {grown:+.0f} MiB",
    )
    assert crowd.wrong == last.wrong == []
    assert dying.deaths
    assert set(crowd.too_many) == {"hasty"}
    # Only the server that died may fail anybody.
    assert {kind for kind in (crowd.errors | last.errors) if not kind.startswith("dying ")} == set()
    assert crowd.served["dying"] > CALLERS / 10, "hardly anybody called the server that died: that proves nothing"
    assert all(crowd.right[name] >= CALLERS / len(NAMES) for name in NAMES[:-1])
    assert grown < GROWTH
    assert busy(gateway) == []
    assert gateway.open_files() <= seen.opened + KEPT + 20, "connections or sessions are left open"
    assert gateway.complaints() == []
