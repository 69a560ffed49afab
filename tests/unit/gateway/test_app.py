"""The web application around the MCP server: who is let in, and what stands beside it."""

from __future__ import annotations

import re
from importlib import resources

import httpx2
import pytest

from tests.unit.gateway.laboratory import gateway, infrastructure, web
from trunkline import ConfigError
from trunkline.gateway import status
from trunkline.gateway.app import build_app
from trunkline.gateway.guard import SECURITY_HEADERS

pytestmark = pytest.mark.anyio

PATHS = (
    "/",
    "/mcp",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/api/v1/status",
    "/api/v1/view",
    "/api/v1/details",
    "/api/v1/tools",
    "/api/v1/alerts",
    "/api/v1/cache",
    "/openapi.json",
)
ORDERS = ("/api/v1/cache/invalidate", "/api/v1/cache/clear")
"""What is posted to."""
OTHERS = ("/api/v1/events", "/api/v1/server", "/api/v1/domain")
"""What has no end, or asks for a name."""


@pytest.mark.parametrize("path", [*PATHS, *ORDERS, "/static/app.js", "/nothing"])
async def test_every_answer_has_the_security_headers_and_other_hosts_and_origins_get_none(path: str) -> None:
    async with gateway("lab") as (_, client):
        for answer, expected in (
            (await client.get(path), None),
            (await client.get(path, headers={"Host": "rebound.example:8700"}), 421),
            (await client.get(path, headers={"Host": "127.0.0.1.example"}), 421),
            (await client.get(path, headers={"Origin": "http://rebound.example"}), 403),
            (await client.get(path, headers={"Origin": "null"}), 403),
            (await client.get(path, headers={"Origin": "http://localhost@evil.example"}), 403),
        ):
            assert expected is None or answer.status_code == expected
            assert all(name in answer.headers for name, _ in SECURITY_HEADERS)
            assert "unsafe-inline" not in answer.headers["content-security-policy"]


async def test_what_no_browser_asks_for_has_what_holds_for_programs_too() -> None:
    async with gateway("lab") as (_, client):
        program = await client.post("/mcp", content=b"{}")
        page = await client.post("/mcp", content=b"{}", headers={"Origin": "http://localhost"})
        reader = await client.get("/mcp", headers={"Accept": "application/json"})
    names = {name.lower() for name, _ in SECURITY_HEADERS}
    assert names & program.headers.keys() == {"x-content-type-options", "cache-control"}
    assert names <= page.headers.keys()
    assert names <= reader.headers.keys()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:1", "localhost:9999", "LOCALHOST", "[::1]", "[::1]:8700"])
