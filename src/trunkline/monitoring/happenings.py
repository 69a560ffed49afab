"""What happened lately, in sentences: changes of state and of configuration, newest first. No single calls.

A fold over the event stream in bounded memory; what repeats itself is one entry that counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from trunkline.events import (
    AlertChanged,
    AlertSinkFailed,
    AnswerAbandoned,
    CacheInvalidated,
    CircuitChanged,
    ConfigRejected,
    ConfigReloaded,
    ConnectFailed,
    ConnectionEnded,
    ConnectionOpened,
    Event,
    LoopLagged,
    ObserverFailed,
    PinMismatched,
    PinsReloaded,
    ReplicaEjected,
    ReplicaReadmitted,
    SharedCacheFound,
    SharedCacheLost,
    ToolDrifted,
    ToolsChanged,
)
from trunkline.monitoring.labels import clean
from trunkline.monitoring.redaction import redact

__all__ = ["Happening", "Happenings"]

_KEPT: Final = 200
_ALIKE: Final = 20
"""Latest entries among which a repetition is looked for."""
_LONGEST: Final = 300

Tone: TypeAlias = Literal["good", "bad", "plain"]


@dataclass(frozen=True, slots=True)
class Happening:
    """One entry."""

    at: float
    """When it happened last, in seconds since the epoch."""
    tone: Tone
    about: str
    """The server, or what else it happened to."""
    text: str
    times: int = 1
    """How often it happened in a row."""

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as a JSON-able mapping."""
        return asdict(self)


_Told: TypeAlias = tuple[Tone, str, str]


def _about(event: Any) -> str:
    return f"{event.server} ({event.replica})" if event.replica else str(event.server)


def _ended(event: ConnectionEnded) -> _Told | None:
    if event.deliberate:
        return None
    lost = f"; {event.in_flight} calls were waiting for it" if event.in_flight else ""
    return "bad", _about(event), f"connection lost: {event.reason}{lost}"


def _circuit(event: CircuitChanged) -> _Told:
    tone: Tone = "good" if event.new == "closed" else "bad" if event.new == "open" else "plain"
    word = event.new.replace("_", " ")
    return tone, _about(event), f"circuit {word}: {event.reason}" if event.reason else f"circuit {word}"


def _tools(event: ToolsChanged) -> _Told:
    changes = [f"{len(names)} {word}" for names, word in ((event.added, "new"), (event.removed, "gone")) if names]
    return "plain", event.server, f"{event.total} tools: {', '.join(changes)}"


def _mismatched(event: PinMismatched) -> _Told:
    word = "is refused" if event.refused else "is not as accepted"
    return "bad", event.server, f"tool {event.name} {word}: {event.reason}"


def _alert(event: AlertChanged) -> _Told | None:
    if (
        event.inhibited_by
        or event.new not in ("firing", "inactive")
        or (event.old, event.new) == ("pending", "inactive")
    ):
        return None
    return ("bad", "alert", event.summary) if event.new == "firing" else ("good", "alert", f"over: {event.summary}")


def _reloaded(event: ConfigReloaded) -> _Told:
    parts = [
        f"{word} {', '.join(names)}"
        for word, names in (("added", event.added), ("removed", event.removed), ("changed", event.changed))
        if names
    ]
    return "plain", "configuration", f"reloaded: {'; '.join(parts) or 'no server changed'}"


_TELL: Final[Mapping[type[Event], Callable[[Any], _Told | None]]] = {
    ConnectionOpened: lambda event: ("good", _about(event), "connected"),
    ConnectionEnded: _ended,
    ConnectFailed: lambda event: ("bad", _about(event), f"cannot connect: {event.reason}"),
    CircuitChanged: _circuit,
    ReplicaEjected: lambda event: ("bad", _about(event), f"replica left out: {event.reason}"),
    ReplicaReadmitted: lambda event: ("good", _about(event), f"replica asked again: {event.reason}"),
    ToolsChanged: _tools,
    ToolDrifted: lambda event: ("bad", event.server, f"tool {event.name} changed its definition"),
    PinMismatched: _mismatched,
    PinsReloaded: lambda event: (
        ("bad", "pins", f"refused: {event.problem}") if event.problem else ("plain", "pins", "reloaded")
    ),
    ConfigReloaded: _reloaded,
    ConfigRejected: lambda event: ("bad", "configuration", f"refused: {event.problems[0]}"),
    SharedCacheLost: lambda event: ("bad", "redis", f"lost: {event.reason}"),
    SharedCacheFound: lambda _: ("good", "redis", "answers"),
    CacheInvalidated: lambda event: ("plain", "cache", f"invalidated: {event.scope} {event.name}".rstrip()),
    AlertChanged: _alert,
    AlertSinkFailed: lambda event: ("bad", "alerts", f"{event.sink} cannot be told: {event.reason}"),
    LoopLagged: lambda _: ("bad", "event loop", "woke late by a tenth of a second or more"),
    ObserverFailed: lambda event: ("bad", "observer", f"{event.observer} raised {event.error}"),
    AnswerAbandoned: lambda event: (
        ("bad", "gateway", f"a reader of {event.path} stopped reading") if event.reason != "left" else None
    ),
}


class Happenings:
    """An observer that remembers the latest changes."""

    kinds: Final = frozenset(_TELL)

    def __init__(self, *, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._entries: list[Happening] = []

    def __repr__(self) -> str:
        return f"<Happenings [{len(self._entries)} entries]>"

    def __call__(self, event: Event) -> None:
        """Take note of an event that changes something."""
        tell = _TELL.get(type(event))
        told = None if tell is None else tell(event)
        if told is not None:
            tone, about, text = told
            self._add(Happening(self._wall(), tone, clean(about), redact(clean(text[:_LONGEST], _LONGEST))))

    def _add(self, new: Happening) -> None:
        for place in range(len(self._entries) - 1, max(len(self._entries) - _ALIKE, 0) - 1, -1):
            known = self._entries[place]
            if (known.about, known.text) == (new.about, new.text):
                del self._entries[place]
                new = replace(new, times=known.times + 1)
                break
        self._entries.append(new)
        del self._entries[:-_KEPT]

    def latest(self) -> list[Happening]:
        """Return what is remembered, newest first."""
        return list(reversed(self._entries))
