"""Takes in a request before the MCP endpoint sees it, and keeps from it what the SDK would stumble over.

A client that leaves in the middle of its body counts with the SDK as an error of its own, with a traceback in the log
and an answer of status 500 to nobody. And where no events are stored it does not answer at all who wants a stream to
go on from an earlier event (`Last-Event-ID`): here the stream begins anew, which is all that can be had.
"""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trunkline.gateway.plain_exchange import WHOLE

__all__ = ["Intake", "Shortcut", "replayed"]

_LAST_EVENT: Final = b"last-event-id"


class Intake:
    """ASGI application before another one, which it calls once a request has come completely."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand before `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and forget one that breaks off."""
        message = await receive()
        pieces = [message.get("body", b"")]
        while message.get("more_body", False):
            message = await receive()
            pieces.append(message.get("body", b""))
        if message["type"] == "http.disconnect":
            return
        if _LAST_EVENT in dict(scope["headers"]):
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name != _LAST_EVENT]
        complete: Message = {"type": "http.request", "body": b"".join(pieces), "more_body": False}
        await self._app(scope, replayed(complete, receive), send)


class Shortcut:
    """ASGI middleware: requests that have come as a whole take no way round by the router to where most of them go."""

    def __init__(self, app: ASGIApp, endpoint: ASGIApp, path: str) -> None:
        """Lead what is asked of `path` to `endpoint`, where `app` would lead it too."""
        self.app = app
        self._endpoint = endpoint
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        is_short = scope.get(WHOLE) and scope["path"] == self._path
        await (self._endpoint if is_short else self.app)(scope, receive, send)


def replayed(message: Message, receive: Receive) -> Receive:
    """What gives this message once more, and then what comes after it."""
    told = [message]

    async def replay() -> Message:
        return told.pop() if told else await receive()

    return replay
