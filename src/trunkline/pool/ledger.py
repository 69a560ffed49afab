"""The pool's one ledger: which connections are opening and ready, how many calls each has, and who waits."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from trunkline.pool.connection import Connection

__all__ = ["Ledger", "PoolStatistics"]


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """The ledger, now."""

    ready: int
    opening: int
    in_flight: int
    waiting: int
    failures: int
    """Failed connects in a row."""


@dataclass(slots=True)
class Ledger:
    """Leases move between its columns; nothing else counts connections or calls."""

    connections: list[Connection] = field(default_factory=list)
    waiting: int = 0
    """Calls that wait for a connection."""
    is_closing: bool = False
    changed: anyio.Event = field(default_factory=anyio.Event)
    """Set, and replaced, whenever a waiting call should look again."""
    demand: anyio.Event = field(default_factory=anyio.Event)
    """Set when a call begins to wait, or when the pool closes."""

    @property
    def ready(self) -> int:
        """Connections that take calls."""
        return sum(connection.state == "ready" for connection in self.connections)

    def best(self) -> Connection | None:
        """The ready connection with the fewest calls."""
        best: Connection | None = None
        for connection in self.connections:
            if connection.state == "ready" and (best is None or connection.in_flight < best.in_flight):
                best = connection
        return best

    def lend(self, connection: Connection) -> None:
        """A call is handed to this connection."""
        connection.in_flight += 1

    def take_back(self, connection: Connection) -> None:
        """The call has ended."""
        connection.in_flight -= 1
        connection.returned()

    def tell(self) -> None:
        """Let every waiting call look again."""
        changed, self.changed = self.changed, anyio.Event()
        changed.set()

    def close(self, reason: str) -> None:
        """Retire everything and wake everybody."""
        self.is_closing = True
        for connection in self.connections:
            connection.retire(reason)
        self.tell()
        self.demand.set()

    def statistics(self, failures: int) -> PoolStatistics:
        """The numbers, now."""
        return PoolStatistics(
            ready=self.ready,
            opening=sum(connection.state == "opening" for connection in self.connections),
            in_flight=sum(connection.in_flight for connection in self.connections),
            waiting=self.waiting,
            failures=failures,
        )
