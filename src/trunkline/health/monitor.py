"""The health of every server and of our own loop: probed in the background, read without waiting.

Two kinds of evidence feed one fold: active probes, and what live calls and connections tell as events. Reading does no
I/O, takes no lock and awaits nothing, so a hanging dependency cannot make health hang.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from trunkline.call import Delivery
from trunkline.events import (
    AttemptFinished,
    CallFinished,
    CallStarted,
    CircuitChanged,
    ConfigRejected,
    ConfigReloaded,
    ConnectFailed,
    ConnectionLostEvent,
    ConnectionOpened,
    ConnectStarted,
    Emit,
    Event,
    LoopLagged,
    ServerProbed,
)
from trunkline.health.status import HealthState, Status
from trunkline.policy import HealthPolicy

__all__ = ["DependencyHealth", "HealthMonitor", "HealthReport", "Probe"]

_LAG_INTERVAL = 0.5
"""Seconds between looks at the event loop's own lateness."""
_LAG_TOLD = 0.1
"""Seconds of lateness worth an event; less is everyday scheduling."""
_CONFIGURATION = "configuration"


@dataclass(frozen=True, slots=True)
class DependencyHealth:
    """One dependency, as last known."""

    name: str
    state: HealthState
    since: float
    """Seconds since the epoch."""
    reason: str
    """Empty when healthy."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Everything, as last known."""

    state: HealthState
    """`healthy` when all are; `down` when no server works; `degraded` in between; `unknown` before anything is seen."""
    servers: tuple[DependencyHealth, ...]
    others: tuple[DependencyHealth, ...]
    """Our own parts: the configuration file, when a changed one was refused."""
    loop_lag: float
    """Seconds the event loop woke late at the last look."""

    @property
    def is_ready(self) -> bool:
        """Whether calls can be served: some server works, or none is configured."""
        return not self.servers or any(server.state in ("healthy", "degraded") for server in self.servers)


@dataclass(frozen=True, slots=True)
class Probe:
    """How to ask one server for a sign of life."""

    policy: HealthPolicy
    ping: Callable[[], Awaitable[None]]
    """Raises when there is none."""
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
        self._lag = 0.0

    def __repr__(self) -> str:
        report = self.report()
        states = ", ".join(f"{server.name} {server.state}" for server in report.servers)
        return f"<HealthMonitor {report.state} [{states}]>"

    def report(self) -> HealthReport:
        """The last known state of everything. No I/O."""
        servers = tuple(_told(name, status) for name, status in self._servers.items())
        others = tuple(_told(name, status) for name, status in self._others.items())
        return HealthReport(_summary(servers, others), servers, others, self._lag)

    def server(self, name: str) -> DependencyHealth | None:
        """The last known state of one server; None for one that is not watched."""
        status = self._servers.get(name)
        return None if status is None else _told(name, status)

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
            await anyio.sleep(policy.interval * self._rng.uniform(0.8, 1.2))
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
        """Take note of what live calls and connections tell."""
        match event:
            case CallStarted() | CallFinished():
                pass  # First, because there is no cheaper way to pass over what comes most often.
            case AttemptFinished(delivery=Delivery.ANSWERED):
                status = self._servers.get(event.server)
                if status is not None and status.state != "healthy":
                    status.note_good(self._wall())
            case AttemptFinished(delivery=Delivery.UNKNOWN, outcome="timeout" | "AttemptTimeout" | "ConnectionLost"):
                self._bad(event.server, f"a call ended in {event.outcome}")
            case ConnectStarted():
                status = self._servers.get(event.server)
                if status is not None and status.state == "unknown":
                    status.reason = "connecting"
            case ConnectionOpened():
                # Handshake and listing: two requests were answered.
                if (status := self._servers.get(event.server)) is not None:
                    status.note_good(self._wall(), signs=2)
            case ConnectFailed(ready=0) | ConnectionLostEvent(ready=0):
                self._bad(event.server, event.reason)
            case CircuitChanged(new="open"):
                self._bad(event.server, f"circuit open: {event.reason}")
            case ServerProbed(healthy=True):
                if (status := self._servers.get(event.server)) is not None:
                    status.note_good(self._wall())
            case ServerProbed(healthy=False):
                self._bad(event.server, event.reason)
            case ConfigRejected():
                policy = HealthPolicy(down_after=1_000_000)
                status = self._others.setdefault(_CONFIGURATION, Status(policy, self._wall()))
                status.note_bad(f"the changed file is not in force: {event.problems[0]}", self._wall())
            case ConfigReloaded():
                self._others.pop(_CONFIGURATION, None)
            case _:
                pass

    def _bad(self, server: str, reason: str) -> None:
        status = self._servers.get(server)
        if status is not None:
            status.note_bad(reason, self._wall())


def _told(name: str, status: Status) -> DependencyHealth:
    return DependencyHealth(name, status.state, status.since, status.reason)


def _summary(servers: tuple[DependencyHealth, ...], others: tuple[DependencyHealth, ...]) -> HealthState:
    states = {server.state for server in servers}
    if states == {"unknown"}:
        return "unknown"
    if states and states <= {"down", "unknown"}:
        return "down"
    if states <= {"healthy"} and not others:
        return "healthy"
    return "degraded"
