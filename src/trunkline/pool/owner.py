"""A task that belongs to nobody's cancel scope: what lives in it may be started and stopped by different tasks.

A task group must be left by the task that entered it, which frameworks do not promise (a lifespan's start and stop, a
test fixture's two halves). So whatever is long-lived runs in one task of its own, and callers only set events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import current_token

__all__ = ["Owner"]


class Owner:
    """Runs `main(tasks)` inside a task group in a task of its own; `stop` asks `main` to end and waits for all."""

    def __init__(self, main: Callable[[TaskGroup], Awaitable[None]]) -> None:
        self._main = main
        self._started = anyio.Event()
        self._ended = anyio.Event()
        self._error: BaseException | None = None
        self._task: object | None = None
        """None before the start. Held, as asyncio keeps only weak references to tasks."""

    async def start(self) -> None:
        """Start the task and wait until it runs."""
        loop = current_token().native_token
        if isinstance(loop, asyncio.AbstractEventLoop):
            self._task = loop.create_task(self._run(), name="trunkline")
        else:
            import trio  # noqa: PLC0415 - only where trio is the running event loop

            self._task = trio.lowlevel.spawn_system_task(self._run, name="trunkline")
        await self._started.wait()

    async def wait_ended(self) -> None:
        """Wait for the end of `main` and of everything it started; raises what it raised. At once if never started."""
        if self._task is None:
            return
        await self._ended.wait()
        if self._error is not None:
            raise self._error

    async def _run(self) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                self._started.set()
                await self._main(tasks)
        except Exception as error:  # boundary: raised to whoever waits for the end
            self._error = error
        finally:
            self._started.set()
            self._ended.set()
