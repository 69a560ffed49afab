"""Answers that are kept for bad times: what a server said before it could not be asked any more. A rung of the ladder.

Below other servers and tools, whose answers are current, and above what code or the configuration says.
"""

from __future__ import annotations

import json
from functools import partial

from mcp_types import Result

from trunkline import clock
from trunkline.cache.plan import Plan
from trunkline.cache.question import Question, question_of
from trunkline.caching import Caching
from trunkline.call import Call
from trunkline.errors import CallError
from trunkline.layers.fallback import Answer

__all__ = ["Kept"]


class Kept:
    """Gives a call what its tool answered before, as long as the policy keeps it and nobody took it back."""

    def __init__(self, caching: Caching) -> None:
        self._caching = caching

    def rung(self, call: Call) -> list[Answer]:
        """The step of the ladder, for a call that may have a kept answer; nothing for any other."""
        if call.cache != "use":
            return []
        plan = self._caching.known(call)
        if plan is None:
            is_possible = self._caching.cache.tiers.is_shared and bool(self._caching.unlisted(call))
        else:
            is_possible = self._may_have(plan, call)
        # What the call is about is settled now: on its way down the ladder it is led to other servers.
        return [Answer("stale", 0.0, partial(self._give, plan), is_own=True)] if is_possible else []

    def _may_have(self, plan: Plan, call: Call) -> bool:
        if plan.policy is None or not plan.policy.stale_if_error:
            return False
        if self._caching.cache.tiers.is_shared:
            return True
        question = question_of(self._caching.cache, plan, plan.policy, call)
        return isinstance(question, Question) and question.held(clock.now()) is not None

    async def _give(self, plan: Plan | None, call: Call, error: CallError) -> Result:
        """The kept answer; raises `error` where there is none after all."""
        plans = await self._recalled(call) if plan is None else [plan]
        for each in plans:
            result = await self._answer(each, call)
            if result is not None:
                return result
        raise error

    async def _answer(self, plan: Plan, call: Call) -> Result | None:
        cache, policy = self._caching.cache, plan.policy
        question = None if policy is None else question_of(cache, plan, policy, call)
        if policy is None or not isinstance(question, Question):
            return None
        held = question.held(clock.now())
        if held is None:
            await question.ask_tier()
            held = question.held(clock.now())
        result = None if held is None else question.read(held)
        if held is None or result is None:
            return None
        # The server and every substitute have just failed: none of them is asked again so soon.
        held.entry.recheck_at = clock.now() + policy.recheck
        call.server, call.target, call.cached = plan.server, plan.target, "stale"
        cache.statistics.count(plan.name, call.domain, "kept")
        return result

    async def _recalled(self, call: Call) -> list[Plan]:
        """What other processes know of a tool whose server this one has never reached."""
        tiers = self._caching.cache.tiers
        found = []
        for server in self._caching.unlisted(call):
            profile = self._caching.profile_of(server, call.name)
            await tiers.ask(profile)
            held = tiers.peek(profile, clock.now())
            if held is None:
                continue
            try:
                target, era, fingerprint = json.loads(held.entry.body)
            except ValueError:
                continue  # unreadable: a miss
            found.append(self._caching.recalled(server, call.name, target, era, fingerprint))
        return found
