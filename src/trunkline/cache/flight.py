"""One call to the server for all who wait for the same answer, in a task that belongs to none of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from trunkline import clock
from trunkline.call import Call, Delivery
from trunkline.errors import CallError, CallFailed, DeadlineExceeded

__all__ = ["Flight", "Flights"]

LandedT = TypeVar("LandedT")


@dataclass(slots=True, eq=False)
class Flight(Generic[LandedT]):
    """A call under way. It ends with an answer, an error, or neither when it was broken off."""

    call: Call
    """As the server is asked: nobody's own."""
    is_background: bool
    """Whether it goes on when nobody waits for it."""
    is_overtaken: Callable[[], bool]
    """Whether newcomers may no longer be given its answer."""
    landed: anyio.Event
    scope: anyio.CancelScope
    waiters: int = 0
    joined: int = 0
    """Callers that ever meant to wait for it, counted before it lands: of several, none has the server's own object."""
    answer: LandedT | None = None
    error: Exception | None = None


class Flights(Generic[LandedT]):
    """The flights of one cache, at most one by digest."""

    def __init__(self) -> None:
        self._open: dict[bytes, Flight[LandedT]] = {}

    def __repr__(self) -> str:
        waiting = sum(flight.waiters for flight in self._open.values())
        return f"<Flights [{len(self._open)} under way, {waiting} waiting]>"

    def __len__(self) -> int:
        return len(self._open)

    def under_way(self, digest: bytes) -> Flight[LandedT] | None:
        """The flight that newcomers may join."""
        flight = self._open.get(digest)
        return None if flight is None or flight.is_overtaken() else flight

    def launch(
        self,
        digest: bytes,
        call: Call,
        origin: Callable[[Call], Awaitable[LandedT]],
        tasks: TaskGroup,
        *,
        is_overtaken: Callable[[], bool] = lambda: False,
        is_background: bool = False,
    ) -> Flight[LandedT]:
        """Start `origin(call)` in a task of its own; it ends at the call's deadline, see `Flight`."""
        scope = anyio.CancelScope(deadline=call.deadline)
        flight: Flight[LandedT] = Flight(call, is_background, is_overtaken, anyio.Event(), scope)
        self._open[digest] = flight
        tasks.start_soon(self._fly, digest, flight, origin)
        return flight

    async def wait(self, digest: bytes, flight: Flight[LandedT], deadline: float) -> LandedT:
        """Wait for its end, as one of many; who is cancelled leaves the others alone, and the last one ends the flight.

        `deadline` is the waiter's own: a flight that the last one left because it passed was too slow, not unwanted.

        Raises:
            CallError: As the flight ended; an object of its own for each.
        """
        flight.waiters += 1
        if deadline > flight.call.deadline:
            flight.call.deadline = flight.scope.deadline = deadline
        try:
            await flight.landed.wait()
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.is_background and not flight.landed.is_set():
                self._break_off(digest, flight, is_late=clock.now() >= deadline)
                # As if it had been the caller's own: what became of it is known before the caller goes on.
                with anyio.CancelScope(shield=True):
                    await flight.landed.wait()
        if flight.error is not None:
            raise _own(flight.error) from flight.error.__cause__
        if flight.answer is None:
            words = f"{flight.call.name!r} was broken off: the client is closing"
            delivery = flight.call.delivery if flight.call.may_have_run else Delivery.NOT_SENT
            raise CallFailed(words, delivery=delivery, tool=flight.call.name, server=flight.call.server)
        return flight.answer

    def end_background(self) -> None:
        """Break off the flights that nobody waits for."""
        for digest, flight in list(self._open.items()):
            if not flight.waiters:
                self._break_off(digest, flight, is_late=False)

    def _break_off(self, digest: bytes, flight: Flight[LandedT], *, is_late: bool) -> None:
        # Who comes now starts anew: this one can no longer be had.
        if self._open.get(digest) is flight:
            del self._open[digest]
        if is_late:
            flight.call.deadline = flight.call.attempt_ends = clock.now()
        flight.scope.cancel()

    async def _fly(self, digest: bytes, flight: Flight[LandedT], origin: Callable[[Call], Awaitable[LandedT]]) -> None:
        call = flight.call
        try:
            with flight.scope:
                flight.answer = await origin(call)
            if flight.scope.cancelled_caught:
                flight.error = DeadlineExceeded.of(call, call.deadline)
        except Exception as error:  # boundary: raised to each who waits
            flight.error = error
        finally:
            if self._open.get(digest) is flight:
                del self._open[digest]
            flight.landed.set()


def _own(error: Exception) -> Exception:
    """The same error as another object: each who is told may change what it says, and its traceback grows.

    What is none of ours is a bug, and raised as it is.
    """
    if not isinstance(error, CallError):
        return error
    own = type(error).__new__(type(error), *error.args)
    own.__dict__.update(error.__dict__)
    return own.with_traceback(error.__traceback__)
