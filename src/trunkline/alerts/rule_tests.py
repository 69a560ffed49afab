"""What `promtool test rules` is to find, from rehearsals: Prometheus agrees with us within one evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from trunkline.alerts.promql import span
from trunkline.alerts.rehearsal import Rehearsal

__all__ = ["promtool_tests"]

_LABELS: Final = ("alertname", "dependency", "domain", "part", "replica", "server", "tool")
_STATES: Final = {"pending": "pending", "firing": "firing", "recovering": "firing"}
"""Ours as Prometheus has them: what it keeps firing is firing."""


def promtool_tests(rehearsals: Mapping[str, tuple[str, Rehearsal]], rule_files: Iterable[str]) -> dict[str, Any]:
    """Return a file for `promtool test rules`, as JSON-able data, with one test for each rehearsal.

    They stand under their titles, each with the name of the rule that it is about; all have the same interval.
    """
    interval = next(rehearsal.interval for _, rehearsal in rehearsals.values())
    return {
        "evaluation_interval": span(interval),
        "rule_files": list(rule_files),
        "tests": [_test(title, *about) for title, about in rehearsals.items()],
    }


def _test(title: str, rule: str, rehearsal: Rehearsal) -> dict[str, Any]:
    interval = rehearsal.interval
    return {
        "name": title,
        "interval": span(interval),
        "input_series": [
            # Nothing was exported before the first evaluation, at which Prometheus has a sample already.
            {"series": series, "values": " ".join(["_", *values])}
            for series, values in rehearsal.series.items()
        ],
        "promql_expr_test": [
            {
                "expr": f"count by (alertstate, {', '.join(_LABELS)}) (ALERTS{{alertname='{rule}'}})",
                "eval_time": span((place + 1) * interval),
                "exp_samples": [{"labels": labels, "value": 1} for labels in sorted(map(_labels, told))],
            }
            for place, told in _settled(rule, rehearsal)
        ],
    }


_Told: TypeAlias = tuple[str, tuple[str, ...]]


def _settled(rule: str, rehearsal: Rehearsal) -> Iterator[tuple[int, frozenset[_Told]]]:
    """Moments that are as the one before and the one after: there, being off by one evaluation makes no difference."""
    told = [
        frozenset((_STATES[state], key) for key, state in moment.items() if key[0] == rule)
        for moment in rehearsal.moments
    ]
    for place in range(1, len(told) - 1):
        if rule not in rehearsal.unknown[place - 1] and told[place - 1] == told[place] == told[place + 1]:
            yield place, told[place]


def _labels(told: _Told) -> str:
    state, (rule, *labels) = told
    return "{" + ", ".join([f'alertname="{rule}"', f'alertstate="{state}"', *labels]) + "}"
