"""What is watched, from where on it is an alert, and who is told.

The built-in rules stand in `alert_rules`; `docs/decisions/0013-alerts.md` argues for the shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from trunkline.policy.checks import not_negative, positive, ratio, require

__all__ = ["AlertBadness", "AlertRule", "AlertSubject", "Severity", "SinkKind", "SinkPolicy"]

AlertSubject: TypeAlias = Literal[
    "domain", "tool", "server", "cache", "upkeep", "circuit", "health", "dependency", "loop"
]
AlertBadness: TypeAlias = Literal["error", "slow", "mean", "miss", "absent", "state"]
Severity: TypeAlias = Literal["critical", "warning", "info"]
SinkKind: TypeAlias = Literal["webhook", "alertmanager"]

_COUNTED: Final = ("error", "slow", "mean", "absent")
_FITTING: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "domain": _COUNTED,
        "tool": _COUNTED,
        "server": _COUNTED,
        "cache": ("miss",),
        "upkeep": ("mean",),
        "circuit": ("state",),
        "health": ("state",),
        "dependency": ("state",),
        "loop": ("state",),
    }
)
_REACH: Final = 6 * 3600.0
"""Seconds a process can look back; a restart forgets, so longer windows are for Prometheus."""


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One rule: when too large a share of what happened to a subject was bad, or a state lasts too long.

    A share counts over two windows at once: the long one says that it matters, the short one that it still goes on.
    """

    enabled: bool = True
    of: AlertSubject = "domain"
    """What is watched, each by itself: requests of a `domain`, calls of a `tool`, attempts at a `server`, look-ups of a
    domain in the `cache`, our own `upkeep` (`record`, `health_read`), a `circuit`, the `health` of a server or another
    `dependency`, the event `loop`."""
    only: tuple[str, ...] = ()
    """Names of subjects, in which `*` stands for any characters; empty for all."""
    bad: AlertBadness = "error"
    """What counts as bad: an `error`; `slow`, taking longer than `slower_than`; the `mean` duration above `limit`; a
    `miss` of the cache; `absent`, no event at all in the long window; a `state`, such as an open circuit."""
    limit: float = 0.05
    """The share, from 0 to 1, above which it is an alert; of a mean, and of the loop's lateness, seconds."""
    resolve: float = 0.8
    """Share of `limit` the value must have fallen to before a firing alert ends, so that it does not go on and off."""
    slower_than: float | None = None
    """Seconds; only with `slow`, and there always. Taken to the next bucket bound, at most 9 % above."""
    long: float = 300.0
    """Seconds of the long window."""
    short: float = 60.0
    """Seconds of the short window; 0 for none."""
    min_events: int = 20
    """Events in the long window below which nothing is said: one failure of two calls is no rate."""
    for_: float = 60.0
    """Seconds it must last before the alert fires."""
    keep_firing_for: float = 120.0
    """Seconds it must be over before the alert ends: what flaps is one incident."""
    severity: Severity = "warning"
    """`critical`, `warning` or `info`."""
    runbook: str = ""
    """Address of what to do about it; goes along with every notification."""

    def __post_init__(self) -> None:
        fitting = _FITTING[self.of]
        require(self.bad in fitting, "bad", self.bad, f"{' or '.join(fitting)}, which is what a {self.of} has")
        positive(self, "limit", "slower_than", "long")
        if self.bad in ("error", "slow", "miss"):
            ratio(self, "limit")
        ratio(self, "resolve")
        require(
            (self.bad == "slow") == (self.slower_than is not None),
            "slower_than",
            self.slower_than,
            'seconds where bad is "slow", and nothing elsewhere',
        )
        require(self.long <= _REACH, "long", self.long, f"at most {_REACH:g} s, since a restart forgets the past")
        require(0 <= self.short <= self.long, "short", self.short, "0, or up to the long window")
        require(self.min_events >= 1, "min_events", self.min_events, "1 or more")
        not_negative(self, "for_", "keep_firing_for")


@dataclass(frozen=True, slots=True)
class SinkPolicy:
    """Who is told of alerts over HTTP. What cannot be delivered is counted and shown; no call ever waits for it."""

    enabled: bool = True
    type: SinkKind = "webhook"
    """`webhook` posts changes in the shape of Alertmanager's webhooks; `alertmanager` keeps an Alertmanager told."""
    url: str | None = field(default=None, repr=False)
    """http:// or https://; of an Alertmanager, the address its own pages are under."""
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    """Sent along; credentials belong here, as `${NAME}`."""
    at_least: Severity = "info"
    """What is less severe is not told."""
    timeout: float = 5.0
    """Seconds one delivery may take."""
    attempts: int = 3
    """Deliveries tried of each notification, a refusal for good (4xx but 408 and 429) apart."""
    pause: float = 1.0
    """Seconds before the second try, doubled for each further one."""
    waiting: int = 100
    """Notifications that may wait; with more, the oldest is dropped and counted."""
    resend: float = 60.0
    """Seconds after which an Alertmanager is told again of what still fires; untold for four times as long, it takes
    the alert for resolved."""

    def __post_init__(self) -> None:
        positive(self, "timeout", "resend")
        not_negative(self, "pause")
        require(self.attempts >= 1, "attempts", self.attempts, "1 or more")
        require(self.waiting >= 1, "waiting", self.waiting, "1 or more")
        values = () if self.headers is None else self.headers.values()
        # Not the values: they may be secrets.
        require(all(isinstance(value, str) for value in values), "headers", "…", "a table of strings")
