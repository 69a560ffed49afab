"""Deadline layer: the whole call ends in time. Above everything that can block."""

from __future__ import annotations

import anyio
from mcp_types import Result

from trunkline.call import Call, Service
from trunkline.errors import DeadlineExceeded

__all__ = ["DeadlineLayer"]


class DeadlineLayer:
    """Cancels what is left of a call at its deadline.

    Raises:
        DeadlineExceeded: `may_have_run` tells whether a server may have executed it.
    """

    async def __call__(self, call: Call, call_next: Service) -> Result:
        """Serve the call within its deadline."""
        with anyio.move_on_at(call.deadline) as scope:
            if call.exchange is None:
                return await call_next(call)
            with call.exchange.bounded(scope, call):
                return await call_next(call)
        # Only this scope's own cancellation leads here; anybody else's has been raised through it.
        raise DeadlineExceeded.of(call, call.deadline)
