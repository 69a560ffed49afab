"""Takes in a request before the MCP endpoint sees it, and keeps from it what the SDK would stumble over.

A client that leaves in the middle of its body counts with the SDK as an error of its own, with a traceback in the log
and an answer of status 500 to nobody. And where no events are stored it does not answer at all who wants a stream to
go on from an earlier event (`Last-Event-ID`): here the stream begins anew, which is all that can be had.
"""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trunkline.gateway.guard import refusal

__all__ = ["Intake"]


class Intake:
    """ASGI application before another one, which it calls once a request has come completely."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        """Stand before `app`, with room for bodies of `limit` bytes."""
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; refuse one that is too large with status 413, and forget one that breaks off."""
        try:
            body = await self._body(Request(scope, receive))
        except ClientDisconnect:
            return
        if body is None:
            await refusal(413, "too_large", f"a request has at most {self._limit} bytes")(scope, receive, send)
            return
        complete: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return complete.pop() if complete else await receive()

        headers = [(name, value) for name, value in scope["headers"] if name != b"last-event-id"]
        await self._app({**scope, "headers": headers}, replay, send)

    async def _body(self, request: Request) -> bytes | None:
        """All of it, or None where it is too large; of what says so itself nothing is read."""
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._limit:
            return None
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._limit:
                return None
        return bytes(body)
