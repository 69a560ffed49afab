"""Structured logging, the library's side: a fold of the event stream into log records.

We only write to loggers below `trunkline`, which has a `NullHandler`, and touch nobody's handlers, levels or factories.
Where records go is for who owns the process to say: see `process_log`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, Final, NamedTuple

from trunkline.events import (
    AlertChanged,
    AlertSinkFailed,
    AnswerAbandoned,
    AttemptFinished,
    CacheInvalidated,
    CallFinished,
    CallStarted,
    CircuitChanged,
    ConfigRejected,
    ConfigReloaded,
    ConnectFailed,
    ConnectionEnded,
    ConnectionOpened,
    ConnectStarted,
    DependencyProbed,
    Event,
    FallbackUsed,
    HedgeStarted,
    LoopLagged,
    ObserverFailed,
    PinMismatched,
    PinsChecked,
    PinsReloaded,
    ReplicaEjected,
    ReplicaReadmitted,
    RequestRefused,
    RetryScheduled,
    ServerProbed,
    SharedCacheFound,
    SharedCacheLost,
    ToolDrifted,
    ToolsChanged,
)
from trunkline.monitoring.labels import clean
from trunkline.monitoring.log_context import PREFIX
from trunkline.monitoring.redaction import redact

__all__ = ["LogObserver"]

_Level = Callable[[Any], int]

_ADDRESS: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,20}://[^\s\"'<>]*")


def _always(level: int) -> _Level:
    return lambda _: level


def _alert_level(event: AlertChanged) -> int:
    """What fires is a warning and its end worth a line; what only may become an alert, or is explained, is not."""
    if event.inhibited_by or ("pending" in (event.new, event.old) and event.new != "firing"):
        return logging.DEBUG
    if event.new == "firing":
        return logging.WARNING if event.old != "recovering" else logging.DEBUG
    return logging.INFO if event.new == "inactive" else logging.DEBUG


_DEBUG, _INFO, _WARNING = _always(logging.DEBUG), _always(logging.INFO), _always(logging.WARNING)

_RECORDS: Final[Mapping[type[Event], tuple[str, str, _Level]]] = {
    CallStarted: ("call", "call_started", _DEBUG),
    CallFinished: ("call", "call_finished", _DEBUG),
    AttemptFinished: ("call", "attempt_finished", _DEBUG),
    RetryScheduled: ("call", "retry_scheduled", _DEBUG),
    HedgeStarted: ("call", "hedge_started", _DEBUG),
    FallbackUsed: ("call", "fallback_used", _DEBUG),
    ReplicaEjected: ("circuit", "replica_ejected", _WARNING),
    ReplicaReadmitted: ("circuit", "replica_readmitted", _INFO),
    CircuitChanged: (
        "circuit",
        "circuit_changed",
        lambda event: logging.WARNING if event.new == "open" else logging.INFO,
    ),
    ConnectStarted: ("connection", "connect_started", _DEBUG),
    ConnectionOpened: ("connection", "connection_opened", _INFO),
    ConnectionEnded: ("connection", "connection_ended", _INFO),
    # The first says that something broke; the rest only that it still is.
    ConnectFailed: (
        "connection",
        "connect_failed",
        lambda event: logging.WARNING if event.failures <= 1 else logging.DEBUG,
    ),
    ToolsChanged: ("registry", "tools_changed", _INFO),
    ToolDrifted: ("registry", "tool_drifted", _INFO),
    PinMismatched: ("registry", "pin_mismatched", _INFO),
    PinsChecked: (
        "registry",
        "pins_checked",
        lambda event: logging.WARNING if event.refused else logging.INFO,
    ),
    PinsReloaded: (
        "config",
        "pins_reloaded",
        lambda event: logging.WARNING if event.problem else logging.INFO,
    ),
    ServerProbed: ("health", "server_probed", _DEBUG),
    DependencyProbed: ("health", "dependency_probed", _DEBUG),
    AnswerAbandoned: (
        "gateway",
        "answer_abandoned",
        lambda event: logging.WARNING if event.reason == "stopped reading" else logging.DEBUG,
    ),
    RequestRefused: ("gateway", "request_refused", _DEBUG),
    SharedCacheLost: ("cache", "shared_cache_lost", _WARNING),
    SharedCacheFound: ("cache", "shared_cache_found", _INFO),
    CacheInvalidated: ("cache", "cache_invalidated", _INFO),
    LoopLagged: ("health", "loop_lagged", _DEBUG),
    ConfigReloaded: (
        "config",
        "config_reloaded",
        lambda event: logging.WARNING if event.waiting else logging.INFO,
    ),
    ConfigRejected: ("config", "config_rejected", _WARNING),
    ObserverFailed: ("observer", "observer_failed", _WARNING),
    AlertChanged: ("alert", "alert_changed", _alert_level),
    AlertSinkFailed: ("alert", "alert_sink_failed", _WARNING),
}
"""Logger below `trunkline`, message and level of each kind of event."""


class _Route(NamedTuple):
    logger: logging.Logger
    message: str
    level: _Level
    fields: tuple[str, ...]


class LogObserver:
    """Turns events into log records: the message is a constant name, the facts are extras such as `trunkline_server`.

    Single calls are DEBUG, changes of state INFO, the first sign of trouble WARNING. Lists are told by their length;
    addresses and credentials in reasons are taken out; resources are not named, since their names are addresses.
    """

    def __init__(self, name: str = "trunkline") -> None:
        """Write to loggers below `name`."""
        top = logging.getLogger(name)
        if not any(isinstance(handler, logging.NullHandler) for handler in top.handlers):
            top.addHandler(logging.NullHandler())
        self._routes: dict[type[Event], _Route] = {
            kind: _Route(
                top.getChild(child), message, level, tuple(field.name for field in fields(kind) if field.name != "at")
            )
            for kind, (child, message, level) in _RECORDS.items()
        }

    def __call__(self, event: Event) -> None:
        """Log `event`, if anybody listens at its level."""
        route = self._routes.get(type(event))
        if route is None:
            return
        level = route.level(event)
        if route.logger.isEnabledFor(level):
            route.logger.log(level, route.message, extra=_extras(event, route.fields))


def _extras(event: Event, names: tuple[str, ...]) -> dict[str, Any]:
    extras = {f"{PREFIX}{name}": _plain(getattr(event, name)) for name in names}
    if extras.get(f"{PREFIX}method") == "resources/read":
        del extras[f"{PREFIX}name"]
    if extras.get(f"{PREFIX}trace_id", "") is None:
        del extras[f"{PREFIX}trace_id"]
    return extras


def _plain(value: object) -> object:
    if isinstance(value, str):
        text = clean(value)
        return redact(_ADDRESS.sub("[address]", text) if "://" in text else text)
    if isinstance(value, tuple):
        return len(value)
    return value.value if isinstance(value, Enum) else value
