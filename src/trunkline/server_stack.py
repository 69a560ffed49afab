"""One server: its replicas, the state they share, and the layers over them."""

from __future__ import annotations

import random
from collections.abc import Callable

from mcp_types import ServerCapabilities

from trunkline import clock
from trunkline.call import Call, Layer, Service
from trunkline.endpoint import Endpoint, ServerSettings
from trunkline.events import CircuitChanged, Emit, Event, ReplicaEjected, ReplicaReadmitted
from trunkline.layers.hedge import HedgeLayer
from trunkline.layers.rate import RateLayer
from trunkline.layers.retry import RetryLayer
from trunkline.layers.route import Route
from trunkline.layers.validate import ValidateLayer
from trunkline.policy import ServerPolicy
from trunkline.pool.pool import Pool
from trunkline.pool.waiting import first_ready, first_settled
from trunkline.replica import Listed, Replica
from trunkline.resilience.balancing import Balancer
from trunkline.resilience.budget import RetryBudget
from trunkline.resilience.hedging import Hedging
from trunkline.resilience.outlier import Outliers
from trunkline.resilience.rate import RateLimit
from trunkline.stack import SERVER_ORDER, stacked

__all__ = ["ServerStack"]

_SPARE = 0.5
"""Share of the retry budget below which nothing is hedged: what is left is for failures."""


class ServerStack:
    """Serves every call to one server, at whichever replica of it."""

    def __init__(
        self,
        settings: ServerSettings,
        *,
        emit: Emit,
        rng: random.Random,
        on_listing: Listed,
        cache: Layer | None = None,
        before: ServerStack | None = None,
        make_pool: Callable[..., Pool] = Pool,
    ) -> None:
        """Build the stack, with the `cache` layer of its client where that has one.

        Replicas of the stack `before` it, and their connections, are kept as far as they fit. `make_pool` is called
        with the arguments of `Pool`.
        """
        policy = settings.policy
        self.settings = settings
        self._emit = emit
        self._cache = cache

        def emit_and_readmit(event: Event) -> None:
            emit(event)
            # A circuit that has closed has its proofs: more than an ejection asks for.
            if isinstance(event, CircuitChanged) and event.new == "closed":
                self.readmit(event.replica, event.at)

        def replica(name: str | None, endpoint: Endpoint) -> Replica:
            old = None if before is None else before.kept_for(settings, name)
            if old is not None and before is not None and before.settings.policy == policy:
                return old
            return Replica(
                settings.name,
                name,
                endpoint,
                policy,
                emit=emit_and_readmit,
                rng=rng,
                on_listing=on_listing,
                pool=None if old is None else old.pool,
                make_pool=make_pool,
            )

        self.replicas = tuple(replica(name, endpoint) for name, endpoint in settings.places.items())
        self.watched: frozenset[str] = frozenset()
        """Resources whose updates it tells of."""
        for uri in () if before is None else before.watched:
            self.watch(uri, wanted=True)
        self.budget = RetryBudget(policy.retry)
        names = [replica.label for replica in self.replicas]
        self._outliers = Outliers(policy.outlier, names, rng=rng, on_change=self._tell_ejection)
        self._route = Route(
            self.replicas,
            Balancer(names, rng),
            self._outliers,
            patience=policy.attempt_timeout,
            is_probed=policy.health.enabled,
        )
        # A lone replica is no choice: its calls do without the fork.
        bottom: Service = self._route if settings.replicas else self.replicas[0].send
        self.send: Service = stacked(SERVER_ORDER, self._layers(policy, rng), bottom)
        """Serve one call that was led to this server; raises `CallError`."""

    def __repr__(self) -> str:
        return f"<ServerStack {self.settings.name} {self.budget!r} {list(self.replicas)!r}>"

    @property
    def is_ready(self) -> bool:
        """Whether a call could be sent at once."""
        return any(replica.pool.is_ready for replica in self.replicas)

    @property
    def capabilities(self) -> ServerCapabilities:
        """What the server said it can do: the first replica's word that is ready."""
        ready = (replica.pool for replica in self.replicas if replica.pool.is_ready)
        return next(ready, self.replicas[0].pool).capabilities

    @property
    def era(self) -> str:
        """The protocol version the server was last spoken to in, at the first replica that has one; empty before."""
        for replica in self.replicas:  # asked for at every look-up: a generator would cost more than the look
            if replica.pool.era:
                return replica.pool.era
        return ""

    @property
    def is_settled(self) -> bool:
        """Whether a replica is ready, or all have failed at least once."""
        return self.is_ready or all(replica.pool.settled.is_set() for replica in self.replicas)

    async def settle(self) -> None:
        """Wait until `is_settled`."""
        await first_settled([replica.pool for replica in self.replicas])

    async def wait_ready(self, call: Call) -> None:
        """Wait until a call could be sent; raises `ServerUnavailable` as a call would."""
        await first_ready([replica.pool for replica in self.replicas], call, self.settings.policy.attempt_timeout)

    def watch(self, uri: str, *, wanted: bool) -> None:
        """Have the server tell of a resource's updates, wherever it runs, or no longer."""
        self.watched = self.watched | {uri} if wanted else self.watched - {uri}
        for replica in self.replicas:
            replica.pool.watched.set(uri, wanted=wanted)

    def release(self, key: str) -> None:
        """Close what is open for one client alone: it will make no more calls."""
        for replica in self.replicas:
            replica.pool.own.release(key)

    def leads(self, name: str | None) -> bool:
        """Whether a replica's listing counts: replicas may differ for a while, so the first that is ready has it."""
        for replica in self.replicas:
            if replica.name == name:
                return True
            if replica.pool.is_ready:
                return False
        return False

    def readmit(self, name: str | None, now: float) -> None:
        """A background probe found a replica well."""
        if name is not None:
            self._outliers.readmit(name, now)

    def kept_for(self, settings: ServerSettings, name: str | None) -> Replica | None:
        """The replica of that name whose connections also serve the new settings, if there is one."""
        if self.settings.places.get(name) != settings.places[name]:
            return None
        if _connecting(self.settings.policy) != _connecting(settings.policy):
            return None
        return next(replica for replica in self.replicas if replica.name == name)

    def _layers(self, policy: ServerPolicy, rng: random.Random) -> dict[str, Layer]:
        layers: dict[str, Layer] = {"validate": ValidateLayer()}
        if self._cache is not None:
            layers["cache"] = self._cache
        if policy.retry.enabled:
            layers["retry"] = RetryLayer(policy.retry, self.budget, emit=self._emit, rng=rng)
        if policy.hedge.enabled and len(self.replicas) > 1:
            layers["hedge"] = HedgeLayer(Hedging(policy.hedge), may_race=self._may_race, emit=self._emit)
        if policy.rate.enabled and policy.rate.per_second is not None:
            layers["rate"] = RateLayer(RateLimit(policy.rate.per_second, policy.rate.burst))
        return layers

    def _may_race(self) -> bool:
        has_spare = self.budget.balance >= _SPARE * self.settings.policy.retry.budget
        return has_spare and self._route.count_healthy(clock.now()) > 1

    def _tell_ejection(self, replica: str, is_out: bool, reason: str, now: float) -> None:
        event = ReplicaEjected if is_out else ReplicaReadmitted
        self._emit(event(now, self.settings.name, replica, reason))


def _connecting(policy: ServerPolicy) -> tuple[object, ...]:
    """What connections depend on; a change of anything else leaves them open."""
    return (policy.pool, policy.health, policy.era, policy.refresh)
