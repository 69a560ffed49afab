"""What health is reported as: plain frozen values, made from the last known states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trunkline.health.status import HealthState, Status

__all__ = ["DependencyHealth", "HealthReport", "summary", "told", "told_together"]


@dataclass(frozen=True, slots=True)
class DependencyHealth:
    """One dependency, as last known."""

    name: str
    state: HealthState
    since: float
    """Seconds since the epoch."""
    reason: str
    """Empty when healthy."""
    replicas: tuple[DependencyHealth, ...] = ()
    """Each place where a server runs, when there are several."""

    @property
    def works(self) -> bool:
        """Whether it can be used: healthy or degraded."""
        return self.state in ("healthy", "degraded")


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Everything, as last known."""

    state: HealthState
    """`healthy` when all are; `down` when no server works; `degraded` in between; `unknown` before anything is seen."""
    servers: tuple[DependencyHealth, ...]
    others: tuple[DependencyHealth, ...]
    """What is no MCP server: shared caches, exporters, the configuration file when a changed one was refused, and
    tools that are not what was accepted."""
    loop_lag: float
    """Seconds the event loop woke late at the last look."""

    @property
    def is_ready(self) -> bool:
        """Whether calls can be served: some server works, or none is configured."""
        return not self.servers or any(server.works for server in self.servers)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What is not healthy and why, one line each: "search is down: nothing listens at the server's address"."""
        return tuple(
            f"{part.name} is {part.state}: {part.reason}"
            for part in (*self.servers, *self.others)
            if part.state != "healthy"
        )


def told(name: str, status: Status) -> DependencyHealth:
    """A dependency's status as it is reported."""
    return DependencyHealth(name, status.state, status.since, status.reason)


def told_together(name: str, replicas: Mapping[str | None, Status]) -> DependencyHealth:
    """A server's status by those of its replicas (one or more): down when all are, healthy when all are."""
    if len(replicas) == 1:
        return told(name, next(iter(replicas.values())))
    parts = tuple(told(replica or name, status) for replica, status in replicas.items())
    bad = [part for part in parts if part.state != "healthy"]
    if not bad:
        return DependencyHealth(name, "healthy", max(part.since for part in parts), "", parts)
    reason = f"{len(bad)} of {len(parts)} replicas are not healthy; {bad[0].name}: {bad[0].reason}"
    state = _together(parts)
    # All must be down for the server to be; one is enough to degrade it.
    since = max(part.since for part in bad) if state == "down" else min(part.since for part in bad)
    return DependencyHealth(name, state, since, reason, parts)


def summary(servers: tuple[DependencyHealth, ...], others: tuple[DependencyHealth, ...]) -> HealthState:
    """One word for everything."""
    if any(other.state in ("degraded", "down") for other in others):
        return "down" if servers and _together(servers) == "down" else "degraded"
    return _together(servers)


def _together(parts: Sequence[DependencyHealth]) -> HealthState:
    states = {part.state for part in parts}
    if states == {"unknown"}:
        return "unknown"
    if states and states <= {"down", "unknown"}:
        return "down"
    return "healthy" if states <= {"healthy"} else "degraded"
