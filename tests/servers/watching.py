"""What integration tests see of a client: its events, and conditions that come true in bounded time."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio
from mcp_types import TextContent

from trunkline import EnhancedMCPClient, Infrastructure, StdioEndpoint, ToolResult
from trunkline.events import Event
from trunkline.testing.processes import Option, stdio_command

PATIENCE = 60.0
"""Seconds any condition may take to come true: far more than it needs, on any machine."""
_LOOK = 0.01
"""Seconds between two looks."""

EventT = TypeVar("EventT", bound=Event)


async def eventually(
    condition: Callable[[], object], *, within: float = PATIENCE, told: Callable[[], object] = str
) -> None:
    """Wait until `condition` holds; fails with what `told` says when it does not in time."""
    end = anyio.current_time() + within
    while not condition():
        assert anyio.current_time() < end, f"it has not come true within {within:g} s: {told()}"
        await anyio.sleep(_LOOK)


class Record:
    """An observer that keeps every event, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __repr__(self) -> str:
        return f"<Record [{len(self.events)} events]>"

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[EventT], **fields: Any) -> list[EventT]:
        """The events of one kind whose fields have these values."""
        return [
            event
            for event in self.events
            if isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items())
        ]

    async def until(self, kind: type[EventT], *, count: int = 1, **fields: Any) -> EventT:
        """Wait for the `count`-th such event."""
        await eventually(
            lambda: len(self.of(kind, **fields)) >= count, told=lambda: (kind.__name__, fields, self.events[-10:])
        )
        return self.of(kind, **fields)[count - 1]


def shell(script: str, *args: str | Path, **options: Option) -> StdioEndpoint:
    """A shell script in front of the faulty server: `"$@"` in it is the server's command, `$0` the first of `args`."""
    program, arguments = stdio_command(**options)
    zeroth, *rest = [str(arg) for arg in args] or ["sh"]
    return StdioEndpoint("sh", ("-c", script, zeroth, *rest, program, *arguments))


def text_of(result: ToolResult) -> str:
    """The one text of a result."""
    assert not result.is_error, result.content
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def reason_of(client: EnhancedMCPClient | Infrastructure, server: str) -> str:
    """What health says is wrong with a server."""
    return str(_health(client, server).reason)


def state_of(client: EnhancedMCPClient | Infrastructure, server: str) -> str:
    """What health says a server is."""
    return str(_health(client, server).state)


def _health(client: EnhancedMCPClient | Infrastructure, server: str) -> Any:
    monitor = client.health if isinstance(client, Infrastructure) else client.monitor
    found = monitor.server(server)
    assert found is not None, f"{server} is not watched"
    return found


def is_running(pid: int) -> bool:
    """Whether a process lives; one that is dead and not reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children() -> dict[int, str]:
    """Live child processes of this one, with their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == os.getpid() and is_running(int(entry.name)):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def children_of(marker: str | Path) -> list[int]:
    """Live child processes whose command line holds `marker`."""
    return [pid for pid, command in children().items() if str(marker) in command]
