"""The last known state of every dependency, as a fold over what events tell: probes, live calls and connections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

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
    DependencyProbed,
    Event,
    PinsChecked,
    PinsReloaded,
    ServerProbed,
    SharedCacheFound,
    SharedCacheLost,
)
from trunkline.health.report import DependencyHealth, told, told_together
from trunkline.health.status import Status
from trunkline.policy import HealthPolicy

__all__ = ["SHARED_CACHE", "HealthFold"]

SHARED_CACHE = "redis"
"""The cache that processes share, which tells of itself besides being probed."""
_CONFIGURATION = "configuration"
_PINS = "pins"
"""What was accepted of tools: tools that differ from it, and a file of it that cannot be read."""
_NEVER_DOWN = HealthPolicy(down_after=1_000_000)
"""A refused file or tool degrades: the last good file is in force, and other tools can be called."""


class HealthFold:
    """Knows servers by their replicas, and dependencies of other kinds. Nothing here does I/O."""

    def __init__(self, wall: Callable[[], float]) -> None:
        """Tell times by `wall`, in seconds since the epoch."""
        self._wall = wall
        self._servers: dict[str, dict[str | None, Status]] = {}
        self._others: dict[str, Status] = {}
        self._pins = {"file": "", "tools": ""}
        self._notes: dict[type[Event], Callable[[Any], None]] = {
            AttemptFinished: self._note_attempt,
            ConnectStarted: self._note_connecting,
            ConnectionOpened: self._note_opened,
            ConnectFailed: self._note_away,
            ConnectionEnded: self._note_away,
            CircuitChanged: self._note_circuit,
            ServerProbed: self._note_probe,
            DependencyProbed: self._note_dependency,
            ConfigRejected: self._note_refused_file,
            ConfigReloaded: self._note_new_file,
            PinsChecked: lambda event: self._note_pins("tools", event.reason),
            PinsReloaded: lambda event: self._note_pins("file", event.problem),
            SharedCacheLost: lambda event: self._note_other(SHARED_CACHE, event.reason),
            SharedCacheFound: lambda _: self._note_other(SHARED_CACHE, ""),
        }

    def servers(self) -> tuple[DependencyHealth, ...]:
        """Every server, as last known."""
        return tuple(told_together(name, replicas) for name, replicas in self._servers.items())

    def others(self) -> tuple[DependencyHealth, ...]:
        """Everything else, as last known."""
        return tuple(told(name, status) for name, status in self._others.items())

    def server(self, name: str) -> DependencyHealth | None:
        """One server, as last known; None for an unknown one."""
        replicas = self._servers.get(name)
        return None if replicas is None else told_together(name, replicas)

    def add(self, name: str, policy: HealthPolicy, replicas: Sequence[str | None]) -> None:
        """Know a server and its replicas (None for a lone one); those that are known keep their state."""
        before = self._servers.get(name, {})
        self._servers[name] = {replica: before.get(replica) or Status(policy, self._wall()) for replica in replicas}
        for status in self._servers[name].values():
            status.policy = policy

    def remove(self, name: str) -> None:
        """Forget a server."""
        self._servers.pop(name, None)

    def add_other(self, name: str, policy: HealthPolicy) -> None:
        """Know a dependency that is no MCP server."""
        self._others[name] = Status(policy, self._wall())

    @property
    def kinds(self) -> frozenset[type[Event]]:
        """The events that tell it anything."""
        return frozenset(self._notes)

    def observe(self, event: Event) -> None:
        """Take note of an event."""
        note = self._notes.get(type(event))
        if note is not None:
            note(event)

    def _status(self, server: str, replica: str | None) -> Status | None:
        return self._servers.get(server, {}).get(replica)

    def _note_attempt(self, event: AttemptFinished) -> None:
        if event.delivery is Delivery.ANSWERED:
            status = self._status(event.server, event.replica)
            if status is not None and status.state != "healthy":
                status.note_good(self._wall())
        elif event.delivery is Delivery.UNKNOWN and event.outcome != "cancelled":
            self._note_bad(event.server, event.replica, f"a call ended in {event.outcome}")

    def _note_connecting(self, event: ConnectStarted) -> None:
        status = self._status(event.server, event.replica)
        if status is not None and status.state == "unknown":
            status.reason = "connecting"

    def _note_opened(self, event: ConnectionOpened) -> None:
        # Handshake and listing: two requests were answered.
        self._note_good(event.server, event.replica, signs=2)

    def _note_away(self, event: ConnectFailed | ConnectionEnded) -> None:
        closed = isinstance(event, ConnectionEnded) and event.deliberate
        if not event.ready and not closed:
            self._note_bad(event.server, event.replica, event.reason)

    def _note_circuit(self, event: CircuitChanged) -> None:
        if event.new == "open":
            self._note_bad(event.server, event.replica, f"circuit open: {event.reason}")

    def _note_probe(self, event: ServerProbed) -> None:
        if event.healthy:
            self._note_good(event.server, event.replica)
        else:
            self._note_bad(event.server, event.replica, event.reason)

    def _note_dependency(self, event: DependencyProbed) -> None:
        self._note_other(event.name, "" if event.healthy else event.reason or "not well")

    def _note_other(self, name: str, reason: str) -> None:
        """Why it is not well; empty when it is."""
        status = self._others.get(name)
        if status is None:
            return
        if reason:
            status.note_bad(reason, self._wall())
        else:
            status.note_good(self._wall())

    def _note_refused_file(self, event: ConfigRejected) -> None:
        status = self._others.setdefault(_CONFIGURATION, Status(_NEVER_DOWN, self._wall()))
        status.note_bad(f"the changed file is not in force: {event.problems[0]}", self._wall())

    def _note_new_file(self, _event: ConfigReloaded) -> None:
        self._others.pop(_CONFIGURATION, None)

    def _note_pins(self, what: str, reason: str) -> None:
        self._pins[what] = reason
        told = "; ".join(reason for reason in self._pins.values() if reason)
        if told:
            self._others.setdefault(_PINS, Status(_NEVER_DOWN, self._wall())).note_bad(told, self._wall())
        else:
            self._others.pop(_PINS, None)

    def _note_good(self, server: str, replica: str | None, signs: int = 1) -> None:
        status = self._status(server, replica)
        if status is not None:
            status.note_good(self._wall(), signs)

    def _note_bad(self, server: str, replica: str | None, reason: str) -> None:
        status = self._status(server, replica)
        if status is not None:
            status.note_bad(reason, self._wall())
