"""Who may talk to the gateway: requests that name this machine, from nobody's page but its own. Before every route.

A page in the user's browser can send requests to a loopback address, and with a name of its own that resolves to
127.0.0.1 it can read the answers (DNS rebinding). Both are told by the Host and Origin headers.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

import anyio
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trunkline.errors import ConfigError
from trunkline.events import Emit, RequestRefused
from trunkline.policy import GatewaySettings, is_loopback

__all__ = ["SECURITY_HEADERS", "Guard", "refusal", "require_protection"]

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

SECURITY_HEADERS: Final[tuple[tuple[str, str], ...]] = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)
"""On every answer that a browser may get, unless it says otherwise itself."""

_FOR_PROGRAMS: Final = ("X-Content-Type-Options", "Cache-Control")
"""Of these what is on an answer to a POST without Origin, which no browser sends (Fetch, "append a request `Origin`
header"): a client of MCP reads each header of each answer, and the rules for pages mean nothing to it."""
_RAW_HEADERS: Final = tuple((name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS)
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_AUTHORITY: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?")


def require_protection(host: str, settings: GatewaySettings) -> None:
    """Accept an address of this machine itself, or any where callers have to say who they are.

    Raises:
        ConfigError: Everybody who reaches `host` would be served, or it is every address and none has a name.
    """
    if is_loopback(host):
        return
    if not settings.authenticates:
        problem = (
            f"host {host!r} is not a loopback address, and nobody would be asked who they are: name principals under "
            "trunkline.gateway.principals (`trunkline token` makes a token), or use --host 127.0.0.1"
        )
    elif _is_everywhere(host) and not settings.hosts:
        problem = (
            f"host {host!r} is every address of this machine: say under which names it is reached, for example "
            '[trunkline.gateway] hosts = ["gateway.internal"], or give one address with --host'
        )
    else:
        return
    raise ConfigError([problem], source="command line")


def _is_everywhere(host: str) -> bool:
    try:
        return not host or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def refusal(status: int, code: str, message: str) -> JSONResponse:
    """Return the JSON that every refusal of ours has: `{"error": {"code", "message"}}`, with the security headers."""
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers=dict(SECURITY_HEADERS))


_REFUSALS: Final = MappingProxyType(
    {
        401: "unauthenticated",
        403: "forbidden",
        408: "too_slow",
        413: "too_large",
        429: "too_many_requests",
        431: "head_too_large",
    }
)
"""What each status says of a request that was refused; nothing else here answers with these."""


def _said(scope: Scope, name: bytes) -> list[str]:
    """What a header says, each time it is there."""
    headers = scope["headers"]
    about = dict(headers)
    if len(about) == len(headers):
        return [about[name].decode("latin-1")] if name in about else []
    return [value.decode("latin-1") for key, value in headers if key == name]


@lru_cache(maxsize=64)
def _besides(said: tuple[bytes, ...], *, is_program: bool) -> tuple[tuple[bytes, bytes], ...]:
    """The headers that an answer with these is still to be given."""
    wanted = {name.lower().encode() for name in _FOR_PROGRAMS} if is_program else dict(_RAW_HEADERS)
    return tuple(each for each in _RAW_HEADERS if each[0] in wanted and each[0] not in said)


class Guard:
    """ASGI middleware: checks Host and Origin, puts the security headers on every answer, and tells of refusals."""

    def __init__(self, app: ASGIApp, host: str, settings: Callable[[], GatewaySettings], emit: Emit) -> None:
        """Guard what is served on `host`; `settings` returns what is in force, with the names it has besides."""
        self.app = app
        self._emit = emit
        self._names = _LOOPBACK | {f"[{host}]" if ":" in host else host}
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it: 421 for another host, 403 for another origin."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        hosts, origins = _said(scope, b"host"), _said(scope, b"origin")
        is_program = scope["method"] == "POST" and not origins
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            self._tell("wrong_host")
            await refusal(421, "wrong_host", "this address is not served here")(scope, receive, send)
            return
        if not all(self._is_our_origin(origin) for origin in origins):
            self._tell("wrong_origin")
            await refusal(403, "wrong_origin", "pages of other origins may not use this address")(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *_besides(tuple(dict(message["headers"])), is_program=is_program),
                ]
                if message["status"] in _REFUSALS:
                    self._tell(_REFUSALS[message["status"]])
                elif message["status"] == 503 and scope["path"] == "/mcp":
                    # No session is free, or nobody can be recognised: by its path, as readiness is 503 too.
                    self._tell("unavailable")
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _tell(self, reason: str) -> None:
        self._emit(RequestRefused(anyio.current_time(), reason))

    def _is_ours(self, authority: str) -> bool:
        found = _AUTHORITY.fullmatch(authority)
        if found is None:
            return False
        name = found["name"].lower()
        return name in self._names or any(name == host.lower() for host in self._settings().hosts)

    def _is_our_origin(self, origin: str) -> bool:
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        is_bare = origin.lower() == f"{parts.scheme}://{parts.netloc}".lower()
        return parts.scheme in ("http", "https") and is_bare and self._is_ours(parts.netloc)
