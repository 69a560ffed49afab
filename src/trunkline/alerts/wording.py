"""The sentences of alerts: the same for people here and for the rules Prometheus gets. Pure."""

from __future__ import annotations

from typing import Final

from trunkline.alerts.rule import Rule

__all__ = ["described", "number", "sentence"]

_WHO: Final = {"domain": "Domain", "tool": "Tool", "server": "Server", "cache": "Domain"}
_WHAT: Final = {"domain": "requests", "tool": "calls", "server": "attempts"}
_ONE: Final = {"domain": "request", "tool": "call", "server": "attempt"}
_UPKEEP: Final = {"health_read": "Reading everybody's health", "record": "Recording a request"}


def described(rule: Rule, labels: dict[str, str], value: float) -> str:
    """The sentence about one subject, whose last measure is `value`."""
    policy = rule.policy
    if policy.bad == "miss":
        value = 1 - value
    return sentence(rule, labels, share(value) if policy.bad in ("error", "slow", "miss") else number(value))


def sentence(rule: Rule, labels: dict[str, str], value: str) -> str:
    """The sentence about one subject, with its measure already written; labels may be placeholders."""
    policy = rule.policy
    of = policy.of
    match policy.bad:
        case "state":
            return _state(of, labels, value, policy.limit)
        case "mean" if of == "upkeep":
            part = labels.get("part", "")
            return f"{_UPKEEP.get(part, part)} takes {value} on average (limit {number(policy.limit)})."
        case "miss":
            who = f"Domain {labels.get('domain', '')}"
            return f"{who}: the cache answers {value} of what it could (limit {share(1 - policy.limit)})."
    who = f"{_WHO[of]} {labels.get(of, '')}"
    match policy.bad:
        case "absent":
            return f"{who}: not one {_ONE[of]} for {number(policy.long)}."
        case "mean":
            return f"{who}: {_WHAT[of]} take {value} on average (limit {number(policy.limit)})."
        case "slow":
            slow = f"take longer than {number(policy.slower_than or 0.0)}"
            return f"{who}: {value} of {_WHAT[of]} {slow} (limit {share(policy.limit)})."
        case _:
            return f"{who}: {value} of {_WHAT[of]} fail (limit {share(policy.limit)})."


def _state(of: str, labels: dict[str, str], value: str, limit: float) -> str:
    replica = labels.get("replica")
    server = f"server {labels.get('server', '')}"
    where = f"replica {replica} of {server}" if replica else server
    match of:
        case "circuit":
            return f"The circuit of {where} is open."
        case "health":
            return f"{where[0].upper()}{where[1:]} is down."
        case "dependency":
            return f"Dependency {labels.get('dependency', '')} is down."
        case _:
            return f"The event loop wakes {value} late (limit {number(limit)})."


def share(value: float) -> str:
    """0.123 as "12.3 %"."""
    return f"{value * 100:.3g} %"


def number(seconds: float) -> str:
    """A duration in the unit people say it in."""
    if seconds >= 60:
        return f"{seconds / 60:.3g} min"
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.3g} s"
    return f"{seconds * 1000:.3g} ms" if seconds >= 0.001 else f"{seconds * 1e6:.3g} µs"
