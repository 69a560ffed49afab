"""The cache over the gateway: what it tells, what it forgets, and what it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from tests.unit.gateway.laboratory import gateway
from trunkline import Infrastructure
from trunkline.policy import CachePolicy, ToolPolicy

pytestmark = pytest.mark.anyio

TOOLS = {"lab_*": ToolPolicy(cache=CachePolicy(ttl=60, tags=("said",), invalidates=()))}
INVALIDATE = "/api/v1/cache/invalidate"
CLEAR = "/api/v1/cache/clear"


@asynccontextmanager
async def cached() -> AsyncIterator[tuple[Infrastructure, httpx2.AsyncClient]]:
    """A gateway in front of a server whose tool has been called with "hello", and whose answer is kept."""
    async with gateway("lab", tools=TOOLS) as (infra, client):
        await infra.mcp_client.list_tools()
        assert await outcome(infra) == "miss"
        assert await outcome(infra) == "hit"
        yield infra, client


async def outcome(infra: Infrastructure, text: str = "hello") -> str:
    return (await infra.mcp_client.call_tool("lab_echo", {"text": text})).provenance.cache


async def test_the_report_says_what_was_served_and_is_described_as_it_is() -> None:
    async with cached() as (_, client):
        told = (await client.get("/api/v1/cache")).json()
        schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
        status = (await client.get("/api/v1/status")).json()
    assert told["stats"]["tools"]["lab_echo"] == {
        **dict.fromkeys(("stale", "coalesced", "kept"), 0),
        "hits": 1,
        "misses": 1,
        "hit_ratio": 0.5,
    }
    assert (told["enabled"], told["namespace"], told["has_partition"], told["redis"]) == (True, "default", False, None)
    assert told["stats"]["entries"] == 1
    assert set(schemas["Cache"]["required"]) == set(told)
    assert set(schemas["Cache"]["properties"]["stats"]["required"]) == set(told["stats"])
    assert set(schemas["CacheCounts"]["required"]) == set(told["stats"]["total"])
    assert set(schemas["Status"]["properties"]["cache"]["required"]) == set(status["cache"])
    assert (status["cache"]["hit_ratio"], status["cache"]["entries"], status["cache"]["redis"]) == (0.5, 1, None)


@pytest.mark.parametrize(
    "body",
    [
        {"tool": "lab_echo"},
        {"tool": "echo"},
        {"tool": "lab_echo", "arguments": {"text": "hello"}},
        {"server": "lab"},
        {"tag": "said"},
    ],
)
async def test_what_is_invalidated_is_asked_for_anew(body: dict[str, Any]) -> None:
    async with cached() as (infra, client):
        answer = await client.post(INVALIDATE, json=body)
        assert answer.status_code == 200
        assert answer.json()["invalidated"] == {
            key: "lab_echo" if key == "tool" else value for key, value in body.items()
        }
        assert await outcome(infra) == "miss"


async def test_what_was_not_meant_is_kept() -> None:
    async with cached() as (infra, client):
        await client.post(INVALIDATE, json={"tool": "lab_echo", "arguments": {"text": "other"}})
        await client.post(INVALIDATE, json={"principal": "somebody"})
        assert await outcome(infra) == "hit"


@pytest.mark.parametrize("sent", [{"json": {}}, {"content": b"", "headers": {"Content-Type": "application/json"}}])
async def test_clearing_forgets_everything(sent: dict[str, Any]) -> None:
    async with cached() as (infra, client):
        answer = await client.post(CLEAR, **sent)
        assert (answer.status_code, answer.json()) == (200, {"cleared": True})
        assert (await client.get("/api/v1/cache")).json()["stats"]["entries"] == 0
        assert await outcome(infra) == "miss"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ([], 422, "expected an object with some of"),
        ({}, 422, "nothing to invalidate: expected some of"),
        ({"tool": None}, 422, "tool: expected a text that is not empty"),
        ({"toool": "lab_echo"}, 422, 'unknown key "toool"; did you mean "tool"?'),
        ({"quux": 1}, 422, 'unknown key "quux"; known keys: '),
        ({"tool": 3}, 422, "tool: expected a text that is not empty"),
        ({"principal": ""}, 422, "principal: expected a text that is not empty"),
        ({"tool": "lab_echo", "arguments": []}, 422, "arguments: expected an object"),
        ({"arguments": {}}, 422, "arguments: expected a tool to go with them"),
        ({"tool": "lab_ecko"}, 404, 'no tool is named "lab_ecko"; did you mean "lab_echo"?'),
        ({"server": "lob"}, 404, 'no server is named "lob"; did you mean "lab"?'),
        ({"tag": "sad"}, 404, 'no tag is named "sad"; did you mean "said"?'),
    ],
)
async def test_an_invalidation_that_makes_no_sense_is_refused_with_the_reason(
    body: Any, status: int, words: str
) -> None:
    async with cached() as (infra, client):
        answer = await client.post(INVALIDATE, json=body)
        assert answer.status_code == status
        assert words in answer.json()["error"]["message"]
        assert await outcome(infra) == "hit"


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "invalid_json"),
        (b"\xff", "application/json", 400, "invalid_json"),
        (b'{"tool": "lab_echo", "arguments": {"text": NaN}}', "application/json", 400, "invalid_json"),
        (b"[" * 50_000, "application/json", 400, "invalid_json"),
        (b'{"principal": "\\ud800"}', "application/json", 400, "invalid_json"),
        (
            b'{"tool": "lab_echo", "arguments": {"\\udfff": ' + b"9" * 5000 + b"}}",
            "application/json",
            400,
            "invalid_json",
        ),
        (b" " * 70_000, "application/json", 413, "too_large"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"{}", "", 415, "unsupported_media_type"),
        (b"x=1", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    ],
)
@pytest.mark.parametrize("path", [INVALIDATE, CLEAR])
async def test_what_a_page_of_another_site_could_send_and_what_cannot_be_read_is_refused(
    path: str, content: bytes, kind: str, status: int, code: str
) -> None:
    async with cached() as (infra, client):
        answer = await client.post(path, content=content, headers={"Content-Type": kind})
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert await outcome(infra) == "hit"


@pytest.mark.requirement("CACHE-API")
async def test_a_page_of_another_site_cannot_clear_and_a_visit_clears_nothing() -> None:
    async with cached() as (infra, client):
        headers = {"Origin": "http://evil.example", "Content-Type": "application/json; charset=utf-8"}
        assert (await client.post(CLEAR, json={}, headers=headers)).status_code == 403
        assert (await client.get(CLEAR)).status_code == 405
        assert (await client.post("/api/v1/cache", json={})).status_code == 405
        assert (await client.post(CLEAR, json={"tool": "lab_echo"})).status_code == 422
        assert await outcome(infra) == "hit"


async def test_the_tool_of_a_server_that_has_not_been_reached_can_be_invalidated() -> None:
    tools = {**TOOLS, "gone_lookup": ToolPolicy()}
    async with gateway("lab", tools=tools) as (_, client):
        answer = await client.post(INVALIDATE, json={"tool": "gone_lookup"})
        assert answer.status_code == 200


async def test_the_metrics_have_the_size_and_the_outcomes_in_few_series() -> None:
    async with cached() as (_, client):
        text = (await client.get("/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("trunkline_cache_")]
    assert "trunkline_cache_entries 1" in lines
    assert 'trunkline_cache_lookups_total{result="hit"} 1' in lines
    assert 'trunkline_cache_lookups_total{result="miss"} 1' in lines
    assert any(line.startswith("trunkline_cache_max_bytes 67108864") for line in lines)
    assert not any("lab_echo" in line for line in lines)
