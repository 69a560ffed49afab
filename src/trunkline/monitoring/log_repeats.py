"""Which of many log records alike are written: the first, then how many there were. Pure; time is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from trunkline.policy import RepeatsPolicy

__all__ = ["Kind", "Repeats"]

_KINDS = 1024
"""Kinds that are counted at once; beyond, the one that began first is forgotten, its count told."""


class Kind(NamedTuple):
    """What records that are alike have in common."""

    logger: str
    level: str
    event: str
    """The message before its arguments are put in."""
    server: str = ""
    replica: str = ""


@dataclass(slots=True)
class _Window:
    ends: float
    written: int = 0
    suppressed: int = 0


class Repeats:
    """Counts records by kind, in windows that begin with the first record of a kind."""

    def __init__(self, policy: RepeatsPolicy) -> None:
        self.policy = policy
        self.total = 0
        """Records suppressed since the start."""
        self._windows: dict[Kind, _Window] = {}
        self._over: list[tuple[Kind, int]] = []

    def __repr__(self) -> str:
        return f"<Repeats [{len(self._windows)} kinds, {self.total} suppressed]>"

    @property
    def is_idle(self) -> bool:
        """Whether nothing is counted, so that `ended` will have nothing to tell."""
        return not self._windows and not self._over

    def admit(self, kind: Kind, now: float) -> int | None:
        """Take in a record; return how many like it were suppressed before, or None where it is suppressed itself."""
        if not self.policy.enabled:
            return 0
        window = self._windows.get(kind)
        before = 0
        if window is None or now >= window.ends:
            before = 0 if window is None else window.suppressed
            self._windows.pop(kind, None)
            window = self._windows[kind] = _Window(now + self.policy.interval)
            if len(self._windows) > _KINDS:
                self._end(next(iter(self._windows)))
        if window.written >= self.policy.burst:
            window.suppressed += 1
            self.total += 1
            return None
        window.written += 1
        return before

    def ended(self, now: float) -> list[tuple[Kind, int]]:
        """Forget the kinds whose window is over, and return those of which records were suppressed, and how many."""
        for kind in [kind for kind, window in self._windows.items() if now >= window.ends]:
            self._end(kind)
        over, self._over = self._over, []
        return over

    def _end(self, kind: Kind) -> None:
        window = self._windows.pop(kind)
        if window.suppressed:
            self._over.append((kind, window.suppressed))
