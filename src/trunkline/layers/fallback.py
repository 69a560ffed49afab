"""Fallback layer: what answers when the server cannot. Above routing and the cache, so a substitute is never stored.

The ladder, from the top: the server itself, at all its replicas; its fallback servers; the fallback tool; an answer
that was kept; the answer of a callable or of the configuration. Whatever is served by a step below the first is named
in the call's provenance.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import anyio
from mcp_types import Result

from trunkline import clock
from trunkline.call import Call, Service
from trunkline.errors import CallError, DeadlineExceeded
from trunkline.events import Emit, FallbackUsed
from trunkline.resilience.delivery import may_fall_back, may_serve_kept

__all__ = ["Answer", "Elsewhere", "FallbackLayer", "Ladder", "Step"]

_HAIR = 0.01
"""Share of the remaining time that is kept for a step that needs none: that it still comes before the deadline."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A step that asks another server or tool."""

    name: str
    reserve: float
    """Share of the time left that the steps before it must leave."""
    lead: Callable[[Call], Awaitable[Call]]
    """The same call, led there; raises `CallError` when there is no way."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A step that needs no server."""

    name: str
    reserve: float
    give: Callable[[Call, CallError], Awaitable[Result]]
    """The answer to a call that ended in an error; may raise anything."""
    is_own: bool = False
    """Whether it is the tool's own, of an earlier time: good also where the tool may have run by now, or is gone."""


Step: TypeAlias = Elsewhere | Answer
Ladder: TypeAlias = Callable[[Call], Sequence[Step]]
"""The steps below the first, for one call."""


class FallbackLayer:
    """Goes down the ladder while a substitute may still be asked.

    That is never after a step by which the tool may have run, unless running it twice is harmless; only what the tool
    itself answered before is good then, too.

    Raises:
        CallError: As the first step ended, when no step has an answer; as a later step did when the tool may have run
            by it.
    """

    def __init__(self, ladder: Ladder, *, emit: Emit) -> None:
        self._ladder = ladder
        self._emit = emit

    async def __call__(self, call: Call, call_next: Service) -> Result:
        """Serve the call by the first step that has an answer."""
        steps = self._ladder(call)
        if not steps:
            return await call_next(call)
        leg = replace(call)
        try:
            return await _walk(call, leg, call_next, steps)
        except CallError as error:
            others, own = may_fall_back(error, repeatable=leg.repeatable), may_serve_kept(error)
            left = [step for step in steps if (own if isinstance(step, Answer) and step.is_own else others)]
            if not left:
                raise
            return await self._descend(call, error, call_next, left)

    async def _descend(self, call: Call, first: CallError, call_next: Service, steps: Sequence[Step]) -> Result:
        told, cause = first, None
        for place, step in enumerate(steps):
            self._emit(FallbackUsed(clock.now(), call.id, call.name, call.server, step.name, told.code))
            try:
                result = await self._take(step, call, told, call_next, steps[place + 1 :])
            except _Stuck as end:
                raise end.error from first
            except Exception as error:  # boundary: a substitute that fails, in whatever way, is one less
                cause = error
            else:
                call.fallback = step.name
                return result
        raise told from cause or told.__cause__

    async def _take(
        self, step: Step, call: Call, error: CallError, call_next: Service, below: Sequence[Step]
    ) -> Result:
        if isinstance(step, Answer):
            return await step.give(call, error)
        leg = await step.lead(replace(call, attempts=0, may_have_run=False, cached="bypass"))
        try:
            return await _walk(call, leg, call_next, below)
        except CallError as failure:
            if failure.may_have_run and not leg.repeatable:
                raise _Stuck(failure) from failure
            raise


class _Stuck(Exception):
    """A substitute may have run: no other may be asked."""

    def __init__(self, error: CallError) -> None:
        super().__init__(str(error))
        self.error = error


async def _walk(call: Call, leg: Call, call_next: Service, below: Sequence[Step]) -> Result:
    """Serve one leg of the call, early enough to leave the steps below it their time."""
    now, made = clock.now(), leg.attempts
    share = max((step.reserve or _HAIR for step in below), default=0.0)
    leg.deadline = now + (call.deadline - now) * (1 - share)
    try:
        with anyio.CancelScope(deadline=leg.deadline) as scope:
            if leg.exchange is None:
                return await call_next(leg)
            with leg.exchange.bounded(scope, leg):
                return await call_next(leg)
        raise DeadlineExceeded.of(leg, leg.deadline)
    finally:
        call.attempts += leg.attempts - made
        call.may_have_run |= leg.may_have_run
        call.degraded |= leg.degraded
        call.server, call.target, call.replica = leg.server, leg.target, leg.replica
        call.delivery, call.server_time, call.cached = leg.delivery, leg.server_time, leg.cached
