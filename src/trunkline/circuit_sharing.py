"""Circuits of several processes that learn from one another which places fail. Off by default; nothing waits for it.

Told on is only what was seen here: a closed circuit that opened, and one that closed after proofs. A probe that failed
is told to nobody, so each process finds out for itself how long a server stays away, and one whose own network is at
fault costs the others one open time and no more. What is heard is the circuits' to judge (`hear_opened`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from math import isfinite
from typing import Any, Final, TypeAlias

from trunkline import clock
from trunkline.endpoint import Endpoint, HttpEndpoint
from trunkline.events import CircuitChanged, Event
from trunkline.fleet import Fleet
from trunkline.replica import Replica

__all__ = ["CircuitSharing", "Tell"]

Tell: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Carries a message, a small JSON object, to the other processes. Best effort: returns at once and never raises."""

_NEWS: Final = 5.0
"""Seconds after which word of a closed circuit is too old to say anything of an open one."""


class CircuitSharing:
    """Tells other processes of the circuits of `fleet`, and the circuits what others told.

    An observer of the event stream. Processes know a place by its address, whatever they call the server; children
    spoken to over stdio are each process's own and are not shared.
    """

    kinds: Final = (CircuitChanged,)
    """The events it is for."""

    def __init__(self, fleet: Fleet, tell: Tell) -> None:
        self._fleet = fleet
        self._tell = tell
        self._told = 0
        self._heard = 0

    def __repr__(self) -> str:
        return f"<CircuitSharing [{self._told} told, {self._heard} heard]>"

    def __call__(self, event: Event) -> None:
        """Tell the others, if that is worth telling."""
        if not isinstance(event, CircuitChanged) or event.heard or not _is_news(event):
            return
        for place, replica in self._shared():
            if replica.server == event.server and replica.name == event.replica:
                self._told += 1
                seconds = replica.circuit.retry_after(event.at)
                self._tell({"place": place, "state": event.new, "seconds": seconds})

    def hear(self, message: Mapping[str, Any], age: float) -> None:
        """Take in what another process told `age` seconds ago; what is no such message is passed over."""
        place, state, seconds = message.get("place"), message.get("state"), message.get("seconds")
        if not isinstance(seconds, int | float) or not isfinite(seconds):
            return
        now = clock.now()
        for known, replica in self._shared():
            if known != place:
                continue
            self._heard += 1
            if state == "open":
                replica.circuit.hear_opened(seconds - age, now)
            elif state == "closed" and age <= _NEWS:
                replica.circuit.hear_closed(now)

    def _shared(self) -> Iterator[tuple[str, Replica]]:
        for stack in self._fleet.stacks.values():
            breaker = stack.settings.policy.breaker
            if breaker.enabled and breaker.shared:
                for replica in stack.replicas:
                    place = _place(replica.endpoint)
                    if place is not None:
                        yield place, replica


def _is_news(event: CircuitChanged) -> bool:
    return event.new == "closed" or (event.old, event.new) == ("closed", "open")


def _place(endpoint: Endpoint) -> str | None:
    """A name for the place that says nothing of it; its label, which has no credentials in it, hashed."""
    if not isinstance(endpoint, HttpEndpoint):
        return None
    return blake2b(endpoint.label.encode(), digest_size=12).hexdigest()
