"""What is too large is refused before anybody looks at it, on every route; sizes are those in force."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.unit.gateway.laboratory import gateway
from trunkline.policy import GatewaySettings, LimitsPolicy

pytestmark = pytest.mark.anyio

SMALL = GatewaySettings(limits=LimitsPolicy(head=1000, body=100))


async def pieces(size: int) -> AsyncIterator[bytes]:
    """A body that does not say how large it is."""
    for _ in range(size):
        yield b" "


@pytest.mark.parametrize("path", ["/mcp", "/api/v1/cache/clear"])
async def test_a_body_is_bounded_whether_it_says_its_size_or_not(path: str) -> None:
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    async with gateway("lab", settings=SMALL) as (infra, client):
        for content in (b" " * 101, pieces(101)):
            answer = await client.post(path, content=content, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
            assert "at most 100 bytes" in answer.json()["error"]["message"]
            assert answer.headers["content-security-policy"]
        for content in (b" " * 100, pieces(100)):
            assert (await client.post(path, content=content, headers=headers)).status_code == 400
        infra.reload(replace(infra.settings, gateway=GatewaySettings()))
        assert (await client.post(path, content=b" " * 101, headers=headers)).status_code == 400


@pytest.mark.parametrize("path", ["/mcp", "/health/live", "/nothing"])
async def test_a_head_is_bounded_whichever_part_of_it_is_large(path: str) -> None:
    async with gateway("lab", settings=SMALL) as (_, client):
        for headers in ({"X-Large": "x" * 1000}, {f"X-{number}": "x" * 90 for number in range(10)}):
            answer = await client.get(path, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (431, "head_too_large")
        assert (await client.get(f"{path}?{'x' * 1000}")).status_code == 431
        assert (await client.get(path, headers={"X-Large": "x" * 500})).status_code != 431


async def test_a_size_of_absurd_length_is_too_large_and_no_accident() -> None:
    async with gateway("lab", settings=SMALL) as (_, client):
        request = client.build_request("POST", "/mcp")
        request.headers["Content-Length"] = "9" * 500
        assert (await client.send(request)).status_code == 413


async def test_sessions_are_bounded_and_who_finds_no_room_is_counted() -> None:
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    start = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    headers = {"Accept": "application/json, text/event-stream"}
    few = GatewaySettings(limits=LimitsPolicy(sessions=2))
    async with gateway("lab", settings=few) as (infra, client):
        answers = [await client.post("/mcp", json=start, headers=headers) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 503]
        assert infra.metrics.store.counts("refused") == {("unavailable",): 1}
        await client.delete("/mcp", headers={"Mcp-Session-Id": answers[0].headers["mcp-session-id"]})
        assert (await client.post("/mcp", json=start, headers=headers)).status_code == 200
