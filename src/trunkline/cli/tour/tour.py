"""The tour itself: what is done to the servers, and when, while callers go on calling."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import anyio

from trunkline.alerts import Alert
from trunkline.cli.tour.callers import Callers
from trunkline.cli.tour.cast import PATIENCE, Cast
from trunkline.cli.tour.ledger import Ledger, Outcome
from trunkline.cli.tour.telling import Teller, spoken
from trunkline.infrastructure import Infrastructure

__all__ = ["Moments", "Tour"]

_LOOK = 0.02
"""Seconds between looks at a server's health while its death, or its recovery, is waited for."""
_PATIENCE = 30.0
"""Seconds in which what a chapter is about has to be seen, however short the chapter: far more than it takes."""
_STATES = 30
"""Lines of state in a whole tour, where they are not told in place."""
_SHARES = (0.2, 0.2, 0.25, 0.2, 0.15)
"""Of the tour's time, for each chapter; one takes longer where what it is about has not been seen by then."""
_OUTCOMES: Final[Mapping[Outcome, str]] = MappingProxyType(
    {
        "ok": "answered",
        "kept": "from the cache",
        "refused": "refused",
        "unknown": "without an answer",
        "failed": "failed",
    }
)


Ending: TypeAlias = Literal["complete", "interrupted", "unconnected"]


@dataclass(slots=True)
class Moments:
    """When things happened, on the event loop's clock; infinite for what has not happened."""

    began: float = 0.0
    ended: float = float("inf")
    killed: float = float("inf")
    """`orders` was killed."""
    noticed: float = float("inf")
    """Its health was found to be no longer healthy."""
    listening: float = float("inf")
    """It was started again and listens."""
    restarted: float = float("inf")
    """Seconds from the crash of `notes` until it was healthy again."""


class Tour:
    """Runs once; `ledger` and `moments` then hold what there is to tell."""

    def __init__(self, infra: Infrastructure, cast: Cast, seconds: float, teller: Teller) -> None:
        self.ledger = Ledger()
        self.moments = Moments()
        self.alerts: tuple[Alert, ...] = ()
        """Those that fired and were over by the end, the first of them first."""
        self.ending: Ending = "interrupted"
        """What it is until it is known better."""
        self._infra = infra
        self._cast = cast
        self._seconds = seconds
        self._tell = teller
        self._callers = Callers(infra.mcp_client, self.ledger, random.Random())
        self._end = 0.0
        """When the chapter ends, on the loop's clock."""
        self._told = float("inf")
        """When the state was told last; never before the first chapter."""
        self._seen = 0
        """Calls that were there then."""

    async def run(self) -> None:
        """Let callers call, chapter by chapter, for the seconds it was given; not where servers cannot be reached."""
        if not await self._is_soon(
            lambda: {server.state for server in self._infra.health.report().servers} == {"healthy"}
        ):
            self.ending = "unconnected"
            return
        self.moments.began = self._told = anyio.current_time()
        chapters = (self._calm, self._without_a_replica, self._without_orders, self._orders_again, self._crash)
        async with anyio.create_task_group() as tasks:
            self._callers.start(tasks)
            for chapter, share in zip(chapters, _SHARES, strict=True):
                self._end = anyio.current_time() + share * self._seconds
                await chapter()
                await self._pass_time(self._end)
            self._callers.end()
        self.moments.ended = anyio.current_time()
        # Those that are over: at the very end the servers are stopped, and that is no incident.
        self.alerts = tuple(reversed(self._infra.alerts.history()))
        self.ending = "complete"

    async def _calm(self) -> None:
        self._tell.title("[1/5] Everything works")
        self._tell.say(
            "Twelve callers in three domains call tools: catalogue searches, support asks for orders and takes notes, "
            "checkout places orders. Searching may run twice without harm; placing an order must not."
        )

    async def _without_a_replica(self) -> None:
        server = self._cast.search[0]
        self._tell.title("[2/5] One of two replicas is killed")
        self._tell.say(
            f"search has two replicas. One is killed now (SIGKILL, pid {server.pid}). A search may run twice, so calls "
            "that were under way are tried again at the other replica, and callers need not notice."
        )
        await server.kill()
        await self._pass_time((anyio.current_time() + self._end) / 2)
        await server.start()
        self._tell.say("It has been started again at the same address.")

    async def _without_orders(self) -> None:
        server = self._cast.orders
        self._tell.title("[3/5] A server without a replica is killed, in the middle of orders")
        self._tell.say(
            f"orders is killed now (SIGKILL, pid {server.pid}). An order whose answer is lost may have been placed: it "
            f"is not placed again, and its caller is told so. New orders are refused, after {spoken(PATIENCE)} of "
            "waiting for the server and then at once; they have not run, so checkout tries them again. Who asks about "
            "an order gets the last known answer, marked degraded."
        )
        self.moments.killed = anyio.current_time()
        await server.kill()
        if await self._is_soon(lambda: self._state("orders") != "healthy"):
            self.moments.noticed = anyio.current_time()
        await self._is_soon(lambda: bool(self.ledger.waiting))

    async def _orders_again(self) -> None:
        self._tell.title("[4/5] It is started again")
        self._tell.say(
            "Nobody has to tell anyone: the gateway has been trying to reconnect all the time. The orders that were "
            "refused are placed now."
        )
        await self._cast.orders.start()
        self.moments.listening = anyio.current_time()
        await self._is_soon(lambda: self.ledger.first("orders", self.moments.listening) is not None)

    async def _crash(self) -> None:
        self._tell.title("[5/5] The worst moment to crash")
        self._tell.say(
            "notes is a child process over stdio. It is made to write a note and to die before it can say so. The note "
            "exists, its answer never came: repeating it would write it twice. The process is started again by itself."
        )
        crashed = anyio.current_time()
        await self._callers.crash_notes()
        if await self._is_soon(lambda: self._state("notes") != "healthy") and await self._is_soon(
            lambda: self._state("notes") == "healthy"
        ):
            self.moments.restarted = anyio.current_time() - crashed

    def _state(self, server: str) -> str:
        known = self._infra.health.server(server)
        return "unknown" if known is None else known.state

    async def _is_soon(self, is_so: Callable[[], bool]) -> bool:
        with anyio.move_on_after(_PATIENCE):
            while not is_so():
                await self._pass_time(anyio.current_time() + _LOOK)
        return is_so()

    async def _pass_time(self, until: float) -> None:
        pause = 1.0 if self._tell.is_live else max(1.0, self._seconds / _STATES)
        while (left := until - anyio.current_time()) > 0:
            await anyio.sleep(min(left, max(self._told + pause - anyio.current_time(), 0.0)))
            if anyio.current_time() >= self._told + pause:
                self._tell_state()

    def _tell_state(self) -> None:
        now, calls = anyio.current_time(), self.ledger.calls[self._seen :]
        seconds, self._told, self._seen = now - self._told, now, len(self.ledger.calls)
        count = Counter(told.outcome for told in calls)
        said = ", ".join(f"{count[outcome]} {words}" for outcome, words in _OUTCOMES.items() if count[outcome])
        minutes, rest = divmod(int(now - self.moments.began), 60)
        servers = self._infra.health.report().servers
        troubled = ", ".join(f"{server.name} {server.state}" for server in servers if server.state != "healthy")
        self._tell.state(
            f"  {minutes}:{rest:02}  {troubled or 'all healthy'}; {len(calls) / seconds:.0f} calls/s: {said or 'none'}"
        )
