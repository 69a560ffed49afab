"""Records a web application's requests as requests of a domain. Pure ASGI: works under any framework and server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from trunkline.monitoring.labels import OTHER
from trunkline.monitoring.metrics import MetricsCollector

__all__ = ["MetricsMiddleware"]

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
_App: TypeAlias = Callable[[_Message, _Receive, _Send], Awaitable[None]]

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_SERVER_ERROR: Final = 500


class MetricsMiddleware:
    """Records each HTTP request as one of `domain`, with the operation `METHOD /route/{template}`.

    The outcome is `error` for a status of 500 or more, for an exception, and where no response was begun. Tool calls
    made while a request is handled belong to `domain` unless the code in between tracks a domain of its own.
    """

    def __init__(self, app: _App, metrics: MetricsCollector, domain: str = "http") -> None:
        self.app = app
        self.metrics = metrics
        self.domain = domain

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Pass one connection to the application; record it if it is an HTTP request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status: int | None = None

        async def watch(message: _Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method = scope["method"] if scope["method"] in _METHODS else OTHER
        with self.metrics.track(self.domain, method) as tracked:
            try:
                await self.app(scope, receive, watch)
            finally:
                # Known only now: routers write what they matched into the scope.
                tracked.operation = f"{method} {_template(scope)}"
            if status is None or status >= _SERVER_ERROR:
                tracked.outcome = "error"


def _template(scope: _Message) -> str:
    """Return the route's path as the application wrote it, never as the client did: addresses have no bound."""
    route = scope.get("route")
    for name in ("path_format", "path"):
        found = getattr(route, name, None)
        if isinstance(found, str):
            return found or "/"
    return "_unmatched"
