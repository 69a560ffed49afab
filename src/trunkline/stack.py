"""THE ORDER: which layer sees a call before which, and why. The only place that knows it.

A call passes the client's stack once, is routed to its server, and passes that server's stack. State (circuit, budget,
queue, connections) belongs to one server and is never shared by accident: each `ServerStack` makes its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mcp_types import Result, Tool

from trunkline.call import Call, Layer, Service, compose
from trunkline.endpoint import ServerSettings, StdioEndpoint
from trunkline.events import CircuitChanged, CircuitState, Emit
from trunkline.layers.breaker import BreakerLayer
from trunkline.layers.bulkhead import BulkheadLayer
from trunkline.layers.deadline import DeadlineLayer
from trunkline.layers.observe import ObserveLayer
from trunkline.layers.retry import RetryLayer
from trunkline.layers.timeout import TimeoutLayer
from trunkline.layers.validate import ValidateLayer
from trunkline.policy import ServerPolicy
from trunkline.pool.pool import Pool
from trunkline.resilience.admission import Admission
from trunkline.resilience.budget import RetryBudget
from trunkline.resilience.circuit import Circuit

__all__ = ["CLIENT_ORDER", "SERVER_ORDER", "Position", "ServerStack", "client_stack"]


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order, and the reason for it."""

    name: str
    reason: str
    built: bool = True
    """False for a place that is kept for a layer of a later version."""


CLIENT_ORDER = (
    Position("observe", "outermost: one start and one finish per call, whatever happens below"),
    Position("deadline", "above everything that can block, a cache server and every fallback included"),
    Position("fallback", "above the cache, so that a substitute answer is never stored", built=False),
)
"""Seen by every call, once, in this order; then the call is routed to a server."""

SERVER_ORDER = (
    Position("validate", "a malformed call costs nothing: no cache look-up, no attempt, no budget"),
    Position("cache", "above retry: a hit needs no attempt, and a stale answer is the last resort", built=False),
    Position("retry", "above the breaker, so that every attempt is judged and none is repeated below"),
    Position("hedge", "below retry: both racers are one attempt to the retry count", built=False),
    Position("route", "above the breaker: the circuit belongs to a replica", built=False),
    Position("breaker", "above timeout, or a server that hangs would never open its circuit"),
    Position("timeout", "above the bulkhead: waiting for a turn is part of the attempt's time"),
    Position("bulkhead", "innermost: it guards the connections, and a refused attempt never holds one"),
)
"""Seen by every attempt path of one server, in this order; then the attempt goes to the pool."""

_DEFAULT_LIMIT = {"stdio": 8, "http": 32}
_SLOW_SHARE = 0.8
"""Share of the attempt timeout from which an answer is slow, unless the policy says."""


def client_stack(route: Service, *, emit: Emit) -> Service:
    """The layers every call passes once, above `route`."""
    layers: dict[str, Layer] = {"observe": ObserveLayer(emit=emit), "deadline": DeadlineLayer()}
    return compose(_in_order(CLIENT_ORDER, layers), route)


class ServerStack:
    """One server: its connections, its state and its layers over them."""

    def __init__(
        self,
        settings: ServerSettings,
        *,
        emit: Emit,
        rng: random.Random,
        on_listing: Callable[[Sequence[Tool]], None],
        pool: Pool | None = None,
    ) -> None:
        policy = settings.policy
        self.settings = settings
        self.circuit = Circuit(
            policy.breaker,
            slow=policy.breaker.slow or _SLOW_SHARE * policy.attempt_timeout,
            rng=rng,
            on_change=self._tell_circuit,
        )
        self.budget = RetryBudget(policy.retry)
        self.admission = Admission(_limit(settings), policy.bulkhead.waiting)
        self.pool = pool or Pool(
            settings.name,
            settings.endpoint,
            policy,
            emit=emit,
            on_listing=on_listing,
            rng=rng,
        )
        self.pool.on_ready = self._prove
        self._emit = emit
        self._service = compose(_in_order(SERVER_ORDER, self._layers(policy, rng)), self.pool.send)

    def __repr__(self) -> str:
        return f"<ServerStack {self.settings.name} {self.circuit!r} {self.admission!r} {self.pool!r}>"

    async def send(self, call: Call) -> Result:
        """Serve one call that was routed to this server; raises `CallError`."""
        return await self._service(call)

    def _layers(self, policy: ServerPolicy, rng: random.Random) -> dict[str, Layer]:
        layers: dict[str, Layer] = {"validate": ValidateLayer(), "timeout": TimeoutLayer(policy.attempt_timeout)}
        if policy.retry.enabled:
            layers["retry"] = RetryLayer(policy.retry, self.budget, emit=self._emit, rng=rng)
        if policy.breaker.enabled:
            layers["breaker"] = BreakerLayer(
                self.circuit, lease=policy.attempt_timeout, is_probed=policy.health.enabled
            )
        if policy.bulkhead.enabled:
            layers["bulkhead"] = BulkheadLayer(self.admission, allowance=self.circuit.allowance)
        return layers

    def _prove(self, now: float) -> None:
        """A new connection has shaken hands and listed its tools: as many proofs as a circuit asks for."""
        for _ in range(self.settings.policy.breaker.successes):
            self.circuit.probe_succeeded(now)

    def _tell_circuit(self, old: CircuitState, new: CircuitState, reason: str, now: float) -> None:
        self._emit(CircuitChanged(now, self.settings.name, None, old, new, reason))


def _limit(settings: ServerSettings) -> int:
    transport = "stdio" if isinstance(settings.endpoint, StdioEndpoint) else "http"
    return settings.policy.bulkhead.limit or _DEFAULT_LIMIT[transport]


def _in_order(order: Sequence[Position], layers: dict[str, Layer]) -> list[Layer]:
    return [layers[position.name] for position in order if position.name in layers]
