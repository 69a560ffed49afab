"""Bulkhead layer: bounds who uses a server's connections and who waits. Innermost: it guards the pool alone."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import anyio
from mcp_types import Result

from trunkline import clock
from trunkline.call import Call, Delivery, Service
from trunkline.errors import BulkheadFull, ServerError
from trunkline.exchange import waited_in
from trunkline.resilience.admission import Admission, Ticket
from trunkline.resilience.concurrency import AdaptiveLimit
from trunkline.resilience.service_times import ServiceTimes

__all__ = ["BulkheadLayer"]

_TRUSTED_AFTER = 60.0
"""Seconds with all of its load and no overload after which a server has recovered, though it was never full.

One that is called now and then would never be, and its next burst would be held back hours later."""


class BulkheadLayer:
    """Lets a bounded number of attempts through at once; the others wait, first come, first served.

    Raises:
        BulkheadFull: Too many wait already, or this one's turn would come after its deadline.
    """

    def __init__(
        self,
        admission: Admission,
        found: AdaptiveLimit,
        *,
        allowance: Callable[[float], float],
        is_adaptive: bool = False,
    ) -> None:
        """Guard with `admission`, whose limit is the usual one.

        `found` is the limit found by trying: in force always with `is_adaptive`, else only while the server recovers.
        `allowance(now)` is the share of the usual limit that a recovering server is given, 1.0 for one that is well.
        """
        self._admission = admission
        self._found = found
        self._usual = admission.limit
        self._allowance = allowance
        self._is_adaptive = is_adaptive
        self._is_recovering = False
        self._troubled_at = -inf
        """When it was last overloaded or spared."""
        self._recoveries = 0
        self._running = 0
        self._left_over = 0
        """Attempts under way that were made before the present recovery: they say nothing of it and take no place."""
        self._times = ServiceTimes()

    async def __call__(self, call: Call, call_next: Service) -> Result:
        """Serve the attempt when its turn comes."""
        entered = clock.now()
        self._adjust(entered)
        if not self._admission.try_enter():
            await self._wait(call)
            entered = clock.now()
        recovery = self._recoveries
        self._running += 1
        try:
            result = await call_next(call)
            if not waited_in(call.exchange):
                self._times.note(call.target, clock.now() - entered)
            self._found.succeeded(self._admission.in_flight)
            return result
        except BaseException as error:
            if _is_overload(error, call):
                self._troubled_at = clock.now()
                self._found.overloaded(self._troubled_at, self._troubled_at - entered)
            raise
        finally:
            now = clock.now()
            self._running -= 1
            self._left_over -= recovery != self._recoveries
            _wake(self._admission.leave(now, now - entered))
            self._adjust(now)

    def _adjust(self, now: float) -> None:
        """Follow the server's state: a limit that is right for a well server can keep one down that comes back."""
        share = self._allowance(now)
        if share == 1.0 and not self._is_recovering and not self._is_adaptive:
            return
        if share < 1.0:
            self._troubled_at = now
            self._begin_recovery()
        elif self._is_recovering and (self._found.is_full or now - self._troubled_at >= _TRUSTED_AFTER):
            self._is_recovering = False
            if not self._is_adaptive:
                self._found.restore()
        limit = max(1, min(int(self._usual * share), self._found.limit)) + self._left_over
        if limit != self._admission.limit:
            for ticket in self._admission.resize(limit, now):
                ticket.wake()

    def _begin_recovery(self) -> None:
        if not self._is_recovering:
            self._is_recovering = True
            self._recoveries += 1
            self._left_over = self._running
            self._found.restart()

    async def _wait(self, call: Call) -> None:
        admission, now = self._admission, clock.now()
        ticket = admission.enqueue(call.attempt_ends, now, self._times.expected(call.target))
        if ticket is None:
            raise self._too_late(call)
        turn = anyio.Event()
        ticket.wake = turn.set
        try:
            await turn.wait()
        except BaseException:
            # Cancelled: perhaps just after the turn came, which then goes to the next in line.
            _wake(admission.abandon(ticket, clock.now()))
            raise
        if not ticket.is_granted:
            raise self._too_late(call)

    def _too_late(self, call: Call) -> BulkheadFull:
        admission = self._admission
        waiting = f"{admission.in_flight} calls are under way and {admission.waiting} wait"
        return BulkheadFull(
            f"server {call.server!r} is busy: {waiting}, so this one could not be served in time",
            tool=call.name,
            server=call.server,
            retry_after=admission.expected_wait(),
        )


def _is_overload(error: BaseException, call: Call) -> bool:
    """Whether an attempt ended because the server has too much to do: by its own word, or by taking too long."""
    if isinstance(error, ServerError):
        return error.is_overload
    was_cancelled = not isinstance(error, Exception)
    return was_cancelled and call.delivery is Delivery.UNKNOWN and clock.now() >= call.attempt_ends


def _wake(ticket: Ticket | None) -> None:
    if ticket is not None:
        ticket.wake()
