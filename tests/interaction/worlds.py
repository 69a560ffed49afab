"""A real SDK server that does what the test says, attempt by attempt, and a real client in front of it."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server import Server
from mcp.server.context import ServerRequestContext

from trunkline import (
    CallError,
    EnhancedMCPClient,
    HealthPolicy,
    InProcessEndpoint,
    RetryPolicy,
    ServerPolicy,
    ServerSettings,
)
from trunkline.events import Event
from trunkline.policy import Era
from trunkline.replica import Replica
from trunkline.server_stack import ServerStack

Step = Callable[["ScriptedServer", ServerRequestContext[Any]], Awaitable[str]]
"""What the server does with one attempt; the text it returns is the answer."""

EventT = TypeVar("EventT", bound=Event)
ErrorT = TypeVar("ErrorT", bound=CallError)

QUIET = HealthPolicy(enabled=False)
"""No probes: nothing but calls tells of the server."""
ONCE = RetryPolicy(enabled=False)
BOUND = 3600.0
"""Virtual seconds any scenario may take."""


async def hang(_server: ScriptedServer, _context: ServerRequestContext[Any]) -> str:
    """Never answer."""
    await anyio.sleep_forever()
    raise AssertionError


async def die(server: ScriptedServer, _context: ServerRequestContext[Any]) -> str:
    """Take the request, then end the connection. In the handshake era only: the other has none to end."""
    server.end_connection()
    await anyio.sleep_forever()
    raise AssertionError


async def fail(_server: ScriptedServer, _context: ServerRequestContext[Any]) -> str:
    """Answer as a tool that failed."""
    raise ToolFailed


def slow(seconds: float) -> Step:
    """Answer after a while."""

    async def step(_server: ScriptedServer, _context: ServerRequestContext[Any]) -> str:
        await anyio.sleep(seconds)
        return "slow"

    return step


def refuse(code: int) -> Step:
    """Answer with an error of the protocol."""

    async def step(_server: ScriptedServer, _context: ServerRequestContext[Any]) -> str:
        raise MCPError(code, "refused")

    return step


def progressing(steps: int, every: float) -> Step:
    """Tell of progress now and then, and answer in the end."""

    async def step(_server: ScriptedServer, context: ServerRequestContext[Any]) -> str:
        for number in range(1, steps + 1):
            await anyio.sleep(every)
            await context.session.report_progress(number, steps)
        return "done"

    return step


class ToolFailed(Exception):
    """The tool itself failed."""


class ScriptedServer(Server[dict[str, Any]]):
    """Has two tools: `read` may run twice, `write` must not. Each call takes the next step, or answers at once."""

    def __init__(self, *steps: Step) -> None:
        super().__init__(
            "scripted", on_list_tools=self._list, on_call_tool=self._call, lifespan=lambda _server: self._live()
        )
        self.steps = deque(steps)
        self.executed: list[tuple[str, float]] = []
        """The tool and the loop's time of each attempt that reached the server."""
        self.startup = 0.0
        """Seconds a new connection takes to be ready."""
        self.is_down = False
        """Whether new connections are refused."""
        self.peak = 0
        """Most attempts it had at once."""
        self.busy = 0
        """Attempts it has now."""
        self._life = anyio.CancelScope()
        self.is_silent = False
        """Whether pings of the handshake era go unanswered."""
        self.add_request_handler("ping", types.RequestParams, self._ping)

    def end_connection(self) -> None:
        """End the present connection, as a crash would."""
        self._life.cancel()

    async def run(self, *args: Any, **options: Any) -> None:
        """Serve one connection of the handshake era until it is ended from either side."""
        with anyio.CancelScope() as self._life:
            await super().run(*args, **options)

    @asynccontextmanager
    async def _live(self) -> AsyncGenerator[dict[str, Any], None]:
        if self.is_down:
            raise ConnectionRefusedError("the server is down")
        await anyio.sleep(self.startup)
        yield {}

    async def _ping(self, _context: object, _params: object) -> types.EmptyResult:
        if self.is_silent:
            await anyio.sleep_forever()
        return types.EmptyResult()

    async def _list(self, _context: object, _params: object) -> types.ListToolsResult:
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
        reading = types.ToolAnnotations(read_only_hint=True)
        return types.ListToolsResult(
            tools=[
                types.Tool(name="read", input_schema=schema, annotations=reading),
                types.Tool(name="write", input_schema=schema),
            ]
        )

    async def _call(
        self, context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        self.executed.append((params.name, anyio.current_time()))
        step = self.steps.popleft() if self.steps else None
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        try:
            said = "ok" if step is None else await step(self, context)
        except ToolFailed:
            return types.CallToolResult(content=[types.TextContent(text="the tool failed")], is_error=True)
        finally:
            self.busy -= 1
        return types.CallToolResult(content=[types.TextContent(text=said)])


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
    settings = ServerSettings("s", InProcessEndpoint(server), policy)
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
