"""How large a request may be, and how long its body may take to come; where a body ends is not open to doubt either.

Before every route.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import anyio
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trunkline.gateway.guard import refusal
from trunkline.gateway.plain_exchange import WHOLE
from trunkline.policy import LimitsPolicy

__all__ = ["Bounds"]


class Bounds:
    """ASGI middleware: refuses heads (431) and bodies (413) that are too large, and bodies that do not come (408)."""

    def __init__(self, app: ASGIApp, limits: Callable[[], LimitsPolicy]) -> None:
        """Bound what reaches `app`; `limits` returns what is in force at each request."""
        self.app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it: at once where it says itself that it is too large."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limits = self._limits()
        if _size_of(scope) > limits.head:
            words = f"the head of a request has at most {limits.head} bytes"
            await refusal(431, "head_too_large", words)(scope, receive, send)
            return
        about = dict(scope["headers"])
        if b"content-length" in about and b"transfer-encoding" in about:
            # A proxy before us may believe the other one, and take what follows for another caller's request
            # (RFC 9112, 6.3): nothing more is read here.
            answer = refusal(400, "malformed", "a request has a length or a transfer encoding, not both")
            answer.headers["Connection"] = "close"
            await answer(scope, receive, send)
            return
        declared = about.get(b"content-length", b"0")
        if declared.isdigit() and (len(declared) > 20 or int(declared) > limits.body):
            await refusal(413, "too_large", _too_large(limits))(scope, receive, send)
            return
        await self.app(scope, receive if scope.get(WHOLE) else _Body(receive, limits).receive, send)


class _Body:
    """The body of one request, as far as it has come."""

    def __init__(self, receive: Receive, limits: LimitsPolicy) -> None:
        self._receive = receive
        self._limits = limits
        self._ends = anyio.current_time() + limits.body_time
        self._size = 0
        self._is_whole = False

    async def receive(self) -> Message:
        """Return what comes next; raises HTTPException where the body is too large or does not come."""
        if self._is_whole:
            return await self._receive()
        with anyio.move_on_at(self._ends) as scope:
            message = await self._receive()
        if scope.cancelled_caught:
            words = f"a request's body has to come within {self._limits.body_time:g} s"
            raise HTTPException(408, words, {"Connection": "close"})
        self._size += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._size > self._limits.body:
            raise HTTPException(413, _too_large(self._limits), {"Connection": "close"})
        return message


def _size_of(scope: Scope) -> int:
    """Bytes of a request's line and headers, about: the web server bounds only what has come in several pieces."""
    headers = scope["headers"]
    return (
        sum(map(len, chain.from_iterable(headers)))
        + 4 * len(headers)
        + len(scope.get("raw_path") or b"")
        + len(scope["query_string"])
    )


def _too_large(limits: LimitsPolicy) -> str:
    return f"a request has at most {limits.body} bytes"
