"""Cumulative counts by subject, now and at moments of the past: what happened in a window is one subtraction.

Sampled at each evaluation, some thirty samples for each window: the way Prometheus has it, so that both agree. Knows
no clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

__all__ = ["NOTHING", "Count", "Read", "Subject", "Timeline", "Window"]

_SAMPLES: Final = 30

Subject: TypeAlias = tuple[str, ...]
"""The label values of one subject of a rule."""


class Count(NamedTuple):
    """What had happened to a subject up to some moment."""

    total: int = 0
    bad: int = 0
    seconds: float = 0.0
    """All durations added up."""


NOTHING: Final = Count()

Read: TypeAlias = Callable[[], Mapping[Subject, Count]]
"""A plain read of the present counts."""

_Sample: TypeAlias = tuple[float, Mapping[Subject, Count]]


class Window(NamedTuple):
    """One stretch of time that ends now."""

    before: Mapping[Subject, Count]
    """The counts at its start."""
    is_known: bool
    """Whether at least half of it was watched."""


class Timeline:
    """The counts of one kind of subjects, and their past as far as anybody looks back."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.now: Mapping[Subject, Count] = {}
        self._past: dict[float, deque[_Sample]] = {}

    def __repr__(self) -> str:
        return f"<Timeline [{len(self.now)} subjects, {sum(map(len, self._past.values()))} samples]>"

    def keep(self, windows: Iterable[float], now: float, *, started: float | None = None) -> None:
        """Look back over these windows (s) from now on; what is known of those among them stays.

        `started` is when counting began, if that is when watching did: then everything counted lies in between.
        """
        first: _Sample = (now, self._read()) if started is None else (started, {})
        self._past = {window: self._past.get(window) or deque([first]) for window in windows}

    def sample(self, now: float) -> None:
        """Take in the present counts."""
        before = self.now
        # Subjects that rest share one object over all samples.
        self.now = {name: count if (old := before.get(name)) != count else old for name, count in self._read().items()}
        for seconds, samples in self._past.items():
            if now - samples[-1][0] >= seconds / _SAMPLES:
                samples.append((now, self.now))
            while len(samples) > 1 and samples[1][0] <= now - seconds:
                samples.popleft()

    def window(self, seconds: float, now: float) -> Window:
        """Return the start of the window of so many seconds, one of those kept, that ends now."""
        at, before = self._past[seconds][0]
        return Window(before, now - at >= seconds / 2)
