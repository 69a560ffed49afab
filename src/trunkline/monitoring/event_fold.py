"""The metrics' fold over the event stream: which series, counter or state each event feeds.

An event's `at` is not used: it is on the event loop's clock, and records and events must share one time line, the
store's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trunkline.call import CURRENT_DOMAIN
from trunkline.errors import ConnectionLost, ToolNotFound
from trunkline.events import (
    AnswerAbandoned,
    AttemptFinished,
    CallFinished,
    CallStarted,
    CircuitChanged,
    ConfigRejected,
    ConfigReloaded,
    ConnectFailed,
    ConnectionEnded,
    ConnectionOpened,
    DependencyProbed,
    Event,
    HedgeStarted,
    LoopLagged,
    ObserverFailed,
    PinMismatched,
    ReplicaEjected,
    RequestRefused,
    RequestServed,
    RetryScheduled,
    ServerProbed,
    ToolDrifted,
    ToolsChanged,
)
from trunkline.monitoring.labels import UNKNOWN, clean, code_text
from trunkline.monitoring.store import MetricStore

__all__ = ["EventFold"]

_TOOL_CALL = "tools/call"


class EventFold:
    """Feeds a store with events. An observer; kinds of events it does not know are ignored."""

    def __init__(self, store: MetricStore) -> None:
        self._store = store
        count = store.count
        self._intake: Mapping[type[Event], Callable[[Any], None]] = {
            CallStarted: self._call_started,
            CallFinished: self._call_finished,
            AttemptFinished: self._attempt_finished,
            RetryScheduled: lambda event: count("retries", event.server, event.name, event.reason),
            HedgeStarted: lambda event: count("hedges", event.server, event.name),
            ReplicaEjected: lambda event: count("ejections", event.server, event.replica),
            CircuitChanged: self._circuit_changed,
            ConnectionOpened: self._connection_opened,
            ConnectionEnded: self._connection_ended,
            ConnectFailed: self._connect_failed,
            ServerProbed: self._server_probed,
            DependencyProbed: self._dependency_probed,
            ToolsChanged: self._tools_changed,
            ToolDrifted: lambda event: count("tool_drifts", event.server),
            PinMismatched: lambda event: count("pin_mismatches", event.server),
            LoopLagged: lambda event: store.note(store.loop_lag, event.lag),
            ConfigReloaded: lambda _: count("config", "reloaded"),
            ConfigRejected: lambda _: count("config", "rejected"),
            AnswerAbandoned: lambda event: count("abandoned", event.path, event.reason),
            RequestRefused: lambda event: count("refused", event.reason),
            RequestServed: self._request_served,
            ObserverFailed: lambda event: count("observer_failures", event.observer, event.error),
        }

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        take = self._intake.get(type(event))
        if take is not None:
            take(event)

    def _call_started(self, event: CallStarted) -> None:
        group = self._store.requests.group(event.domain)
        group.calls.add(event.call_id)
        # Inside a tracked operation of the same domain, that operation is the request under way.
        if CURRENT_DOMAIN.get() != event.domain:
            group.active.add(event.call_id)

    def _call_finished(self, event: CallFinished) -> None:
        store = self._store
        group = store.requests.group(event.domain)
        group.calls.discard(event.call_id)
        group.active.discard(event.call_id)
        # Of the other methods, names are addresses and arguments of sorts: no labels.
        operation: str = event.method
        if event.method == _TOOL_CALL:
            operation = UNKNOWN if event.outcome == ToolNotFound.__name__ else event.name
            store.note(store.tools.find((event.domain, event.server, operation, event.outcome)), event.duration)
            store.count("cache", event.domain, event.cache)
        if event.fallback is not None:
            store.count("fallbacks", event.domain, event.fallback)
        if not event.tracked:
            store.note(store.requests.find((event.domain, operation, event.outcome)), event.duration)

    def _attempt_finished(self, event: AttemptFinished) -> None:
        store = self._store
        tool = event.name if event.method == _TOOL_CALL else ""
        labels = (event.domain, event.server, event.method, tool, code_text(event.error_code), event.outcome)
        store.note(store.attempts.find(labels), event.duration)

    def _connection_opened(self, event: ConnectionOpened) -> None:
        self._store.count("opened", event.server, event.replica or "")
        self._store.healthy[clean(event.server), clean(event.replica or "")] = True

    def _connect_failed(self, event: ConnectFailed) -> None:
        self._store.count("connect_failures", event.server, event.replica or "")
        self._note_away(event)

    def _connection_ended(self, event: ConnectionEnded) -> None:
        store = self._store
        store.count("lost", event.server, event.replica or "")
        if not event.deliberate:
            self._note_away(event)
        outcome = "ok" if event.deliberate else ConnectionLost.__name__
        store.note(store.sessions.find((event.server, event.replica or "", outcome)), event.lasted)

    def _note_away(self, event: ConnectFailed | ConnectionEnded) -> None:
        # Who cannot be reached is not probed: the last probe's result would stand for as long as the server is away.
        if not event.ready:
            self._store.healthy[clean(event.server), clean(event.replica or "")] = False

    def _request_served(self, event: RequestServed) -> None:
        store = self._store
        labels = (event.method, event.name, event.transport, code_text(event.error_code), event.outcome)
        store.note(store.served.find(labels), event.duration)

    def _circuit_changed(self, event: CircuitChanged) -> None:
        store = self._store
        store.circuits[clean(event.server), clean(event.replica or "")] = event.new
        store.count("transitions", event.server, event.replica or "", event.old, event.new)

    def _server_probed(self, event: ServerProbed) -> None:
        self._probed(event.server, event.replica or "", event)

    def _dependency_probed(self, event: DependencyProbed) -> None:
        self._probed(event.name, "", event)

    def _probed(self, component: str, replica: str, event: ServerProbed | DependencyProbed) -> None:
        store = self._store
        store.healthy[clean(component), clean(replica)] = event.healthy
        outcome = "ok" if event.healthy else "error"
        store.note(store.probes.find((component, replica, outcome)), event.duration)

    def _tools_changed(self, event: ToolsChanged) -> None:
        store = self._store
        store.tool_totals[clean(event.server)] = event.total
        store.count("tool_changes", event.server)
