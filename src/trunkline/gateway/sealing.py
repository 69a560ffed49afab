"""Gives a server's state of a round to its caller sealed, where callers have names: nobody else may come back with it.

To a server all callers of the gateway are one, so whether a state is the caller's own is for the gateway to say. It
comes back as part of the same request by the same principal, unchanged and in time, or it is refused.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Any, Final

from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity

from trunkline.gateway.principals import caller_of
from trunkline.policy import GatewaySettings

__all__ = ["sealed"]

_TTL: Final = 3600.0
"""Seconds between a server's question and the answer: people are called away."""


def sealed(settings: Callable[[], GatewaySettings]) -> ServerMiddleware[Any]:
    """Return the middleware; `settings` are those in force whenever it is called."""
    boundary: tuple[GatewaySettings, RequestStateBoundary] | None = None

    async def seal(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        nonlocal boundary
        current = settings()
        if not current.authenticates:
            return await call_next(ctx)
        if boundary is None or boundary[0] != current:
            boundary = current, RequestStateBoundary(_security(current), default_audience="trunkline")
        return await boundary[1](ctx, call_next)

    return seal


def _security(settings: GatewaySettings) -> RequestStateSecurity:
    # The hashes of all tokens are known to every process with this configuration, and to no caller: each has but
    # its own. So the next round may be served by another process. With one token or none it must be the same one.
    hashes = sorted(digest for policy in settings.principals.values() for digest in policy.token_sha256)
    key = hashlib.sha256("\n".join(["trunkline request state", *hashes]).encode()).digest()
    keys = [key if len(hashes) > 1 else os.urandom(32)]
    return RequestStateSecurity(keys=keys, ttl=_TTL, bind_principal=_name_of)


def _name_of(ctx: ServerRequestContext[Any, Any]) -> str | None:
    return caller_of(ctx).name
