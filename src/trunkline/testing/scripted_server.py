"""A real MCP server in this process whose every answer is a step of a script, for tests of the stack in front of it.

    server = ScriptedServer(slow(2.0), fail, die)
    async with EnhancedMCPClient({"s": server.endpoint}) as client:
        …

Nothing is started and nothing listens, so minutes of outage pass in milliseconds where the clock is virtual.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server import Server
from mcp.server.context import ServerRequestContext

from trunkline.endpoint import InProcessEndpoint

__all__ = ["ScriptedServer", "Step", "die", "fail", "hang", "progressing", "refuse", "slow", "words"]

Step: TypeAlias = Callable[["ScriptedServer", ServerRequestContext[Any]], Awaitable[str]]
"""What the server does with one attempt; the text it returns is the answer."""


def words(said: str) -> Step:
    """Answer with these words."""

    async def step(_server: ScriptedServer, _context: ServerRequestContext[Any]) -> str:
        return said

    return step


async def hang(_server: ScriptedServer, _context: ServerRequestContext[Any]) -> str:
    """Never answer."""
    await anyio.sleep_forever()
    raise AssertionError("nobody sleeps forever and wakes")


async def die(server: ScriptedServer, _context: ServerRequestContext[Any]) -> str:
    """Take the request, then end the connection. In the handshake era only: the other has none to end."""
    server.end_connection()
    await anyio.sleep_forever()
    raise AssertionError("nobody sleeps forever and wakes")


async def fail(_server: ScriptedServer, _context: ServerRequestContext[Any]) -> str:
    """Answer as a tool that failed."""
    raise _ToolFailed


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


class _ToolFailed(Exception):
    """The tool itself failed."""


class ScriptedServer(Server[dict[str, Any]]):
    """Has two tools, unless told otherwise: `read` may run twice, by its annotation, and `write` must not.

    Each call takes the next step, whatever its tool; when there are no more, it takes `otherwise`.
    """

    def __init__(self, *steps: Step, reads: Sequence[str] = ("read",), writes: Sequence[str] = ("write",)) -> None:
        """Play `steps`; `reads` and `writes` are the names of the tools that may run twice, and that must not."""
        super().__init__(
            "scripted", on_list_tools=self._list, on_call_tool=self._call, lifespan=lambda _server: self._live()
        )
        self.steps = deque(steps)
        self._tools = (*(_tool(name, reads=True) for name in reads), *(_tool(name, reads=False) for name in writes))
        self.otherwise: Step = words("ok")
        """What it does with every attempt beyond the steps."""
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

    @property
    def endpoint(self) -> InProcessEndpoint:
        """Where it is, for a client's settings."""
        return InProcessEndpoint(self)

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
        return types.ListToolsResult(tools=list(self._tools))

    async def _call(
        self, context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        self.executed.append((params.name, anyio.current_time()))
        step = self.steps.popleft() if self.steps else self.otherwise
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        try:
            said = await step(self, context)
        except _ToolFailed:
            return types.CallToolResult(content=[types.TextContent(text="the tool failed")], is_error=True)
        finally:
            self.busy -= 1
        return types.CallToolResult(content=[types.TextContent(text=said)])


def _tool(name: str, *, reads: bool) -> types.Tool:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    return types.Tool(
        name=name, input_schema=schema, annotations=types.ToolAnnotations(read_only_hint=True) if reads else None
    )
