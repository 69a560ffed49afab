"""One connection: a task that opens a session, keeps it, and closes it. Calls come from other tasks.

The SDK's sessions must be left by the task that entered them, so a connection *is* a task: `run` lives in the client's
task group, everything else only sets flags that it waits for. Sits between the pool's ledger and the transport.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

import anyio
from mcp_types import Result, ServerCapabilities, Tool

from trunkline.call import Call
from trunkline.policy import ServerPolicy
from trunkline.pool.subscribing import Watched, keep_subscribed
from trunkline.resilience.rate import RateLimit
from trunkline.transport.changes import Changed, Listing, announced
from trunkline.transport.opening import SessionSettings, open_session
from trunkline.transport.reasons import SessionFailed
from trunkline.transport.session import Session

__all__ = ["Connection", "ConnectionState"]

ConnectionState = Literal["opening", "ready", "draining", "broken", "closed"]

_CLOSING_MARGIN = 5.0
"""Seconds beyond the grace that closing may take; a child that ignores SIGTERM needs about two of them."""
_RELISTINGS = 1.0
"""Listings a second, in the long run, of a server that says again and again that its tools have changed."""
_RELISTINGS_AT_ONCE = 5
_RELISTEN = 1.0
"""Seconds before a lost change subscription is opened again; doubled each time, up to the refresh interval."""


class Connection:
    """A session and the task that owns it.

    States: opening -> ready -> draining (retired: finishes its calls) or broken (lost) -> closed. A connection that
    never becomes ready goes from opening to closed, with `reason` set.
    """

    def __init__(
        self,
        settings: SessionSettings,
        policy: ServerPolicy,
        *,
        on_ready: Callable[[Connection], None],
        on_change: Callable[[], None],
        on_listing: Callable[[Sequence[Tool]], None],
        on_changed: Changed,
        rng: random.Random,
        watched: Watched | None = None,
    ) -> None:
        self.state: ConnectionState = "opening"
        self.reason = ""
        """Why it is not ready, in words fit to show."""
        self.hopeless = False
        self.was_refused = False
        """Whether the server answered the handshake, with a no."""
        self.was_retired = False
        """Whether it ended because we wanted it to."""
        self.ready_at: float | None = None
        """When it became ready, seconds on the loop's clock; None when it never was."""
        self.in_flight = 0
        """Calls leased to it; the pool's ledger counts."""
        self.in_flight_at_end = 0
        """Calls leased to it when it stopped taking more."""
        self.used_at = -math.inf
        """When a call last took it or gave it back, seconds on the loop's clock; noted by who lends it."""
        self.settled = anyio.Event()
        """Set when it became ready or failed."""
        self.ended = anyio.Event()
        """Set when it takes no more calls."""
        self._settings = settings
        self._policy = policy
        self._on_ready = on_ready
        self._on_change = on_change
        self._on_listing = on_listing
        self._on_changed = on_changed
        self._rng = rng
        self._watched = watched
        self._session: Session | None = None
        self._bound = anyio.CancelScope()
        self._relist = anyio.Event()
        self._drained = anyio.Event()

    def __repr__(self) -> str:
        return f"<Connection {self.state} [{self.in_flight} in flight, {self.era or 'no era yet'}]>"

    @property
    def era(self) -> str:
        """The protocol version in use, empty before the handshake."""
        return self._session.era if self._session else ""

    @property
    def capabilities(self) -> ServerCapabilities:
        """What the server says it can do."""
        return self._session.capabilities if self._session else ServerCapabilities()

    async def run(self) -> None:
        """Open, keep, close. Never raises but for cancellation; the outcome is in `state` and `reason`."""
        pool = self._policy.pool
        self._bound.deadline = anyio.current_time() + pool.connect_timeout
        with self._bound:
            try:
                async with open_session(self._settings, on_lost=self._lose, on_changed=self._hear) as session:
                    if await self._has_listed(session):
                        self._bound.deadline = math.inf
                        await self._keep(session)
                    self._bound.deadline = anyio.current_time() + pool.grace + _CLOSING_MARGIN
            except SessionFailed as error:
                self.hopeless, self.was_refused = error.hopeless, error.refused
                self.reason = str(error)
            except Exception as error:  # boundary: whatever a server makes the SDK raise ends this connection only
                self.reason = self.reason or f"the session broke ({type(error).__name__})"
            finally:
                timed_out = self.state == "opening" and not self.reason
                if timed_out:
                    self.reason = f"no handshake and listing within {pool.connect_timeout:g} s"
                self._move("closed")

    async def _has_listed(self, session: Session) -> bool:
        """List the tools; the connection is ready then, if nobody has retired it meanwhile."""
        self._session = session
        try:
            tools = await session.list_tools()
        except SessionFailed as error:
            # Perhaps the pinned era is no longer this server's: ask again at the next connection.
            self._settings.pinned.clear()
            self.reason = str(error)
            return False
        if self.state == "opening":
            self._on_listing(tools)
            self.ready_at = anyio.current_time()
            self._move("ready")
        return True

    async def _keep(self, session: Session) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._refresh, session)
            if session.can_watch:
                tasks.start_soon(self._watch, session)
            if self._watched is not None:
                tasks.start_soon(keep_subscribed, session, self._watched, self._hear_update)
            await self.ended.wait()
            with anyio.move_on_after(self._policy.pool.grace):
                while self.in_flight:
                    self._drained = anyio.Event()
                    await self._drained.wait()
            tasks.cancel_scope.cancel()

    async def _refresh(self, session: Session) -> None:
        """List the tools again when they changed, and now and then in any case."""
        turns = RateLimit(_RELISTINGS, _RELISTINGS_AT_ONCE)
        while True:
            with anyio.move_on_after(self._policy.refresh * self._rng.uniform(0.8, 1.2)):
                await self._relist.wait()
            # A server that says it all the time would keep everybody busy with its listing.
            await anyio.sleep(turns.reserve(anyio.current_time(), math.inf) or 0.0)
            self._relist = anyio.Event()
            try:
                with anyio.fail_after(self._policy.pool.connect_timeout):
                    self._on_listing(await session.list_tools())
            except (SessionFailed, TimeoutError):
                # The last good listing stays; the health probe tells whether the server is well.
                continue

    def _hear(self, listing: Listing, uri: str | None) -> None:
        if listing == "tools":
            self._relist.set()
        else:
            self._on_changed(listing, uri)

    def _hear_update(self, uri: str) -> None:
        self._on_changed("resources", uri)

    async def _watch(self, session: Session) -> None:
        pause = _RELISTEN
        # It replays nothing. The tools were listed before the first stream began; of the rest nothing is held so early.
        missed: Sequence[Listing] = [listing for listing in announced(self.capabilities) if listing == "tools"]

        def hear_missed() -> None:
            for listing in missed:
                self._hear(listing, None)

        while True:
            started = anyio.current_time()
            with suppress(SessionFailed):
                await session.watch(hear_missed)
            missed = announced(self.capabilities)
            pause = _RELISTEN if anyio.current_time() - started > pause else min(pause * 2, self._policy.refresh)
            await anyio.sleep(pause * self._rng.uniform(0.8, 1.2))

    async def send(self, call: Call) -> Result:
        """Make one attempt on this connection; raises as `Session.send`."""
        if self._session is None:
            msg = "a connection is leased only after it became ready"
            raise RuntimeError(msg)
        call.attempts += 1
        return await self._session.send(call)

    async def ping(self) -> None:
        """Ask for a sign of life; raises `SessionFailed`."""
        if self._session is not None:
            await self._session.ping()

    def retire(self, reason: str) -> None:
        """Take no more calls, finish those under way, close. From any task, any number of times."""
        if self.state in ("opening", "ready"):
            self.reason, self.was_retired = self.reason or reason, True
            if self.state == "opening":
                self._bound.cancel()
            self._move("draining")

    def returned(self) -> None:
        """The ledger took a lease back."""
        if not self.in_flight:
            self._drained.set()

    def _lose(self, reason: str) -> None:
        # A session that ends because its opening took too long has no reason of its own to tell.
        if self.state in ("opening", "ready") and not self._bound.cancel_called:
            self.reason = self.reason or reason
            if self.state == "ready":
                self._move("broken")

    def _move(self, state: ConnectionState) -> None:
        self.state = state
        if state == "ready":
            # Before anybody can lend it: what is learnt from the handshake is known to the first call.
            self._on_ready(self)
        self.settled.set()
        if state != "ready" and not self.ended.is_set():
            # Counted now: by the time anybody hears of it, the calls have failed and given their leases back.
            self.in_flight_at_end = self.in_flight
            self.ended.set()
        self._on_change()
