"""Cache layer: an answer that is known already is not asked for again. In each server's stack, above retry.

Fresh answers are served; stale ones, too, while one call in the background refreshes them; callers that miss together
wait for one call. What may not be cached passes by, and makes invalid what it may have changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import anyio
from anyio.abc import TaskGroup
from mcp_types import Result

from trunkline import clock
from trunkline.cache.cache_manager import CacheManager
from trunkline.cache.entry import Entry
from trunkline.cache.flight import Flight
from trunkline.cache.freshness import is_due_early, may_be_due_early
from trunkline.cache.landing import Landing
from trunkline.cache.plan import Plan
from trunkline.cache.question import Question, question_of
from trunkline.cache.tiers import Held
from trunkline.cache.turn import leased
from trunkline.call import Call, Delivery, Service

__all__ = ["CacheLayer"]

Planner = Callable[[Call], Plan | None]
"""What the cache does about a call that was led to its server; None for what it has no business with."""


class CacheLayer:
    """Serves from the cache what may be, and keeps what the server answers.

    Raises:
        CallError: As the call below ended; callers that waited for it together each get an error of their own.
    """

    def __init__(self, cache: CacheManager, plan: Planner) -> None:
        self._cache = cache
        self._plan = plan

    async def __call__(self, call: Call, call_next: Service) -> Result:
        """Serve the call."""
        plan = self._plan(call)
        if plan is None:
            return await call_next(call)
        policy = plan.policy
        if policy is None:
            return await (call_next(call) if plan.invalidates == () else self._change(plan, call_next, call))
        if plan.invalidates != ():
            call_next = partial(self._change, plan, call_next)
        question = question_of(self._cache, plan, policy, call)
        if isinstance(question, str):
            self._cache.statistics.bypassed[question] += 1
            return await call_next(call)
        # What may be given to others is asked for as by nobody: a flight has no one who could answer for all on it.
        call.exchange = None
        held = question.held(clock.now()) if call.cache == "use" else None
        result = None if held is None else self._served(question, held, call, call_next)
        return await self._ask(question, held, call, call_next) if result is None else result

    def _served(self, question: Question, held: Held, call: Call, call_next: Service) -> Result | None:
        """What is held, if it may be served without asking anybody."""
        entry, now = held.entry, clock.now()
        state, policy = entry.freshness(now), question.policy
        is_throttled = now < entry.recheck_at
        if state == "kept" and not is_throttled:
            return None
        result = question.read(held)
        if result is None:
            return None
        if state == "fresh":
            call.cached = "hit"
            may_be_due = may_be_due_early(entry, policy, now) and not is_throttled
            if may_be_due and is_due_early(entry, policy, now, 1.0 - self._cache.rng.random()):
                self._refresh(question, held, call, call_next)
        else:
            call.cached = "stale"
            if not is_throttled:
                self._refresh(question, held, call, call_next)
        self._cache.statistics.count(question.plan.name, call.domain, call.cached)
        return result

    async def _ask(self, question: Question, held: Held | None, call: Call, call_next: Service) -> Result:
        """Have the answer from the shared tier, from the server, or from whoever is asking it already."""
        call.cached = "miss"
        tasks, time = self._cache.tasks, call.attempt_timeout
        has_own_time = time is not None and time != question.plan.attempt_timeout
        try:
            if tasks is None or call.progress is not None or has_own_time or call.cache == "refresh":
                landing = await self._fetch(question, call_next, call, is_anew=call.cache == "refresh")
                return self._take(landing, call, is_only=True)
            return await self._fly(question, held, call, call_next, tasks)
        finally:
            self._cache.statistics.count(question.plan.name, call.domain, call.cached)

    async def _fly(
        self, question: Question, held: Held | None, call: Call, call_next: Service, tasks: TaskGroup
    ) -> Result:
        """Have the answer from a flight: one's own, or one that is under way."""
        flights, digest = self._cache.flights, question.key.digest
        flight = flights.under_way(digest)
        is_first = flight is None
        if flight is None:
            flown = _flown(call, question.plan, call.deadline)
            fetch = partial(self._fetch, question, call_next)
            flight = flights.launch(digest, flown, fetch, tasks, is_overtaken=question.is_overtaken)
        else:
            call.cached = "coalesced"
        flight.joined += 1
        try:
            late = await self._wait_softly(question, held, flight, call)
            if late is not None:
                return late
            landing = await flights.wait(digest, flight, call.deadline)
        finally:
            _note(call, flight, is_first=is_first)
        result = self._take(landing, call, is_only=flight.joined == 1)
        if landing.found == "stale" and landing.held is not None:
            self._refresh(question, landing.held, call, call_next)
        return result

    async def _wait_softly(
        self, question: Question, held: Held | None, flight: Flight[Landing], call: Call
    ) -> Result | None:
        """What is kept, where the server takes too long for waiting and there is something: its answer is for later."""
        soft = question.policy.soft_timeout
        if soft is None or held is None:
            return None
        flight.is_background = True
        with anyio.move_on_after(soft):
            await flight.landed.wait()
            return None
        # Perhaps it was made invalid meanwhile.
        held = question.held(clock.now())
        result = None if held is None else question.read(held)
        if result is not None:
            call.cached = "stale"
        return result

    def _take(self, landing: Landing, call: Call, *, is_only: bool) -> Result:
        """One caller's own answer."""
        if landing.found != "miss":
            call.cached = landing.found
        return landing.take(is_only=is_only)

    def _refresh(self, question: Question, held: Held, call: Call, call_next: Service) -> None:
        """Ask the server in the background, unless that is under way."""
        cache, digest, tasks = self._cache, question.key.digest, self._cache.tasks
        if tasks is None or cache.flights.under_way(digest) is not None:
            return

        async def renew(flown: Call) -> Landing:
            landing = None
            try:
                landing = await self._fetch(question, call_next, flown, instead_of=held.entry)
                return landing
            finally:
                present = question.held(clock.now())
                if present is not None and (landing is None or landing.held is None):
                    # Nothing newer: the present answer does for a while, and the server is left alone.
                    present.entry.recheck_at = clock.now() + question.policy.recheck

        cache.statistics.refreshes += 1
        flown = _flown(call, question.plan, 0.0)
        cache.flights.launch(digest, flown, renew, tasks, is_overtaken=question.is_overtaken, is_background=True)

    async def _fetch(
        self,
        question: Question,
        call_next: Service,
        call: Call,
        *,
        instead_of: Entry | None = None,
        is_anew: bool = False,
    ) -> Landing:
        """The answer from the shared tier, newer than `instead_of`, else from the server, whose answer is kept."""
        is_told = await question.ask_tier()
        now = clock.now()
        held = question.held(now) if is_told and not is_anew else None
        if held is not None:
            state = held.entry.freshness(now)
            if instead_of is None:
                is_usable = state in ("fresh", "stale")
            else:
                is_usable = state == "fresh" and held.entry.stored > instead_of.stored
            if is_usable and question.read(held) is not None:
                return Landing("hit" if state == "fresh" else "stale", held=held)
        lease = question.policy.lease if is_told and not is_anew else None
        async with leased(question, lease) as theirs:
            if theirs is not None and question.read(theirs) is not None:
                return Landing("hit", held=theirs)
            versions, asked = question.capture(), clock.now()
            try:
                result = await call_next(call)
            finally:
                question.close()
            kept = question.keep(result, versions, asked, is_told=is_told and lease is None)
            if lease is not None and kept is not None:
                # There before the others are let go on.
                await self._cache.tiers.write_through(question.key, kept.entry)
            return Landing("miss", result, kept)

    async def _change(self, plan: Plan, call_next: Service, call: Call) -> Result:
        """Make a call that may change what others were told, and make that invalid: also when it only may have run."""
        has_run = False
        try:
            result = await call_next(call)
            has_run = True
            return result
        finally:
            if has_run or call.may_have_run:
                self._cache.changed(plan, call.principal)


def _flown(call: Call, plan: Plan, deadline: float) -> Call:
    """The same call as nobody's own: with the policy's time, not that of whoever happened to come first."""
    return replace(
        call,
        deadline=max(deadline, clock.now() + plan.timeout),
        attempt_timeout=plan.attempt_timeout,
        progress=None,
        attempts=0,
        delivery=Delivery.NOT_SENT,
        may_have_run=False,
    )


def _note(call: Call, flight: Flight[Landing], *, is_first: bool) -> None:
    """Tell a caller's call what is known of the one that was made for it."""
    flown = flight.call
    call.delivery, call.server_time, call.replica = flown.delivery, flown.server_time, flown.replica
    call.may_have_run |= flown.may_have_run
    if flown.attempts and not flight.landed.is_set():
        # Left while it goes on for others: nobody asks how far it has come.
        call.delivery, call.may_have_run = Delivery.UNKNOWN, True
    call.degraded |= flown.degraded
    if is_first:
        call.attempts += flown.attempts
