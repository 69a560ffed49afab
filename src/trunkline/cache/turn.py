"""Several processes that miss the same ask the server once: one has the claim, the others look out for its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from trunkline import clock
from trunkline.cache.question import Question
from trunkline.cache.tier import Claim
from trunkline.cache.tiers import Held

__all__ = ["leased"]

_SOONEST, _LATEST = 0.01, 0.1
"""Seconds between two looks at what the holder of the claim has stored, at random between these."""


_LOOKS = 4
"""Looks after which the claim is asked for again: whoever had it may have been answered what is not kept."""


@asynccontextmanager
async def leased(question: Question, seconds: float | None) -> AsyncIterator[Held | None]:
    """The turn to ask the server, or what another process was answered meanwhile. None for `seconds` claims nothing.

    Whoever holds the claim may keep the others waiting for that long and no longer: it may have died.
    """
    held, claim = (None, True) if seconds is None else await _turn(question, seconds)
    try:
        yield held
    finally:
        if not isinstance(claim, bool):
            # Also when the call was cancelled, or others would wait for nothing.
            with anyio.CancelScope(shield=True):
                await claim.release()


async def _turn(question: Question, seconds: float) -> tuple[Held | None, Claim | bool]:
    """A fresh answer that another process has stored, or the claim, or neither when the time is over."""
    tiers, until, looks = question.cache.tiers, clock.now() + seconds, 0
    claim = await tiers.claim(question.key, seconds)
    while claim is False and clock.now() < until:
        await anyio.sleep(question.cache.rng.uniform(_SOONEST, _LATEST))
        looks += 1
        held = await _stored(question)
        if held is None and looks % _LOOKS == 0:
            claim = await tiers.claim(question.key, seconds)
            # Whoever had it stored the answer first, and gave it back then.
            held = None if claim is False else await _stored(question)
        if held is not None:
            return held, claim
    return None, claim


async def _stored(question: Question) -> Held | None:
    """A fresh answer, if another process has stored one."""
    await question.ask_tier()
    now = clock.now()
    held = question.held(now)
    return held if held is not None and held.entry.freshness(now) == "fresh" else None
