"""One Ctrl-C, or one SIGTERM, ends the gateway; what it started ends with it."""

from __future__ import annotations

import signal
from collections.abc import Callable

import anyio
from anyio.abc import TaskStatus

__all__ = ["call_on_signals"]


async def call_on_signals(
    first: Callable[[], None],
    again: Callable[[], None],
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Call `first` at the first SIGINT or SIGTERM and `again` at every further one, until cancelled."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        react = first
        async for _signal in signals:
            react()
            react = again
