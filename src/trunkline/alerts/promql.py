"""What rules measure, as PromQL over the metrics that `/metrics` exports. Pure text."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from trunkline.monitoring.catalogue import HISTOGRAMS
from trunkline.monitoring.labels import UNKNOWN
from trunkline.policy import AlertSubject

__all__ = ["METRICS", "Metric", "counted", "matcher", "measured", "name_of", "span", "state"]


@dataclass(frozen=True, slots=True)
class Metric:
    """Where Prometheus finds the subjects of one kind."""

    name: str
    """Of a histogram, without `_count` and the like; of a counter, whole; of a state, an expression: 1 is bad."""
    labels: Mapping[str, str]
    """Our labels, by theirs."""
    named_by: str
    """The label of theirs that `only` speaks of; empty where there is one subject only."""
    failed: str = ""
    """Picks what is bad."""
    asked: str = ""
    """Picks what counts at all."""


_TOOL_LABELS: Final = {"mcp_server": "server", "gen_ai_tool_name": "tool"}
_REPLICA_LABELS: Final = {"mcp_server": "server", "replica": "replica"}

METRICS: Final[Mapping[AlertSubject, Metric]] = {
    "domain": Metric(
        "trunkline_domain_request_duration_seconds", {"domain": "domain"}, "domain", 'outcome!~"ok|cancelled"'
    ),
    "tool": Metric(
        "gen_ai_execute_tool_duration_seconds",
        _TOOL_LABELS,
        "gen_ai_tool_name",
        'outcome!~"ok|cancelled"',
        f'gen_ai_tool_name!="{UNKNOWN}"',
    ),
    "server": Metric(
        "mcp_client_operation_duration_seconds", {"mcp_server": "server"}, "mcp_server", 'error_type!~"|cancelled"'
    ),
    "cache": Metric(
        "trunkline_cache_requests_total",
        {"domain": "domain"},
        "domain",
        'result="miss"',
        'result=~"hit|stale|coalesced|miss"',
    ),
    "upkeep": Metric("trunkline_upkeep", {"part": "part"}, "part"),
    "circuit": Metric('1 - trunkline_circuit_state{state="closed"}', _REPLICA_LABELS, "mcp_server"),
    "health": Metric("1 - trunkline_server_up", _REPLICA_LABELS, "mcp_server"),
    "dependency": Metric("1 - trunkline_dependency_up", {"dependency": "dependency"}, "dependency"),
    "loop": Metric("trunkline_event_loop_lag_last_seconds", {}, ""),
}

_BOUNDS: Final = {spec.name: tuple(sorted(spec.bounds)) for spec in HISTOGRAMS}


def span(seconds: float) -> str:
    """A duration as Prometheus writes it."""
    if seconds != int(seconds):
        return f"{round(seconds * 1000)}ms"
    whole = int(seconds)
    for unit, size in (("h", 3600), ("m", 60)):
        if whole and whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def matcher(label: str, patterns: tuple[str, ...], *, but: bool = False) -> str:
    """Match `label` against patterns in which `*` stands for any characters."""
    sign = "!~" if but else "=~"
    return f"{label}{sign}{json.dumps('|'.join(map(_regex, patterns)), ensure_ascii=False)}"


def name_of(of: AlertSubject, bad: str, slower_than: float | None) -> str:
    """What a recorded measure is called, without its window."""
    slow = "" if slower_than is None else f"_than_{slower_than:g}s".replace(".", "_").replace("-", "_")
    return f"trunkline:{of}:{bad}{slow}"


def measured(of: AlertSubject, bad: str, slower_than: float | None, window: str) -> str:
    """The share of what was bad, or the mean (s), over a window; without a result where nothing happened."""
    metric = METRICS[of]
    total = counted(of, window)
    if bad == "mean":
        name = "trunkline_upkeep_seconds_total" if of == "upkeep" else f"{metric.name}_sum"
        return f"{_grown(metric, name, window, metric.asked)}\n/\n{total}"
    if slower_than is not None:
        return f"1 -\n({_within(metric, slower_than, window)})\n/\n{total}"
    return f"{_grown(metric, _counter(of), window, metric.asked, metric.failed)}\n/\n{total}"


def counted(of: AlertSubject, window: str) -> str:
    """How much happened in a window."""
    metric = METRICS[of]
    return _grown(metric, _counter(of), window, metric.asked)


def state(of: AlertSubject) -> str:
    """1 where a state is bad, else 0; of the loop, seconds. The worst of all processes."""
    metric = METRICS[of]
    return f"max by ({', '.join(metric.labels)}) ({metric.name})"


def _counter(of: AlertSubject) -> str:
    name = METRICS[of].name
    return {"cache": name, "upkeep": f"{name}_total"}.get(of, f"{name}_count")


def _grown(metric: Metric, name: str, window: str, *matchers: str) -> str:
    """How much a counter grew, as a sum by subject.

    `increase` alone would take the first value of a series for its beginning, and miss the first failures of each kind;
    a series that was not there when the window began has grown by all it holds.
    """
    series = f"{name}{{{', '.join(filter(None, matchers))}}}"
    by = ", ".join(metric.labels)
    return f"sum by ({by}) (({series} unless {series} offset {window}) or increase({series}[{window}]))"


def _within(metric: Metric, seconds: float, window: str) -> str:
    """How much took no longer.

    Between two bounds of the exported histogram, what lies there is taken to be spread evenly, as `histogram_quantile`
    has it.
    """
    bounds = _BOUNDS[metric.name]
    at = min(bisect_left(bounds, seconds), len(bounds) - 1)
    upper = _up_to(metric, bounds[at], window)
    if bounds[at] <= seconds:
        return upper
    below = bounds[at - 1] if at else 0.0
    part = (seconds - below) / (bounds[at] - below)
    lower = f" + {1 - part!r} * {_up_to(metric, below, window)}" if at else ""
    return f"{part!r} * {upper}{lower}"


def _up_to(metric: Metric, bound: float, window: str) -> str:
    # Text formats write 1.0, and what came as protobuf is called 1.
    whole = f'le=~"{int(bound)}(\\\\.0)?"' if bound == int(bound) else f'le="{bound!r}"'
    return _grown(metric, f"{metric.name}_bucket", window, metric.asked, whole)


def _regex(pattern: str) -> str:
    found, rest = "", pattern
    while rest:
        char, rest = rest[0], rest[1:]
        if char == "[" and "]" in rest[1:]:
            end = rest.index("]", 1)
            inner, rest = rest[:end], rest[end + 1 :]
            found += f"[{'^' if inner[0] == '!' else ''}{_escaped(inner.removeprefix('!'))}]"
        else:
            found += {"*": ".*", "?": "."}.get(char) or _escaped(char)
    return found


def _escaped(text: str) -> str:
    return "".join(f"\\{char}" if char in "\\.+*?()|[]{}^$" else char for char in text)
