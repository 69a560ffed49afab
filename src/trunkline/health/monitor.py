"""The health of every server and of our own loop: probed in the background, read without waiting.

Two kinds of evidence feed one fold: active probes, and what live calls and connections tell as events. Reading does no
I/O, takes no lock and awaits nothing, so a hanging dependency cannot make health hang.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio

from trunkline.call import Delivery
from trunkline.events import (
    AttemptFinished,
    CircuitChanged,
    ConfigRejected,
    ConfigReloaded,
    ConnectFailed,
    ConnectionEnded,
    ConnectionOpened,
    ConnectStarted,
    Emit,
    Event,
    LoopLagged,
    ServerProbed,
)
from trunkline.health.report import DependencyHealth, HealthReport, summary, told
from trunkline.health.status import Status
from trunkline.policy import HealthPolicy

__all__ = ["HealthMonitor", "Probe"]

_LAG_INTERVAL = 0.5
"""Seconds between looks at the event loop's own lateness."""
_LAG_TOLD = 0.1
"""Seconds of lateness worth an event; less is everyday scheduling."""
_RECOVERY_PAUSE = 0.2
"""Seconds, at least, between probes of a server whose circuit is not closed."""
_CONFIGURATION = "configuration"
_NEVER_DOWN = HealthPolicy(down_after=1_000_000)
"""A refused configuration file degrades: the last good one is in force."""


@dataclass(frozen=True, slots=True)
class Probe:
    """How to ask one server for a sign of life."""

    policy: HealthPolicy
    ping: Callable[[], Awaitable[None]]
    """Raises when there is none."""
    recovers_in: Callable[[], float | None]
    """Seconds until the server's open circuit may be tried; None while it is closed."""
    is_ready: Callable[[], bool]
    """Whether there is a connection to ask over; without one the connects themselves are the evidence."""
    on_result: Callable[[bool, float], None]
    """Told of each probe: whether it succeeded, and the loop's time."""
    replace: Callable[[], None]
    """Give up the present connections: they have not answered for too long."""


