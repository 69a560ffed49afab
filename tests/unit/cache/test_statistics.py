"""What the cache did adds up, by tool and by domain, and has a JSON form."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from trunkline.cache.cache_manager import CacheManager
from trunkline.cache.statistics import OTHER, CacheStatistics, LookupOutcome


def test_what_is_served_without_waiting_is_the_hit_ratio() -> None:
    counted = CacheStatistics()
    outcomes: tuple[LookupOutcome, ...] = ("hit", "hit", "stale", "coalesced", "miss", "kept")
    for outcome in outcomes:
        counted.count("s_read", "chat", outcome)
    counted.count("s_other", "chat", "miss")
    total, tools, domains = counted.totals()
    assert (total.hits, total.stale, total.coalesced, total.misses, total.kept) == (2, 1, 1, 2, 1)
    assert tools["s_read"].hit_ratio == pytest.approx(3 / 5)
    assert tools["s_other"].hit_ratio == 0.0
    assert domains["chat"].hit_ratio == total.hit_ratio == pytest.approx(3 / 6)


def test_without_any_look_up_there_is_no_ratio() -> None:
    counted = CacheStatistics()
    counted.count("s_read", "chat", "kept")
    assert counted.totals()[1]["s_read"].hit_ratio is None
    assert CacheManager().stats().total.hit_ratio is None


def test_names_beyond_the_most_are_counted_together() -> None:
    counted = CacheStatistics()
    for number in range(3000):
        counted.count(f"t{number}", "chat", "miss")
    total, tools, _ = counted.totals()
    assert len(tools) <= 1025
    assert tools[OTHER].misses == 3000 - 1024
    assert total.misses == 3000


def test_the_statistics_of_a_cache_have_a_json_form() -> None:
    cache = CacheManager()
    cache.statistics.count("s_read", "chat", "hit")
    cache.statistics.bypassed["meta"] += 1
    told = json.loads(json.dumps(asdict(cache.stats())))
    assert told["total"]["hits"] == told["tools"]["s_read"]["hits"] == told["domains"]["chat"]["hits"] == 1
    assert told["bypassed"] == {"meta": 1}
    assert told["max_bytes"] == 64 * 1024 * 1024
