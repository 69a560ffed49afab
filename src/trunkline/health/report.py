"""What health is reported as: plain frozen values, made from the last known states."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.health.status import HealthState, Status

__all__ = ["DependencyHealth", "HealthReport", "summary", "told"]


@dataclass(frozen=True, slots=True)
class DependencyHealth:
    """One dependency, as last known."""

    name: str
    state: HealthState
    since: float
    """Seconds since the epoch."""
    reason: str
    """Empty when healthy."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Everything, as last known."""

    state: HealthState
    """`healthy` when all are; `down` when no server works; `degraded` in between; `unknown` before anything is seen."""
    servers: tuple[DependencyHealth, ...]
    others: tuple[DependencyHealth, ...]
    """Our own parts: the configuration file, when a changed one was refused."""
    loop_lag: float
    """Seconds the event loop woke late at the last look."""

    @property
    def is_ready(self) -> bool:
        """Whether calls can be served: some server works, or none is configured."""
        return not self.servers or any(server.state in ("healthy", "degraded") for server in self.servers)


def told(name: str, status: Status) -> DependencyHealth:
    """A dependency's status as it is reported."""
    return DependencyHealth(name, status.state, status.since, status.reason)


def summary(servers: tuple[DependencyHealth, ...], others: tuple[DependencyHealth, ...]) -> HealthState:
    """One word for everything."""
    states = {server.state for server in servers}
    if states == {"unknown"}:
        return "unknown"
    if states and states <= {"down", "unknown"}:
        return "down"
    if states <= {"healthy"} and not others:
        return "healthy"
    return "degraded"
