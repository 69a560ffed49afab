"""Keeps in touch with the shared tier: probes it while the circuit is open, and gives up a link at its first fault."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias, TypeVar

import anyio

from trunkline.cache.lane import abandonable
from trunkline.cache.link import FAULTS, FaultKind, Link, LinkFault
from trunkline.cache.link_session import LANES, LinkSession
from trunkline.cache.shared_clock import SharedClock
from trunkline.cache.tier_circuit import TierCircuit
from trunkline.clock import now
from trunkline.errors import TrunklineError
from trunkline.events import Emit, SharedCacheFound, SharedCacheLost
from trunkline.policy import RedisPolicy

__all__ = ["Connect", "LinkKeeper"]

Connect: TypeAlias = Callable[[RedisPolicy, float], Link]
"""Makes a link of a policy and of the seconds that following a stream may keep it waiting."""

_CONNECT: Final = 1.0
"""Seconds that making a connection may take: only the probe waits for it."""
_KEEP: Final = 15.0
"""Seconds between readings of the server's clock, which are signs of life as well."""

T = TypeVar("T")


class LinkKeeper:
    """Has a session while the circuit is closed, and none while it is open."""

    def __init__(
        self,
        policy: RedisPolicy,
        *,
        connect: Connect,
        clock_key: bytes,
        emit: Emit,
        rng: random.Random,
    ) -> None:
        """Read the clock of the server that has `clock_key`."""
        self.session: LinkSession | None = None
        self.faults: Counter[str] = Counter()
        self.reason: FaultKind | None = None
        """Why there is no session; None before anybody has tried."""
        self.lost_at: float | None = None
        """When a session was last lost (seconds on the loop's clock)."""
        self.on_found: list[Callable[[], None]] = []
        self.on_lost: list[Callable[[], None]] = []
        self._policy = policy
        self._connect = connect
        self._clock_key = clock_key
        self._emit = emit
        self._circuit = TierCircuit(policy, rng)
        self._found = anyio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._links: set[Link] = set()
        self._sent = 0

    def __repr__(self) -> str:
        return f"<LinkKeeper {self._circuit!r} [{len(self._tasks)} tasks, {self.faults.total()} faults]>"

    @property
    def commands(self) -> int:
        """Commands sent, probes included."""
        return self._sent + sum(link.commands for link in self._links)

    async def until_found(self) -> None:
        """Wait until there is a session."""
        await self._found.wait()

    async def check(self) -> None:
        """Ask for a sign of life; raises with the reason where there is none."""
        if self.session is not None:
            await self.session.renew(self._clock_key)
        if self.session is None:
            reason = "nobody has connected to it so far" if self.reason is None else FAULTS[self.reason]
            msg = f"the shared cache is not used: {reason}"
            raise TrunklineError(msg)

    async def run(self) -> None:
        """Keep in touch until cancelled, see `aclose`."""
        if not _is_asyncio():
            self._tell_lost("needs_asyncio")
            await anyio.sleep_forever()
        while True:
            began = now()
            session = await self._probe()
            while session is not None and not session.has_ended.is_set():
                with anyio.move_on_after(_KEEP):
                    await session.has_ended.wait()
                if not session.has_ended.is_set():
                    await session.renew(self._clock_key)
            # From one probe to the next, however long the first one waited: a server that is back is soon found.
            spent = now() - began if session is None else 0.0
            await anyio.sleep(max(0.0, self._circuit.pause() - spent))

    def give_up(self, session: LinkSession, kind: FaultKind) -> None:
        """Open the circuit: what comes over this session's connections is of no use any more."""
        if session is not self.session:
            return  # late news of connections that were given up already
        self.session = None
        self._found = anyio.Event()
        self.faults[kind] += 1
        self._circuit.fail(now())
        session.end()
        self.retire(session.link)
        self.lost_at = now()
        for tell in self.on_lost:
            tell()
        self._tell_lost(kind)

    async def aclose(self) -> None:
        """Let go of the connections. Waits a second for what is under way, and does not cancel it."""
        session, self.session = self.session, None
        self._found = anyio.Event()
        if session is not None:
            session.end()
            self.retire(session.link)
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=_CONNECT)

    async def open_tail(self, waits: float) -> Link:
        """Another link, for following a stream that keeps it waiting; `retire` it. Raises LinkFault."""
        link = self._connect(self._policy, waits)
        self._links.add(link)
        try:
            await self.abandonable(link.open(("tail",)), _CONNECT)
        except BaseException:
            self.retire(link)
            raise
        return link

    async def abandonable(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """The outcome of `work` on a link; after so many seconds it is left alone and a LinkFault raised."""
        return await abandonable(work, seconds, self._tasks)

    def retire(self, link: Link) -> None:
        """Close a link in the background."""
        self._links.discard(link)
        self._sent += link.commands
        self.start(link.close())

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something in a task that nothing cancels."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _probe(self) -> LinkSession | None:
        link = self._connect(self._policy, 0.0)
        self._links.add(link)
        try:
            await self.abandonable(link.open(LANES), _CONNECT)
            asked = now()
            server = await self.abandonable(link.now("signs", self._clock_key), self._policy.deadline)
        except LinkFault as fault:
            self.retire(link)
            self.faults[fault.kind] += 1
            self._circuit.fail(now())
            self._tell_lost(fault.kind)
            return None
        except BaseException:
            self.retire(link)
            raise
        clock = SharedClock.read(asked, now(), server)
        session = LinkSession(link, clock, self._policy.deadline, self.give_up, self._tasks)
        lasted = self._circuit.close(now())
        self.session, self.reason = session, None
        self._found.set()
        for tell in self.on_found:
            tell()
        self._emit(SharedCacheFound(now(), lasted))
        return session

    def _tell_lost(self, kind: FaultKind) -> None:
        # Once for each time it is lost, however many probes fail.
        if self.reason is None:
            self._emit(SharedCacheLost(now(), FAULTS[kind]))
        self.reason = kind


def _is_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
