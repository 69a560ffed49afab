"""Connections of callers' own, beside the pool's shared ones: opened at a first call, closed when out of use.

A server of the handshake era asks back on the connection, and says neither which call its question belongs to nor for
whom it is. On a connection that several clients share, a question could be answered by the wrong one. So who can be
asked gets a connection that no other client uses.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import replace

import anyio
from anyio.abc import TaskGroup
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from trunkline.call import Call
from trunkline.endpoint import StdioEndpoint
from trunkline.errors import ServerUnavailable
from trunkline.exchange import Peer
from trunkline.policy import ServerPolicy
from trunkline.pool.connection import Connection
from trunkline.transport.era import PinnedEra
from trunkline.transport.opening import SessionSettings

__all__ = ["OwnConnections"]

_UNUSED = 300.0
"""Seconds without a call after which a connection is closed."""
_AGAIN = 300.0
"""Seconds until a server that does not speak the handshake era is asked whether it does again."""
_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 0.0)
"""Seconds after each try to open one: the server may be restarting. The attempt's own timeout ends it sooner."""
_MOST = {"stdio": 16, "http": 128}
"""Connections at once: each is a process, or a session on the server."""


class OwnConnections:
    """The connections to one endpoint that belong to one client each."""

    def __init__(
        self,
        server: str,
        settings: SessionSettings,
        policy: ServerPolicy,
        *,
        rng: random.Random,
        era: Callable[[], str],
    ) -> None:
        """Open them as the shared ones, which speak `era`; it is empty before the first of those."""
        self._server = server
        self._settings = replace(settings, era="2025-11-25", pinned=PinnedEra())
        self._policy = policy
        self._rng = rng
        self.most = _MOST["stdio" if isinstance(settings.endpoint, StdioEndpoint) else "http"]
        """Connections at once."""
        self._era = era
        self._connections: dict[str, Connection] = {}
        self._tasks: TaskGroup | None = None
        self._stateless_until = -math.inf
        self._is_closed = False
        self._context = Context()

    def __repr__(self) -> str:
        return f"<OwnConnections {self._server} [{len(self._connections)} open]>"

    def run_in(self, tasks: TaskGroup) -> None:
        """Open connections in this group from now on."""
        self._tasks = tasks
        # Not in that of the call that happens to be the first: a connection outlives it, and its logs are its own.
        self._context = copy_context()

    def close(self, reason: str, *, for_good: bool) -> None:
        """Retire every connection, and open no more where that is meant for good."""
        self._is_closed |= for_good
        for connection in list(self._connections.values()):
            connection.retire(reason)

    def release(self, key: str) -> None:
        """Retire the connection of a client that will make no more calls, if there is one."""
        connection = self._connections.get(key)
        if connection is not None:
            connection.retire("its client has left")

    async def find(self, call: Call) -> Connection | None:
        """The connection for a call; None where the shared ones do as well.

        Raises:
            ServerUnavailable: It cannot be had.
        """
        peer = None if call.exchange is None else call.exchange.peer
        if peer is None or peer.key is None or self._is_closed or self._tasks is None:
            return None
        is_stateless = self._policy.era == "2026-07-28" or anyio.current_time() < self._stateless_until
        if is_stateless or not self._policy.interactive:
            return None
        for pause in _PAUSES:
            found = self._connections.get(peer.key)
            if found is None or found.state not in ("opening", "ready"):
                found = self._open(peer.key, peer, call, self._tasks)
            connection = found
            connection.used_at = anyio.current_time()
            await connection.settled.wait()
            if connection.state == "ready":
                return connection
            if connection.was_refused and self._era() in MODERN_PROTOCOL_VERSIONS:
                # It asks nothing back while a call runs: what it wants to know, it answers with.
                self._stateless_until = anyio.current_time() + _AGAIN
                return None
            await anyio.sleep(pause)
            if self._is_closed:
                break
        words = f"server {call.server!r} gave no connection for this client: {connection.reason}"
        raise ServerUnavailable(words, tool=call.name, server=call.server)

    def _open(self, key: str, peer: Peer, call: Call, tasks: TaskGroup) -> Connection:
        if len(self._connections) >= self.most:
            self._make_room(call)
        connection = self._connections[key] = Connection(
            replace(self._settings, capabilities=peer.capabilities),
            self._policy,
            on_ready=_nothing,
            on_change=_nothing,
            on_listing=_nothing,
            on_changed=_nothing,
            rng=self._rng,
        )
        self._context.copy().run(tasks.start_soon, self._run, key, connection)
        return connection

    def _make_room(self, call: Call) -> None:
        """Close the connection that has been out of use for the longest time; one that opens has a call that waits."""
        idle = [
            (connection.used_at, key)
            for key, connection in self._connections.items()
            if connection.state != "opening" and not connection.in_flight
        ]
        if not idle:
            words = f"server {call.server!r} has calls of {self.most} clients under way, each on its own connection"
            raise ServerUnavailable(words, tool=call.name, server=call.server)
        self._connections.pop(min(idle)[1]).retire("another client needed the place")

    async def _run(self, key: str, connection: Connection) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_retire_unused, connection)
                await connection.run()
                tasks.cancel_scope.cancel()
        finally:
            if self._connections.get(key) is connection:
                del self._connections[key]


async def _retire_unused(connection: Connection) -> None:
    left = _UNUSED
    while left > 0:
        with anyio.move_on_after(left):
            await connection.ended.wait()
            return
        left = _UNUSED if connection.in_flight else connection.used_at + _UNUSED - anyio.current_time()
    connection.retire("out of use")


def _nothing(*_: object) -> None:
    """What it has listed, and that it changed, is known from the shared connections."""
