"""SIGTERM and Ctrl-C end the gateway; what it started ends with it."""

from __future__ import annotations

import signal
from collections.abc import Callable

import anyio
from anyio.abc import TaskStatus

__all__ = ["call_on_signals"]


async def call_on_signals(
    react: Callable[[signal.Signals], None],
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Call `react` with every SIGINT and SIGTERM, until cancelled."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for number in signals:
            react(number)
