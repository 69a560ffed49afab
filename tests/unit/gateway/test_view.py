"""The view, as JSON and as a stream: it is what its description says, and says what happened."""

from __future__ import annotations

import json
from typing import Any

import anyio
import jsonschema  # type: ignore[import-untyped]
import pytest

from tests.unit.gateway.laboratory import gateway, infrastructure, tool
from trunkline import InvalidArguments
from trunkline.alerts import Alert
from trunkline.events import CircuitChanged
from trunkline.gateway.app import build_app
from trunkline.gateway.openapi import document
from trunkline.gateway.view import View

pytestmark = pytest.mark.anyio


def check(told: dict[str, Any], schema: str) -> None:
    """Hold `told` against a schema of the description."""
    described = document("127.0.0.1", 8700)
    jsonschema.validate(told, {"$ref": f"#/components/schemas/{schema}", "components": described["components"]})


def nulls(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or any(map(nulls, inner))


async def test_the_view_is_as_described_and_holds_no_null() -> None:
    async with gateway("first", "second") as (infra, client):
        for text in ("hello", "again"):
            await infra.mcp_client.call_tool("first_echo", {"text": text}, domain="speech")
        told = (await client.get("/api/v1/view")).json()
    check(told, "View")
    assert not nulls(told)
    assert told["overall"]["sentence"] == "All 2 servers work; 2 tools can be called."
    assert told["domains"]["speech"]["error_ratio"] == 0
    assert told["servers"]["first"]["circuit"] == "closed"
    assert told["totals"]["requests"] == 2
    assert told["totals"]["unattributed"] == 0
    assert [point["rate"] > 0 for point in told["history"].values()][-1]


async def test_what_no_domain_claimed_is_told_as_a_share() -> None:
    async with gateway("first") as (infra, client):
        await infra.mcp_client.call_tool("first_echo", {"text": "mine"}, domain="speech")
        await infra.mcp_client.call_tool("first_echo", {"text": "nobody's"})
        told = (await client.get("/api/v1/view")).json()
    assert told["totals"]["unattributed"] == 0.5


async def test_what_fails_is_worse_than_what_works() -> None:
    async with gateway("first") as (infra, _):
        infra.metrics.record("good", "do", duration=0.01)
        infra.metrics.record("bad", "do", duration=0.01, outcome="error")
        domains = View(infra)()["domains"]
    assert domains["bad"]["badness"] > domains["good"]["badness"]


class Wire:
    """Asks an application for the stream, over ASGI itself."""

    def __init__(self, method: str = "GET") -> None:
        headers = [(b"host", b"127.0.0.1")]
        self.scope: dict[str, Any] = {
            "type": "http", "method": method, "path": "/api/v1/events", "headers": headers, "query_string": b""
        }  # fmt: skip
        self.messages: list[dict[str, Any]] = []
        self.left = anyio.Event()
        self.got = anyio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.messages.append(message)
        self.got.set()

    async def until(self, count: int) -> None:
        with anyio.fail_after(10):
            while len(self.messages) < count:
                self.got = anyio.Event()
                await self.got.wait()


async def test_the_stream_begins_with_the_view_and_ends_when_the_viewer_leaves() -> None:
    async with infrastructure("lab") as infra:
        app = build_app(infra, "127.0.0.1", 8700)
        async with app.router.lifespan_context(app), anyio.create_task_group() as tasks:
            wire = Wire()
            tasks.start_soon(app, wire.scope, wire.receive, wire.send)
            await wire.until(3)
            wire.left.set()
    start, view, patch, *_ = wire.messages
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in headers
    assert headers["cache-control"] == "no-store"
    check(json.loads(view["body"].decode().split("data: ")[1]), "View")
    assert b"event: patch" in patch["body"]


async def test_the_stream_ends_when_the_gateway_does() -> None:
    async with infrastructure("lab") as infra:
        app = build_app(infra, "127.0.0.1", 8700)
        wire = Wire()
        with anyio.fail_after(10):
            async with app.router.lifespan_context(app), anyio.create_task_group() as tasks:
                tasks.start_soon(app, wire.scope, wire.receive, wire.send)
                await wire.until(2)
                app.state.close_streams()
    assert wire.messages[-1] == {"type": "http.response.body", "body": b""}


async def test_whoever_asks_for_the_headers_alone_gets_them_and_no_stream() -> None:
    async with infrastructure("lab") as infra:
        app = build_app(infra, "127.0.0.1", 8700)
        wire = Wire("HEAD")
        with anyio.fail_after(10):
            await app(wire.scope, wire.receive, wire.send)
    assert [message["type"] for message in wire.messages] == ["http.response.start", "http.response.body"]


async def test_a_viewer_that_takes_nothing_in_is_dropped_counted_and_holds_no_place() -> None:
    async with infrastructure("lab") as infra:
        app = build_app(infra, "127.0.0.1", 8700, patience=0.05)

        async def takes_nothing(message: Any) -> None:
            if message["type"] == "http.response.body":
                await anyio.sleep_forever()

        wire = Wire()
        async with app.router.lifespan_context(app):
            with anyio.fail_after(10):
                await app(wire.scope, wire.receive, takes_nothing)
        infra.metrics.fold()
        assert infra.metrics.store.counts("abandoned") == {("/api/v1/events", "stopped reading"): 1}
        assert View(infra)()["ours"]["answers_abandoned"] == 1


async def test_a_servers_tools_and_worst_calls_are_told_as_described() -> None:
    async with gateway("lab", "other") as (infra, client):
        await infra.mcp_client.call_tool("lab_echo", {"text": "hello"}, domain="speech")
        with pytest.raises(InvalidArguments):
            await infra.mcp_client.call_tool("lab_echo", {"text": 5}, domain="speech")
        server = (await client.get("/api/v1/server", params={"name": "lab"})).json()
        domain = (await client.get("/api/v1/domain", params={"name": "speech"})).json()
    check(server, "ServerDetails")
    check(domain, "DomainDetails")
    (found,) = server["tools"]
    assert (found["name"], found["calls"], found["error_ratio"]) == ("lab_echo", 2, 0.5)
    assert [(call["tool"], call["outcome"], call["attempts"]) for call in server["failed"]] == [
        ("lab_echo", "InvalidArguments", 0)
    ]
    assert sorted(call["outcome"] for call in server["slow"]) == ["InvalidArguments", "ok"]
    assert domain["operations"] == [{"name": "lab_echo", "outcomes": {"ok": 1, "InvalidArguments": 1}}]


@pytest.mark.parametrize("kind", ["server", "domain"])
async def test_what_has_no_such_name_or_none_is_refused_in_words(kind: str) -> None:
    async with gateway("lab") as (_, client):
        assert (await client.get(f"/api/v1/{kind}", params={"name": "nobody"})).status_code == 404
        assert (await client.get(f"/api/v1/{kind}")).status_code == 422


async def test_the_second_screen_is_told_as_described() -> None:
    async with gateway("lab") as (infra, client):
        infra.bus.emit(CircuitChanged(1.0, "lab", None, "closed", "open", "why"))
        infra.registry.update("lab", [tool("echo", "Says something else.")], 1.0)
        told = (await client.get("/api/v1/details")).json()
    check(told, "Details")
    assert told["matrix"][0]["connections"]["ready"] == 1
    assert (told["events"][0]["about"], told["events"][0]["text"]) == ("lab", "tool lab_echo changed its definition")
    assert "circuit open: why" in [event["text"] for event in told["events"]]
    assert [entry["tool"] for entry in told["registry"]["drift"]] == ["lab_echo"]
    assert told["registry"]["availability"][-1]["what"] == "available"
    assert told["configuration"]["servers"]["lab"]["places"] == ["in-process"]


async def test_what_fires_is_told_by_name_and_marks_whom_it_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Alert(
        rule="DomainErrors",
        severity="critical",
        state="firing",
        labels={"domain": "speech"},
        since=90.0,
        fired=95.0,
        ended=None,
        value=0.123456,
        threshold=0.05,
        summary="Domain speech: 12 % of requests fail (limit 5 %).",
    )
    async with gateway("lab") as (infra, client):
        monkeypatch.setattr(infra.alerts, "active", lambda: (found,))
        for domain in ("speech", "worse"):
            infra.metrics.record(domain, "do", duration=0.1, outcome="ok" if domain == "speech" else "error")
        told = (await client.get("/api/v1/view")).json()
    check(told, "View")
    assert not nulls(told)
    assert told["alerts"]["DomainErrors domain=speech"]["value"] == 0.12
    assert told["domains"]["speech"]["alert"] == "critical"
    assert told["domains"]["speech"]["badness"] > told["domains"]["worse"]["badness"]
    assert told["overall"]["state"] == "degraded"
