"""Records a web application's requests as requests of a domain. Pure ASGI: works under any framework and server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Literal, TypeAlias

from trunkline.call import UNATTRIBUTED
from trunkline.monitoring.labels import OTHER
from trunkline.monitoring.metrics import MetricsCollector

__all__ = ["MetricsMiddleware"]

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
_App: TypeAlias = Callable[[_Message, _Receive, _Send], Awaitable[None]]
_Domain: TypeAlias = str | Callable[[_Message], str]

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_SERVER_ERROR: Final = 500
_PIECES: Final = frozenset({"http.response.body", "http.response.zerocopysend", "http.response.pathsend"})
"""Messages that carry an answer's body, those of ASGI's extensions included."""


class MetricsMiddleware:
    """Records each HTTP request as one of `domain`, with the operation `METHOD /route/{template}`.

    A request ends when the application is done with it, after the last piece of a streamed answer. Its outcome is
    `error` for a status of 500 or more, for an exception, and for an answer that was not begun or not finished; it is
    `cancelled` when the client went away before the answer was complete. Tool calls made while a request is handled
    belong to `domain` unless the code in between tracks a domain of its own.
    """

    def __init__(self, app: _App, metrics: MetricsCollector, domain: _Domain = "http") -> None:
        """Wrap `app`.

        Args:
            app: Any ASGI application.
            metrics: Where requests are recorded.
            domain: Its name, or a function that gives the name for a request's scope. One that raises is counted as a
                failed observer; its request is recorded all the same, as `unattributed`.
        """
        self.app = app
        self.metrics = metrics
        self.domain = domain

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Pass one connection to the application; record it if it is an HTTP request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(receive, send)
        method = scope["method"] if scope["method"] in _METHODS else OTHER
        mounted = scope.get("root_path", "")
        with self.metrics.track(self._domain_of(scope), method) as tracked:
            try:
                await self.app(scope, answer.receive, answer.send)
            except Exception:
                tracked.operation = f"{method} {_template(scope, mounted)}"
                tracked.stop(answer.outcome(raised=True))
                raise
            finally:
                # Known only now: routers write what they matched into the scope.
                tracked.operation = f"{method} {_template(scope, mounted)}"
            tracked.outcome = answer.outcome(raised=False)

    def _domain_of(self, scope: _Message) -> str:
        if isinstance(self.domain, str):
            return self.domain
        try:
            return self.domain(scope)
        except Exception as error:  # boundary: whoever names domains must not cost a request
            self.metrics.store.count("observer_failures", type(self).__name__, type(error).__name__)
            return UNATTRIBUTED


class _Answer:
    """What has become of one answer, seen on its way between application and server."""

    __slots__ = ("_is_complete", "_is_unheard", "_receive", "_send", "_status")

    def __init__(self, receive: _Receive, send: _Send) -> None:
        self._receive = receive
        self._send = send
        self._status: int | None = None
        self._is_complete = False
        self._is_unheard = False

    async def receive(self) -> _Message:
        message = await self._receive()
        # Servers also say so after a complete answer, which then was heard.
        if message["type"] == "http.disconnect" and not self._is_complete:
            self._is_unheard = True
        return message

    async def send(self, message: _Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self._status = message["status"]
        try:
            await self._send(message)
        except OSError:
            # So servers tell it since version 2.4 of ASGI's HTTP specification.
            self._is_unheard = True
            raise
        if kind in _PIECES and not message.get("more_body", False):
            self._is_complete = True

    def outcome(self, *, raised: bool) -> Literal["ok", "error", "cancelled"]:
        if self._status is not None and self._status >= _SERVER_ERROR:
            return "error"
        if self._is_unheard:
            return "cancelled"
        return "ok" if self._is_complete and not raised else "error"


def _template(scope: _Message, mounted: str) -> str:
    """Return the route's path as the application wrote it, never as the client did: addresses have no bound.

    `mounted` is the `root_path` before the application saw the request.
    """
    route = scope.get("route")
    for name in ("path_format", "path"):
        found = getattr(route, name, None)
        if isinstance(found, str):
            # A mount has no endpoint, and its own path is in `root_path` already: it leads to another application.
            own = found if hasattr(route, "endpoint") else "/{path}"
            return f"{_mount(scope, mounted, own)}{own}" or "/"
    return "_unmatched"


def _mount(scope: _Message, mounted: str, own: str) -> str:
    """Return the path of the mounts that led to a route whose own path is `own`, with names for their parameters."""
    root = scope.get("root_path", "")
    path = root[len(mounted) :] if root.startswith(mounted) else ""
    segments = path.split("/")
    values = scope.get("path_params") or {}
    named = [name for name in values if path and f"{{{name}}}" not in own and f"{{{name}:" not in own]
    for name in named:
        if str(values[name]) not in segments:
            # Its text was another than its value's (`007`), and must not become a label.
            return "".join(f"/{{{each}}}" for each in named)
        segments[segments.index(str(values[name]))] = f"{{{name}}}"
    return "/".join(segments)