class HealthMonitor:
    """Watches dependencies; `report` tells their last known state."""

    def __init__(self, *, emit: Emit, rng: random.Random, wall: Callable[[], float] = time.time) -> None:
        self._emit = emit
        self._rng = rng
        self._wall = wall
        self._servers: dict[str, Status] = {}
        self._others: dict[str, Status] = {}
        self._wakes: dict[str, anyio.Event] = {}
        self._lag = 0.0
        self._notes: dict[type[Event], Callable[[Any], None]] = {
            AttemptFinished: self._note_attempt,
            ConnectStarted: self._note_connecting,
            ConnectionOpened: self._note_opened,
            ConnectFailed: self._note_away,
            ConnectionEnded: self._note_away,
            CircuitChanged: self._note_circuit,
            ServerProbed: self._note_probe,
            ConfigRejected: self._note_refused_file,
            ConfigReloaded: self._note_new_file,
        }

    def __repr__(self) -> str:
        report = self.report()
        states = ", ".join(f"{server.name} {server.state}" for server in report.servers)
        return f"<HealthMonitor {report.state} [{states}]>"

    def report(self) -> HealthReport:
        """The last known state of everything. No I/O."""
        servers = tuple(told(name, status) for name, status in self._servers.items())
        others = tuple(told(name, status) for name, status in self._others.items())
        return HealthReport(summary(servers, others), servers, others, self._lag)

    def server(self, name: str) -> DependencyHealth | None:
        """The last known state of one server; None for one that is not watched."""
        status = self._servers.get(name)
        return None if status is None else told(name, status)

    def add(self, name: str, policy: HealthPolicy) -> None:
        """Know a server; one that is known keeps its state."""
        known = self._servers.get(name)
        if known is None:
            self._servers[name] = Status(policy, self._wall())
        else:
            known.policy = policy

    def remove(self, name: str) -> None:
        """Forget a server."""
        self._servers.pop(name, None)

    async def probe(self, name: str, probe: Probe) -> None:
        """Probe one server now and then, until cancelled."""
        policy, silent = probe.policy, 0
        while True:
            await self._until_due(name, probe)
            if not probe.is_ready():
                continue
            started, reason, answered = anyio.current_time(), "", False
            try:
                with anyio.fail_after(policy.timeout):
                    await probe.ping()
                answered = True
            except TimeoutError:
                reason = f"no sign of life within {policy.timeout:g} s"
                silent += 1
            except Exception as error:  # boundary: a probe may fail in any way, and that is its answer
                reason, answered = str(error) or type(error).__name__, True
            now = anyio.current_time()
            silent = 0 if answered else silent
            probe.on_result(not reason, now)
            self._emit(ServerProbed(now, name, None, not reason, now - started, reason))
            if policy.restart_after and silent >= policy.restart_after:
                silent = 0
                probe.replace()

    async def _until_due(self, name: str, probe: Probe) -> None:
        """Wait for the next round, or for the end of an open circuit's time: it is our probe that may close it."""
        wake = self._wakes.setdefault(name, anyio.Event())
        if probe.recovers_in() is None:
            with anyio.move_on_after(probe.policy.interval * self._rng.uniform(0.8, 1.2)):
                await wake.wait()
        self._wakes[name] = anyio.Event()
        recovers_in = probe.recovers_in()
        if recovers_in is not None:
            await anyio.sleep(max(recovers_in, _RECOVERY_PAUSE))

    async def watch_loop(self) -> None:
        """Measure how late the event loop wakes, until cancelled."""
        while True:
            due = anyio.current_time() + _LAG_INTERVAL
            await anyio.sleep_until(due)
            now = anyio.current_time()
            self._lag = now - due
            if self._lag >= _LAG_TOLD:
                self._emit(LoopLagged(now, self._lag))

    def observe(self, event: Event) -> None:
        """Take note of what live calls, connections and the configuration tell."""
        note = self._notes.get(type(event))
        if note is not None:
            note(event)

    def _note_attempt(self, event: AttemptFinished) -> None:
        if event.delivery is Delivery.ANSWERED:
            status = self._servers.get(event.server)
            if status is not None and status.state != "healthy":
                status.note_good(self._wall())
        elif event.delivery is Delivery.UNKNOWN and event.outcome != "cancelled":
            self._note_bad(event.server, f"a call ended in {event.outcome}")

    def _note_connecting(self, event: ConnectStarted) -> None:
        status = self._servers.get(event.server)
        if status is not None and status.state == "unknown":
            status.reason = "connecting"

    def _note_opened(self, event: ConnectionOpened) -> None:
        # Handshake and listing: two requests were answered.
        self._note_good(event.server, signs=2)

    def _note_away(self, event: ConnectFailed | ConnectionEnded) -> None:
        closed = isinstance(event, ConnectionEnded) and event.deliberate
        if not event.ready and not closed:
            self._note_bad(event.server, event.reason)

    def _note_circuit(self, event: CircuitChanged) -> None:
        if event.new == "open":
            self._note_bad(event.server, f"circuit open: {event.reason}")
            if (wake := self._wakes.get(event.server)) is not None:
                wake.set()

    def _note_probe(self, event: ServerProbed) -> None:
        if event.healthy:
            self._note_good(event.server)
        else:
            self._note_bad(event.server, event.reason)

    def _note_refused_file(self, event: ConfigRejected) -> None:
        status = self._others.setdefault(_CONFIGURATION, Status(_NEVER_DOWN, self._wall()))
        status.note_bad(f"the changed file is not in force: {event.problems[0]}", self._wall())

    def _note_new_file(self, _event: ConfigReloaded) -> None:
        self._others.pop(_CONFIGURATION, None)

    def _note_good(self, server: str, signs: int = 1) -> None:
        status = self._servers.get(server)
        if status is not None:
            status.note_good(self._wall(), signs)

    def _note_bad(self, server: str, reason: str) -> None:
        status = self._servers.get(server)
        if status is not None:
            status.note_bad(reason, self._wall())
