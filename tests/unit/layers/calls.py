"""Calls for one layer alone, and services that do what a test says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anyio
import mcp_types as types
from mcp_types import Result

from trunkline.call import Call, Delivery, ToolResult


def a_call(**fields: Any) -> Call:
    """A call of a tool that may run twice, with ten seconds to live; made inside a running event loop."""
    now = anyio.current_time()
    given = {
        "id": "1",
        "method": "tools/call",
        "name": "s_read",
        "arguments": {},
        "domain": "tests",
        "started": now,
        "deadline": now + 10.0,
        "server": "s",
        "target": "read",
        "repeatable": True,
    }
    return Call(**{**given, **fields})


def answer(text: str = "ok", *, is_error: bool = False) -> ToolResult:
    """A result of one text block."""
    return ToolResult(content=[types.TextContent(text=text)], is_error=is_error)


class Scripted:
    """A service that ends each attempt in the next of its outcomes: an error is raised, anything else returned."""

    def __init__(self, outcomes: Iterable[Result | BaseException] = ()) -> None:
        self._outcomes = iter(outcomes)
        self.attempts = 0

    async def __call__(self, call: Call) -> Result:
        self.attempts += 1
        call.attempts += 1
        outcome = next(self._outcomes, answer())
        if isinstance(outcome, BaseException):
            call.delivery = getattr(outcome, "delivery", call.delivery)
            raise outcome
        return outcome


class Hanging:
    """A service that never answers; `sent` says whether the server got the attempt."""

    def __init__(self, *, sent: bool) -> None:
        self._sent = sent
        self.started = anyio.Event()

    async def __call__(self, call: Call) -> Result:
        call.delivery = Delivery.UNKNOWN if self._sent else Delivery.NOT_SENT
        self.started.set()
        await anyio.sleep_forever()
        raise AssertionError
