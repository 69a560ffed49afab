"""Takes in a request before the MCP endpoint sees it, and keeps from it what the SDK would stumble over.

A client that leaves in the middle of its body counts with the SDK as an error of its own, with a traceback in the log
and an answer of status 500 to nobody. And where no events are stored it does not answer at all who wants a stream to
go on from an earlier event (`Last-Event-ID`): here the stream begins anew, which is all that can be had.
"""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Intake", "replayed"]


class Intake:
    """ASGI application before another one, which it calls once a request has come completely."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and forget one that breaks off."""
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect:
            return
        complete: Message = {"type": "http.request", "body": body, "more_body": False}
        headers = [(name, value) for name, value in scope["headers"] if name != b"last-event-id"]
        await self._app({**scope, "headers": headers}, replayed(complete, receive), send)


def replayed(message: Message, receive: Receive) -> Receive:
    """What gives this message once more, and then what comes after it."""
    told = [message]

    async def replay() -> Message:
        return told.pop() if told else await receive()

    return replay
