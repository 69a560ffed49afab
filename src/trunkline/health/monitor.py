"""The health of everything we depend on, and of our own loop: probed in the background, read without waiting.

Two kinds of evidence feed one fold: active probes, and what live calls and connections tell as events. Reading does no
I/O, takes no lock and awaits nothing, so a hanging dependency cannot make health hang.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio

from trunkline.events import CircuitChanged, DependencyProbed, Emit, Event, LoopLagged, ServerProbed
from trunkline.health.fold import HealthFold
from trunkline.health.report import DependencyHealth, HealthReport, summary
from trunkline.policy import HealthPolicy

__all__ = ["HealthMonitor", "Probe"]

_LAG_INTERVAL = 0.5
"""Seconds between looks at the event loop's own lateness."""
_LAG_TOLD = 0.1
"""Seconds of lateness worth an event; less is everyday scheduling."""
_RECOVERY_PAUSE = 0.2
"""Seconds, at least, between probes of a server whose circuit is not closed."""


@dataclass(frozen=True, slots=True)
class Probe:
    """How to ask one replica of a server for a sign of life."""

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


@dataclass(frozen=True, slots=True)
class _Finding:
    reason: str
    """Why it is not well; empty when it is."""
    has_answered: bool
    duration: float


class HealthMonitor:
    """Watches dependencies; `report` tells their last known state."""

    def __init__(self, *, emit: Emit, rng: random.Random, wall: Callable[[], float] = time.time) -> None:
        self._emit = emit
        self._rng = rng
        self._known = HealthFold(wall)
        self._wakes: dict[tuple[str, str | None], anyio.Event] = {}
        self._lag = 0.0

    def __repr__(self) -> str:
        report = self.report()
        states = ", ".join(f"{part.name} {part.state}" for part in (*report.servers, *report.others))
        return f"<HealthMonitor {report.state} [{states}]>"

    def report(self) -> HealthReport:
        """The last known state of everything. No I/O."""
        servers, others = self._known.servers(), self._known.others()
        return HealthReport(summary(servers, others), servers, others, self._lag)

    def server(self, name: str) -> DependencyHealth | None:
        """The last known state of one server; None for one that is not watched."""
        return self._known.server(name)

    def add(self, name: str, policy: HealthPolicy, replicas: Sequence[str | None] = (None,)) -> None:
        """Know a server and its replicas, None for a lone one; those that are known keep their state."""
        self._known.add(name, policy, replicas)

    def remove(self, name: str) -> None:
        """Forget a server."""
        self._known.remove(name)

    @property
    def kinds(self) -> frozenset[type[Event]]:
        """The events that tell it anything."""
        return self._known.kinds | {CircuitChanged}

    def observe(self, event: Event) -> None:
        """Take note of what live calls, connections and the configuration tell."""
        self._known.observe(event)
        if isinstance(event, CircuitChanged) and event.new == "open":
            wake = self._wakes.get((event.server, event.replica))
            if wake is not None:
                wake.set()

    async def probe(self, name: str, replica: str | None, probe: Probe) -> None:
        """Probe one replica of a server now and then, until cancelled."""
        policy, silent = probe.policy, 0
        while True:
            await self._until_due((name, replica), probe)
            if not probe.is_ready():
                continue
            found = await _ask(probe.ping, policy.timeout)
            now = anyio.current_time()
            silent = 0 if found.has_answered else silent + 1
            probe.on_result(not found.reason, now)
            self._emit(ServerProbed(now, name, replica, not found.reason, found.duration, found.reason))
            if policy.restart_after and silent >= policy.restart_after:
                silent = 0
                probe.replace()

    async def watch(self, name: str, check: Callable[[], Awaitable[None]], policy: HealthPolicy) -> None:
        """Probe something that is no MCP server (a shared cache, an exporter) now and then, until cancelled.

        `check` raises when it is not well. Such a dependency may degrade the whole, and never makes it unready: calls
        are served without it.
        """
        self._known.add_other(name, policy)
        while True:
            found = await _ask(check, policy.timeout)
            now = anyio.current_time()
            self._emit(DependencyProbed(now, name, not found.reason, found.duration, found.reason))
            await anyio.sleep(self._jittered(policy.interval))

    async def _until_due(self, key: tuple[str, str | None], probe: Probe) -> None:
        """Wait for the next round, or for the end of an open circuit's time: it is our probe that may close it."""
        wake = self._wakes.setdefault(key, anyio.Event())
        if probe.recovers_in() is None:
            with anyio.move_on_after(self._jittered(probe.policy.interval)):
                await wake.wait()
        self._wakes[key] = anyio.Event()
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

    def _jittered(self, interval: float) -> float:
        return interval * self._rng.uniform(0.8, 1.2)


async def _ask(question: Callable[[], Awaitable[None]], timeout: float) -> _Finding:
    started, reason = anyio.current_time(), ""
    with anyio.move_on_after(timeout) as scope:
        try:
            await question()
        except Exception as error:  # boundary: a probe may fail in any way, and that is its answer
            reason = str(error) or type(error).__name__
    if scope.cancelled_caught:
        reason = f"no sign of life within {timeout:g} s"
    return _Finding(reason, not scope.cancelled_caught, anyio.current_time() - started)
