"""Keeps one connection open for ever: opens it, waits for its end, pauses, opens the next. Never gives up."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio
from anyio.abc import TaskGroup

from trunkline.events import ConnectFailed, ConnectionEnded, ConnectionOpened, ConnectStarted, Emit
from trunkline.pool.connection import Connection
from trunkline.pool.ledger import Ledger
from trunkline.pool.outage import Outage

__all__ = ["Keeper"]

_SHORT_LIFE = 1.0
"""Seconds: a connection lost sooner counts as a failed connect, or a server that crashes at its first call would be
started again without any pause."""


class Keeper:
    """The supervisor of one place in a pool."""

    def __init__(
        self,
        server: str,
        replica: str | None,
        *,
        ledger: Ledger,
        outage: Outage,
        make: Callable[[Callable[[Connection], None]], Connection],
        on_opened: Callable[[Connection], None],
        on_settled: Callable[[], None],
        pause_with_callers: float,
        emit: Emit,
    ) -> None:
        """Describe the place.

        Args:
            server: Name for events.
            replica: Name for events.
            ledger: Where its connections stand.
            outage: The pool's memory of trouble.
            make: A new connection, which tells its argument when it becomes ready.
            on_opened: Told of each connection that became ready.
            on_settled: Told when a connection became ready or failed.
            pause_with_callers: Seconds: the longest pause between connects while calls wait.
            emit: Where events go.
        """
        self._server = server
        self._replica = replica
        self._ledger = ledger
        self._outage = outage
        self._make = make
        self._on_opened = on_opened
        self._on_settled = on_settled
        self._pause_with_callers = pause_with_callers
        self._emit = emit

    async def run(self, tasks: TaskGroup) -> None:
        """Keep the place filled until the ledger closes; connections run in `tasks`, so that an old one may finish."""
        while not self._ledger.is_closing:
            started = anyio.current_time()
            self._emit(ConnectStarted(started, self._server, self._replica))
            connection = self._make(partial(self._opened, started))
            self._ledger.connections.append(connection)
            tasks.start_soon(self._run, connection)
            await connection.settled.wait()
            if connection.ready_at is not None:
                await connection.ended.wait()
                self._lost(connection, connection.ready_at)
                if anyio.current_time() - connection.ready_at >= _SHORT_LIFE:
                    continue
            if not self._ledger.is_closing:
                await self._pause_after(connection)

    async def _run(self, connection: Connection) -> None:
        try:
            await connection.run()
        finally:
            self._ledger.connections.remove(connection)

    def _opened(self, started: float, connection: Connection) -> None:
        now = anyio.current_time()
        self._outage.over()
        self._on_opened(connection)
        self._on_settled()
        self._emit(ConnectionOpened(now, self._server, self._replica, connection.era, now - started))

    def _lost(self, connection: Connection, ready_at: float) -> None:
        now, ready = anyio.current_time(), self._ledger.ready
        if not ready:
            self._outage.lost(connection.reason, now)
        self._emit(
            ConnectionEnded(
                at=now,
                server=self._server,
                replica=self._replica,
                reason=connection.reason,
                in_flight=connection.in_flight_at_end,
                ready=ready,
                deliberate=connection.was_retired,
                lasted=now - ready_at,
            )
        )

    async def _pause_after(self, connection: Connection) -> None:
        now, ready = anyio.current_time(), self._ledger.ready
        delay = self._outage.failed(connection.reason, now, hopeless=connection.hopeless, has_others=ready > 0)
        failures = self._outage.failures
        self._emit(ConnectFailed(now, self._server, self._replica, connection.reason, failures, delay, ready))
        self._on_settled()
        self._ledger.tell()
        while not self._ledger.is_closing:
            until = now + (min(delay, self._pause_with_callers) if self._ledger.waiting else delay)
            if self._ledger.demand.is_set():  # shared by all keepers: replaced only once it is spent
                self._ledger.demand = anyio.Event()
            with anyio.move_on_after(until - anyio.current_time()):
                await self._ledger.demand.wait()
            if anyio.current_time() >= until:
                return
