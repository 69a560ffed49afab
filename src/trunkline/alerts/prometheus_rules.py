"""The rules in force as a rule file for Prometheus: the same definitions, limits, times and sentences.

What is measured is recorded first, under names that begin with `trunkline:`, so that the alerts stay readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from trunkline.alerts.promql import METRICS, counted, matcher, measured, name_of, span, state
from trunkline.alerts.rule import Rule, literally
from trunkline.alerts.wording import sentence

__all__ = ["GROUP", "rule_file"]

GROUP: Final = "trunkline"


def rule_file(rules: Iterable[Rule], *, interval: float = 15.0) -> dict[str, Any]:
    """Return a rule file, as JSON-able data, whose one group is evaluated every `interval` seconds."""
    rules = tuple(rules)
    recorded = dict(record for rule in rules for record in _records(rule))
    return {
        "groups": [
            {
                "name": GROUP,
                "interval": span(interval),
                "rules": [
                    *({"record": name, "expr": expr} for name, expr in recorded.items()),
                    *map(_alert, rules),
                ],
            }
        ]
    }


def _records(rule: Rule) -> Iterator[tuple[str, str]]:
    policy = rule.policy
    if rule.is_plain:
        yield name_of(policy.of, "bad", None), state(policy.of)
        return
    long = span(policy.long)
    yield f"trunkline:{policy.of}:count_{long}", counted(policy.of, long)
    if policy.bad != "absent":
        for window in filter(None, (policy.long, policy.short)):
            of_window = span(window)
            yield _measure(rule, of_window), measured(policy.of, policy.bad, policy.slower_than, of_window)


def _measure(rule: Rule, window: str) -> str:
    return f"{name_of(rule.policy.of, rule.policy.bad, rule.policy.slower_than)}_{window}"


def _alert(rule: Rule) -> dict[str, Any]:
    policy = rule.policy
    labels = {
        ours: f"{{{{ $labels.{theirs} }}}}" for theirs, ours in METRICS[policy.of].labels.items() if theirs != ours
    }
    annotations = {"summary": _summary(rule)} | ({"runbook_url": policy.runbook} if policy.runbook else {})
    return {
        "alert": rule.name,
        "expr": _condition(rule),
        **({"for": span(policy.for_)} if policy.for_ else {}),
        **({"keep_firing_for": span(policy.keep_firing_for)} if policy.keep_firing_for else {}),
        # Of two rules of one name, Prometheus wants to see by the labels which is which.
        "labels": {"severity": policy.severity, **labels, **({"domain": rule.domain} if rule.domain else {})},
        "annotations": annotations,
    }


def _condition(rule: Rule) -> str:
    policy = rule.policy
    chosen = _chosen(rule)
    count = f"trunkline:{policy.of}:count_{span(policy.long)}{chosen}"
    if policy.bad == "absent":
        return f"{count} == 0"
    if rule.is_plain:
        measures = [f"{name_of(policy.of, 'bad', None)}{chosen}"]
    else:
        measures = [f"{_measure(rule, span(window))}{chosen}" for window in (policy.long, policy.short) if window]
    above = " and ".join(f"{measure} > {policy.limit!r}" for measure in measures)
    lower = rule.limit_for(has_fired=True)
    still = " and ".join(f"{measure} > {lower!r}" for measure in measures)
    on = ", ".join(METRICS[policy.of].labels)
    firing = f'ALERTS{{alertname="{rule.name}", alertstate="firing"}}'
    lasting = f"({above})\nor\n({still} and on ({on}) {firing})"
    if rule.is_plain:
        return lasting
    return f"({lasting})\nand\n{count} >= {policy.min_events}"


def _chosen(rule: Rule) -> str:
    label = METRICS[rule.policy.of].named_by
    picks = []
    if label and rule.policy.only:
        picks.append(matcher(label, rule.policy.only))
    if label and rule.but:
        picks.append(matcher(label, tuple(literally(name) for name in rule.but), but=True))
    return f"{{{', '.join(picks)}}}" if picks else ""


def _summary(rule: Rule) -> str:
    policy = rule.policy
    labels = {ours: f"{{{{ $labels.{theirs} }}}}" for theirs, ours in METRICS[policy.of].labels.items()}
    if labels.pop("replica", None):
        labels["server"] += "{{ with $labels.replica }}, replica {{ . }},{{ end }}"
    if policy.of == "upkeep" and len(policy.only) == 1:
        labels["part"] = policy.only[0]
    kind = "humanizePercentage" if policy.bad in ("error", "slow", "miss") else "humanizeDuration"
    value = f"{{{{ $value | {kind} }}}}"
    return sentence(rule, labels, f"all but {value}" if policy.bad == "miss" else value)
