"""What people, pages and sinks are shown: one alert, as it is now or as it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from trunkline.policy import Severity

__all__ = ["Alert", "AlertState"]

AlertState: TypeAlias = Literal["inactive", "pending", "firing", "recovering", "unknown"]
"""`pending`: bad, not yet for long enough; `recovering`: over, not yet for long enough; `unknown`: too
little was watched to say anything."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule that one subject breaks."""

    rule: str
    severity: Severity
    state: AlertState
    """`inactive` once it is over."""
    labels: Mapping[str, str]
    """Whom it is about: `domain`, `server`, `replica`, `tool`, `dependency` or `part`, as the rule has it."""
    since: float
    """When it began to be bad, in seconds since the epoch, as `fired` and `ended`."""
    fired: float | None
    """When it first fired; None while it never has."""
    ended: float | None
    """When it was over; None while it is not."""
    value: float
    """What was measured last over the limit: a share from 0 to 1, or seconds; of a state, 1."""
    threshold: float
    """In the same unit."""
    summary: str
    """One sentence."""
    reason: str = ""
    """Why, where it is known."""
    runbook: str = ""
    inhibited_by: str = ""
    """The alert that explains this one, about which nobody is told; empty where there is none."""

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as a JSON-able mapping."""
        return {**asdict(self), "labels": dict(self.labels)}
