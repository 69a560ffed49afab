"""What is out of the ordinary now, in words: "p99 2.1× its hour's norm since 14:03". Noise says nothing.

Each domain is looked at every ten seconds, by its last hour and by the same hour yesterday. A statement is made when a
number has been beyond its norm for half a minute, and taken back when it has been near it for as long; in between, the
norm stays what it was, or trouble would soon be normal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final, Literal, TypeAlias

from trunkline.monitoring.norms import WATCHED, Verdict, judge
from trunkline.monitoring.series import Group
from trunkline.monitoring.stats import Metric
from trunkline.monitoring.store import MetricStore

__all__ = ["Statement", "TrendWatch"]

_PACE: Final = 10.0
"""Seconds between looks at one domain: each costs about as much as a hundred records."""
_HOLD: Final = 30.0
"""Seconds that something has to last before it is said, and before it is taken back."""
_NEAR: Final = 0.8
"""A number is near its norm again below this much of what it took to be beyond."""
_LASTING: Final = 3600.0
"""Seconds after which the norm is taken anew: what lasts an hour is normal, for better or worse."""
_WATCHED_FOR: Final = 660.0
"""Seconds after the start before anything is normal."""
_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR

Against: TypeAlias = Literal["hour", "yesterday"]
_Key: TypeAlias = tuple[str, Against, Metric]


@dataclass(frozen=True, slots=True)
class Statement:
    """One number of one domain that is out of the ordinary."""

    domain: str
    metric: Metric
    against: Against
    """What it is compared with: the hour before, or the same hour of yesterday."""
    current: float
    """Seconds, requests per second or a ratio, as the metric has it."""
    norm: float
    """The same over what it is compared with, as it was when this began."""
    since: float
    """When it began, in seconds since the epoch."""
    at: float
    """When this was said, in seconds since the epoch."""

    @property
    def ratio(self) -> float | None:
        """`current` by `norm`; None where the norm is 0."""
        return self.current / self.norm if self.norm else None

    def __str__(self) -> str:
        """The statement in words, without its domain; times are local ones of this process."""
        norm = "its hour's norm" if self.against == "hour" else "the same hour yesterday"
        since = f"since {_moment(self.since, self.at)}"
        ratio = self.ratio
        if self.metric == "error_ratio":
            times = f"{norm} has none" if ratio is None else f"{_times(ratio)} {norm}"
            return f"{self.current:.1%} of requests fail, {times}, {since}".replace("%", " %")
        if self.metric == "rate" and not self.current:
            return f"no requests {since}, {norm} is {self.norm:.3g}/s"
        return f"{self.metric} {_times(ratio or 0.0)} {norm} {since}"

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, `ratio` and `text` as a JSON-able mapping."""
        return {**asdict(self), "ratio": self.ratio, "text": str(self)}


def _times(ratio: float) -> str:
    return f"{ratio:.0f}×" if ratio >= 10 else f"{ratio:.1f}×"


def _moment(then: float, now: float) -> str:
    moment = datetime.fromtimestamp(then, UTC).astimezone()
    return f"{moment:%H:%M}" if now - then < _DAY / 2 else f"{moment:%H:%M on %d %B}"


class _Deviation:
    """A number that was found beyond its norm."""

    __slots__ = ("began", "calm", "current", "falls", "is_said", "norm", "taken")

    def __init__(self, now: float, verdict: Verdict) -> None:
        self.began = now
        self.taken = now
        """When the norm was taken."""
        self.norm = verdict.norm
        self.current = verdict.current
        self.falls = verdict.current < verdict.norm
        self.is_said = False
        self.calm: float | None = None
        """Since when it is near its norm."""

    def goes_on(self, now: float, verdict: Verdict | None) -> bool:
        """Take in what the next look found; False when this is over."""
        if verdict is not None:
            self.current = verdict.current
        if not self.is_said:
            self.is_said = now - self.began >= _HOLD
            return verdict is not None and verdict.is_beyond and self.falls == (verdict.current < verdict.norm)
        if verdict is not None and now - self.taken >= _LASTING:
            self.norm, self.taken = verdict.norm, now
        if verdict is None or self._is_near(verdict):
            self.calm = now if self.calm is None else self.calm
            return now - self.calm < _HOLD
        self.calm = None
        return True

    def _is_near(self, verdict: Verdict) -> bool:
        least = verdict.threshold * _NEAR
        return verdict.current * least > self.norm if self.falls else verdict.current < self.norm * least


class TrendWatch:
    """Looks at every domain of a store, and remembers what it found out of the ordinary."""

    def __init__(self, store: MetricStore) -> None:
        self._store = store
        self._lock = Lock()
        self._looked: dict[str, float] = {}
        self._found: dict[_Key, _Deviation] = {}

    def __repr__(self) -> str:
        said = sum(found.is_said for found in self._found.values())
        return f"<TrendWatch [{len(self._looked)} domains, {said} statements, {len(self._found) - said} in doubt]>"

    def looking(self) -> Iterator[None]:
        """Look at each domain whose turn it is, and stop to breathe after each."""
        store = self._store
        for domain, group in list(store.requests.groups.items()):
            now = store.clock()
            if now - self._looked.get(domain, store.started) >= _PACE:
                with self._lock:
                    self._looked[domain] = now
                    try:
                        self._look(domain, group, now)
                    except Exception as error:  # boundary: nothing that is said of figures may cost the figures
                        store.count("observer_failures", type(self).__name__, type(error).__name__)
                yield

    def statements(self) -> tuple[Statement, ...]:
        """Return what is out of the ordinary now, the latest first: of several quantiles, the one that is most so."""
        for _ in self.looking():
            pass
        store = self._store
        with self._lock:
            found = [(key, each) for key, each in self._found.items() if each.is_said]
            now, wall = store.clock(), store.wall()
            said = [
                Statement(domain, metric, against, each.current, each.norm, wall - (now - each.began), wall)
                for (domain, against, metric), each in found
            ]
        told: dict[tuple[str, str], Statement] = {}
        # Yesterday adds something only where the last hour says nothing.
        for each in sorted(said, key=lambda each: (each.against == "hour", each.ratio or 0.0)):
            told[each.domain, "slowness" if each.metric.startswith("p") else each.metric] = each
        return tuple(sorted(told.values(), key=lambda each: (-each.since, each.domain, each.metric)))

    def _look(self, domain: str, group: Group, now: float) -> None:
        store = self._store
        if now - store.started < _WATCHED_FOR:
            return
        minute = store.span(group, _MINUTE, reach=_MINUTE)
        latest = store.span(group, _MINUTE / 2, reach=_MINUTE)
        reach = min(_HOUR, now - store.started)
        norm = store.span(group, reach - 2 * _MINUTE, ago=_MINUTE, reach=_HOUR)
        minutes = store.minutes(group, int((reach - _MINUTE) // _MINUTE))[:-1]
        for metric in WATCHED:
            self._note((domain, "hour", metric), now, judge(metric, minute, latest, norm, minutes))
        # The slot that holds the middle of what was, a day ago, the last hour.
        norm = store.span(group, _HOUR, ago=_DAY + _HOUR / 2)
        if norm.start >= store.started:
            hour = store.span(group, _HOUR, reach=_HOUR)
            for metric in WATCHED:
                self._note((domain, "yesterday", metric), now, judge(metric, hour, minute, norm))

    def _note(self, key: _Key, now: float, verdict: Verdict | None) -> None:
        found = self._found.get(key)
        if found is None:
            if verdict is not None and verdict.is_beyond:
                self._found[key] = _Deviation(now, verdict)
        elif not found.goes_on(now, verdict):
            del self._found[key]
