"""Hears that a client ends its session, and has what was kept open for it closed.

The SDK's session manager tells nobody; a client of the handshake era says it with a DELETE (MCP 2025-11-25, "Session
Management").
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trunkline.gateway.peers import session_key

__all__ = ["Endings"]


class Endings:
    """ASGI application before the MCP endpoint: `on_end` is told the key of each session that its client has ended."""

    def __init__(self, app: ASGIApp, on_end: Callable[[str], None]) -> None:
        self._app = app
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and hear what came of it."""
        session = next((value for name, value in scope["headers"] if name == b"mcp-session-id"), None)
        if scope["method"] != "DELETE" or session is None:
            await self._app(scope, receive, send)
            return

        async def hear(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 300:
                self._on_end(session_key(scope, session.decode("latin-1")))
            await send(message)

        await self._app(scope, receive, hear)
