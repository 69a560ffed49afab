"""A web application's requests are requests of a domain, named by their routes."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from trunkline import MetricsCollector, MetricsMiddleware


async def item(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.path_params["id"])


@pytest.mark.anyio
async def test_routes_are_operations_and_a_function_names_the_domain() -> None:
    metrics = MetricsCollector()
    routes = [Mount("/shop", routes=[Route("/items/{id}", item)])]

    def domain(scope: Any) -> str:
        return "shop" if scope["path"].startswith("/shop/") else "web"

    app = MetricsMiddleware(Starlette(routes=routes), metrics, domain=domain)

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None: ...

    scope = {"type": "http", "method": "GET", "path": "/shop/items/7", "headers": [], "query_string": b""}
    await app(scope, receive, send)
    assert [series.labels for series in metrics.store.requests] == [("shop", "GET /shop/items/{id}", "ok")]
