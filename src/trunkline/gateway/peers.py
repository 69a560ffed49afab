"""Who made a request, as servers may know it: what it can be asked, and how it is told what they log.

A client of the handshake era is asked while its request runs, over the stream of that request. One of 2026-07-28
cannot be: it gets a server's questions as the result, and makes the request again with the answers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, get_args

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from trunkline.gateway.principals import principal_of

__all__ = ["PIPE", "Downstream", "Levels", "asked_of", "session_key", "session_of"]

_Context: TypeAlias = ServerRequestContext[Any, Any]
_LEVELS: Final[tuple[types.LoggingLevel, ...]] = get_args(types.LoggingLevel)
"""By severity."""
_FORWARDED: Final = ("elicitation", "roots", "sampling")
"""Capabilities that servers are told of: extensions would need somebody here who understands them."""
PIPE: Final = "pipe"
"""The key of the one session on standard input and output; those of sessions over HTTP have a line end in them."""


def session_of(ctx: _Context) -> str | None:
    """What tells one session of the handshake era from all others; None for a request that belongs to none."""
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return None
    if ctx.request is None:
        return PIPE
    found = ctx.request.headers.get("mcp-session-id")
    return None if found is None else session_key(ctx.request.scope, found)


def session_key(scope: Mapping[str, Any], session: str) -> str:
    """What tells a session over HTTP from all others, by a request in it and the id it gives."""
    # With the name: whoever else got hold of the id would still not be on this one's connections.
    return f"{principal_of(scope).name or ''}\n{session}"


def asked_of(capabilities: types.ClientCapabilities | None) -> Mapping[str, Any]:
    """What a client can be asked, by the names that it says it by."""
    # One by one: most clients have none of them, and nothing is written out then.
    said = ((name, getattr(capabilities, name, None)) for name in _FORWARDED)
    return {
        name: can.model_dump(mode="json", by_alias=True, exclude_none=True) for name, can in said if can is not None
    }


class Levels:
    """From which level on each session wants to be told what servers log."""

    def __init__(self, *, sessions: int) -> None:
        """Remember that of the latest `sessions` that said so: none says when it has ended."""
        self._limit = sessions
        self._levels: OrderedDict[str, types.LoggingLevel] = OrderedDict()

    async def set_level(self, ctx: _Context, params: types.SetLevelRequestParams) -> types.EmptyResult:
        """Answer `logging/setLevel`."""
        session = session_of(ctx)
        if session is not None:
            self._levels[session] = params.level
            self._levels.move_to_end(session)
            if len(self._levels) > self._limit:
                self._levels.popitem(last=False)
        return types.EmptyResult()

    def of(self, session: str | None) -> types.LoggingLevel | None:
        """The level; None where the session has not said."""
        return None if session is None else self._levels.get(session)


class Downstream:
    """The client that made one request."""

    def __init__(self, ctx: _Context, levels: Levels, patience: float) -> None:
        """Speak to whoever made the request of `ctx`, which may take `patience` seconds to answer a question."""
        self._ctx = ctx
        self._patience = patience
        session = session_of(ctx)
        self.log_level = levels.of(session) if session is not None else _level_in(ctx.meta)
        """From which level on it is told what servers log."""
        self.capabilities = asked_of(ctx.session.client_capabilities)
        """What servers are told that it can do."""
        self.can_be_asked = session is not None and ctx.session.can_send_request
        """Whether it can be asked before its request is answered."""
        has_reason = bool(self.capabilities) or self.log_level is not None
        self.key = session if self.can_be_asked and has_reason else None
        """Names its connections to servers; None where it needs none of its own."""

    def __repr__(self) -> str:
        return f"<Downstream {sorted(self.capabilities)}>"

    def require(self, request: types.InputRequest) -> None:
        """Raise MCPError where the client has not said that it can be asked this."""
        kind, _ = _KINDS[type(request)]
        if kind not in self.capabilities:
            raise MCPError(types.INVALID_REQUEST, f"the client does not support {kind}")

    async def ask(self, request: types.InputRequest) -> types.InputResponse:
        """Pass a server's question on, and the answer back.

        Raises:
            MCPError: It cannot be asked that, has refused, or has not answered in time.
        """
        self.require(request)
        _, answer = _KINDS[type(request)]
        if isinstance(request, types.CreateMessageRequest) and request.params.tools:
            answer = types.CreateMessageResultWithTools
        related = ServerMessageMetadata(related_request_id=self._ctx.request_id)
        with anyio.move_on_after(self._patience):
            return await self._ctx.session.send_request(request, answer, metadata=related)
        raise MCPError(types.REQUEST_TIMEOUT, f"nobody answered within {self._patience:g} s")

    async def log(self, entry: types.LoggingMessageNotificationParams) -> None:
        """Pass on what a server logs, if the client wants to know."""
        if self.log_level is None or _LEVELS.index(entry.level) >= _LEVELS.index(self.log_level):
            await self._ctx.session.send_notification(
                types.LoggingMessageNotification(params=entry), self._ctx.request_id
            )


def _level_in(meta: types.RequestParamsMeta | None) -> types.LoggingLevel | None:
    """The level that a request of 2026-07-28 asks for by itself."""
    wanted: Any = (meta or {}).get(types.LOG_LEVEL_META_KEY)
    return wanted if wanted in _LEVELS else None


_KINDS: Final[Mapping[type[types.InputRequest], tuple[str, type[types.InputResponse]]]] = {
    types.CreateMessageRequest: ("sampling", types.CreateMessageResult),
    types.ElicitRequest: ("elicitation", types.ElicitResult),
    types.ListRootsRequest: ("roots", types.ListRootsResult),
}
"""For each question: the capability it needs, and what answers it."""
