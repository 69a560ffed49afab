"""Rate layer: sends one server no more than it may be sent. Below hedge and retry, for every attempt counts."""

from __future__ import annotations

import anyio
from mcp_types import Result

from trunkline import clock
from trunkline.call import Call, Service
from trunkline.errors import RateLimited
from trunkline.resilience.rate import RateLimit

__all__ = ["RateLayer"]


class RateLayer:
    """Lets each attempt wait for its turn.

    Raises:
        RateLimited: Its turn would come after the call's deadline.
    """

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit

    async def __call__(self, call: Call, call_next: Service) -> Result:
        """Serve the attempt when its turn has come."""
        now = clock.now()
        wait = self._limit.reserve(now, call.deadline)
        if wait is None:
            retry_after = self._limit.expected_wait(now)
            raise RateLimited(
                f"server {call.server!r} is sent as much as its rate allows; try again in {retry_after:.1f} s",
                tool=call.name,
                server=call.server,
                retry_after=retry_after,
            )
        if wait > 0:
            try:
                await anyio.sleep(wait)
            except BaseException:
                self._limit.cancel(clock.now())
                raise
        return await call_next(call)
