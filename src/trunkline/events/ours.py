"""What happened to our own parts, and to what is no MCP server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from trunkline.events.event import Event

__all__ = [
    "AlertChanged",
    "AlertSinkFailed",
    "AnswerAbandoned",
    "CacheInvalidated",
    "ConfigRejected",
    "ConfigReloaded",
    "DependencyProbed",
    "InvalidationScope",
    "LoopLagged",
    "ObserverFailed",
    "PinsReloaded",
    "RequestRefused",
    "SharedCacheFound",
    "SharedCacheLost",
]


InvalidationScope: TypeAlias = Literal["all", "server", "tool", "tag", "principal"]


@dataclass(frozen=True, slots=True)
class CacheInvalidated(Event):
    """Somebody made cached answers invalid."""

    scope: InvalidationScope
    name: str
    """Of the server, tool or tag; empty for the others: whom answers were for is not told."""


@dataclass(frozen=True, slots=True)
class ConfigReloaded(Event):
    """A changed configuration is in force."""

    source: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    waiting: str = ""
    """Keys whose new values take a restart: until then the old ones stay in force."""


@dataclass(frozen=True, slots=True)
class ConfigRejected(Event):
    """A changed configuration is invalid; the last good one stays in force."""

    source: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PinsReloaded(Event):
    """The pins file has changed, or another one is configured; an invalid one leaves what was accepted before."""

    source: str
    problem: str
    """Why it is not in force; empty where it is."""


@dataclass(frozen=True, slots=True)
class DependencyProbed(Event):
    """A background probe of something that is no MCP server (a shared cache, an exporter) ended."""

    name: str
    healthy: bool
    duration: float
    """Seconds."""
    reason: str
    """Empty when healthy."""


@dataclass(frozen=True, slots=True)
class LoopLagged(Event):
    """The event loop woke late by `lag` seconds."""

    lag: float


@dataclass(frozen=True, slots=True)
class ObserverFailed(Event):
    """An observer raised. It costs nobody else an event; every failure is counted, the first is announced."""

    observer: str
    error: str


@dataclass(frozen=True, slots=True)
class AnswerAbandoned(Event):
    """A reader of the gateway's pages or metrics did not take its whole answer."""

    path: str
    reason: str
    """`left`, or `stopped reading`, in which case it was given up."""


@dataclass(frozen=True, slots=True)
class RequestRefused(Event):
    """The gateway refused a request, or a connection, before it looked at what was asked."""

    reason: str
    """`unauthenticated`, `forbidden`, `wrong_host`, `wrong_origin`, `too_many_requests`, `too_many_connections`,
    `unavailable` (no session is free, or the issuer's keys are away), `head_too_large`, `too_large`, `too_slow` or
    `malformed`."""


@dataclass(frozen=True, slots=True)
class SharedCacheLost(Event):
    """The cache shared with other processes is not asked any more: everything goes on in memory."""

    reason: str
    """In words that can be shown; nothing of an address or a user."""


@dataclass(frozen=True, slots=True)
class SharedCacheFound(Event):
    """The cache shared with other processes answers: for the first time, or again."""

    lasted: float
    """Seconds it was lost; 0 at the first time."""


@dataclass(frozen=True, slots=True)
class AlertChanged(Event):
    """An alert went from one state to another."""

    rule: str
    severity: str
    subject: str
    """Whom it is about: `server=search`."""
    old: str
    new: str
    summary: str
    value: float
    threshold: float
    inhibited_by: str
    """The alert that explains this one, about which nobody is told; empty where there is none."""


@dataclass(frozen=True, slots=True)
class AlertSinkFailed(Event):
    """Somebody who is to be told of alerts cannot be. Each failure is counted; told is what changed."""

    sink: str
    reason: str
    """In words that can be shown; nothing of an address."""
