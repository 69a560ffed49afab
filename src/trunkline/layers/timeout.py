"""Timeout layer: one attempt ends in time, waiting included. Below the breaker, so that it sees timeouts."""

from __future__ import annotations

from functools import partial

import anyio
from mcp_types import Result

from trunkline import clock
from trunkline.call import Call, Delivery, ProgressCallback, Service
from trunkline.errors import AttemptTimeout, ServerUnavailable

__all__ = ["TimeoutLayer"]


class TimeoutLayer:
    """Bounds one attempt by the call's attempt timeout, or the server's. Progress extends it, never the deadline.

    Raises:
        AttemptTimeout: The server had it and did not answer.
        ServerUnavailable: The attempt was never sent: no turn or no connection in time.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout

    async def __call__(self, call: Call, call_next: Service) -> Result:
        """Serve the attempt in time."""
        timeout = self._timeout if call.attempt_timeout is None else call.attempt_timeout
        started = clock.now()
        call.attempt_ends = min(started + timeout, call.deadline)
        if call.progress is None and call.attempt_ends == call.deadline:
            # The deadline comes first anyway: one scope less on the hot path.
            return await call_next(call)
        with anyio.move_on_at(started + timeout) as scope:
            if call.progress is not None:
                call_next = partial(_extending, call.progress, scope, timeout, call_next)
            if call.exchange is None:
                return await call_next(call)
            with call.exchange.bounded(scope, _Ends(call)):
                return await call_next(call)
        if call.delivery is Delivery.NOT_SENT:
            raise ServerUnavailable(
                f"server {call.server!r} took no attempt within {timeout:g} s",
                tool=call.name,
                server=call.server,
            )
        raise AttemptTimeout(
            f"server {call.server!r} did not answer {call.name!r} within {timeout:g} s; it may have run",
            tool=call.name,
            server=call.server,
        )


async def _extending(
    told: ProgressCallback, scope: anyio.CancelScope, timeout: float, call_next: Service, call: Call
) -> Result:
    """Serve the attempt, and give it `timeout` seconds more each time it gets on."""

    async def extend(progress: float, total: float | None, message: str | None) -> None:
        scope.deadline = max(scope.deadline, clock.now() + timeout)
        call.attempt_ends = min(scope.deadline, call.deadline)
        await told(progress, total, message)

    call.progress = extend
    try:
        return await call_next(call)
    finally:
        call.progress = told


class _Ends:
    """The end of a call's attempt, as something that can stand still."""

    def __init__(self, call: Call) -> None:
        self._call = call

    @property
    def deadline(self) -> float:
        return self._call.attempt_ends

    @deadline.setter
    def deadline(self, value: float) -> None:
        self._call.attempt_ends = value
