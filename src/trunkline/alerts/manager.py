"""The alerts of a process: samples, evaluates, remembers and tells, once a second or so, beside everything else."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import anyio

from trunkline.alerts.alert import Alert, AlertState
from trunkline.alerts.evaluation import Evaluation
from trunkline.alerts.inhibition import AlertKey, explanations
from trunkline.alerts.notifier import Notifier
from trunkline.alerts.outlet import OutletStats
from trunkline.alerts.rule import Rule, rules_of
from trunkline.alerts.sinks import AlertCallback
from trunkline.alerts.sources import Sources
from trunkline.alerts.tracked import Tracked
from trunkline.alerts.upkeep import Upkeep
from trunkline.events import AlertSinkFailed, Emit, ObserverFailed
from trunkline.health.report import HealthReport
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.policy import AlertSettings, DomainPolicy

__all__ = ["AlertManager"]

_JUST_NOW: Final = 5.0
"""Seconds after the metrics' start in which nothing counted was missed."""
_RANKS: Final[tuple[AlertState, ...]] = ("firing", "recovering", "pending", "unknown", "inactive")
_SEVERITIES: Final = ("critical", "warning", "info")


class AlertManager:
    """Evaluates rules over a collector's metrics and, where it is given, the health of everything.

    `evaluate` is synchronous and does no I/O; `run` calls it again and again, and sends what sinks are to be told.
    """

    def __init__(
        self,
        settings: AlertSettings | None = None,
        domains: Mapping[str, DomainPolicy] = MappingProxyType({}),
        *,
        metrics: MetricsCollector,
        health: Callable[[], HealthReport] | None = None,
        emit: Emit = lambda _: None,
        rules: tuple[Rule, ...] | None = None,
    ) -> None:
        """Watch `metrics` by the built-in rules and those of `settings`, and `domains` by their own thresholds.

        `emit` is told of every change of an alert's state, and of sinks in trouble. With `rules`, those are in force
        instead, whatever settings and domains say.
        """
        self._store = metrics.store
        self._emit = emit
        self._upkeep = Upkeep(health)
        self.sources = Sources(self._store, health, self._upkeep)
        """What rules read from, for exporters."""
        self._evaluation = Evaluation(self.sources)
        self._notifier = Notifier(self._sink_failed)
        self._tracked: dict[AlertKey, Tracked] = {}
        self._unknown: frozenset[str] = frozenset()
        self._history: deque[Alert] = deque(maxlen=1)
        self.failures: Counter[str] = Counter()
        """Evaluations that failed, by the class of the error: none, unless something of ours is broken."""
        self._settings = AlertSettings()
        self._given_rules = rules
        self._put_in_force(AlertSettings() if settings is None else settings, domains)

    def __repr__(self) -> str:
        states = Counter(tracked.status.state for tracked in self._tracked.values())
        told = ", ".join(f"{number} {state}" for state, number in sorted(states.items())) or "nothing wrong"
        return f"<AlertManager [{len(self._evaluation.rules)} rules, {told}]>"

    def apply(self, settings: AlertSettings, domains: Mapping[str, DomainPolicy]) -> None:
        """Put other rules and sinks in force. Alerts of rules that are as before go on; others end."""
        self._put_in_force(settings, domains)
        now = self._store.clock()
        for key, tracked in list(self._tracked.items()):
            rule = self._rule_of(key)
            if rule is not None and rule.is_same_as(tracked.rule):
                tracked.rule = rule
            else:
                self._end(key, tracked, now)

    def active(self) -> tuple[Alert, ...]:
        """Every alert that is pending, firing or recovering: firing ones and severe ones first."""
        alerts = [tracked.alert() for tracked in self._tracked.values()]
        return tuple(
            sorted(
                alerts, key=lambda alert: (_RANKS.index(alert.state), _SEVERITIES.index(alert.severity), alert.since)
            )
        )

    def history(self) -> tuple[Alert, ...]:
        """Alerts that fired and are over, the latest first."""
        return tuple(self._history)

    def rules(self) -> dict[str, AlertState]:
        """The worst state each rule in force has found; `unknown` while too little was watched to say anything."""
        found: dict[str, AlertState] = {
            rule.name: "unknown" if rule.name in self._unknown else "inactive" for rule in self._evaluation.rules
        }
        for (name, _), tracked in self._tracked.items():
            found[name] = min(found[name], tracked.status.state, key=_RANKS.index)
        return found

    def sinks(self) -> tuple[OutletStats, ...]:
        """What became of everything that sinks were to be told."""
        return self._notifier.stats()

    def subscribe(self, callback: AlertCallback) -> Callable[[], None]:
        """Tell `callback` of each alert that fires, and again when it is over; returns a function that stops it.

        A function runs in a thread, a coroutine function in the event loop. One that raises or takes longer than ten
        seconds is counted in `sinks()`, and changes nothing else.
        """
        return self._notifier.subscribe(callback)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as a JSON-able mapping: `active`, `history`, `rules` and `sinks`."""
        return {
            "active": [alert.as_dict() for alert in self.active()],
            "history": [alert.as_dict() for alert in self.history()],
            "rules": [{"name": name, "state": state} for name, state in self.rules().items()],
            "sinks": [sink.as_dict() for sink in self.sinks()],
        }

    async def run(self) -> None:
        """Evaluate and tell until cancelled."""
        async with anyio.create_task_group() as tasks:
            self._notifier.start(tasks)
            while True:
                await anyio.sleep(self._settings.interval)
                try:
                    self.evaluate()
                except Exception as error:  # boundary: alerts that cannot be evaluated must cost nobody else anything
                    kind = type(error).__name__
                    self.failures[kind] += 1
                    if self.failures[kind] == 1:
                        self._emit(ObserverFailed(self._store.clock(), type(self).__name__, kind))

    def evaluate(self) -> None:
        """Look at everything once, now."""
        now = self._store.clock()
        self._upkeep.measure()
        self._evaluation.sample(now)
        seen: set[AlertKey] = set()
        unknown: set[str] = set()
        for rule in self._evaluation.rules:
            findings = self._evaluation.findings(rule, now)
            if findings is None:
                unknown.add(rule.name)
                continue
            reasons = self.sources.reasons(rule.policy.of)
            for subject, value, floor in findings:
                key = (rule.name, subject)
                tracked = self._tracked.get(key)
                if floor > rule.limit_for(has_fired=tracked is not None and tracked.status.has_fired):
                    seen.add(key)
                    tracked = tracked or self._tracked.setdefault(key, Tracked(rule, subject, self._store.wall() - now))
                    tracked.value = value
                    tracked.reason = reasons.get(subject, "")
        self._unknown = frozenset(unknown)
        self._explain()
        for key, tracked in list(self._tracked.items()):
            self._advance(key, tracked, is_bad=key in seen, now=now)
        self._notifier.flush(now, lambda: {key: it.alert() for key, it in self._tracked.items() if it.is_told})

    def _advance(self, key: AlertKey, tracked: Tracked, *, is_bad: bool, now: float) -> None:
        if tracked.rule.name in self._unknown and not is_bad:
            # Not known to be over.
            return
        old = tracked.status.state
        if not tracked.advance(is_bad=is_bad, now=now):
            self._end(key, tracked, now)
            return
        if tracked.status.state != old:
            self._tell_change(tracked, old, now)
        if tracked.status.has_fired and not tracked.is_told and not tracked.inhibited_by:
            tracked.is_told = True
            self._notifier.tell(key, tracked.alert(), now)

    def _end(self, key: AlertKey, tracked: Tracked, now: float) -> None:
        del self._tracked[key]
        old, has_fired = tracked.status.state, tracked.status.has_fired
        tracked.end()
        alert = replace(tracked.alert(), ended=self._store.wall())
        if old != "inactive":
            self._tell_change(tracked, old, now)
        if has_fired:
            self._history.appendleft(alert)
        if tracked.is_told:
            self._notifier.tell(key, alert, now)

    def _explain(self) -> None:
        live = {key: tracked.rule.policy.of for key, tracked in self._tracked.items()}
        found = explanations(live, {of: self.sources.values(of) for of in ("health", "circuit")}) if live else {}
        for key, tracked in self._tracked.items():
            cause = found.get(key)
            tracked.inhibited_by = "" if cause is None else self._tracked[cause].title

    def _put_in_force(self, settings: AlertSettings, domains: Mapping[str, DomainPolicy]) -> None:
        now, started = self._store.clock(), self._store.started
        self._settings = settings
        self._history = deque(self._history, maxlen=settings.history)
        rules = self._given_rules
        if rules is None:
            rules = rules_of(settings, domains) if settings.enabled else ()
        self._evaluation.put_in_force(rules, now, started=started if now - started <= _JUST_NOW else None)
        self._notifier.apply(settings.sinks, settings.group_wait)

    def _rule_of(self, key: AlertKey) -> Rule | None:
        name, subject = key
        return next((rule for rule in self._evaluation.rules if rule.name == name and rule.covers(subject)), None)

    def _tell_change(self, tracked: Tracked, old: AlertState, now: float) -> None:
        self._emit(tracked.change(old, now))

    def _sink_failed(self, sink: str, reason: str) -> None:
        self._emit(AlertSinkFailed(self._store.clock(), sink, reason))
