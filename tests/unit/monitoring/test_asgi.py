from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from trunkline.call import CURRENT_DOMAIN
from trunkline.monitoring.asgi import MetricsMiddleware
from trunkline.monitoring.metrics import MetricsCollector


async def item(request: Request) -> Response:
    if request.path_params["id"] == 500:
        return PlainTextResponse("sorry", status_code=500)
    if request.path_params["id"] == 13:
        raise RuntimeError("bug")
    return PlainTextResponse(CURRENT_DOMAIN.get() or "none")


async def request(app: Any, path: str, method: str = "GET") -> list[MutableMapping[str, Any]]:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b"", "root_path": ""}
    await app(scope, receive, send)
    return sent


@pytest.fixture
def metrics() -> MetricsCollector:
    return MetricsCollector()


@pytest.fixture
def app(metrics: MetricsCollector) -> Any:
    return MetricsMiddleware(Starlette(routes=[Route("/items/{id:int}", item)]), metrics)


def recorded(metrics: MetricsCollector) -> list[tuple[str, ...]]:
    return [series.labels for series in metrics.store.requests]


@pytest.mark.requirement("INV-2")
@pytest.mark.anyio
async def test_requests_are_recorded_by_their_route_not_by_their_address(app: Any, metrics: MetricsCollector) -> None:
    for number in (1, 2, 3):
        sent = await request(app, f"/items/{number}")
    assert sent[-1]["body"] == b"http"
    assert recorded(metrics) == [("http", "GET /items/{id}", "ok")]
    assert metrics.domain("http").requests == 3


@pytest.mark.anyio
async def test_addresses_without_a_route_and_made_up_methods_share_one_name(
    app: Any, metrics: MetricsCollector
) -> None:
    for number in range(5):
        await request(app, f"/nowhere/{number}", f"M{number}")
    assert recorded(metrics) == [("http", "_other _unmatched", "ok")]


@pytest.mark.anyio
async def test_a_server_error_and_an_exception_are_errors(app: Any, metrics: MetricsCollector) -> None:
    await request(app, "/items/500")
    with pytest.raises(RuntimeError, match="bug"):
        await request(app, "/items/13")
    assert recorded(metrics) == [("http", "GET /items/{id}", "error")]
    assert (metrics.domain("http").requests, metrics.domain("http").errors) == (2, 2)


@pytest.mark.anyio
async def test_a_request_without_a_response_is_an_error(metrics: MetricsCollector) -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        return None

    await request(MetricsMiddleware(silent, metrics, domain="api"), "/")
    assert recorded(metrics) == [("api", "GET _unmatched", "error")]


@pytest.mark.anyio
async def test_a_client_that_goes_away_is_no_error(metrics: MetricsCollector) -> None:
    async def endless(scope: Any, receive: Any, send: Any) -> None:
        assert metrics.domain("http").in_flight == 1
        await anyio.sleep_forever()

    with anyio.move_on_after(0):
        await request(MetricsMiddleware(endless, metrics), "/")
    assert recorded(metrics) == [("http", "GET _unmatched", "cancelled")]
    assert metrics.domain("http").in_flight == 0


@pytest.mark.anyio
async def test_what_is_not_a_request_passes_unrecorded(metrics: MetricsCollector) -> None:
    seen: list[str] = []

    async def lifespan(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def unused(*_: Any) -> Any:
        raise AssertionError("not for lifespan")

    await MetricsMiddleware(lifespan, metrics)({"type": "lifespan"}, unused, unused)
    assert seen == ["lifespan"]
    assert metrics.domains() == ()
