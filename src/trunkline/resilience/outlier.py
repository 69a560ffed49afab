"""Which replicas of one server are left out because they do worse than the others.

Two signs: hard failures in a row, and a success ratio far below that of the others (the success-rate outlier detection
of Envoy). It is a choice among places that all may be asked: a replica that nobody should ask has its circuit for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, TypeAlias

from trunkline.resilience.incidents import Incidents
from trunkline.resilience.window import Window

if TYPE_CHECKING:
    import random

    from trunkline.policy import OutlierPolicy

__all__ = ["OnEjection", "Outliers"]

OnEjection: TypeAlias = Callable[[str, bool, str, float], None]
"""`(replica, whether it is out now, reason in words, now in seconds)`, told exactly once per change, after it."""

_SMALL = 4
"""Replicas up to which all but one may be out: half of three would be one, and two can fail together."""


@dataclass(slots=True, eq=False)
class _Standing:
    window: Window
    failures: int = 0
    """Hard failures in a row."""
    incidents: Incidents = field(default_factory=Incidents)
    out_since: float | None = None
    out_until: float = 0.0
    by_comparison: bool = False
    """Whether it is out for doing worse than the others, though it may answer every ping."""
    ejections: int = 0
    """In a row."""
    back_since: float = 0.0
    generation: int = 0
    """Ejections and returns so far."""


class Outliers:
    """Judges the replicas of one server by what their attempts came to. Times in seconds of a monotonic clock.

    Outcomes are bound to the stay that admitted their attempts by a generation, as the circuit's are.
    """

    def __init__(
        self, policy: OutlierPolicy, replicas: Sequence[str], *, rng: random.Random, on_change: OnEjection
    ) -> None:
        self._policy = policy
        self._rng = rng
        self._on_change = on_change
        self._standings = {replica: _Standing(Window(policy.window)) for replica in replicas}
        self._most = self._limit(len(replicas)) if policy.enabled else 0

    def __repr__(self) -> str:
        out = [replica for replica, standing in self._standings.items() if standing.out_since is not None]
        return f"<Outliers [{len(out)} of {len(self._standings)} replicas out, {self._most} may be: {out}]>"

    def generation(self, replica: str, now: float) -> int:
        """What an attempt that begins at `now` hands back to `note` when it has ended."""
        self.is_ejected(replica, now)
        return self._standings[replica].generation

    def note(self, replica: str, *, ok: bool, now: float, generation: int, incident: object | None = None) -> None:
        """An attempt ended and says something of the replica, unless that has been out or come back meanwhile.

        Failures with the same `incident` (compared by identity: one lost connection) count once.
        """
        standing = self._standings[replica]
        if self.is_ejected(replica, now) or generation != standing.generation:
            return
        if ok:
            standing.failures = 0
            standing.window.record(now, failed=False)
            return
        if incident in standing.incidents:
            return
        standing.incidents.add(incident)
        standing.failures += 1
        standing.window.record(now, failed=True)
        if standing.failures >= self._policy.consecutive:
            self._eject(replica, f"{standing.failures} failures in a row", now, by_comparison=False)
        else:
            self._compare(replica, now)

    def readmit(self, replica: str, now: float) -> None:
        """A background probe found it well: that ends an ejection for failures in a row, and no other.

        A replica that is worse than the others answers its pings all the while.
        """
        standing = self._standings[replica]
        if standing.out_since is not None and not standing.by_comparison:
            self._take_back(replica, "a probe succeeded", now)

    def is_ejected(self, replica: str, now: float) -> bool:
        """Whether it is left out at `now`."""
        standing = self._standings[replica]
        if standing.out_since is not None and now >= standing.out_until:
            self._take_back(replica, f"{standing.out_until - standing.out_since:.1f} s are over", now)
        return standing.out_since is not None

    def ejected(self, now: float) -> tuple[str, ...]:
        """Those left out at `now`, the longest out first."""
        out = [replica for replica in self._standings if self.is_ejected(replica, now)]
        return tuple(sorted(out, key=lambda replica: self._standings[replica].out_since or 0.0))

    def _limit(self, count: int) -> int:
        if self._policy.most is not None:
            return min(int(self._policy.most * count), count - 1)
        return count - 1 if count <= _SMALL else count // 2

    def _compare(self, replica: str, now: float) -> None:
        policy, ratios = self._policy, {}
        for name, standing in self._standings.items():
            # Who is out gets no calls: its old ratio would lower the mean by which the others are judged.
            if self.is_ejected(name, now):
                continue
            standing.window.advance(now)
            if standing.window.total >= policy.minimum:
                ratios[name] = standing.window.successes / standing.window.total
        if replica not in ratios or len(ratios) < policy.peers:
            return
        mean, ratio = fmean(ratios.values()), ratios[replica]
        threshold = min(mean - policy.deviations * pstdev(ratios.values()), mean - policy.margin)
        if ratio < threshold:
            words = f"{ratio:.0%} of its attempts succeed, {mean:.0%} on average"
            self._eject(replica, words, now, by_comparison=True)

    def _eject(self, replica: str, reason: str, now: float, *, by_comparison: bool) -> None:
        if len(self.ejected(now)) >= self._most:
            return
        standing, policy = self._standings[replica], self._policy
        # One good stretch as long as the longest ejection, and the past is forgiven.
        standing.ejections = 1 if now - standing.back_since > policy.cap else standing.ejections + 1
        full = min(policy.base * standing.ejections, policy.cap)
        standing.generation += 1
        standing.out_since = now
        standing.out_until = now + full * (0.5 + 0.5 * self._rng.random())
        standing.by_comparison = by_comparison
        self._on_change(replica, True, reason, now)

    def _take_back(self, replica: str, reason: str, now: float) -> None:
        standing = self._standings[replica]
        standing.generation += 1
        standing.out_since, standing.back_since = None, now
        standing.failures = 0
        standing.window.clear()
        self._on_change(replica, False, reason, now)
