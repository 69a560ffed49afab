"""What the cache did, counted: by tool, by domain and in all. Plain records that have a JSON form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from trunkline.call import CacheOutcome

__all__ = ["OTHER", "CacheCounts", "CacheStatistics", "CacheStats", "LookupOutcome"]

LookupOutcome: TypeAlias = CacheOutcome | Literal["kept"]

OTHER = "_other"
"""Where names are counted that came after there were too many."""

_MOST_NAMES = 1024


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """How often answers were found."""

    hits: int
    stale: int
    """Served although expired, while the answer was refreshed."""
    coalesced: int
    """Served by another caller's call to the server."""
    misses: int
    kept: int
    """Served because neither the server nor a substitute had an answer; each was counted as it missed, too."""
    hit_ratio: float | None
    """Share of look-ups that were served without waiting for a server: hits and stale; None without any look-up."""


@dataclass(frozen=True, slots=True)
class CacheStats:
    """One cache, since it was made. `dataclasses.asdict` gives its JSON form."""

    total: CacheCounts
    tools: Mapping[str, CacheCounts]
    """By the name shown to callers; listings and resources by method and server."""
    domains: Mapping[str, CacheCounts]
    bypassed: Mapping[str, int]
    """Calls of tools that have a policy and were not looked up, by reason."""
    refused: Mapping[str, int]
    """Answers that were passed on and not kept, by reason."""
    faults: int
    """Entries that could not be read: each was a miss."""
    refreshes: int
    """Calls made in the background."""
    invalidations: int
    entries: int
    bytes: int
    max_bytes: int
    evictions: int
    under_way: int
    """Calls to servers that callers wait for together, or that run in the background."""


class CacheStatistics:
    """Counts; hot, so it does nothing else."""

    def __init__(self) -> None:
        self.bypassed: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.faults = 0
        self.refreshes = 0
        self.invalidations = 0
        self._tools: dict[str, dict[str, int]] = {}
        self._domains: dict[str, dict[str, int]] = {}

    def count(self, tool: str, domain: str, outcome: LookupOutcome) -> None:
        """One look-up ended."""
        by_tool = self._tools.get(tool) or _room(self._tools, tool)
        by_domain = self._domains.get(domain) or _room(self._domains, domain)
        by_tool[outcome] += 1
        by_domain[outcome] += 1

    def totals(self) -> tuple[CacheCounts, dict[str, CacheCounts], dict[str, CacheCounts]]:
        """In all, by tool and by domain."""
        return (
            _counts(self._tools.values()),
            {name: _counts([counted]) for name, counted in self._tools.items()},
            {name: _counts([counted]) for name, counted in self._domains.items()},
        )


def _room(table: dict[str, dict[str, int]], name: str) -> dict[str, int]:
    name = name if len(table) < _MOST_NAMES else OTHER
    return table.setdefault(name, dict.fromkeys(("hit", "stale", "coalesced", "miss", "kept", "bypass"), 0))


def _counts(tables: Iterable[Mapping[str, int]]) -> CacheCounts:
    total: Counter[str] = Counter()
    for table in tables:
        total.update(table)
    served = total["hit"] + total["stale"]
    lookups = served + total["coalesced"] + total["miss"]
    return CacheCounts(
        hits=total["hit"],
        stale=total["stale"],
        coalesced=total["coalesced"],
        misses=total["miss"],
        kept=total["kept"],
        hit_ratio=served / lookups if lookups else None,
    )
