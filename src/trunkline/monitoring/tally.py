"""Plain counters by label, recorded by a single `list.append` like durations are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from trunkline.monitoring.labels import OTHER, clean_all

__all__ = ["Tally"]


class Tally:
    """How often each combination of labels occurred; at most `limit` combinations, the rest under `_other`."""

    __slots__ = ("_folded", "add", "labels", "limit", "pending")

    def __init__(self, *labels: str, limit: int) -> None:
        self.labels = labels
        self.limit = limit
        self.pending: list[tuple[str, ...]] = []
        self.add: Callable[[tuple[str, ...]], None] = self.pending.append
        """Count one occurrence; as many values as there are labels."""
        self._folded: dict[tuple[str, ...], int] = {}

    def __repr__(self) -> str:
        return f"<Tally {'/'.join(self.labels)} [{len(self._folded)} combinations, {len(self.pending)} pending]>"

    @property
    def overflowed(self) -> int:
        """Occurrences folded that found no combination of their own."""
        return self._folded.get((OTHER,) * len(self.labels), 0)

    def fold(self) -> None:
        """Work pending occurrences into the counts. The caller holds the store's lock."""
        pending = self.pending
        size = len(pending)
        drained = pending[:size]
        del pending[:size]
        counts = self._folded
        for raw, hits in Counter(drained).items():
            labels = clean_all(raw)
            if labels not in counts and len(counts) >= self.limit:
                labels = (OTHER,) * len(labels)
            counts[labels] = counts.get(labels, 0) + hits

    def counts(self) -> dict[tuple[str, ...], int]:
        """Return how often each combination of label values occurred, as far as folded."""
        return dict(self._folded)
