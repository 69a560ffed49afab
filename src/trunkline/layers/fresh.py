"""Fresh layer: a fresh answer in memory is served at once. The cache's quickest look, in the client's stack.

It blocks nothing and starts nothing, so it needs no deadline and no ladder of fallbacks; anything else goes on down to
the cache layer of the call's server.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio.lowlevel
from mcp_types import Result

from trunkline import clock
from trunkline.cache.cache_manager import CacheManager
from trunkline.cache.freshness import may_be_due_early
from trunkline.cache.plan import Plan
from trunkline.cache.question import Question, question_of
from trunkline.call import Call, Service
from trunkline.policy import CachePolicy

__all__ = ["FreshLayer"]

_TURN = 32
"""Answers after which others get their turn: a caller in a loop that only hits would keep the event loop to itself."""


class FreshLayer:
    """Serves what is fresh in memory and needs no refreshing."""

    def __init__(self, cache: CacheManager, plan: Callable[[Call], Plan | None]) -> None:
        """Look into `cache`; `plan` says what may be there of a call that has not been led to its server."""
        self._cache = cache
        self._plan = plan
        self._served = 0

    async def __call__(self, call: Call, call_next: Service) -> Result:
        """Serve the call."""
        plan = self._plan(call)
        if plan is None or (policy := plan.policy) is None or call.cache != "use":
            return await call_next(call)
        result = self._fresh(call, plan, policy)
        if result is None:
            return await call_next(call)
        self._served += 1
        if self._served % _TURN == 0:
            await anyio.lowlevel.checkpoint()
        return result

    def _fresh(self, call: Call, plan: Plan, policy: CachePolicy) -> Result | None:
        question = question_of(self._cache, plan, policy, call)
        if not isinstance(question, Question):
            return None
        now = clock.now()
        held = question.held(now)
        if held is None or held.entry.freshness(now) != "fresh" or may_be_due_early(held.entry, policy, now):
            return None
        result = question.read(held)
        if result is not None:
            call.server, call.target, call.cached = plan.server, plan.target, "hit"
            self._cache.statistics.count(plan.name, call.domain, "hit")
        return result
