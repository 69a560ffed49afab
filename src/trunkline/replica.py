"""One place where a server runs: its circuit, its queue, its connections, and the layers over them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from mcp_types import Tool

from trunkline.call import Layer
from trunkline.endpoint import Endpoint, StdioEndpoint
from trunkline.events import CircuitChanged, CircuitState, Emit
from trunkline.layers.breaker import BreakerLayer
from trunkline.layers.bulkhead import BulkheadLayer
from trunkline.layers.timeout import TimeoutLayer
from trunkline.policy import ServerPolicy
from trunkline.pool.pool import Pool
from trunkline.resilience.admission import Admission
from trunkline.resilience.circuit import Circuit
from trunkline.resilience.concurrency import AdaptiveLimit
from trunkline.stack import REPLICA_ORDER, stacked

__all__ = ["Listed", "Replica"]

Listed = Callable[[str | None, Sequence[Tool]], None]
"""`(replica, tools)`: told of every complete listing; None is the lone replica of its server."""

_DEFAULT_LIMIT = {"stdio": 8, "http": 32}
_SLOW_SHARE = 0.8
"""Share of the attempt timeout from which an answer is slow, unless the policy says."""


class Replica:
    """Makes attempts at one endpoint."""

    def __init__(
        self,
        server: str,
        name: str | None,
        endpoint: Endpoint,
        policy: ServerPolicy,
        *,
        emit: Emit,
        rng: random.Random,
        on_listing: Listed,
        pool: Pool | None = None,
        make_pool: Callable[..., Pool] = Pool,
    ) -> None:
        """Build its stack over a `pool` that serves the endpoint already, or over a new one from `make_pool`.

        `name` is its name among the replicas of `server`, None when it is the only one.
        """
        self.name = name
        self.label = name or server
        self.endpoint = endpoint
        self.circuit = Circuit(
            policy.breaker,
            slow=policy.breaker.slow or _SLOW_SHARE * policy.attempt_timeout,
            rng=rng,
            on_change=self._tell_circuit,
        )
        self.admission = Admission(_limit(endpoint, policy), policy.bulkhead.waiting)
        self.pool = pool or make_pool(
            server,
            endpoint,
            policy,
            replica=name,
            emit=emit,
            on_listing=lambda tools: on_listing(name, tools),
            rng=rng,
        )
        self.pool.on_ready = self._prove
        self.server = server
        self._proofs = policy.breaker.successes
        self._emit = emit
        layers = self._layers(policy)
        guarded = {name: layer for name, layer in layers.items() if name != "breaker"}
        self.send = stacked(REPLICA_ORDER, layers, self.pool.send)
        self.send_anyway = stacked(REPLICA_ORDER, guarded, self.pool.send)

    def __repr__(self) -> str:
        return f"<Replica {self.label} {self.circuit!r} {self.admission!r} {self.pool!r}>"

    def _layers(self, policy: ServerPolicy) -> dict[str, Layer]:
        layers: dict[str, Layer] = {"timeout": TimeoutLayer(policy.attempt_timeout)}
        if policy.breaker.enabled:
            layers["breaker"] = BreakerLayer(
                self.circuit, lease=policy.attempt_timeout, is_probed=policy.health.enabled
            )
        if policy.bulkhead.enabled:
            most = self.admission.limit
            layers["bulkhead"] = BulkheadLayer(
                self.admission,
                AdaptiveLimit(most, min(policy.bulkhead.minimum, most)),
                allowance=self.circuit.allowance,
                is_adaptive=policy.bulkhead.adaptive,
            )
        return layers

    def _prove(self, now: float) -> None:
        """A new connection has shaken hands and listed its tools: as many proofs as a circuit asks for."""
        for _ in range(self._proofs):
            self.circuit.probe_succeeded(now)

    def _tell_circuit(self, old: CircuitState, new: CircuitState, reason: str, now: float) -> None:
        self._emit(CircuitChanged(now, self.server, self.name, old, new, reason, self.circuit.was_heard))


def _limit(endpoint: Endpoint, policy: ServerPolicy) -> int:
    transport = "stdio" if isinstance(endpoint, StdioEndpoint) else "http"
    return policy.bulkhead.limit or _DEFAULT_LIMIT[transport]
