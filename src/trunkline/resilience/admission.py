"""Who may be in flight, who waits, and whose turn is next: the ledger of a bulkhead.

Pure counting. The layer above owns whatever a waiter sleeps on and puts what wakes it into `Ticket.wake`. Places are
handed over, not let go and fought for: first come, first served.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["SMOOTHING", "Admission", "Ticket"]

SMOOTHING = 0.2
"""Weight of the newest service time in the moving average."""


def _nobody() -> None:
    """Wake nobody: a ticket nobody sleeps on yet."""


@dataclass(slots=True, eq=False)
class Ticket:
    """A place in the queue."""

    deadline: float
    """Seconds, monotonic: from then on the turn is not wanted any more."""
    needs: float = 0.0
    """Seconds its holder is expected to take: with less left to its deadline, the turn is worth nothing."""
    wake: Callable[[], None] = _nobody
    """Called by whoever was handed this ticket by `leave`, `abandon` or `resize`, and when it is too late for its turn;
    set by the waiter, who looks at `is_granted`."""
    is_granted: bool = False
    """Whether the waiter has a place in flight, which it gives back by `leave`, or by `abandon` if it never uses it."""


class Admission:
    """At most `limit` (1 or more) in flight and `waiting` (0 or more) in the queue.

    Times are seconds of a monotonic clock. Whoever waits does so because all places are taken: `leave`, `abandon` and
    `resize` return whose turn came by them.
    """

    def __init__(self, limit: int, waiting: int) -> None:
        self._limit = limit
        self._room = waiting
        # Ordered and keyed by identity: a waiter leaves from the middle as cheaply as from the front.
        self._queue: OrderedDict[Ticket, None] = OrderedDict()
        self._service_time = 0.0
        self.in_flight = 0
        """Places taken now."""
        self.entered = 0
        """Attempts that got a place, at once or after waiting."""
        self.refused_full = 0
        """Attempts turned away because the queue was full."""
        self.refused_late = 0
        """Attempts turned away because their turn would have come too late."""
        self.expired = 0
        """Waiters whose turn came too late to get done before their deadline."""
        self.abandoned = 0
        """Waiters that gave up, or were cancelled, before or after their turn came."""

    def __repr__(self) -> str:
        return (
            f"<Admission [{self.in_flight} of {self._limit} in flight, {self.waiting} of {self._room} waiting, "
            f"{self.refused_full + self.refused_late} refused, {self._service_time:.3g} s each]>"
        )

    @property
    def limit(self) -> int:
        """Places in all; `resize` changes it."""
        return self._limit

    @property
    def waiting(self) -> int:
        """Tickets in the queue."""
        return len(self._queue)

    @property
    def service_time(self) -> float:
        """Moving average of the seconds a place is held; 0.0 before the first was given back."""
        return self._service_time

    def try_enter(self) -> bool:
        """Take a free place. Never past those who wait: while anybody does, no place is free."""
        if self.in_flight >= self._limit:
            return False
        self.in_flight += 1
        self.entered += 1
        return True

    def enqueue(self, deadline: float, now: float, needs: float = 0.0) -> Ticket | None:
        """Wait for a place after `try_enter` found none.

        Returns None, leaving only a count, when the queue is full, or when by the average service time the turn would
        come too late to get done, in `needs` seconds, before `deadline`. Whoever turns out to be too late when its turn
        comes is passed over and woken without a place: sent all the same, it would only cost the server work that
        nobody waits for any more, and so make the next one late.
        """
        if len(self._queue) >= self._room:
            self.refused_full += 1
            return None
        if now + self.expected_wait() + needs >= deadline:
            self.refused_late += 1
            return None
        ticket = Ticket(deadline, needs)
        self._queue[ticket] = None
        return ticket

    def expected_wait(self) -> float:
        """Seconds until the turn of one who comes now and finds no place: `limit` places, each free every so often."""
        return (len(self._queue) + 1) * self._service_time / self._limit

    def leave(self, now: float, held_for: float) -> Ticket | None:
        """Give back a place that was held for `held_for` seconds; returns the ticket to wake, if any."""
        is_first = self._service_time == 0.0
        self._service_time += (held_for - self._service_time) * (1.0 if is_first else SMOOTHING)
        self.in_flight -= 1
        return self._grant(now)

    def abandon(self, ticket: Ticket, now: float) -> Ticket | None:
        """Give up waiting, or a turn that came and was not used; returns the ticket to wake instead, if any.

        A ticket that is out of the queue already (expired, abandoned before) changes nothing.
        """
        if ticket.is_granted:
            ticket.is_granted = False
            self.abandoned += 1
            self.entered -= 1
            self.in_flight -= 1
            return self._grant(now)
        if ticket in self._queue:
            del self._queue[ticket]
            self.abandoned += 1
        return None

    def resize(self, limit: int, now: float) -> tuple[Ticket, ...]:
        """Change the limit; returns the tickets to wake, in order.

        Nobody in flight is disturbed by a smaller one: places above it vanish as they are given back.
        """
        self._limit = limit
        turns: list[Ticket] = []
        while (ticket := self._grant(now)) is not None:
            turns.append(ticket)
        return tuple(turns)

    def _grant(self, now: float) -> Ticket | None:
        while self._queue and self.in_flight < self._limit:
            ticket, _ = self._queue.popitem(last=False)
            # With nobody in flight and nobody behind it somebody has to go, or an old estimate would hold for ever.
            is_last = not self.in_flight and not self._queue
            if ticket.deadline <= now or (ticket.deadline <= now + ticket.needs and not is_last):
                self.expired += 1
                ticket.wake()
                continue
            ticket.is_granted = True
            self.in_flight += 1
            self.entered += 1
            return ticket
        return None
