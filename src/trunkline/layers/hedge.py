"""Hedge layer: asks a second replica when the first is slow for this tool, and takes the answer that comes first.

Below retry: both racers are one attempt to it. Only calls that may run twice are ever raced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import anyio
from anyio.abc import TaskGroup
from mcp_types import Result

from trunkline import clock
from trunkline.call import Call, Delivery, Service
from trunkline.errors import CallError
from trunkline.events import Emit, HedgeStarted
from trunkline.resilience.hedging import Hedging

__all__ = ["HedgeLayer"]


class HedgeLayer:
    """Races a second attempt against one that takes longer than the tool usually does ("The Tail at Scale", 2013)."""

    def __init__(self, hedging: Hedging, *, may_race: Callable[[], bool], emit: Emit) -> None:
        """Decide by `hedging`; `may_race` says whether there is a second replica and load to spare right now."""
        self._hedging = hedging
        self._may_race = may_race
        self._emit = emit

    async def __call__(self, call: Call, call_next: Service) -> Result:
        """Serve the call by one attempt, or by the faster of two."""
        may_ask = call.exchange is not None and call.exchange.peer.key is not None
        if not call.repeatable or call.progress is not None or may_ask:
            # Two racers would report progress in turns, of which nobody could make sense, and ask the same things.
            return await call_next(call)
        # Not by a resource's address: there may be any number of them.
        kind = call.target if call.method == "tools/call" else call.method
        timed = partial(self._timed, kind, call_next)
        self._hedging.called()
        try:
            delay = self._hedging.delay(kind)
            return await (timed(call) if delay is None else _Race(call, timed).run(delay, self._may_start))
        finally:
            self._hedging.ended()

    async def _timed(self, kind: str, call_next: Service, call: Call) -> Result:
        """Make one attempt, and learn from it how long this kind of call takes."""
        started = clock.now()
        try:
            result = await call_next(call)
        except anyio.get_cancelled_exc_class():
            # The other was faster, or the caller's time is over.
            self._hedging.note(kind, clock.now() - started, at_least=True)
            raise
        self._hedging.note(kind, clock.now() - started)
        return result

    def _may_start(self, call: Call, delay: float) -> bool:
        if not (self._may_race() and self._hedging.try_spend()):
            return False
        self._emit(HedgeStarted(clock.now(), call.id, call.name, call.server, delay))
        return True


@dataclass(slots=True, eq=False)
class _Racer:
    call: Call
    result: Result | None = None
    error: Exception | None = None

    @property
    def has_failed(self) -> bool:
        return self.error is not None


class _Race:
    """One call's attempts, each with a record of its own, as what is learnt of one is not true of the other."""

    def __init__(self, call: Call, call_next: Service) -> None:
        self._call = call
        self._next = call_next
        self._racers: list[_Racer] = []
        self._changed = anyio.Event()
        self._winner: _Racer | None = None

    async def run(self, delay: float, may_start: Callable[[Call, float], bool]) -> Result:
        try:
            async with anyio.create_task_group() as tasks:
                first = self._start(tasks)
                with anyio.move_on_after(delay):
                    await self._changed.wait()
                if not self._is_over and may_start(self._call, delay):
                    self._start(tasks, avoiding=first.call.replica)
                while not self._is_over:
                    await self._changed.wait()
                tasks.cancel_scope.cancel()
        finally:
            self._merge()
        return self._outcome()

    @property
    def _is_over(self) -> bool:
        return self._winner is not None or all(racer.has_failed for racer in self._racers)

    def _start(self, tasks: TaskGroup, avoiding: str | None = None) -> _Racer:
        call = self._call
        tried = call.tried if avoiding is None else call.tried | {avoiding}
        racer = _Racer(replace(call, tried=tried, attempts=0, may_have_run=False))
        self._racers.append(racer)
        tasks.start_soon(self._race, racer)
        return racer

    async def _race(self, racer: _Racer) -> None:
        try:
            racer.result = await self._next(racer.call)
            self._winner = self._winner or racer
        except Exception as error:  # boundary: raised again by `_outcome`, in the task that made the call
            racer.error = error
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    def _merge(self) -> None:
        """Write into the call what its racers learnt: the winner's way, and everybody's traces."""
        call = self._call
        told = self._winner or max(self._racers, key=lambda racer: _weight(racer.call))
        for racer in self._racers:
            call.attempts += racer.call.attempts
            call.may_have_run |= racer.call.may_have_run
            call.degraded |= racer.call.degraded
        call.tried = frozenset().union(*(racer.call.tried for racer in self._racers))
        call.replica, call.delivery = told.call.replica, told.call.delivery
        call.server_time, call.attempt_ends = told.call.server_time, told.call.attempt_ends

    def _outcome(self) -> Result:
        if self._winner is not None and self._winner.result is not None:
            return self._winner.result
        errors = [racer.error for racer in self._racers if racer.error is not None]
        # A bug outranks a failed call, and a failure after which the tool may have run outranks a refusal.
        raise max(errors, key=lambda error: 1 + error.may_have_run if isinstance(error, CallError) else 3)


def _weight(call: Call) -> bool:
    return call.delivery in (Delivery.UNKNOWN, Delivery.ANSWERED)
