"""Breaker layer: leaves a server alone that keeps failing. Below retry, so every attempt is judged; above timeout."""

from __future__ import annotations

import anyio
from mcp_types import Result

from trunkline import clock
from trunkline.call import Call, Service
from trunkline.errors import CallFailed, CircuitOpen
from trunkline.resilience.circuit import Circuit, Verdict
from trunkline.resilience.judgement import judge, judge_abandoned

__all__ = ["BreakerLayer"]


class BreakerLayer:
    """Refuses attempts while the circuit is open, and tells it how the others ended.

    Raises:
        CircuitOpen: `retry_after` says when to come back.
    """

    def __init__(self, circuit: Circuit, *, lease: float, is_probed: bool) -> None:
        """Guard with `circuit`.

        `lease` is the seconds a probe may take. `is_probed` says that somebody else probes a half-open circuit; where
        nobody does, even a call that must not run twice has to find out whether the server is back.
        """
        self._circuit = circuit
        self._lease = lease
        self._is_probed = is_probed

    async def __call__(self, call: Call, call_next: Service) -> Result:
        """Pass the attempt on if the circuit lets it."""
        now = clock.now()
        may_probe = call.repeatable or not self._is_probed
        permit = self._circuit.acquire(now, may_probe=may_probe, lease=self._lease)
        if permit is None:
            retry_after = self._circuit.retry_after(now, may_probe=may_probe)
            raise CircuitOpen(
                f"server {call.server!r} keeps failing and is left alone; try again in {retry_after:.1f} s",
                tool=call.name,
                server=call.server,
                retry_after=retry_after,
            )
        # Refused below us or cancelled by its caller: no evidence either way.
        verdict, soft, incident = Verdict.NOTHING, False, None
        try:
            result = await call_next(call)
            verdict = Verdict.SUCCESS
        except CallFailed as error:
            verdict, soft = judge(error)
            incident = error.incident
            raise
        except anyio.get_cancelled_exc_class():
            verdict = judge_abandoned(call.delivery, clock.now(), call.deadline)
            raise
        finally:
            # The time in the queue is ours, not the server's.
            duration = call.server_time
            self._circuit.release(permit, verdict, clock.now(), duration=duration, soft=soft, incident=incident)
        return result
