"""The rules in force without any configuration, and everything about alerts as one value.

Limits are the seed's own: a mean call of 2 s, 5 % errors, 80 % of look-ups answered by the cache, 100 ms to read
health, 1 ms to record. What a rule of the same name in the configuration does not say is taken from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from trunkline.policy.alerts import AlertRule, SinkPolicy
from trunkline.policy.checks import not_negative, positive, require

__all__ = ["BUILT_IN_RULES", "AlertSettings"]

BUILT_IN_RULES: Final[Mapping[str, AlertRule]] = MappingProxyType(
    {
        "ServerDown": AlertRule(of="health", bad="state", for_=10.0, severity="critical"),
        "DependencyDown": AlertRule(of="dependency", bad="state", for_=10.0),
        "CircuitOpen": AlertRule(of="circuit", bad="state", for_=10.0),
        "DomainErrors": AlertRule(of="domain", bad="error", limit=0.05),
        "ToolErrors": AlertRule(of="tool", bad="error", limit=0.05),
        "ToolSlow": AlertRule(of="tool", bad="mean", limit=2.0),
        "CacheMisses": AlertRule(
            of="cache", bad="miss", limit=0.2, long=3600.0, short=300.0, min_events=200, for_=300.0, severity="info"
        ),
        "EventLoopLag": AlertRule(of="loop", bad="state", limit=0.1, for_=30.0),
        "HealthReadSlow": AlertRule(of="upkeep", only=("health_read",), bad="mean", limit=0.1),
        "RecordSlow": AlertRule(of="upkeep", only=("record",), bad="mean", limit=0.001),
    }
)


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """The table `trunkline.alerts`."""

    enabled: bool = True
    """Whether anything is evaluated."""
    interval: float = 1.0
    """Seconds between evaluations."""
    group_wait: float = 5.0
    """Seconds a notification waits for others about the same server or domain, to be told together."""
    history: int = 200
    """Alerts that are over and still shown."""
    rules: Mapping[str, AlertRule] = field(default_factory=lambda: BUILT_IN_RULES)
    """By name; a built-in one may be changed or switched off under its own."""
    sinks: Mapping[str, SinkPolicy] = field(default_factory=lambda: MappingProxyType({}))
    """By a name of your choice. The log and the API are told in any case."""

    def __post_init__(self) -> None:
        positive(self, "interval")
        not_negative(self, "group_wait")
        require(self.history >= 1, "history", self.history, "1 or more")
