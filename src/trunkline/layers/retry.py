"""Retry layer: tries again what cannot have run, or may run twice; within a budget and the deadline.

Above the breaker, so every attempt is judged. The only layer that repeats anything.
"""

from __future__ import annotations

import random

import anyio
from mcp_types import Result

from trunkline import clock
from trunkline.call import Call, Delivery, Service
from trunkline.errors import AttemptTimeout, CallError, CallFailed, ServerError
from trunkline.events import Emit, RetryScheduled
from trunkline.policy import RetryPolicy
from trunkline.resilience.backoff import next_delay
from trunkline.resilience.budget import RetryBudget, Spent
from trunkline.resilience.delivery import Decision, may_retry

__all__ = ["RetryLayer"]


class RetryLayer:
    """Repeats attempts as `resilience.delivery` allows.

    What it raises in the end is the failure that says most: one after which the tool may have run outranks a later
    refusal, so that nobody is told "rejected" of a call that ran.
    """

    def __init__(self, policy: RetryPolicy, budget: RetryBudget, *, emit: Emit, rng: random.Random) -> None:
        self._policy = policy
        self._budget = budget
        self._emit = emit
        self._rng = rng

    async def __call__(self, call: Call, call_next: Service) -> Result:
        """Serve the call in as many attempts as it takes and is allowed."""
        counted, tried = 0, 0
        spent: Spent | None = None
        told: CallError | None = None
        while True:
            call.delivery, call.server_time = Delivery.NOT_SENT, None
            tried += 1
            try:
                result = await call_next(call)
            except CallError as error:
                told = error if told is None or error.may_have_run or not told.may_have_run else told
                decision = may_retry(error, repeatable=call.repeatable)
                counted += decision.counts
                delay = self._delay(error, tried)
                is_last = not decision.retry or counted >= self._policy.attempts
                is_late = clock.now() + delay >= call.deadline
                if is_last or is_late or (paid := self._pay(error, decision)) is None:
                    raise told from (error.__cause__ if told is error else error)
                spent = paid
                self._emit(RetryScheduled(clock.now(), call.id, call.name, call.server, tried, delay, error.code))
            else:
                if spent is not None:
                    self._budget.retry_succeeded(spent)
                else:
                    self._budget.succeeded_first_try()
                return result
            await anyio.sleep(delay)

    def _delay(self, error: CallError, tried: int) -> float:
        overloaded = isinstance(error, ServerError) and error.is_overload
        return next_delay(self._policy, tried, self._rng, error.retry_after, overloaded=overloaded)

    def _pay(self, error: CallError, decision: Decision) -> Spent | None:
        """What the retry cost, or None when the budget does not allow it."""
        if not decision.charged:
            return Spent(0.0)
        incident = error.incident if isinstance(error, CallFailed) else None
        return self._budget.try_spend(timeout=isinstance(error, AttemptTimeout), incident=incident)
