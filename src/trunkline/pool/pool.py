"""The connections to one server, kept open for ever. Sits under the stack: its last service.

One ledger says which connections are opening and ready and how many calls each has; leases move between its columns.
Reconnecting never gives up; calls wait for it, until the server has been away for longer than the pool's patience.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio
from mcp_types import Result, ServerCapabilities, Tool

from trunkline.call import Call
from trunkline.errors import CallError, ServerUnavailable
from trunkline.events import AttemptFinished, ConnectFailed, ConnectionLostEvent, ConnectionOpened, ConnectStarted, Emit
from trunkline.policy import Endpoint, ServerPolicy, StdioEndpoint
from trunkline.pool.connection import Connection
from trunkline.resilience.backoff import full_jitter
from trunkline.transport.era import PinnedEra
from trunkline.transport.opening import SessionSettings

__all__ = ["Pool", "PoolStatistics"]

_PAUSE_WITH_CALLERS = {"stdio": 1.0, "http": 0.25}
"""Seconds: the longest pause between connects while calls wait. Starting a process costs more than a refused connect."""
_SHORT_LIFE = 1.0
"""Seconds: a connection lost sooner counts as a failed connect, or a server that crashes at its first call would be
started again without any pause."""


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """The ledger, now."""

    ready: int
    opening: int
    in_flight: int
    waiting: int
    failures: int
    """Failed connects in a row."""


class Pool:
    """Keeps `policy.pool.connections` connections to one endpoint and lends them to calls."""

    def __init__(
        self,
        server: str,
        endpoint: Endpoint,
        policy: ServerPolicy,
        *,
        replica: str | None = None,
        emit: Emit,
        on_listing: Callable[[Sequence[Tool]], None],
        rng: random.Random,
    ) -> None:
        self.server = server
        self.endpoint = endpoint
        self.replica = replica
        self.reason = ""
        """Why no connection is ready, in words fit to show; empty when one is."""
        self.settled = anyio.Event()
        """Set when the first connection became ready or failed."""
        self.era = ""
        self.capabilities = ServerCapabilities()
        """What the server said it can do at its latest handshake."""
        self.on_ready: Callable[[float], None] = _nobody
        """Told, with the loop's time, of each connection that became ready."""
        self._policy = policy
        self._emit = emit
        self._on_listing = on_listing
        self._rng = rng
        self._settings = SessionSettings(
            endpoint=endpoint,
            era=policy.era,
            pinned=PinnedEra(),
            rng=rng,
            connect_timeout=policy.pool.connect_timeout,
            grace=policy.pool.grace,
        )
        self._connections: list[Connection] = []
        self._waiting = 0
        self._failures = 0
        self._hopeless = False
        self._away_since: float | None = None
        self._next_try = 0.0
        self._changed = anyio.Event()
        self._demand = anyio.Event()
        self._closing = False
        self._closed = anyio.Event()

    def __repr__(self) -> str:
        now = self.statistics()
        return (
            f"<Pool {self.server} [Calls: {now.in_flight} active, {now.waiting} waiting | "
            f"Connections: {now.ready} ready, {now.opening} opening]>"
        )

    def statistics(self) -> PoolStatistics:
        """The ledger, now."""
        states = [connection.state for connection in self._connections]
        return PoolStatistics(
            ready=states.count("ready"),
            opening=states.count("opening"),
            in_flight=sum(connection.in_flight for connection in self._connections),
            waiting=self._waiting,
            failures=self._failures,
        )

    @property
    def is_ready(self) -> bool:
        """Whether a call could be sent at once."""
        return any(connection.state == "ready" for connection in self._connections)

    async def run(self) -> None:
        """Keep the connections open until `close`; the calls under way are given the pool's grace."""
        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(self._policy.pool.connections):
                    tasks.start_soon(self._keep_one, tasks)
        finally:
            self._closed.set()

    def close(self) -> None:
        """Retire every connection and open no more. From any task, any number of times."""
        self._closing = True
        for connection in self._connections:
            connection.retire("the pool was closed")
        self._tell()
        self._demand.set()

    async def wait_closed(self) -> None:
        """Wait until `run` has ended."""
        await self._closed.wait()

    async def send(self, call: Call) -> Result:
        """Lend a connection to one attempt.

        Raises:
            ServerUnavailable: No connection could be had.
            CallFailed: The attempt failed.
        """
        connection = self._best() or await self._wait_for_connection(call)
        connection.in_flight += 1
        started = anyio.current_time()
        outcome = "cancelled"
        try:
            result = await connection.send(call)
            outcome = "tool_error" if getattr(result, "is_error", False) else "ok"
            return result
        except CallError as error:
            outcome = error.code
            raise
        finally:
            connection.in_flight -= 1
            connection.returned()
            now = anyio.current_time()
            if outcome == "cancelled" and now >= anyio.current_effective_deadline():
                outcome = "timeout"
            self._emit(
                AttemptFinished(
                    at=now,
                    call_id=call.id,
                    method=call.method,
                    name=call.name,
                    domain=call.domain,
                    server=self.server,
                    replica=self.replica,
                    outcome=outcome,
                    duration=now - started,
                    delivery=call.delivery,
                )
            )

    async def ping(self) -> None:
        """Ask every ready connection for a sign of life; raises `SessionFailed`."""
        for connection in self._connections:
            if connection.state == "ready":
                await connection.ping()

    def replace(self, reason: str) -> None:
        """Retire the present connections; others take their place at once."""
        for connection in self._connections:
            connection.retire(reason)

    async def wait_ready(self, call: Call) -> None:
        """Wait until a connection is ready; raises `ServerUnavailable` as a call would."""
        if self._best() is None:
            await self._wait_for_connection(call)

    def _best(self) -> Connection | None:
        best: Connection | None = None
        for connection in self._connections:
            if connection.state == "ready" and (best is None or connection.in_flight < best.in_flight):
                best = connection
        return best

    async def _wait_for_connection(self, call: Call) -> Connection:
        self._waiting += 1
        self._demand.set()
        try:
            while (connection := self._best()) is None:
                self._refuse_if_away(call)
                await self._changed.wait()
            return connection
        finally:
            self._waiting -= 1

    def _refuse_if_away(self, call: Call) -> None:
        """Waiting helps while a server restarts; one that stays away is reported at once."""
        now = anyio.current_time()
        away_for = 0.0 if self._away_since is None else now - self._away_since
        if self._closing:
            reason, retry_after = f"server {self.server!r} was removed or is shutting down", None
        elif self._hopeless or (self._failures and away_for >= self._policy.pool.patience):
            reason = f"server {self.server!r} cannot be reached: {self.reason}"
            retry_after = max(0.0, self._next_try - now)
        else:
            return
        raise ServerUnavailable(reason, tool=call.name, server=self.server, retry_after=retry_after)

    def _tell(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def _keep_one(self, tasks: anyio.abc.TaskGroup) -> None:
        while not self._closing:
            started = anyio.current_time()
            self._emit(ConnectStarted(started, self.server, self.replica))
            connection = Connection(
                self._settings, self._policy, on_change=self._tell, on_listing=self._on_listing, rng=self._rng
            )
            self._connections.append(connection)
            tasks.start_soon(self._run, connection)
            await connection.settled.wait()
            if connection.ready_at is not None:
                self._opened(connection, started)
                await connection.ended.wait()
                self._lost(connection)
                if anyio.current_time() - connection.ready_at >= _SHORT_LIFE:
                    continue
            if not self._closing:
                await self._pause_after(connection)

    async def _run(self, connection: Connection) -> None:
        try:
            await connection.run()
        finally:
            self._connections.remove(connection)

    def _opened(self, connection: Connection, started: float) -> None:
        now = anyio.current_time()
        self._failures, self._away_since, self._hopeless = 0, None, False
        self.reason, self.era = "", connection.era
        self.capabilities = connection.capabilities
        self.settled.set()
        self.on_ready(now)
        self._emit(ConnectionOpened(now, self.server, self.replica, connection.era, now - started))

    def _lost(self, connection: Connection) -> None:
        now = anyio.current_time()
        if not self.is_ready:
            self.reason, self._away_since = connection.reason, now
        ready = self.statistics().ready
        self._emit(ConnectionLostEvent(now, self.server, self.replica, connection.reason, connection.in_flight, ready))

    async def _pause_after(self, connection: Connection) -> None:
        now = anyio.current_time()
        pool = self._policy.pool
        delay = full_jitter(pool.base, pool.cap, self._failures, self._rng)
        self._failures += 1
        self._hopeless = connection.hopeless
        self._next_try = now + delay
        if not self.is_ready:
            self.reason = connection.reason
            self._away_since = now if self._away_since is None else self._away_since
        ready = self.statistics().ready
        self._emit(ConnectFailed(now, self.server, self.replica, connection.reason, self._failures, delay, ready))
        self.settled.set()
        self._tell()
        transport = "stdio" if isinstance(self.endpoint, StdioEndpoint) else "http"
        while not self._closing:
            until = self._next_try
            if self._waiting:
                until = min(until, now + _PAUSE_WITH_CALLERS[transport])
            self._demand = anyio.Event()
            with anyio.move_on_after(until - anyio.current_time()):
                await self._demand.wait()
            if anyio.current_time() >= until:
                return


def _nobody(_now: float) -> None:
    """Nobody wants to know."""
