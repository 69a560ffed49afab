"""The gateway as a web application: MCP at `/mcp`, and beside it the dashboard, health, metrics and a JSON API.

Everything beside `/mcp` reads what is known already, or tells the cache what to forget; no request there waits for
any I/O.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from trunkline.gateway import status
from trunkline.gateway.audience import Audience
from trunkline.gateway.authentication import Authentication
from trunkline.gateway.bounds import Bounds
from trunkline.gateway.caching import cache_routes
from trunkline.gateway.draining import Drain
from trunkline.gateway.guard import Guard, refusal, require_protection
from trunkline.gateway.intake import Shortcut
from trunkline.gateway.openapi import document
from trunkline.gateway.principals import principal_of
from trunkline.gateway.server import build_server, http_endpoint
from trunkline.gateway.viewing import Viewing
from trunkline.infrastructure import Infrastructure
from trunkline.monitoring.prometheus import PrometheusExporter
from trunkline.monitoring.scrape import MetricsPage
from trunkline.policy import GatewaySettings, is_loopback

__all__ = ["build_app"]

_TYPES: Final = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)
_PAGE: Final = "index.html"


def build_app(infra: Infrastructure, host: str, port: int, *, patience: float = 10.0) -> Starlette:
    """Return the application for `infra`, which whoever serves it has entered or is entering.

    `host` and `port` are where it is served; `app.state.close_streams()` ends the streams that are open and lets no new
    one begin; `app.state.drain` is how it ends without dropping anything.
    A reader that takes in nothing for `patience` seconds is hung up on, streams of MCP apart.
    Raises ConfigError where strangers would be served: `host` is no loopback address, and no principal is configured.
    """
    require_protection(host, infra.settings.gateway)
    server = build_server(infra)
    running, admission, endpoint = http_endpoint(server, infra)
    viewing = Viewing(infra)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with running(), viewing.running():
            yield

    def close_streams() -> None:
        admission.close()
        server.announcements.listen.close()
        viewing.close()

    drain = Drain(admission, close_streams)
    gateway_settings = _settings_of(infra)

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        is_ready, told = status.readiness(infra, is_leaving=drain.is_leaving)
        if not principal_of(request.scope).policy.watch:
            told = {"status": told["status"]}
        return JSONResponse(told, 200 if is_ready else 503)

    async def everything(_request: Request) -> Response:
        return JSONResponse(status.status(infra))

    async def tools(_request: Request) -> Response:
        return JSONResponse(status.tools(infra))

    async def alerts(_request: Request) -> Response:
        return JSONResponse(infra.alerts.as_dict())

    async def openapi(_request: Request) -> Response:
        return JSONResponse(document(host, port))

    app = Starlette(
        routes=[
            Route("/mcp", endpoint),
            Route("/health/live", live),
            Route("/health/ready", ready),
            Route("/metrics", MetricsPage(PrometheusExporter(infra.metrics)), methods=["GET"]),
            Route("/api/v1/status", everything),
            *viewing.routes(),
            Route("/api/v1/tools", tools),
            Route("/api/v1/alerts", alerts),
            *cache_routes(infra),
            Route("/openapi.json", openapi),
            *_files(),
        ],
        middleware=[
            Middleware(Guard, host=host, settings=gateway_settings, emit=infra.bus.emit),
            Middleware(Bounds, limits=lambda: gateway_settings().limits),
            Middleware(Authentication, settings=gateway_settings, is_loopback=is_loopback(host)),
            Middleware(Audience, emit=infra.bus.emit, patience=patience),
            Middleware(Shortcut, endpoint=endpoint, path="/mcp"),
        ],
        exception_handlers={HTTPException: _refused, Exception: _failed},
        lifespan=lifespan,
    )
    # An address with a slash too many is unknown, not moved.
    app.router.redirect_slashes = False
    app.state.close_streams = close_streams
    app.state.drain = drain
    return app


def _settings_of(infra: Infrastructure) -> Callable[[], GatewaySettings]:
    """The settings in force whenever it is called: a reload changes them."""
    return lambda: infra.settings.gateway


def _files() -> Iterator[Route]:
    """The page at `/`, and what it loads below `/static`."""
    for file in files("trunkline.gateway").joinpath("static").iterdir():
        media_type = _TYPES[file.name[file.name.rindex(".") :]]
        path = "/" if file.name == _PAGE else f"/static/{file.name}"
        yield Route(path, _sending(file.read_bytes(), media_type))


def _sending(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def send(_request: Request) -> Response:
        return Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})

    return send


async def _refused(request: Request, error: Exception) -> Response:
    code, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    words = {
        404: ("not_found", f"nothing is served at {request.url.path}; see /openapi.json"),
        405: ("method_not_allowed", f"{request.method} is not allowed at {request.url.path}"),
        408: ("too_slow", detail),
        413: ("too_large", detail),
    }
    answer = refusal(code, *words.get(code, ("refused", "the request was refused")))
    if isinstance(error, HTTPException):
        answer.headers.update(error.headers or {})
    return answer


async def _failed(request: Request, error: Exception) -> Response:
    logging.getLogger("trunkline.gateway").error(
        "request_failed", exc_info=error, extra={"trunkline_path": request.url.path}
    )
    return refusal(500, "internal_error", "internal error in the gateway; its log says more")
