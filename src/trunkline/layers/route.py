"""Route: which replica of its server an attempt goes to. The fork below a server's layers; each replica has its own.

A replica that cannot take the attempt (circuit open, no connection, queue full) costs nothing: nothing was sent, so the
next one is asked at once. What was sent and failed is the retry layer's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Protocol

import anyio
from mcp_types import Result

from trunkline import clock
from trunkline.call import Call, Delivery, Service
from trunkline.errors import BulkheadFull, CallError, CallFailed, CircuitOpen, ServerUnavailable
from trunkline.pool.pool import Pool
from trunkline.pool.waiting import first_ready
from trunkline.resilience.balancing import Balancer
from trunkline.resilience.circuit import Circuit, Verdict
from trunkline.resilience.judgement import judge, judge_abandoned
from trunkline.resilience.outlier import Outliers

__all__ = ["Destination", "Route"]


class Destination(Protocol):
    """A replica, as far as routing is concerned."""

    @property
    def label(self) -> str:
        """Its name among the replicas."""
        ...

    @property
    def circuit(self) -> Circuit:
        """Judges it."""
        ...

    @property
    def pool(self) -> Pool:
        """Its connections."""
        ...

    @property
    def send(self) -> Service:
        """Makes an attempt there, if its circuit lets it."""
        ...

    @property
    def send_anyway(self) -> Service:
        """Makes an attempt there, whatever its circuit says."""
        ...


class Route:
    """Sends each attempt to the better of two random replicas that are ready and not left out.

    When all that are ready are left out, one attempt at a time is made at each nevertheless, at the one least recently
    tried, and the call is marked degraded: in an outage of all, whoever comes back first is found (Envoy's panic mode).

    Raises:
        CircuitOpen: All replicas that are connected keep failing.
        ServerUnavailable: None could be reached.
        CallError: As the chosen replica raises.
    """

    def __init__(
        self,
        replicas: Sequence[Destination],
        balancer: Balancer,
        outliers: Outliers,
        *,
        patience: float,
        is_probed: bool,
    ) -> None:
        """Route among `replicas`.

        `patience` is the seconds to wait for one that is ready; `is_probed` says that somebody else probes half-open
        circuits, so that calls that must not run twice never have to.
        """
        self._replicas = replicas
        self._balancer = balancer
        self._outliers = outliers
        self._patience = patience
        self._is_probed = is_probed
        self._forced: set[str] = set()
        """Replicas with an attempt under way that their circuit would have refused."""
        self._forced_at: dict[str, float] = {}

    async def __call__(self, call: Call) -> Result:
        """Serve one attempt."""
        asked: set[str] = set()
        while True:
            ready = [replica for replica in self._replicas if replica.pool.is_ready and replica.label not in asked]
            if not ready and not asked:
                await first_ready([replica.pool for replica in self._replicas], call, self._patience)
                continue
            replica, is_forced = self._choose(ready, call)
            asked.add(replica.label)
            try:
                return await (self._send_anyway if is_forced else self._send)(replica, call)
            except (BulkheadFull, CircuitOpen, ServerUnavailable):
                if not any(other.pool.is_ready for other in self._replicas if other.label not in asked):
                    raise

    def count_healthy(self, now: float) -> int:
        """Replicas that are ready, whose circuits are closed, and that are not left out."""
        return sum(
            replica.pool.is_ready
            and replica.circuit.state == "closed"
            and not self._outliers.is_ejected(replica.label, now)
            for replica in self._replicas
        )

    def _choose(self, ready: Sequence[Destination], call: Call) -> tuple[Destination, bool]:
        """Where the attempt goes, and whether it goes there against the circuit."""
        now = clock.now()
        may_probe = call.repeatable or not self._is_probed
        admitted = [replica for replica in ready if not replica.circuit.retry_after(now, may_probe=may_probe)]
        trusted = [replica for replica in admitted if not self._outliers.is_ejected(replica.label, now)]
        call.degraded |= not trusted
        if admitted:
            best = trusted or admitted
            fresh = {replica.label: replica for replica in best if replica.label not in call.tried}
            labelled = fresh or {replica.label: replica for replica in best}
            return labelled[self._balancer.choose(list(labelled), now)], False
        idle = [replica for replica in ready if replica.label not in self._forced]
        if not idle or not may_probe:
            raise _all_open(ready, call, now, may_probe=may_probe)
        return min(idle, key=lambda replica: self._forced_at.get(replica.label, -inf)), True

    async def _send(self, replica: Destination, call: Call, *, service: Service | None = None) -> Result:
        label, verdict, is_soft, incident = replica.label, Verdict.NOTHING, False, None
        call.replica, call.server_time = label, None
        generation = self._outliers.generation(label, clock.now())
        self._balancer.started(label)
        try:
            result = await (service or replica.send)(call)
            verdict = Verdict.SUCCESS
        except CallError as error:
            verdict, is_soft = judge(error)
            if isinstance(error, CallFailed):
                call.tried |= {label}
                incident = error.incident
            raise
        except anyio.get_cancelled_exc_class():
            verdict = judge_abandoned(call.delivery, clock.now(), call.deadline)
            raise
        finally:
            now = clock.now()
            # Of an attempt that was given up it is known only that it would have taken longer.
            is_bound = call.delivery is Delivery.UNKNOWN
            says_speed = verdict is Verdict.SUCCESS or is_bound
            self._balancer.ended(label, now, call.server_time if says_speed else None, at_least=is_bound)
            if verdict is not Verdict.NOTHING and not is_soft:
                ok = verdict is Verdict.SUCCESS
                self._outliers.note(label, ok=ok, now=now, generation=generation, incident=incident)
        return result

    async def _send_anyway(self, replica: Destination, call: Call) -> Result:
        label, is_proof = replica.label, False
        self._forced.add(label)
        self._forced_at[label] = clock.now()
        try:
            result = await self._send(replica, call, service=replica.send_anyway)
            is_proof = True
        except CallError as error:
            is_proof = judge(error)[0] is Verdict.SUCCESS
            raise
        finally:
            self._forced.discard(label)
            if is_proof:
                replica.circuit.probe_succeeded(clock.now())
        return result


def _all_open(ready: Sequence[Destination], call: Call, now: float, *, may_probe: bool) -> CircuitOpen:
    retry_after = min(replica.circuit.retry_after(now, may_probe=may_probe) for replica in ready)
    which = "its replicas keep failing and are" if len(ready) > 1 else "it keeps failing and is"
    return CircuitOpen(
        f"server {call.server!r}: {which} left alone; try again in {retry_after:.1f} s",
        tool=call.name,
        server=call.server,
        retry_after=retry_after,
    )
