"""Which sessions of the handshake era have their calls answered directly: those whose clients cannot be asked anything.

What a server asks a client comes back as a request of its own, which the SDK's session has to be there for. Who has
said that it can do nothing of the kind needs that session for nothing while a call runs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from trunkline import clock
from trunkline.gateway.peers import PIPE, asked_of, session_key, session_of

__all__ = ["DirectSession", "DirectSessions"]


@dataclass(slots=True)
class DirectSession:
    """What is known of a session since its handshake."""

    key: str
    version: str
    client: types.Implementation | None
    capabilities: types.ClientCapabilities | None
    seen: float
    """When the SDK has last had a request of it, by `clock.now()`."""


class DirectSessions:
    """Remembers the latest ones, by their keys."""

    def __init__(self, *, sessions: int, idle: float) -> None:
        """Remember `sessions` of them. The SDK ends one of which it has heard nothing for `idle` seconds."""
        self._limit = sessions
        self._idle = idle
        self._known: OrderedDict[str, DirectSession] = OrderedDict()

    def __repr__(self) -> str:
        return f"<DirectSessions [{len(self._known)} sessions]>"

    async def remember(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Server middleware: note whose handshake is done."""
        key = session_of(ctx) if ctx.method == "notifications/initialized" else None
        if key is not None:
            capabilities, said = ctx.session.client_capabilities, ctx.session.client_params
            if not asked_of(capabilities):
                client = None if said is None else said.client_info
                self._known[key] = DirectSession(key, ctx.protocol_version, client, capabilities, clock.now())
                if len(self._known) > self._limit:
                    self._known.popitem(last=False)
        return await call_next(ctx)

    def of(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> DirectSession | None:
        """The session that a request belongs to, if it is one of these."""
        found = headers.get("mcp-session-id")
        return None if found is None else self._known.get(session_key(scope, found))

    @property
    def on_pipe(self) -> DirectSession | None:
        """The session on standard input and output, if it is one of these."""
        return self._known.get(PIPE)

    def is_known_alive(self, session: DirectSession) -> bool:
        """Whether the SDK has it still; every now and then it gets a request to see, so that it keeps the session."""
        return clock.now() - session.seen < self._idle / 2

    def forget(self, key: str) -> None:
        """Forget one that its client has ended."""
        self._known.pop(key, None)
