"""Tells every event to every observer, and keeps observers' faults to themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from trunkline import clock
from trunkline.call import Tracer
from trunkline.events import Event, Observer, ObserverFailed

__all__ = ["EventBus"]


_Subscription: TypeAlias = tuple[Observer, frozenset[type[Event]] | None]


class EventBus:
    """Tells every event to every observer, in order of subscription.

    `emit` is synchronous, cheap and never raises: an observer that raises is counted in `failures`, and its first
    failure of each kind is told to the others as `ObserverFailed`. (The isolation follows trio's instruments.)
    """

    def __init__(self, observers: Iterable[Observer] = (), *, tracer: Tracer | None = None) -> None:
        """Tell `observers`; `tracer` follows the calls of whatever client uses this bus, None for nobody."""
        self.tracer = tracer
        self._observers: tuple[_Subscription, ...] = tuple((observer, None) for observer in observers)
        self._by_kind: dict[type[Event], tuple[Observer, ...]] = {}
        self.failures: dict[tuple[str, str], int] = {}
        """How often each observer raised, by (observer, exception class)."""

    def __repr__(self) -> str:
        return f"<EventBus [{len(self._observers)} observers, {sum(self.failures.values())} failures]>"

    def subscribe(self, observer: Observer, kinds: Iterable[type[Event]] | None = None) -> Callable[[], None]:
        """Add an observer, of events of these kinds alone where any are given; returns a function that removes it."""
        subscription = (observer, None if kinds is None else frozenset(kinds))
        self._observers = (*self._observers, subscription)
        self._by_kind = {}
        is_subscribed = True

        def unsubscribe() -> None:
            nonlocal is_subscribed
            if is_subscribed:
                is_subscribed = False
                # Methods of one object compare equal: remove one, not all.
                kept = list(self._observers)
                kept.remove(subscription)
                self._observers = tuple(kept)
                self._by_kind = {}

        return unsubscribe

    def emit(self, event: Event) -> None:
        """Tell `event` to every observer."""
        kind = type(event)
        observers = self._by_kind.get(kind)
        if observers is None:
            observers = self._by_kind[kind] = tuple(
                observer for observer, kinds in self._observers if kinds is None or kind in kinds
            )
        for observer in observers:
            try:
                observer(event)
            except Exception as error:  # boundary: an observer's bug must not change a call's outcome
                self._isolate(observer, event, error)

    def _isolate(self, observer: Observer, event: Event, error: Exception) -> None:
        name = getattr(observer, "__qualname__", None) or type(observer).__qualname__
        is_first = self._count(name, error)
        # Announced once per kind, and never about the announcement itself: no recursion without end.
        if is_first and not isinstance(event, ObserverFailed):
            self.emit(ObserverFailed(event.at, name, type(error).__name__))

    def note_failure(self, name: str, error: Exception) -> None:
        """Count a failure of something else that watches, as if it were an observer called `name`."""
        if self._count(name, error):
            self.emit(ObserverFailed(clock.now(), name, type(error).__name__))

    def _count(self, name: str, error: Exception) -> bool:
        """Count it; whether it is the first of its kind."""
        key = (name, type(error).__name__)
        self.failures[key] = self.failures.get(key, 0) + 1
        return self.failures[key] == 1
