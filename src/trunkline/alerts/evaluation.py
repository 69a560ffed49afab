"""What each rule finds at one moment: a measure for each subject, out of the timelines its windows need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple, TypeAlias

from trunkline.alerts.rule import Rule
from trunkline.alerts.sources import Sources
from trunkline.alerts.timeline import NOTHING, Count, Subject, Timeline
from trunkline.policy import AlertSubject

__all__ = ["Evaluation", "Finding"]

_Kind: TypeAlias = tuple[AlertSubject, float | None]


class Finding(NamedTuple):
    """What a rule measured of one subject."""

    subject: Subject
    value: float
    """Over the long window: what is shown."""
    floor: float
    """The least over both windows: what is compared. Below every limit where there were too few events."""


class Evaluation:
    """The rules in force and the timelines they look back on."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._timelines: dict[_Kind, Timeline] = {}
        self.rules: tuple[Rule, ...] = ()

    def put_in_force(self, rules: tuple[Rule, ...], now: float, *, started: float | None = None) -> None:
        """Evaluate these rules from now on; what is known of the past and still needed stays.

        `started` is when counting began, if nothing was missed since.
        """
        windows: dict[_Kind, set[float]] = defaultdict(set)
        for rule in rules:
            if not rule.is_plain:
                windows[_kind(rule)] |= {rule.policy.long, *([rule.policy.short] if rule.policy.short else [])}
        kept = self._timelines
        self._timelines = {kind: kept.get(kind) or Timeline(partial(self._sources.counts, *kind)) for kind in windows}
        for kind, timeline in self._timelines.items():
            timeline.keep(windows[kind], now, started=started)
        self.rules = rules

    def sample(self, now: float) -> None:
        """Take in what has happened up to now."""
        for timeline in self._timelines.values():
            timeline.sample(now)

    def findings(self, rule: Rule, now: float) -> Iterator[Finding] | None:
        """Measure the subjects of `rule`; those that are well in any case may be left out.

        None while too little of its window was watched to say anything.
        """
        if rule.is_plain:
            return self._values(rule)
        timeline = self._timelines[_kind(rule)]
        policy = rule.policy
        long = timeline.window(policy.long, now)
        if not long.is_known:
            return None
        short = timeline.window(policy.short, now) if policy.short else long
        return (
            _absent(rule, timeline, long.before)
            if policy.bad == "absent"
            else _measured(rule, timeline, long.before, short.before)
        )

    def _values(self, rule: Rule) -> Iterator[Finding]:
        for subject, value in self._sources.values(rule.policy.of).items():
            if rule.covers(subject):
                yield Finding(subject, value, value)


def _kind(rule: Rule) -> _Kind:
    return rule.policy.of, rule.policy.slower_than


def _measured(
    rule: Rule, timeline: Timeline, long: Mapping[Subject, Count], short: Mapping[Subject, Count]
) -> Iterator[Finding]:
    enough, is_mean = rule.policy.min_events, rule.policy.bad == "mean"
    least = rule.limit_for(has_fired=True)
    for subject, count in timeline.now.items():
        before = long.get(subject, NOTHING)
        if count.total - before.total < enough:
            continue
        value = _measure(count, before, is_mean=is_mean)
        # Most subjects are well: nothing more is asked about them.
        if value > least and rule.covers(subject):
            yield Finding(subject, value, min(value, _measure(count, short.get(subject, NOTHING), is_mean=is_mean)))


def _measure(count: Count, before: Count, *, is_mean: bool) -> float:
    total = count.total - before.total
    if not total:
        return 0.0
    return (count.seconds - before.seconds if is_mean else count.bad - before.bad) / total


def _absent(rule: Rule, timeline: Timeline, long: Mapping[Subject, Count]) -> Iterator[Finding]:
    for subject, count in timeline.now.items():
        if rule.covers(subject):
            is_absent = float(count.total == long.get(subject, NOTHING).total)
            yield Finding(subject, is_absent, is_absent)
