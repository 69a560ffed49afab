"""The callers of the tour: domain services that read and write through the client, as an application would."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import anyio
from anyio.abc import TaskGroup

from trunkline.call import ToolResult
from trunkline.cli.tour.ledger import Ledger, Outcome, Told
from trunkline.errors import CallError
from trunkline.mcp_client import EnhancedMCPClient
from trunkline.testing import faults

__all__ = ["Callers"]

_PAUSE = 0.1
"""Seconds between two calls of one caller, drawn from half to one and a half of it."""
_WORK = 20
"""Milliseconds a server takes for each call, so that a kill finds some of them under way."""
_QUESTIONS = 20
"""Different orders that are asked about."""


class Callers:
    """Three domains: `catalogue` searches, `support` asks for orders and takes notes, `checkout` places orders."""

    def __init__(self, client: EnhancedMCPClient, ledger: Ledger, rng: random.Random) -> None:
        self.ledger = ledger
        self._client = client
        self._rng = rng
        self._serial = 0
        self._is_ending = False

    def start(self, tasks: TaskGroup) -> None:
        """Begin to call; twelve callers in all."""
        for caller, count in ((self._search, 4), (self._ask, 3), (self._place, 4), (self._note, 1)):
            for _ in range(count):
                tasks.start_soon(self._repeat, caller)

    def end(self) -> None:
        """Let each caller finish the call it makes, and stop."""
        self._is_ending = True

    async def crash_notes(self) -> None:
        """Take a note that is written, and whose server dies before it can say so."""
        await self._write("notes", faults.crash_after(self._named("note")), "support", tool="fault")

    async def _repeat(self, caller: Callable[[], Awaitable[None]]) -> None:
        while not self._is_ending:
            await caller()
            await anyio.sleep(_PAUSE * self._rng.uniform(0.5, 1.5))

    async def _search(self) -> None:
        await self._read("search", "catalogue")

    async def _ask(self) -> None:
        await self._read("orders", "support")

    async def _note(self) -> None:
        await self._write("notes", self._work(self._named("note")), "support")

    async def _place(self) -> None:
        """Place an order: again while it is refused, for it has not run then; never when it may have run."""
        order = self._work(self._named("order"))
        while await self._write("orders", order, "checkout") == "refused":
            if self._is_ending:
                return
            await anyio.sleep(_PAUSE)

    async def _read(self, server: str, domain: str) -> None:
        arguments = self._work(f"question-{self._rng.randrange(_QUESTIONS)}")
        started = anyio.current_time()
        try:
            result = await self._call(f"{server}_lookup", arguments, domain)
        except CallError:
            self._tell(server, started, "failed")
        else:
            # Nothing stale is served here but for want of an answer; degraded alone is one of a weak replica.
            self._tell(server, started, "kept" if result.provenance.cache == "stale" else "ok")

    async def _write(self, server: str, arguments: dict[str, Any], domain: str, *, tool: str = "append") -> Outcome:
        op, started = arguments["op"], anyio.current_time()
        outcome: Literal["ok", "refused", "unknown"] = "ok"
        self.ledger.waiting.discard(op)
        try:
            await self._call(f"{server}_{tool}", arguments, domain)
        except CallError as error:
            outcome = "unknown" if error.may_have_run else "refused"
        kept = {"ok": self.ledger.placed, "unknown": self.ledger.unknown, "refused": self.ledger.waiting}
        kept[outcome].add(op)
        return self._tell(server, started, outcome, writes=True)

    async def _call(self, tool: str, arguments: dict[str, Any], domain: str) -> ToolResult:
        return await self._client.call_tool(tool, arguments, domain=domain)

    def _tell(self, server: str, started: float, outcome: Outcome, *, writes: bool = False) -> Outcome:
        now = anyio.current_time()
        self.ledger.calls.append(Told(now, server, writes, outcome, now - started))
        return outcome

    def _named(self, what: str) -> str:
        self._serial += 1
        return f"{what}-{self._serial}"

    def _work(self, op: str) -> dict[str, Any]:
        return {"op": op, "delay_ms": _WORK}
