"""Tells every event to every observer, and keeps observers' faults to themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from trunkline.events import Event, Observer, ObserverFailed

__all__ = ["EventBus"]


class EventBus:
    """Tells every event to every observer, in order of subscription.

    `emit` is synchronous, cheap and never raises: an observer that raises is counted in `failures`, and its first
    failure of each kind is told to the others as `ObserverFailed`. (The isolation follows trio's instruments.)
    """

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers: tuple[Observer, ...] = tuple(observers)
        self.failures: dict[tuple[str, str], int] = {}
        """How often each observer raised, by (observer, exception class)."""

    def __repr__(self) -> str:
        return f"<EventBus [{len(self._observers)} observers, {sum(self.failures.values())} failures]>"

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Add an observer; returns a function that removes it."""
        self._observers = (*self._observers, observer)
        is_subscribed = True

        def unsubscribe() -> None:
            nonlocal is_subscribed
            if is_subscribed:
                is_subscribed = False
                # Methods of one object compare equal: remove one, not all.
                kept = list(self._observers)
                kept.remove(observer)
                self._observers = tuple(kept)

        return unsubscribe

    def emit(self, event: Event) -> None:
        """Tell `event` to every observer."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception as error:  # boundary: an observer's bug must not change a call's outcome
                self._isolate(observer, event, error)

    def _isolate(self, observer: Observer, event: Event, error: Exception) -> None:
        name = getattr(observer, "__qualname__", None) or type(observer).__qualname__
        key = (name, type(error).__name__)
        self.failures[key] = self.failures.get(key, 0) + 1
        # Announced once per kind, and never about the announcement itself: no recursion without end.
        if self.failures[key] == 1 and not isinstance(event, ObserverFailed):
            self.emit(ObserverFailed(event.at, name, type(error).__name__))
