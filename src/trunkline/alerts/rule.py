"""Rules as they are evaluated: the configured ones, and what each domain's own thresholds make of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

from trunkline.policy import AlertRule, AlertSettings, AlertSubject, DomainPolicy

__all__ = ["LABELS", "Rule", "literally", "rules_of"]

LABELS: Final[Mapping[AlertSubject, tuple[str, ...]]] = {
    "domain": ("domain",),
    "tool": ("server", "tool"),
    "server": ("server",),
    "cache": ("domain",),
    "upkeep": ("part",),
    "circuit": ("server", "replica"),
    "health": ("server", "replica"),
    "dependency": ("dependency",),
    "loop": (),
}
"""What tells the subjects of a kind apart."""

_BURNS: Final = (
    ("DomainBudgetFast", 14.4, 3600.0, 300.0, "critical"),
    ("DomainBudgetSlow", 6.0, 21600.0, 1800.0, "warning"),
)
"""(name, times the budget, long window, short window, severity): a fiftieth of a month's budget in an hour, a twentieth
in six. Source: "The Site Reliability Workbook", chapter 5."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule with its name, and the subjects that have a rule of their own instead."""

    name: str
    policy: AlertRule
    but: tuple[str, ...] = ()
    domain: str = ""
    """The one domain whose own threshold it is; empty for any other rule."""

    @property
    def is_plain(self) -> bool:
        """Whether it compares one state, and looks at no window."""
        return self.policy.bad == "state"

    @property
    def name_at(self) -> int:
        """Which of the subject's labels is its name, that `only` speaks of."""
        return 1 if self.policy.of == "tool" else 0

    def limit_for(self, *, has_fired: bool) -> float:
        """What a measure must exceed: less, while the alert fires."""
        return self.policy.limit * self.policy.resolve if has_fired else self.policy.limit

    def is_same_as(self, other: Rule) -> bool:
        """Whether an alert of `other` goes on under this rule; where to read about it may have changed."""
        return replace(self.policy, runbook="", only=()) == replace(other.policy, runbook="", only=())

    def covers(self, subject: tuple[str, ...]) -> bool:
        """Whether this rule is about the subject with these label values."""
        if not subject:
            return True
        name, only = subject[self.name_at], self.policy.only
        return name not in self.but and (not only or any(fnmatchcase(name, pattern) for pattern in only))

    def labels(self, subject: tuple[str, ...]) -> dict[str, str]:
        """The subject's labels; an empty one is none."""
        return {name: value for name, value in zip(LABELS[self.policy.of], subject, strict=True) if value}


def rules_of(settings: AlertSettings, domains: Mapping[str, DomainPolicy]) -> tuple[Rule, ...]:
    """Return every rule in force. A domain's own threshold takes it out of the rule for all domains."""
    found: list[Rule] = []
    silent = tuple(name for name, policy in domains.items() if not policy.enabled)
    for name, rule in settings.rules.items():
        if rule.enabled:
            found.extend(_with_exceptions(Rule(name, rule, silent if rule.of == "domain" else ()), domains))
    for name, policy in domains.items():
        if policy.enabled:
            found.extend(_own(name, policy))
    return tuple(found)


def _with_exceptions(rule: Rule, domains: Mapping[str, DomainPolicy]) -> Iterator[Rule]:
    """The rule, and one of the same name for each domain that has another limit or minimum for it."""
    if rule.policy.of != "domain":
        yield rule
        return
    others: list[Rule] = []
    for name, policy in domains.items():
        if not policy.enabled or not rule.covers((name,)):
            continue
        own = rule.policy if policy.min_events is None else replace(rule.policy, min_events=policy.min_events)
        if policy.error_ratio is not None and rule.name == "DomainErrors":
            own = replace(own, limit=policy.error_ratio)
        if own != rule.policy:
            others.append(Rule(rule.name, replace(own, only=(literally(name),)), domain=name))
            rule = replace(rule, but=(*rule.but, name))
    yield rule
    yield from others


def _own(name: str, policy: DomainPolicy) -> Iterator[Rule]:
    base = AlertRule(of="domain", only=(literally(name),))
    if policy.min_events is not None:
        base = replace(base, min_events=policy.min_events)
    for quantile, seconds in ((95, policy.p95), (99, policy.p99)):
        if seconds is not None:
            slow = replace(base, bad="slow", slower_than=seconds, limit=(100 - quantile) / 100)
            yield Rule(f"DomainSlowP{quantile}", slow, domain=name)
    if policy.mean is not None:
        yield Rule("DomainSlow", replace(base, bad="mean", limit=policy.mean), domain=name)
    if policy.slo is not None:
        for title, times, long, short, severity in _BURNS:
            # What cannot be exceeded, as with a goal of 90 %, needs no rule.
            if (limit := times * (1 - policy.slo)) < 1:
                burn = replace(base, limit=limit, long=long, short=short, severity=severity)  # type: ignore[arg-type]
                yield Rule(title, burn, domain=name)


def literally(name: str) -> str:
    """A pattern that fits this name alone."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)
