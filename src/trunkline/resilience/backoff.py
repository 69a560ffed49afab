"""How long to wait before the next attempt.

Full jitter spreads clients that failed together over the whole interval (Marc Brooker, "Exponential Backoff And
Jitter", 2015). What a server asks for in Retry-After is a floor, never shortened, with the jitter on top of it.
"""

from __future__ import annotations

from math import ldexp
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from trunkline.policy import RetryPolicy

__all__ = ["OVERLOAD_BASE", "RETRY_AFTER_SPREAD", "full_jitter", "next_delay"]

OVERLOAD_BASE = 1.0
"""Seconds: the first range of backoffs when the server said that it has too much to do."""
RETRY_AFTER_SPREAD = 5.0
"""Seconds: a wait the server asked for is exceeded by no more than this."""
_MOST_DOUBLINGS = 64


def full_jitter(base: float, cap: float, doublings: int, rng: random.Random) -> float:
    """Draw from [0, min(`base` * 2^`doublings`, `cap`)) seconds; any number of doublings is allowed."""
    # Whoever reconnects without limit gets to exponents that no float holds.
    return rng.random() * min(ldexp(base, min(doublings, _MOST_DOUBLINGS)), cap)


def next_delay(
    policy: RetryPolicy,
    attempt: int,
    rng: random.Random,
    retry_after: float | None = None,
    *,
    overloaded: bool = False,
) -> float:
    """Seconds to wait after attempt number `attempt` (from 1) failed.

    With `retry_after` (seconds, from the server): at least that long, at most `RETRY_AFTER_SPREAD` longer, whatever
    the policy's cap. Whether the deadline allows it is the caller's question.
    """
    doublings = max(attempt - 1, 0)
    base = max(policy.base, OVERLOAD_BASE) if overloaded or retry_after is not None else policy.base
    if retry_after is None:
        return full_jitter(base, policy.cap, doublings, rng)
    return max(0.0, retry_after) + full_jitter(base, RETRY_AFTER_SPREAD, doublings, rng)
