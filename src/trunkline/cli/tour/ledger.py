"""What callers were told, and what that is worth beside the servers' own journals. Pure: decides, and does no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Final, Literal, TypeAlias

from trunkline.testing.journal import Entry

__all__ = ["Ledger", "Outcome", "Told", "Verdict", "p95", "verdict"]

Outcome: TypeAlias = Literal["ok", "kept", "refused", "unknown", "failed"]
"""`kept`: an answer of the cache, because the server had none; `refused`: the tool has not run; `unknown`: it may have
run; `failed`: a read without an answer."""


_WRITING: Final = ("append", "fault")
"""The tools that must not run twice, by the servers' own names."""


@dataclass(frozen=True, slots=True)
class Told:
    """How one call ended for its caller."""

    at: float
    """Seconds on the event loop's clock."""
    server: str
    writes: bool
    outcome: Outcome
    seconds: float


@dataclass(slots=True)
class Ledger:
    """Everything the callers were told."""

    calls: list[Told] = field(default_factory=list)
    placed: set[str] = field(default_factory=set)
    """Writes that were confirmed, by the name of the operation."""
    waiting: set[str] = field(default_factory=set)
    """Writes that were refused and not tried again yet."""
    unknown: set[str] = field(default_factory=set)
    """Writes whose answer was lost: nobody repeats them."""

    def count(self, *outcomes: Outcome, writes: bool) -> int:
        """Return how many reads, or writes, ended like this; all of them where no outcome is given."""
        return sum(told.writes == writes and (not outcomes or told.outcome in outcomes) for told in self.calls)

    def durations(self, server: str, start: float, end: float, *outcomes: Outcome) -> list[float]:
        """Return the seconds of calls of one server that ended so, between two moments of the loop's clock."""
        return [
            told.seconds
            for told in self.calls
            if told.server == server and start <= told.at < end and told.outcome in outcomes
        ]

    def first(self, server: str, since: float) -> float | None:
        """Return when the first write of `server` since then was confirmed; None where none was."""
        confirmed = (told for told in self.calls if told.writes and told.outcome == "ok")
        return next((told.at for told in confirmed if told.server == server and told.at >= since), None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The ledger beside the journals: every number is of writes, by the name of the operation."""

    once: int
    """Were begun exactly once."""
    twice: int
    """Were begun more than once."""
    lost: int
    """Were confirmed to their caller and never finished."""
    lied: int
    """Were last told not to have run, and had been begun."""
    unknown_ran: int
    """Lost their answer, and had been finished."""
    unknown_idle: int
    """Lost their answer, and had not been finished."""

    @property
    def is_kept(self) -> bool:
        """Whether every promise about writes was kept."""
        return not (self.twice or self.lost or self.lied)


def verdict(ledger: Ledger, journals: Iterable[Entry]) -> Verdict:
    """Compare what callers were told with what servers did."""
    begun: Counter[str] = Counter()
    finished: set[str] = set()
    for entry in journals:
        if entry.tool not in _WRITING:
            continue
        begun[entry.op] += entry.phase == "before"
        if entry.phase == "after":
            finished.add(entry.op)
    return Verdict(
        once=sum(times == 1 for times in begun.values()),
        twice=sum(times > 1 for times in begun.values()),
        lost=len(ledger.placed - finished),
        lied=sum(begun[op] > 0 for op in ledger.waiting),
        unknown_ran=len(ledger.unknown & finished),
        unknown_idle=len(ledger.unknown - finished),
    )


def p95(seconds: list[float]) -> float | None:
    """Return the 95th percentile; None of fewer than two."""
    return quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else None
