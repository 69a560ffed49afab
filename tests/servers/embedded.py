"""A server of the SDK in this process that can be down, slow to start, or say that its tools have changed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.server.mcpserver import MCPServer

from trunkline.call import Call
from trunkline.endpoint import InProcessEndpoint

FOREVER = 1e9


class Embedded:
    """One server, and what its tests may turn."""

    def __init__(self) -> None:
        self.is_up = True
        self.delay = 0.0
        """Seconds a connection takes to open."""
        self.opened = 0
        """How often somebody tried to connect."""
        self.open_now = 0
        self.running = 0
        """Calls of `wait` under way."""
        self.server = MCPServer("embedded", lifespan=self._lifespan)
        self.server.add_tool(self.wait, name="wait")

    def __repr__(self) -> str:
        return f"<Embedded [{self.open_now} open, {self.running} running]>"

    @property
    def endpoint(self) -> InProcessEndpoint:
        """Where it is."""
        return InProcessEndpoint(self.server)

    @asynccontextmanager
    async def _lifespan(self, _server: object) -> AsyncGenerator[None, None]:
        self.opened += 1
        await anyio.sleep(self.delay)
        if not self.is_up:
            raise OSError("down for repairs")
        self.open_now += 1
        try:
            yield
        finally:
            self.open_now -= 1

    async def wait(self, seconds: float) -> str:
        """Waits, then says so."""
        self.running += 1
        try:
            await anyio.sleep(seconds)
        finally:
            self.running -= 1
        return f"waited {seconds:g} s"


def a_call(tool: str = "wait", *, timeout: float = 60.0, **arguments: Any) -> Call:
    """A call that was routed to a server `s`."""
    now = anyio.current_time()
    return Call(
        id="1",
        method="tools/call",
        name=f"s_{tool}",
        arguments=arguments,
        domain="d",
        started=now,
        deadline=now + timeout,
        server="s",
        target=tool,
    )
