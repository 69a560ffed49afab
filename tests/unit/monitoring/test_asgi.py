from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from contextlib import suppress
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from trunkline.call import CURRENT_DOMAIN
from trunkline.monitoring.asgi import MetricsMiddleware
from trunkline.monitoring.metrics import MetricsCollector


async def item(request: Request) -> Response:
    if request.path_params["id"] == 500:
        return PlainTextResponse("sorry", status_code=500)
    if request.path_params["id"] == 13:
        raise RuntimeError("bug")
    return PlainTextResponse(CURRENT_DOMAIN.get() or "none")


async def request(app: Any, path: str, method: str = "GET", root_path: str = "") -> list[MutableMapping[str, Any]]:
    sent: list[MutableMapping[str, Any]] = []

    bodies = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        if not bodies:
            await anyio.sleep_forever()
        return bodies.pop()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b"", "root_path": root_path}
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


@pytest.mark.requirement("TRACKING")
@pytest.mark.anyio
async def test_a_streamed_answer_lasts_to_its_last_piece_and_lends_its_domain_to_each(
    metrics: MetricsCollector,
) -> None:
    seen: list[tuple[str | None, int]] = []

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"one", b"two"):
            seen.append((CURRENT_DOMAIN.get(), metrics.domain("http").in_flight))
            yield piece

    async def stream(_: Request) -> Response:
        return StreamingResponse(pieces())

    app = Starlette(routes=[Route("/stream", stream)])
    sent = await request(MetricsMiddleware(app, metrics), "/stream")
    assert [message.get("body") for message in sent[1:]] == [b"one", b"two", b""]
    assert seen == [("http", 1), ("http", 1)]
    assert recorded(metrics) == [("http", "GET /stream", "ok")]


Step = MutableMapping[str, Any]
START: Step = {"type": "http.response.start", "status": 200, "headers": []}
FAILED: Step = {"type": "http.response.start", "status": 503, "headers": []}
PIECE: Step = {"type": "http.response.body", "body": b"a", "more_body": True}
LAST: Step = {"type": "http.response.body", "body": b"", "more_body": False}
FILE: Step = {"type": "http.response.pathsend", "path": "/a"}


@pytest.mark.requirement("TRACKING")
@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        pytest.param([START, PIECE, LAST], "ok", id="a whole answer"),
        pytest.param([START, FILE], "ok", id="a file that the server sends"),
        pytest.param([START, PIECE], "error", id="an answer never finished"),
        pytest.param([START, PIECE, RuntimeError("bug")], "error", id="an answer broken off"),
        pytest.param([START, PIECE, "listen"], "cancelled", id="a client that went away in between"),
        pytest.param([START, PIECE, "listen", RuntimeError("gone")], "cancelled", id="and an application that says so"),
        pytest.param([START, PIECE, "fail to send"], "cancelled", id="a server that cannot send any more"),
        pytest.param([START, LAST, "listen"], "ok", id="a client that went away afterwards"),
        pytest.param([FAILED, PIECE, "listen"], "error", id="a failure that nobody waited for"),
    ],
)
@pytest.mark.anyio
async def test_an_answer_is_judged_by_how_it_ended(steps: list[Any], outcome: str, metrics: MetricsCollector) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for step in steps:
            if isinstance(step, Exception):
                raise step
            if step == "listen":
                await receive()
            elif step == "fail to send":
                await send({"type": "broken"})
            else:
                await send(step)

    async def receive() -> Step:
        return {"type": "http.disconnect"}

    async def send(message: Step) -> None:
        if message["type"] == "broken":
            raise OSError("the client is gone")

    with suppress(RuntimeError, OSError):
        await MetricsMiddleware(app, metrics)({"type": "http", "method": "GET"}, receive, send)
    assert [labels[-1] for labels in recorded(metrics)] == [outcome]
    assert metrics.domain("http").in_flight == 0


@pytest.mark.requirement("TRACKING")
@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/api/items/7", "GET /api/items/{id}"),
        ("/teams/red/items/8", "GET /teams/{team}/items/{id}"),
        ("/teams/items/items/8", "GET /teams/{team}/items/{id}"),
        ("/numbered/007/items/8", "GET /{number}/items/{id}"),
        ("/api/raw/some/file", "GET /api/raw/{path}"),
        ("/api/nothing", "GET /api/{path}"),
    ],
)
@pytest.mark.anyio
async def test_a_mounted_route_is_named_by_the_templates_on_the_way_to_it(
    path: str, operation: str, metrics: MetricsCollector
) -> None:
    routes = [Route("/items/{id:int}", item), Mount("/raw", app=PlainTextResponse("raw"))]
    app = Starlette(
        routes=[
            Mount("/api", routes=routes),
            Mount("/teams/{team}", routes=routes),
            Mount("/numbered/{number:int}", routes=routes),
        ]
    )
    await request(MetricsMiddleware(app, metrics), f"/proxy{path}", root_path="/proxy")
    assert [labels[1] for labels in recorded(metrics)] == [operation]


@pytest.mark.requirement("TRACKING")
@pytest.mark.anyio
async def test_a_function_names_the_domain_and_costs_no_request_when_it_fails(metrics: MetricsCollector) -> None:
    def domain(scope: Any) -> str:
        return {"/items/1": "shop", "/items/2": ""}[scope["path"]]

    app = MetricsMiddleware(Starlette(routes=[Route("/items/{id:int}", item)]), metrics, domain=domain)
    answers = [(await request(app, f"/items/{number}"))[-1]["body"] for number in (1, 2, 3)]
    assert answers == [b"shop", b"unattributed", b"unattributed"]
    assert (metrics.domain("shop").requests, metrics.domain("unattributed").requests) == (1, 2)
    assert metrics.store.observer_failures() == {("MetricsMiddleware", "KeyError"): 1}
