"""What people look at, over HTTP: the view, whole and as a stream of changes, and what stands behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from trunkline.gateway.broadcast import Broadcast
from trunkline.gateway.details import Details
from trunkline.gateway.guard import refusal
from trunkline.gateway.view import View
from trunkline.infrastructure import Infrastructure
from trunkline.monitoring.store import MetricStore
from trunkline.monitoring.timeline import POINT

__all__ = ["Viewing"]


class Viewing:
    """What is shown of one infrastructure, to everybody who looks."""

    def __init__(self, infra: Infrastructure) -> None:
        self._view = View(infra)
        self._details = Details(infra)
        self._broadcast = Broadcast(self._view, failed=partial(_count, infra.metrics.store))
        self.close = self._broadcast.close
        """End the streams that are open."""

    def routes(self) -> list[Route]:
        """The routes; `openapi` describes them."""

        async def view(_request: Request) -> Response:
            return JSONResponse(self._broadcast.view())

        async def events(request: Request) -> Response:
            if self._broadcast.is_full:
                return refusal(503, "too_many_viewers", f"{self._broadcast.viewers} are watching; try again later")
            return _Stream(self._broadcast, is_asked_for=request.method == "GET")

        async def details(_request: Request) -> Response:
            return JSONResponse(self._details.everything())

        async def server(request: Request) -> Response:
            return _found("server", request, self._details.server)

        async def domain(request: Request) -> Response:
            return _found("domain", request, self._details.domain)

        return [
            Route("/api/v1/view", view),
            Route("/api/v1/events", events),
            Route("/api/v1/details", details),
            Route("/api/v1/server", server),
            Route("/api/v1/domain", domain),
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the charts' past, and tell viewers once a second, while inside."""
        unwatch = self._details.watch()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_time)
            tasks.start_soon(self._broadcast.run)
            try:
                yield
            finally:
                unwatch()
                tasks.cancel_scope.cancel()

    async def _keep_time(self) -> None:
        while True:
            await anyio.sleep(POINT)
            self._view.timeline.advance()


class _Stream(Response):
    """Server-sent events until the viewer leaves, stops reading, or everything ends."""

    media_type = "text/event-stream"

    def __init__(self, broadcast: Broadcast, *, is_asked_for: bool) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._broadcast = broadcast
        self._is_asked_for = is_asked_for

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until there is nobody to send to. Raises ClientDisconnect where the viewer takes in nothing."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        is_stuck = False
        if self._is_asked_for:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_left, receive, tasks.cancel_scope)
                try:
                    async with aclosing(self._broadcast.follow()) as told:
                        async for piece in told:
                            await send({"type": "http.response.body", "body": piece, "more_body": True})
                except ClientDisconnect:
                    is_stuck = True
                tasks.cancel_scope.cancel()
        if is_stuck:
            # Out of a group of tasks it would come wrapped.
            raise ClientDisconnect
        await send({"type": "http.response.body", "body": b""})


def _found(what: str, request: Request, find: Callable[[str], dict[str, Any] | None]) -> Response:
    name = request.query_params.get("name")
    if name is None:
        return refusal(422, "invalid_request", f"which {what}? give its name: ?name=…")
    told = find(name)
    return refusal(404, "not_found", f"there is no {what} of that name") if told is None else JSONResponse(told)


async def _until_left(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _count(store: MetricStore, error: Exception) -> None:
    store.count("observer_failures", "view", type(error).__name__)
