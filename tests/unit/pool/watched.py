"""A connection under observation: its states, its listings and what else it tells, and a task that runs it."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio
from mcp_types import Tool

from trunkline import PoolPolicy, ServerPolicy
from trunkline.endpoint import Endpoint
from trunkline.policy import Era
from trunkline.pool import subscribing
from trunkline.pool.connection import Connection
from trunkline.transport.authorization.authorizing import Authorization
from trunkline.transport.changes import Listing
from trunkline.transport.era import PinnedEra
from trunkline.transport.opening import SessionSettings

POLICY = ServerPolicy(pool=PoolPolicy(connect_timeout=5.0, grace=3.0), refresh=100.0)


class Watched:
    """A connection, its states, its listings and the changes it was told of."""

    def __init__(
        self,
        endpoint: Endpoint,
        policy: ServerPolicy = POLICY,
        era: Era = "auto",
        resources: subscribing.Watched | None = None,
    ) -> None:
        self.states: list[str] = []
        self.listings: list[list[str]] = []
        self.changes: list[tuple[Listing, str | None]] = []
        self.pinned = PinnedEra()
        pool = policy.pool
        rng = random.Random(1)
        settings = SessionSettings(
            endpoint, era, self.pinned, rng, pool.connect_timeout, pool.grace, Authorization(endpoint, rng)
        )
        self.connection = Connection(
            settings,
            policy,
            on_ready=lambda ready: self.states.append(f"told {ready.state}"),
            on_change=lambda: self.states.append(self.connection.state),
            on_listing=self.note,
            on_changed=lambda listing, uri: self.changes.append((listing, uri)),
            rng=random.Random(1),
            watched=resources,
        )

    def note(self, tools: Sequence[Tool]) -> None:
        self.listings.append([tool.name for tool in tools])


@asynccontextmanager
async def opened(watched: Watched) -> AsyncGenerator[Connection, None]:
    """A connection whose task is cancelled at the end."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watched.connection.run)
        await watched.connection.settled.wait()
        yield watched.connection
        tasks.cancel_scope.cancel()
