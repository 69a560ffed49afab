"""The cache's own counts as metrics: its size, what it served, what went to the shared tier. Few series, no names."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.cache.cache_manager import CacheManager
from trunkline.cache.redis_tier import RedisTier
from trunkline.monitoring.readings import Merge, Reading, counted_by

__all__ = ["cache_readings"]


def cache_readings(cache: CacheManager, tier: RedisTier | None) -> Iterator[Reading]:
    """What both tiers have counted since they were made; of the shared one only where there is one."""
    stats = cache.stats()
    total = stats.total
    outcomes = {
        "hit": total.hits,
        "stale": total.stale,
        "coalesced": total.coalesced,
        "miss": total.misses,
        "kept": total.kept,
    }
    yield counted_by("result", "trunkline_cache_lookups", "Look-ups of tools, listings and resources.", outcomes)
    yield counted_by("reason", "trunkline_cache_bypasses", "Calls that were not looked up.", stats.bypassed)
    yield counted_by("reason", "trunkline_cache_not_kept", "Answers that were passed on and not kept.", stats.refused)
    yield _counter("trunkline_cache_evictions", "Entries that had to make room.", stats.evictions)
    yield _counter("trunkline_cache_invalidations", "Invalidations made here.", stats.invalidations)
    yield _counter("trunkline_cache_refreshes", "Calls made in the background.", stats.refreshes)
    yield _gauge("trunkline_cache_entries", "Entries in memory.", stats.entries)
    yield _gauge("trunkline_cache_bytes", "Bytes that entries take in memory.", stats.bytes)
    yield _gauge("trunkline_cache_max_bytes", "Bytes that entries may take in memory.", stats.max_bytes)
    if tier is not None:
        yield from _shared(tier)


def _shared(tier: RedisTier) -> Iterator[Reading]:
    counts = tier.statistics()
    client = counts.client
    reads = {
        "found": counts.found,
        "outdated": counts.outdated,
        "damaged": sum(counts.damaged.values()),
        "unanswered": client.unanswered,
    }
    available = int(client.is_available)
    yield _gauge("trunkline_redis_up", "1 while the shared cache answers, else 0.", available, merge="min")
    yield counted_by("result", "trunkline_redis_reads", "Reads of the shared cache that came to something.", reads)
    yield _counter("trunkline_redis_writes", "Entries written to the shared cache.", client.written)
    yield _counter("trunkline_redis_dropped_writes", "Entries that were not written.", client.dropped_writes)
    yield counted_by("kind", "trunkline_redis_faults", "Faults that opened the shared cache's circuit.", client.faults)
    yield counted_by("kind", "trunkline_redis_refusals", "Commands the shared cache refused.", client.refused)
    yield _counter("trunkline_redis_commands", "Commands sent to the shared cache.", client.commands)
    yield _counter("trunkline_redis_messages", "Messages heard from other processes.", counts.backplane.messages)
    yield _counter("trunkline_redis_gaps", "Times messages may have been missed.", counts.backplane.gaps)
    yield _gauge("trunkline_redis_unheard", "Invalidations that wait to be heard.", counts.unheard)


def _counter(name: str, text: str, value: float) -> Reading:
    return Reading(name, "counter", text, {(): value})


def _gauge(name: str, text: str, value: float, *, merge: Merge = "sum") -> Reading:
    return Reading(name, "gauge", text, {(): value}, merge=merge)
