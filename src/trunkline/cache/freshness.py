"""How long an answer lives, and whether it is refreshed before its time. Pure: times and dice are arguments."""

from __future__ import annotations

from math import log

from trunkline.cache.entry import Entry
from trunkline.policy import CachePolicy

__all__ = ["entry_of", "is_due_early", "may_be_due_early"]

_UNLIKELY = 20.0
"""No draw worth waiting for is further out: e to the power of minus this is two in a thousand million."""


def entry_of(
    method: str,
    body: bytes,
    versions: tuple[bytes, ...],
    policy: CachePolicy,
    *,
    ttl: float,
    now: float,
    origin_time: float,
    draw: float,
) -> Entry:
    """An entry as of `now`; `draw` from [0, 1) decides how much shorter or longer than `ttl` it is fresh."""
    return Entry(
        method=method,
        body=body,
        versions=versions,
        stored=now,
        fresh_for=ttl * (1 + policy.jitter * (2 * draw - 1)),
        stale_for=ttl if policy.stale is None else policy.stale,
        kept_for=policy.stale_if_error,
        origin_time=origin_time,
        confirmed=now,
    )


def may_be_due_early(entry: Entry, policy: CachePolicy, now: float) -> bool:
    """Whether `is_due_early` is worth asking: most of an entry's life it is not."""
    left = entry.stored + entry.fresh_for - now
    return policy.early > 0 and left < policy.early * entry.origin_time * _UNLIKELY


def is_due_early(entry: Entry, policy: CachePolicy, now: float, draw: float) -> bool:
    """Whether to refresh a fresh entry now; the likelier, the nearer its end and the slower the server.

    The rule is XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, PVLDB 8(8),
    2015), with `draw` from (0, 1].
    """
    return now - policy.early * entry.origin_time * log(draw) >= entry.stored + entry.fresh_for
