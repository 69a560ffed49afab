"""Asks who calls, before every route: a token as `Authorization: Bearer`, or as the password a browser asks for.

Which caller may use which route stands here too. What a tool or a prompt is to a caller is decided where it is called.
"""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from collections.abc import Callable
from math import ceil
from typing import Final

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from trunkline.gateway.guard import refusal
from trunkline.gateway.jwt_keys import PAUSE, KeysUnavailable
from trunkline.gateway.principals import ANYBODY, NOBODY, Principal
from trunkline.gateway.tokens import Tokens
from trunkline.gateway.turnstile import Turnstile
from trunkline.policy import GatewaySettings

__all__ = ["Authentication"]

_OPEN: Final = frozenset({"/health/live", "/health/ready"})
"""What answers everybody: probes have no tokens. Readiness tells its reasons only to who may watch."""
_MCP: Final = "/mcp"
_CHALLENGE: Final = 'Bearer realm="trunkline"'
_BROWSER: Final = 'Basic realm="trunkline", charset="UTF-8"'
"""The second way: a browser asks for name and password; the password is the token, and the name does not matter."""
_REMEMBERED: Final = 4096
"""Principals whose rate is remembered."""


class Authentication:
    """ASGI middleware: refuses who does not say who they are (401), may not use a route (403) or comes too often (429).

    Without principals in the configuration everybody on the loopback interface is let in, and nobody elsewhere.
    """

    def __init__(self, app: ASGIApp, settings: Callable[[], GatewaySettings], *, is_loopback: bool) -> None:
        """Ask those who want to reach `app`; `settings` returns what is in force at each request."""
        self.app = app
        self._settings = settings
        self._in_force = settings()
        self._tokens = Tokens(self._in_force)
        self._turnstiles: OrderedDict[str, Turnstile] = OrderedDict()
        self._lets_anybody_in = is_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on as its caller's, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        principal: Principal | None = None
        refused: JSONResponse | None
        try:
            principal = await self._caller(scope)
            refused = self._refusal(scope, principal)
        except KeysUnavailable as error:
            # A probe that shows a token is answered all the same, as nobody in particular.
            refused = None if scope["path"] in _OPEN else _unavailable(error)
        if refused is not None:
            await refused(scope, receive, send)
            return
        who = principal or NOBODY
        who.enter(scope)
        if who.name is not None:
            # By this the SDK binds a session to who opened it; with anybody else's token it is not found.
            scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=who.name, scopes=[]))
        await self.app(scope, receive, send)

    async def _caller(self, scope: Scope) -> Principal | None:
        settings = self._settings()
        if settings is not self._in_force:
            self._in_force, self._tokens = settings, Tokens(settings)
        if not settings.authenticates and self._lets_anybody_in:
            return ANYBODY
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        token = _token_of(given[0]) if len(given) == 1 else None
        return None if token is None else await self._tokens.principal(token)

    def _refusal(self, scope: Scope, principal: Principal | None) -> JSONResponse | None:
        path = scope["path"]
        if path in _OPEN:
            return None
        if principal is None:
            answer = refusal(401, "unauthenticated", "say who you are: Authorization: Bearer <token>")
            answer.headers.append("WWW-Authenticate", _CHALLENGE)
            answer.headers.append("WWW-Authenticate", _BROWSER)
            return answer
        policy = principal.policy
        is_reading = scope["method"] in ("GET", "HEAD")
        if path != _MCP and not (policy.watch if is_reading else policy.manage):
            right = "watch" if is_reading else "manage"
            words = f"{principal.name} may not: it needs {right} = true in trunkline.gateway.principals"
            return refusal(403, "forbidden", words)
        wait = self._wait(principal)
        if wait > 0:
            answer = refusal(429, "too_many_requests", "more requests than trunkline.gateway.principals allows")
            answer.headers["Retry-After"] = str(ceil(wait))
            return answer
        return None

    def _wait(self, principal: Principal) -> float:
        """Take a turn, or return the seconds until there will be one."""
        name, policy = principal.name, principal.policy
        if name is None or policy.rate is None:
            return 0.0
        known = self._turnstiles.get(name)
        if known is None or known.policy != policy:
            known = self._turnstiles[name] = Turnstile(name, policy)
        self._turnstiles.move_to_end(name)
        if len(self._turnstiles) > _REMEMBERED:
            self._turnstiles.popitem(last=False)
        return known.wait(anyio.current_time(), is_audited=self._in_force.audit)


def _unavailable(error: KeysUnavailable) -> JSONResponse:
    answer = refusal(503, "keys_unavailable", f"nobody can be recognised now: {error}")
    answer.headers["Retry-After"] = str(ceil(PAUSE))
    return answer


def _token_of(header: bytes) -> str | None:
    scheme, _, value = header.decode("latin-1").partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return value or None
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode("utf-8").partition(":")[2] or None
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None
