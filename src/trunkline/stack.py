"""THE ORDER: which layer sees a call before which, and why. The only place that knows it.

A call passes the client's stack once, is led to its server and passes that server's stack; each of its attempts then
passes the stack of one replica. State belongs to one server (budget, rate, hedging) or to one replica (circuit, queue,
connections) and is never shared by accident: `ServerStack` and `Replica` each make their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trunkline.call import Layer, Service, compose

__all__ = ["CLIENT_ORDER", "REPLICA_ORDER", "SERVER_ORDER", "Position", "stacked"]


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order, and the reason for it."""

    name: str
    reason: str


CLIENT_ORDER = (
    Position("observe", "outermost: one start and one finish per call, whatever happens below"),
    Position("fresh", "above whatever can block: a fresh answer in memory needs no deadline, no ladder and no server"),
    Position("deadline", "above everything that can block, a cache server and every fallback included"),
    Position("fallback", "above the cache, so that a substitute answer is never stored"),
)
"""Seen by every call, once, in this order; then the call is led to its server."""

SERVER_ORDER = (
    Position("validate", "a malformed call costs nothing: no cache look-up, no attempt, no budget"),
    Position("cache", "above retry: a hit needs no attempt; below validate: what is malformed is never looked up"),
    Position("retry", "above the circuits, so that every attempt is judged and none is repeated below"),
    Position("hedge", "below retry: both racers are one attempt to the retry count"),
    Position("rate", "below whatever repeats, as the server counts every attempt; above route, as replicas share it"),
)
"""Seen by every call to one server, in this order; then each attempt is routed to a replica."""

REPLICA_ORDER = (
    Position("breaker", "above timeout, or a server that hangs would never open its circuit"),
    Position("timeout", "above the bulkhead: waiting for a turn is part of the attempt's time"),
    Position("bulkhead", "innermost: it guards the connections, and a refused attempt never holds one"),
)
"""Seen by every attempt at one replica, in this order; then the attempt goes to the pool."""


def stacked(order: Sequence[Position], layers: Mapping[str, Layer], service: Service) -> Service:
    """The layers there are, in their order, over `service`."""
    return compose([layers[position.name] for position in order if position.name in layers], service)
