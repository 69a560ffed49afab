"""A pool in front of a server in this process, and a task that runs it."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import anyio
from mcp_types import TextContent

from tests.servers.watching import Record
from trunkline import PoolPolicy, ServerPolicy, ToolResult
from trunkline.endpoint import InProcessEndpoint
from trunkline.pool.pool import Pool

POLICY = ServerPolicy(pool=PoolPolicy(base=0.5, cap=4.0, connect_timeout=5.0, patience=10.0, grace=3.0))


class Reachable(Protocol):
    """A server in this process."""

    @property
    def endpoint(self) -> InProcessEndpoint:
        """Where it is."""
        ...


def a_pool(server: Reachable, record: Record, policy: ServerPolicy = POLICY, **more: Any) -> Pool:
    """A pool of connections to a server called `s`."""
    options: dict[str, Any] = {"on_listing": lambda _tools: None, "rng": random.Random(5), **more}
    return Pool("s", server.endpoint, policy, emit=record, **options)


@asynccontextmanager
async def running(pool: Pool) -> AsyncGenerator[Pool, None]:
    """A pool that is closed at the end, and closes in time."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.run)
        yield pool
        pool.close()
        tasks.cancel_scope.deadline = anyio.current_time() + 60
    assert pool.statistics().ready == 0


def said(result: object) -> str:
    """The one text of a result."""
    assert isinstance(result, ToolResult)
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text
