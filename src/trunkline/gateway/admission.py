"""Stands before the MCP endpoint: knows which requests are under way, and turns new ones away once the gateway ends.

Who is turned away can tell that nothing has run and that another gateway will answer: status 503 with `Retry-After`, or
404 where the request belongs to a session of the handshake era, which ends with the gateway and has to be begun anew
(MCP 2025-11-25, "Session Management"). What belongs to requests under way is let through: answers, notifications, and
the listing of tools that SDKs ask for after a call, to check its result by.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import anyio
from pydantic_core import from_json
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trunkline.gateway.codes import broken_off, stopping
from trunkline.gateway.exchanges import Exchanges
from trunkline.gateway.intake import replayed

__all__ = ["Admission"]

_RETRY_AFTER: Final = 1
"""Seconds: another gateway answers at once, and a new one in the place of this soon."""
_STILL_ANSWERED: Final = ("ping", "tools/list")
_LAST: Final[Message] = {"type": "http.response.body", "body": b"", "more_body": False}
_Id: TypeAlias = str | int | None


class Admission:
    """ASGI application before another one, which is given requests whose bodies are complete."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.exchanges = Exchanges()
        """Those that are answered before they come here; they count all the same."""
        self.is_open = True
        """Whether new requests are taken."""
        self._streams: set[anyio.CancelScope] = set()
        self._waiting: set[anyio.CancelScope] = set()

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<Admission [{state}, {self.under_way} under way, {len(self._streams)} streams]>"

    @property
    def under_way(self) -> int:
        """Requests that somebody waits for the answer of; streams that sessions keep open are not among them."""
        return len(self._waiting) + len(self.exchanges)

    def close(self) -> None:
        """Turn away every request from now on, and end the streams of sessions."""
        self.is_open = False
        for stream in self._streams:
            stream.cancel()

    def break_off(self) -> None:
        """End every request under way; who waits for its answer is told that it may have run."""
        self.exchanges.break_off()
        for request in self._waiting:
            request.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or turn it away."""
        if scope["method"] == "POST":
            await self._answer(scope, receive, send)
            return
        is_wanted = self.is_open or scope["method"] != "GET"
        if not (is_wanted and await self._pass_on(scope, receive, send, self._streams)):
            await _turned_away(scope, None)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        # In one piece: Intake has seen to that.
        message = await receive()
        if not self.is_open:
            is_request, asked = _request(message)
            if is_request:
                await _turned_away(scope, asked)(scope, receive, send)
                return
        if not await self._pass_on(scope, replayed(message, receive), send, self._waiting):
            await _broken_off(_request(message)[1])(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, among: set[anyio.CancelScope]) -> bool:
        """Return whether it was answered. Cancelled, an answer ends as answers end, not by a connection that breaks."""
        has_begun = has_ended = False

        async def note(message: Message) -> None:
            nonlocal has_begun, has_ended
            has_begun = True
            has_ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        with anyio.CancelScope() as ending:
            among.add(ending)
            try:
                await self._app(scope, receive, note)
            finally:
                among.discard(ending)
        if ending.cancelled_caught and has_begun and not has_ended:
            await send(_LAST)
        return has_begun or not ending.cancelled_caught


def _request(message: Message) -> tuple[bool, _Id]:
    """Whether this asks for something new, and its id; what belongs to a request under way does not."""
    try:
        sent = from_json(message.get("body", b""))
    except ValueError:
        return False, None
    if not isinstance(sent, dict) or "method" not in sent or "id" not in sent or sent["method"] in _STILL_ANSWERED:
        return False, None
    return True, sent["id"] if isinstance(sent["id"], str | int) else None


def _turned_away(scope: Scope, asked: _Id) -> JSONResponse:
    has_session = any(name == b"mcp-session-id" for name, _ in scope["headers"])
    what = "this session ends with it: initialize anew" if has_session else "ask again, another one will answer"
    words = f"the gateway is stopping, nothing has been run; {what}"
    answer = _error(404 if has_session else 503, asked, stopping(words, retry_after=float(_RETRY_AFTER)))
    answer.headers["Retry-After"] = str(_RETRY_AFTER)
    return answer


def _broken_off(asked: _Id) -> JSONResponse:
    return _error(500, asked, broken_off())


def _error(status: int, asked: _Id, error: dict[str, Any]) -> JSONResponse:
    return JSONResponse({"jsonrpc": "2.0", "id": asked, "error": error}, status, {"Connection": "close"})
