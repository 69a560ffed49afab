"""A real SDK server that does what the test says, attempt by attempt, and a real client in front of it."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import anyio

from trunkline import (
    CallError,
    EnhancedMCPClient,
    HealthPolicy,
    RetryPolicy,
    ServerPolicy,
    ServerSettings,
)
from trunkline.events import Event
from trunkline.policy import Era
from trunkline.replica import Replica
from trunkline.server_stack import ServerStack
from trunkline.testing.scripted_server import ScriptedServer

EventT = TypeVar("EventT", bound=Event)
ErrorT = TypeVar("ErrorT", bound=CallError)

QUIET = HealthPolicy(enabled=False)
"""No probes: nothing but calls tells of the server."""
ONCE = RetryPolicy(enabled=False)
BOUND = 3600.0
"""Virtual seconds any scenario may take."""


class World:
    """One server, its client, and everything the client told."""

    def __init__(self, server: ScriptedServer, client: EnhancedMCPClient, events: list[Event]) -> None:
        self.server = server
        self.client = client
        self.events = events

    @property
    def stack(self) -> ServerStack:
        """The server's own stack."""
        return self.client.fleet.stacks["s"]

    @property
    def replica(self) -> Replica:
        """The one place where the server runs."""
        return self.stack.replicas[0]

    def circuit_state(self) -> str:
        """Of the server's circuit, now."""
        return self.replica.circuit.state

    def told(self, kind: type[EventT]) -> list[EventT]:
        """The events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def lose_connection(self) -> None:
        """Make the client open another connection, in whatever way the era allows."""
        self.replica.pool.replace("replaced by the test")


@asynccontextmanager
async def world(server: ScriptedServer, era: Era, **policies: Any) -> AsyncGenerator[World, None]:
    """A client of one server, `s`, whose annotations are trusted; no probes unless the test asks for them."""
    policy = replace(ServerPolicy(trust_annotations=True, era=era, health=QUIET), **policies)
    settings = ServerSettings("s", server.endpoint, policy)
    events: list[Event] = []
    with anyio.fail_after(BOUND):
        async with EnhancedMCPClient([settings], observers=[events.append], rng=random.Random(7)) as client:
            yield World(server, client, events)


async def error_of(call: Awaitable[object], kind: type[ErrorT]) -> ErrorT:
    """The error a call ends with, which must be of this very class."""
    try:
        result = await call
    except CallError as error:
        assert type(error) is kind, repr(error)
        return error
    raise AssertionError(f"answered: {result!r}")


class Elapsed:
    """Virtual seconds since it was made."""

    def __init__(self) -> None:
        self._since = anyio.current_time()

    def __call__(self) -> float:
        return round(anyio.current_time() - self._since, 6)
