"""For each rule a rehearsal in which all is well, then what the rule speaks of goes wrong, then all is well again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import ceil
from typing import Final

from trunkline.alerts.rehearsal import Rehearsal
from trunkline.alerts.rule import Rule
from trunkline.call import CacheOutcome, Delivery
from trunkline.events import AttemptFinished, CallFinished, CircuitChanged
from trunkline.policy import AlertSettings

__all__ = ["Story", "stories_of", "tell"]

_SERVER: Final = "example"
_INTERVAL: Final = 15.0
"""Seconds between evaluations: what Prometheus is often set to."""
_LONGEST: Final = 3600.0


class Story:
    """What may happen in a rehearsal, by the kind of subject."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal
        self._observe = rehearsal.metrics.observe

    def domain(self, name: str, times: int, duration: float, *, bad: bool) -> None:
        """Requests of a domain."""
        for _ in range(times):
            outcome = "error" if bad else "ok"
            self.rehearsal.metrics.record(name, "example", duration=duration, outcome=outcome)

    def tool(self, name: str, times: int, duration: float, *, bad: bool) -> None:
        """Calls of a tool."""
        for _ in range(times):
            self._call(name, "example", duration, outcome="AttemptTimeout" if bad else "ok")

    def cache(self, domain: str, times: int, _duration: float, *, bad: bool) -> None:
        """Look-ups for a domain."""
        for _ in range(times):
            self._call("example_tool", domain, 0.001, cached="miss" if bad else "hit")

    def server(self, name: str, times: int, duration: float, *, bad: bool) -> None:
        """Attempts at a server."""
        outcome = "ConnectionLost" if bad else "ok"
        for _ in range(times):
            self._observe(
                AttemptFinished(
                    0.0, "", "tools/call", "tool", "example", name, None, outcome, duration, Delivery.ANSWERED
                )
            )

    def circuit(self, name: str, *, bad: bool) -> None:
        """The state of a server's circuit."""
        self.rehearsal.down.setdefault(name, False)
        old, new = ("closed", "open") if bad else ("open", "closed")
        self._observe(CircuitChanged(0.0, name, None, old, new, "rehearsed"))  # type: ignore[arg-type]

    def _call(
        self, name: str, domain: str, duration: float, *, outcome: str = "ok", cached: CacheOutcome = "bypass"
    ) -> None:
        self._observe(
            CallFinished(0.0, "", "tools/call", name, domain, _SERVER, outcome, duration, 1, cached, None, False, True)
        )


def stories_of(settings: AlertSettings, rules: Iterable[Rule]) -> dict[str, tuple[str, Rehearsal]]:
    """Return a rehearsal of each rule, by its title, all with the same interval.

    Left out are rules of our own upkeep, which takes the time it takes, and those that look back more than an hour.
    """
    found: dict[str, tuple[str, Rehearsal]] = {}
    for rule in rules:
        if rule.policy.of != "upkeep" and rule.policy.long <= _LONGEST:
            about = f" of {rule.domain}" if rule.domain else ""
            found[f"{rule.name}{about} fires and ends"] = (rule.name, tell(settings, rule, interval=_INTERVAL))
    return found


def tell(settings: AlertSettings, rule: Rule, *, interval: float) -> Rehearsal:
    """Return the rehearsal of one rule, which is in force alone, evaluated every `interval` seconds."""
    policy = rule.policy
    rehearsal = Rehearsal(settings, interval=interval, rules=(rule,))
    happens = _course(rule, Story(rehearsal), interval)
    quiet = policy.long if policy.bad == "absent" or not policy.short else policy.short
    warm = ceil((15.0 if rule.is_plain else policy.long / 2) / interval) + 3
    wrong = ceil((policy.for_ + (policy.long if policy.bad == "absent" else 0.0)) / interval) + 8
    if not rule.is_plain:
        # So long that it shows in the long window.
        wrong += ceil(warm * (0.5 if policy.bad == "mean" else policy.limit / (1 - policy.limit)))
    well = ceil((policy.keep_firing_for + (0.0 if rule.is_plain else quiet)) / interval) + 6
    for is_bad, steps in ((False, warm), (True, wrong), (False, well)):
        for _ in range(steps):
            happens(is_bad)
            rehearsal.step()
    return rehearsal


def _course(rule: Rule, story: Story, interval: float) -> Callable[[bool], None]:
    policy, rehearsal = rule.policy, story.rehearsal
    name = _name(rule)
    match policy.of:
        case "circuit":
            return lambda is_bad: story.circuit(name, bad=is_bad)
        case "health":
            return lambda is_bad: rehearsal.down.update({name: is_bad})
        case "dependency":
            return lambda is_bad: rehearsal.away.update({name: is_bad})
        case "loop":
            return lambda is_bad: setattr(rehearsal, "lag", 3 * policy.limit if is_bad else 0.0)
    often = max(10, ceil(2 * policy.min_events * interval / policy.long))
    happens = getattr(story, policy.of)
    slow = {"mean": 3 * policy.limit, "slow": 3 * (policy.slower_than or 0.0)}.get(policy.bad, 0.01)

    def counted(is_bad: bool) -> None:
        if not (is_bad and policy.bad == "absent"):
            fails = is_bad and policy.bad in ("error", "miss")
            happens(name, often, slow if is_bad else slow / 30, bad=fails)

    return counted


def _name(rule: Rule) -> str:
    """A name that the rule is about."""
    if rule.domain:
        return rule.domain
    name = rule.policy.only[0].replace("*", "x").replace("?", "x") if rule.policy.only else "example_tool"
    while name in rule.but:
        name += "x"
    return name