async def test_this_machines_own_names_are_let_in_with_any_port(host: str) -> None:
    async with gateway("lab") as (_, client):
        answer = await client.get("/health/live", headers={"Host": host, "Origin": f"http://{host}"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_an_address_with_two_host_headers_is_refused() -> None:
    async with gateway("lab") as (_, client):
        request = client.build_request("GET", "/health/live")
        request.headers = httpx2.Headers([("Host", "127.0.0.1"), ("Host", "evil.example")])
        assert (await client.send(request)).status_code == 421


async def test_without_principals_only_loopback_is_served() -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org", ""):
        with pytest.raises(ConfigError, match=r"--host 127\.0\.0\.1"):
            build_app(infrastructure("lab"), host, 8700)
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        build_app(infrastructure("lab"), host, 8700)


@pytest.mark.parametrize("path", ["/nothing", "/mcp/", "/api/v1/../../etc/passwd", "/static/../app.py"])
async def test_what_is_not_there_is_said_in_json(path: str) -> None:
    async with gateway("lab") as (_, client):
        answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


async def test_a_method_that_is_not_allowed_is_said_in_json() -> None:
    async with gateway("lab") as (_, client):
        answer = await client.post("/health/live")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


async def test_a_bug_of_ours_is_an_answer_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_infra: object) -> dict[str, object]:
        raise ZeroDivisionError("inner words")

    monkeypatch.setattr(status, "tools", broken)
    async with gateway("lab") as (_, client):
        answer = await client.get("/api/v1/tools")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "inner words" not in answer.text
    assert answer.headers["content-security-policy"]
    assert "request_failed" in caplog.messages


async def test_a_body_that_is_too_large_is_refused() -> None:
    async with gateway("lab") as (_, client):
        answer = await client.post("/mcp", content=b"x" * (4 * 1024 * 1024 + 1))
    assert answer.status_code == 413


async def test_readiness_is_503_with_the_reason_until_a_server_works() -> None:
    infra = infrastructure("lab")
    async with web(build_app(infra, "127.0.0.1", 8700)) as client:
        infra.health.add("lab", infra.settings.servers["lab"].policy.health)
        before = await client.get("/health/ready")
        assert (before.status_code, before.json()["status"]) == (503, "not_ready")
        assert before.json()["dependencies"][0]["state"] == "unknown"
        assert (await client.get("/health/live")).status_code == 200
    async with gateway("lab") as (_, client):
        assert (await client.get("/health/ready")).status_code == 200


async def test_the_status_says_how_everything_is() -> None:
    async with gateway("first", "second") as (infra, client):
        await infra.mcp_client.list_tools()
        await infra.mcp_client.call_tool("first_echo", {"text": "hello"})
        told = (await client.get("/api/v1/status")).json()
    assert told["overall"]["sentence"] == "All 2 servers work; 2 tools can be called."
    assert told["overall"]["state"] == "healthy"
    first = told["servers"][0]
    assert (first["name"], first["tools"], first["circuit"], first["era"]) == ("first", 1, "closed", "2026-07-28")
    assert first["connections"] == {"ready": 1, "opening": 0, "in_flight": 0, "waiting": 0}
    assert told["metrics"]["servers"]["first"]["requests"] == 1
    assert told["config"] == {"source": "laboratory", "is_fallback": False, "notices": []}


async def test_tools_are_told_with_their_availability_and_definition() -> None:
    async with gateway("lab") as (_, client):
        (told,) = (await client.get("/api/v1/tools")).json()["tools"]
    assert (told["name"], told["server"], told["availability"]["state"]) == ("lab_echo", "lab", "available")
    assert told["definition"]["inputSchema"]["required"] == ["text"]


async def test_the_description_names_every_json_path_and_describes_the_status_as_it_is() -> None:
    async with gateway("lab") as (_, client):
        described = (await client.get("/openapi.json")).json()
        told = (await client.get("/api/v1/status")).json()
    assert set(described["paths"]) == {*PATHS, *ORDERS, *OTHERS} - {"/", "/mcp", "/openapi.json"}
    assert set(described["components"]["schemas"]["Status"]["required"]) == set(told)
    server = described["components"]["schemas"]["Server"]["allOf"][1]["required"]
    assert set(server) | {"name", "state", "since", "reason"} == set(told["servers"][0])


async def test_the_description_tells_what_those_get_who_may_not() -> None:
    async with gateway("lab") as (_, client):
        described = (await client.get("/openapi.json")).json()
    told = {
        path: set(method["responses"]) & {"401", "403", "429", "503"}
        for path, methods in described["paths"].items()
        for method in methods.values()
    }
    assert told.pop("/health/live") == {"403"}
    assert told.pop("/health/ready") == {"403", "503"}
    assert {frozenset(refusals) for refusals in told.values()} == {frozenset({"401", "403", "429", "503"})}
    assert described["components"]["schemas"]["Readiness"]["required"] == ["status"], "to those who may not watch"


async def test_the_page_loads_nothing_from_elsewhere_and_has_nothing_inline() -> None:
    async with gateway("lab") as (_, client):
        page = await client.get("/")
        paths, files = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text), {}
        while paths:
            path = paths.pop()
            if path not in files:
                files[path] = await client.get(path)
                paths += [f"/static/{name}" for name in re.findall(r'from "\./([^"]+)"', files[path].text)]
    assert {file.status_code for file in files.values()} == {200}
    assert len(page.content) + sum(len(file.content) for file in files.values()) < 100_000
    shipped = resources.files("trunkline.gateway").joinpath("static").iterdir()
    assert {"index.html", *(path.removeprefix("/static/") for path in files)} == {file.name for file in shipped}
    assert not re.search(r"(?:https?:)?//[a-z]", page.text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", page.text)
    scripts = [file.text for file in files.values() if "javascript" in file.headers["content-type"]]
    assert len(scripts) > 5
    for script in scripts:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|https?://(?!www\.w3)", script
        )
