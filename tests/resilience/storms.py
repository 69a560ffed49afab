"""Storms for the reliability promises: many callers, a server that is killed again and again, and two ledgers.

What the callers were told is compared with what the server's own journal says was done.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from trunkline import CallError, CallRejected, EnhancedMCPClient

__all__ = ["Ledger", "child_pids", "kill_children_every", "storm"]


@dataclass(slots=True)
class Ledger:
    """What callers were told, by operation."""

    succeeded: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    """Told that it was never sent, or that the server refused it."""
    uncertain: set[str] = field(default_factory=set)
    """Told that it may have run."""
    errors: Counter[str] = field(default_factory=Counter)
    """Failures by class."""

    @property
    def calls(self) -> int:
        """All calls that ended."""
        return len(self.succeeded) + len(self.rejected) + len(self.uncertain)

    @property
    def success_ratio(self) -> float:
        """Share of calls that succeeded."""
        return len(self.succeeded) / max(1, self.calls)


async def storm(
    client: EnhancedMCPClient, tool: str, ledger: Ledger, *, callers: int, seconds: float, delay_ms: int = 5
) -> None:
    """Call `tool` from many tasks for a while, each operation under an id of its own."""
    end = anyio.current_time() + seconds

    async def caller(number: int) -> None:
        serial = 0
        while anyio.current_time() < end:
            serial += 1
            op = f"{number}-{serial}"
            try:
                result = await client.call_tool(tool, {"op": op, "delay_ms": delay_ms})
            except CallError as error:
                ledger.errors[error.code] += 1
                (ledger.uncertain if error.may_have_run else ledger.rejected).add(op)
                assert not (isinstance(error, CallRejected) and error.may_have_run), "a rejection that may have run"
            else:
                assert not result.is_error, result.content
                ledger.succeeded.add(op)

    async with anyio.create_task_group() as tasks:
        for number in range(callers):
            tasks.start_soon(caller, number)


def child_pids(marker: str) -> list[int]:
    """Live children of this process whose command line holds `marker`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            if parent == os.getpid() and marker in command:
                found.append(int(entry.name))
    return found


async def kill_children_every(seconds: float, marker: str, *, until: Callable[[], bool]) -> int:
    """SIGKILL every such child each `seconds`; returns how many were killed."""
    killed = 0
    while not until():
        await anyio.sleep(seconds)
        for pid in child_pids(marker):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
    return killed
