"""How one alert comes and goes: inactive, pending, firing, recovering. Pure; time is an argument.

The states and their edges are Prometheus's, so that exported rules agree: an alert fires at the first evaluation that
finds it bad for `for` seconds, and ends at the first that finds it well for `keep_firing_for`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from trunkline.alerts.alert import AlertState

__all__ = ["Status", "advanced"]


@dataclass(frozen=True, slots=True)
class Status:
    """Where one alert stands; one that is inactive has none. Seconds are those of the caller's clock."""

    state: AlertState
    began: float
    """When it began to be bad."""
    fired: float | None = None
    well_since: float | None = None
    """When a firing one was first found well again."""

    @property
    def has_fired(self) -> bool:
        """Whether it was told that this is bad, and not yet that it is over."""
        return self.fired is not None


def advanced(status: Status | None, *, is_bad: bool, now: float, hold: float, keep: float) -> Status | None:
    """Return the status after one evaluation; `hold` and `keep` are the rule's `for` and `keep_firing_for`."""
    if is_bad:
        if status is None:
            status = Status("pending", now)
        if status.state == "pending" and now - status.began >= hold:
            return replace(status, state="firing", fired=now)
        if status.state == "recovering":
            return replace(status, state="firing", well_since=None)
        return status
    if status is None or not status.has_fired:
        return None
    well_since = now if status.well_since is None else status.well_since
    return None if now - well_since >= keep else replace(status, state="recovering", well_since=well_since)
