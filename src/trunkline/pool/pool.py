"""The connections to one server, lent to calls. Sits under the stack: its last service.

Reconnecting never gives up; calls wait for it, until the server has been away for longer than the pool's patience.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import anyio
from mcp_types import Result, ServerCapabilities, Tool

from trunkline import clock
from trunkline.call import Call
from trunkline.endpoint import Endpoint, StdioEndpoint, place_of
from trunkline.errors import CallError, ServerUnavailable
from trunkline.events import Emit, ListingChanged, ResourceUpdated
from trunkline.exchange import waited_in
from trunkline.policy import ServerPolicy
from trunkline.pool.attempt import attempt_finished
from trunkline.pool.connection import Connection
from trunkline.pool.keeper import Keeper
from trunkline.pool.ledger import Ledger, PoolStatistics
from trunkline.pool.outage import Outage
from trunkline.pool.own import OwnConnections
from trunkline.pool.subscribing import Watched
from trunkline.transport.authorization.authorizing import Authorization
from trunkline.transport.changes import Listing, announced
from trunkline.transport.era import PinnedEra
from trunkline.transport.opening import SessionSettings

__all__ = ["Pool"]

_PAUSE_WITH_CALLERS = 0.1
"""Seconds between connects while calls wait."""
_PAUSE_WITH_CALLERS_STDIO = 1.0
"""The same where each connect starts a process, which costs more than being refused."""


def _nobody(_now: float) -> None:
    """Nobody wants to know."""


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
        self.replica = replica
        self.settled = anyio.Event()
        """Set when the first connection became ready or failed."""
        self.era = ""
        """Protocol version of the latest connection."""
        self.capabilities = ServerCapabilities()
        """What the server said it can do at its latest handshake."""
        self.watched = Watched()
        """Resources whose updates are told of."""
        self.on_ready: Callable[[float], None] = _nobody
        """Told, with the loop's time, of each connection that became ready."""
        self._endpoint = endpoint
        self._place = place_of(endpoint, server, replica)
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
            authorization=Authorization(endpoint, rng),
        )
        self._ledger = Ledger()
        self._outage = Outage(policy.pool, rng)
        self.own = OwnConnections(server, self._settings, policy, rng=rng, era=lambda: self.era)
        """Connections that belong to one client each."""

    def __repr__(self) -> str:
        now = self.statistics()
        return (
            f"<Pool {self.server} [Calls: {now.in_flight} active, {now.waiting} waiting | "
            f"Connections: {now.ready} ready, {now.opening} opening]>"
        )

    def statistics(self) -> PoolStatistics:
        """The ledger, now."""
        return self._ledger.statistics(self._outage.failures)

    @property
    def reason(self) -> str:
        """Why no connection is ready, in words fit to show; empty when one is."""
        return self._outage.reason

    @property
    def is_ready(self) -> bool:
        """Whether a call could be sent at once."""
        return self._ledger.best() is not None

    async def run(self) -> None:
        """Keep the connections open until `close`; the calls under way are then given the pool's grace."""
        is_stdio = isinstance(self._endpoint, StdioEndpoint)
        async with self._settings.authorization.running(), anyio.create_task_group() as tasks:
            self.own.run_in(tasks)
            for _ in range(self._policy.pool.connections):
                keeper = Keeper(
                    self.server,
                    self.replica,
                    ledger=self._ledger,
                    outage=self._outage,
                    make=self._new_connection,
                    on_opened=self._learn,
                    on_settled=self.settled.set,
                    pause_with_callers=_PAUSE_WITH_CALLERS_STDIO if is_stdio else _PAUSE_WITH_CALLERS,
                    emit=self._emit,
                )
                tasks.start_soon(keeper.run, tasks)

    def close(self) -> None:
        """Retire every connection and open no more. From any task, any number of times."""
        self._ledger.close("the pool was closed")
        self.own.close("the pool was closed", for_good=True)
        self.settled.set()

    async def send(self, call: Call) -> Result:
        """Lend a connection to one attempt.

        Raises:
            ServerUnavailable: No connection could be had.
            ToolRefused: What the server lists by now is not what was accepted.
            CallFailed: The attempt failed.
        """
        connection = self._ledger.best() or await self._wait_for_connection(call)
        if call.exchange is not None:  # only now: the shared ones tell whether the server is there at all
            connection = await self.own.find(call) or self._ledger.best() or connection
        if call.recheck is not None:
            call.recheck(self.server, call.target)
        self._ledger.lend(connection)
        started, waited = clock.now(), waited_in(call.exchange)
        outcome, failure = "cancelled", None
        span = None if call.span is None else call.span.attempt(call, self._place, connection.era)
        try:
            result = await connection.send(call)
            outcome = "tool_error" if getattr(result, "is_error", False) else "ok"
            return result
        except CallError as error:
            outcome, failure = error.code, error
            raise
        finally:
            self._ledger.take_back(connection)
            # The time in which somebody was asked is not the server's.
            began = started + waited_in(call.exchange) - waited
            ended = attempt_finished(call, self._place, began, outcome, failure)
            connection.used_at = ended.at
            self._emit(ended)
            if span is not None:
                span.end(ended.outcome, failure)

    async def ping(self) -> None:
        """Ask every ready connection for a sign of life; raises `SessionFailed`."""
        for connection in list(self._ledger.connections):
            if connection.state == "ready":
                await connection.ping()

    def replace(self, reason: str) -> None:
        """Retire the present connections; others take their place at once."""
        for connection in list(self._ledger.connections):
            connection.retire(reason)
        self.own.close(reason, for_good=False)

    async def wait_ready(self, call: Call) -> None:
        """Wait until a connection is ready; raises `ServerUnavailable` as a call would."""
        if not self.is_ready:
            await self._wait_for_connection(call)

    def _new_connection(self, on_ready: Callable[[Connection], None]) -> Connection:
        return Connection(
            self._settings,
            self._policy,
            on_ready=on_ready,
            on_change=self._ledger.tell,
            on_listing=self._on_listing,
            on_changed=self._tell_change,
            rng=self._rng,
            watched=self.watched,
        )

    def _tell_change(self, listing: Listing, uri: str | None) -> None:
        now = clock.now()
        if uri is not None:
            self._emit(ResourceUpdated(now, self.server, self.replica, uri))
        elif listing != "tools":  # those are listed again, and the registry tells what differs
            self._emit(ListingChanged(now, self.server, self.replica, listing))

    def _learn(self, connection: Connection) -> None:
        if self.era and self._ledger.ready <= 1:
            # Between two connections nobody heard anything.
            for listing in announced(connection.capabilities):
                self._tell_change(listing, None)
        self.era, self.capabilities = connection.era, connection.capabilities
        self.on_ready(clock.now())

    async def _wait_for_connection(self, call: Call) -> Connection:
        ledger = self._ledger
        ledger.waiting += 1
        ledger.demand.set()
        try:
            while (connection := ledger.best()) is None:
                self._refuse_if_away(call)
                await ledger.changed.wait()
            return connection
        finally:
            ledger.waiting -= 1

    def _refuse_if_away(self, call: Call) -> None:
        """Waiting helps while a server restarts; one that stays away is reported at once."""
        now = clock.now()
        if self._ledger.is_closing:
            reason, retry_after = f"server {self.server!r} was removed or is shutting down", None
        elif self._outage.is_given_up(now):
            reason = f"server {self.server!r} cannot be reached: {self.reason}"
            retry_after = max(0.0, self._outage.next_try - now)
        else:
            return
        raise ServerUnavailable(reason, tool=call.name, server=self.server, retry_after=retry_after)
