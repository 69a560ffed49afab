"""Bulkhead layer: bounds who uses a server's connections and who waits. Innermost: it guards the pool alone."""

from __future__ import annotations

from collections.abc import Callable

import anyio
from mcp_types import Result

from trunkline import clock
from trunkline.call import Call, Delivery, Service
from trunkline.errors import BulkheadFull, ServerError
from trunkline.resilience.admission import Admission, Ticket
from trunkline.resilience.concurrency import AdaptiveLimit

__all__ = ["BulkheadLayer"]


class BulkheadLayer:
    """Lets a bounded number of attempts through at once; the others wait, first come, first served.

    Raises:
        BulkheadFull: Too many wait already, or this one's turn would come after its deadline.
    """

    def __init__(
        self, admission: Admission, *, allowance: Callable[[float], float], adaptive: AdaptiveLimit | None = None
    ) -> None:
        """Guard with `admission`.

        `allowance(now)` is the share of its limit that a recovering server is given; `adaptive` finds the limit from
        how the server copes, None keeps that of `admission`.
        """
        self._admission = admission
        self._most = admission.limit
        self._allowance = allowance
        self._adaptive = adaptive

    async def __call__(self, call: Call, call_next: Service) -> Result:
        """Serve the attempt when its turn comes."""
        entered = clock.now()
        self._adjust(entered)
        if not self._admission.try_enter():
            await self._wait(call)
            entered = clock.now()
        try:
            result = await call_next(call)
        except BaseException as error:
            if self._adaptive is not None and _is_overload(error, call):
                self._adaptive.overloaded(clock.now(), clock.now() - entered)
            raise
        else:
            if self._adaptive is not None:
                self._adaptive.succeeded(self._admission.in_flight)
            return result
        finally:
            now = clock.now()
            _wake(self._admission.leave(now, now - entered))
            self._adjust(now)

    def _adjust(self, now: float) -> None:
        most = self._most if self._adaptive is None else self._adaptive.limit
        limit = max(1, int(most * self._allowance(now)))
        if limit != self._admission.limit:
            for ticket in self._admission.resize(limit, now):
                ticket.wake()

    async def _wait(self, call: Call) -> None:
        admission, now = self._admission, clock.now()
        ticket = admission.enqueue(call.attempt_ends, now)
        if ticket is None:
            waiting = f"{admission.in_flight} calls are under way and {admission.waiting} wait"
            raise BulkheadFull(
                f"server {call.server!r} is busy: {waiting}, so this one could not be served in time",
                tool=call.name,
                server=call.server,
                retry_after=admission.expected_wait(),
            )
        turn = anyio.Event()
        ticket.wake = turn.set
        try:
            await turn.wait()
        except BaseException:
            # Cancelled: perhaps just after the turn came, which then goes to the next in line.
            _wake(admission.abandon(ticket, clock.now()))
            raise


def _is_overload(error: BaseException, call: Call) -> bool:
    """Whether an attempt ended because the server has too much to do: by its own word, or by taking too long."""
    if isinstance(error, ServerError):
        return error.is_overload
    was_cancelled = not isinstance(error, Exception)
    return was_cancelled and call.delivery is Delivery.UNKNOWN and clock.now() >= call.attempt_ends


def _wake(ticket: Ticket | None) -> None:
    if ticket is not None:
        ticket.wake()
