"""A dispatcher for tests of those that stand before one: it notes what it is asked, and answers when it may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
from anyio.abc import TaskStatus
from mcp.shared.dispatcher import CallOptions, Dispatcher, OnNotify, OnNotifyIntercept, OnRequest
from mcp.shared.transport_context import TransportContext

__all__ = ["StandIn"]


class StandIn(Dispatcher[TransportContext]):
    """The inner one."""

    def __init__(self) -> None:
        self.asked: list[CallOptions] = []
        self.notified: list[str] = []
        self.answers = anyio.Event()
        """Until it is set, requests wait."""
        self.ends = anyio.Event()
        """Until it is set, the connection lasts."""

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        self.asked.append(opts or {})
        await self.answers.wait()
        return {"method": method}

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        self.notified.append(method)

    async def run(
        self,
        on_request: OnRequest,
        on_notify: OnNotify,
        on_notify_intercept: OnNotifyIntercept | None = None,
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        task_status.started()
        await self.ends.wait()
