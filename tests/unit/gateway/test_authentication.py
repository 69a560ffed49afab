"""Who may call the gateway, and what each caller finds there: over in-process servers and real tokens."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from tests.unit.gateway.laboratory import HOST, gateway, infrastructure, web
from trunkline import Infrastructure
from trunkline.errors import ConfigError
from trunkline.gateway.app import build_app
from trunkline.gateway.turnstile import Turnstile
from trunkline.policy import CachePolicy, GatewaySettings, PrincipalPolicy, ToolPolicy

pytestmark = pytest.mark.anyio

ERAS = ("legacy", "2026-07-28")


def hashed(token: str) -> tuple[str, ...]:
    return (hashlib.sha256(token.encode()).hexdigest(),)


def settings(**principals: Mapping[str, Any]) -> GatewaySettings:
    """Principals whose tokens are `<name>-token`."""
    return GatewaySettings(
        principals={
            name: PrincipalPolicy(token_sha256=hashed(f"{name}-token"), **fields) for name, fields in principals.items()
        }
    )


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}-token"}


@asynccontextmanager
async def calling(client: httpx2.AsyncClient, name: str, era: str = "2026-07-28") -> AsyncIterator[Client]:
    """An MCP client that comes as the principal of that name."""
    transport = client._transport
    async with (
        httpx2.AsyncClient(transport=transport, base_url=f"http://{HOST}", headers=bearer(name)) as own,
        Client(streamable_http_client(f"http://{HOST}/mcp", http_client=own), mode=era) as caller,
    ):
        yield caller


@pytest.mark.requirement("GATEWAY-AUTH")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "alice-token"},
        {"Authorization": "Bearer alice-token x"},
        {"Authorization": "Basic alice-token"},
        {"Authorization": "Basic " + base64.b64encode(b"alice-token:").decode()},
        {"Authorization": "Bearer " + "x" * 20_000},
        {"Authorization": f"Bearer {hashed('alice-token')[0]}"},
    ],
)
@pytest.mark.parametrize("path", ["/mcp", "/", "/metrics", "/api/v1/status", "/openapi.json", "/nothing"])
async def test_who_does_not_say_who_they_are_is_refused_everywhere(path: str, headers: dict[str, str]) -> None:
    async with gateway("lab", settings=settings(alice={"watch": True})) as (_, client):
        answer = await client.get(path, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthenticated")
    assert [each.partition(" ")[0] for each in answer.headers.get_list("www-authenticate")] == ["Bearer", "Basic"]


async def test_two_tokens_in_one_request_are_none() -> None:
    async with gateway("lab", settings=settings(alice={"watch": True})) as (_, client):
        request = client.build_request("GET", "/metrics")
        request.headers = httpx2.Headers(
            [("Host", HOST), ("Authorization", "Bearer alice-token"), ("Authorization", "Bearer alice-token")]
        )
        assert (await client.send(request)).status_code == 401


async def test_probes_are_answered_without_a_token_and_told_no_more_than_they_need() -> None:
    async with gateway("lab", settings=settings(alice={}, olga={"watch": True})) as (_, client):
        assert (await client.get("/health/live")).status_code == 200
        stranger = await client.get("/health/ready")
        assert stranger.json() == {"status": "ready"}
        assert (await client.get("/health/ready", headers=bearer("alice"))).json() == {"status": "ready"}
        assert "dependencies" in (await client.get("/health/ready", headers=bearer("olga"))).json()


async def test_a_browser_asks_for_a_password_and_the_password_is_the_token() -> None:
    async with gateway("lab", settings=settings(olga={"watch": True})) as (_, client):
        for user in ("", "whoever"):
            given = base64.b64encode(f"{user}:olga-token".encode()).decode()
            assert (await client.get("/", headers={"Authorization": f"Basic {given}"})).status_code == 200


async def test_what_concerns_everybody_is_for_those_who_may_watch_or_manage() -> None:
    rights = settings(alice={}, olga={"watch": True}, root={"watch": True, "manage": True})
    async with gateway("lab", settings=rights) as (_, client):

        async def tries(name: str) -> tuple[int, int]:
            reads = await client.get("/api/v1/status", headers=bearer(name))
            clears = await client.post("/api/v1/cache/clear", json={}, headers=bearer(name))
            return reads.status_code, clears.status_code

        assert await tries("alice") == (403, 403)
        assert await tries("olga") == (200, 403)
        assert await tries("root") == (200, 200)


@pytest.mark.requirement("GATEWAY-RIGHTS")
@pytest.mark.parametrize("era", ERAS)
async def test_a_caller_sees_and_calls_only_what_it_may(era: str) -> None:
    async with gateway("first", "second", settings=settings(alice={"tools": ("first_*",)}, bob={})) as (_, client):
        async with calling(client, "alice", era) as alice:
            assert [tool.name for tool in (await alice.list_tools()).tools] == ["first_echo"]
            assert not (await alice.call_tool("first_echo", {"text": "hello"})).is_error
            refusals = []
            for name in ("second_echo", "no_such_tool"):
                with pytest.raises(MCPError) as refused:
                    await alice.call_tool(name, {"text": "hello"})
                refusals.append((refused.value.error.code, str(refused.value).replace(name, "NAME")))
            assert len(set(refusals)) == 1, "what is forbidden looks like what is not there"
        async with calling(client, "bob", era) as bob:
            assert len((await bob.list_tools()).tools) == 2
            assert not (await bob.call_tool("second_echo", {"text": "hello"})).is_error


@pytest.mark.requirement("GATEWAY-RIGHTS")
async def test_a_bare_name_opens_nothing_that_its_full_name_does_not() -> None:
    async with gateway("lab", settings=settings(alice={"tools": ("echo",)}, bob={"tools": ("lab_*",)})) as (_, client):
        async with calling(client, "alice") as alice:
            with pytest.raises(MCPError, match="no tool"):
                await alice.call_tool("echo", {"text": "hello"})
        async with calling(client, "bob") as bob:
            assert not (await bob.call_tool("echo", {"text": "hello"})).is_error


@pytest.mark.requirement("GATEWAY-RIGHTS")
async def test_a_caller_names_only_its_own_domains() -> None:
    async with gateway("lab", settings=settings(alice={"domains": ("speech", "audio-*")})) as (infra, client):
        async with calling(client, "alice") as alice:
            for domain in ("speech", "audio-in"):
                await alice.call_tool("lab_echo", {"text": "hello"}, meta={"trunkline/domain": domain})  # type: ignore[arg-type]
            with pytest.raises(MCPError, match="not a domain of this caller"):
                await alice.call_tool("lab_echo", {"text": "hello"}, meta={"trunkline/domain": "billing"})  # type: ignore[arg-type]
        assert infra.metrics.domains() == ("audio-in", "speech")


@pytest.mark.requirement("GATEWAY-RIGHTS")
@pytest.mark.parametrize("era", ERAS)
async def test_kept_answers_never_cross_from_one_caller_to_another(era: str) -> None:
    tools = {"lab_echo": ToolPolicy(cache=CachePolicy(ttl=60))}
    async with gateway("lab", tools=tools, settings=settings(alice={}, bob={})) as (_, client):
        outcomes = []
        for name in ("alice", "alice", "bob", "bob"):
            async with calling(client, name, era) as caller:
                result = await caller.call_tool("lab_echo", {"text": "hello"})
                assert result.meta is not None
                outcomes.append(result.meta["trunkline/provenance"]["cache"])
    assert outcomes == ["miss", "hit", "miss", "hit"]


@pytest.mark.requirement("GATEWAY-RIGHTS")
async def test_a_session_is_nobody_elses_whoever_knows_its_id() -> None:
    start = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}},
    }
    accept = {"Accept": "application/json, text/event-stream"}
    ask = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    async with gateway("lab", settings=settings(alice={}, mallory={})) as (_, client):
        opened = await client.post("/mcp", json=start, headers={**accept, **bearer("alice")})
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
        await client.post(
            "/mcp",
            json={"jsonrpc": "2.0", "method": "notifications/initialized"},
            headers={**accept, **session, **bearer("alice")},
        )
        stolen = await client.post("/mcp", json=ask, headers={**accept, **session, **bearer("mallory")})
        own = await client.post("/mcp", json=ask, headers={**accept, **session, **bearer("alice")})
        ended = await client.delete("/mcp", headers={**session, **bearer("mallory")})
    assert stolen.status_code == 404
    assert "lab_echo" not in stolen.text
    assert own.status_code == 200
    assert ended.status_code == 404


@pytest.mark.requirement("GATEWAY-RATE")
async def test_who_asks_too_often_is_told_when_to_come_back_and_others_notice_nothing() -> None:
    limited = settings(alice={"watch": True, "rate": 0.1, "burst": 3}, bob={"watch": True})
    async with gateway("lab", settings=limited) as (_, client):
        codes = [(await client.get("/metrics", headers=bearer("alice"))).status_code for _ in range(4)]
        refused = await client.get("/metrics", headers=bearer("alice"))
        assert codes == [200, 200, 200, 429]
        assert 1 <= int(refused.headers["retry-after"]) <= 10
        assert (await client.get("/metrics", headers=bearer("bob"))).status_code == 200
        assert (await client.get("/metrics")).status_code == 401


@pytest.mark.requirement("GATEWAY-RATE")
async def test_refusals_are_counted_by_reason_and_overuse_is_audited_without_filling_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limited = settings(alice={"watch": True, "rate": 0.001, "burst": 2}, bob={"watch": True})
    async with gateway("lab", settings=limited) as (infra, client):
        for _ in range(7):
            await client.get("/metrics", headers=bearer("alice"))
        await client.get("/metrics")
        await client.post("/api/v1/cache/clear", json={}, headers=bearer("bob"))
        await client.get("/metrics", headers=bearer("bob") | {"Host": "rebound.example"})
        await client.get("/metrics", headers=bearer("bob") | {"Origin": "http://rebound.example"})
        told = {labels[0]: count for labels, count in infra.metrics.store.counts("refused").items()}
        infra.reload(replace(infra.settings, gateway=replace(limited, audit=False)))
        await client.get("/metrics", headers=bearer("alice"))
    assert told == {
        "too_many_requests": 5,
        "unauthenticated": 1,
        "forbidden": 1,
        "wrong_host": 1,
        "wrong_origin": 1,
    }
    noted = [vars(record) for record in caplog.records if record.name == "trunkline.audit"]
    assert [(each["msg"], each["trunkline_principal"], each["trunkline_refused"]) for each in noted] == [
        ("too_many_requests", "alice", 1)
    ]


def test_overuse_that_goes_on_is_noted_now_and_then_with_how_often(caplog: pytest.LogCaptureFixture) -> None:
    stile = Turnstile("alice", PrincipalPolicy(rate=0.001, burst=1))
    waits = [stile.wait(float(second), is_audited=True) for second in range(22)]
    assert waits[0] == 0.0
    assert all(wait > 0 for wait in waits[1:])
    assert [vars(record)["trunkline_refused"] for record in caplog.records] == [1, 10, 10]
    assert repr(stile) == "<Turnstile alice [0 refused, not yet noted]>"


async def test_a_reload_lets_in_and_locks_out_at_the_next_request() -> None:
    async with gateway("lab", settings=settings(alice={"watch": True})) as (infra, client):
        assert (await client.get("/metrics", headers=bearer("alice"))).status_code == 200
        infra.reload(replace(infra.settings, gateway=settings(bob={"watch": True})))
        assert (await client.get("/metrics", headers=bearer("alice"))).status_code == 401
        assert (await client.get("/metrics", headers=bearer("bob"))).status_code == 200


@pytest.mark.requirement("GATEWAY-AUTH")
async def test_away_from_loopback_nobody_is_let_in_once_the_last_principal_is_gone() -> None:
    given = replace(settings(alice={"watch": True}), hosts=("gateway.internal",))
    async with (
        infrastructure("lab", settings=given) as infra,
        web(build_app(infra, "0.0.0.0", 8700), Host="gateway.internal") as client,
    ):
        assert (await client.get("/metrics", headers=bearer("alice"))).status_code == 200
        assert (await client.get("/metrics", headers=bearer("alice") | {"Host": "rebound.example"})).status_code == 421
        infra.reload(replace(infra.settings, gateway=GatewaySettings(hosts=("gateway.internal",))))
        assert (await client.get("/metrics", headers=bearer("alice"))).status_code == 401


@pytest.mark.requirement("GATEWAY-AUTH")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
async def test_every_address_at_once_takes_a_name(host: str) -> None:
    with pytest.raises(ConfigError, match="say under which names"):
        build_app(infrastructure("lab", settings=settings(alice={})), host, 8700)
    build_app(infrastructure("lab", settings=settings(alice={})), "192.0.2.1", 8700)


@pytest.mark.requirement("GATEWAY-AUDIT")
async def test_each_use_of_a_tool_is_in_the_audit_log_without_what_was_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="trunkline.audit")
    async with gateway("lab", settings=settings(alice={})) as (infra, client), calling(client, "alice") as alice:
        await alice.call_tool("lab_echo", {"text": "very private words"})
        with pytest.raises(MCPError):
            await alice.call_tool("lab_nothing", {"text": "very private words"})
        infra.reload(replace(infra.settings, gateway=replace(infra.settings.gateway, audit=False)))
        await alice.call_tool("lab_echo", {"text": "very private words"})
    told = [vars(record) for record in caplog.records if record.name == "trunkline.audit"]
    assert [(each["msg"], each["trunkline_principal"], each["trunkline_tool"]) for each in told] == [
        ("tool_used", "alice", "lab_echo"),
        ("tool_used", "alice", "lab_nothing"),
    ]
    assert [each["trunkline_outcome"] for each in told] == ["ok", "ToolNotFound"]
    assert "private" not in str(told)


@pytest.mark.requirement("GATEWAY-AUDIT")
async def test_what_is_refused_is_in_the_audit_log_as_refused(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="trunkline.audit")
    rights = {"tools": ("lab_echo",), "domains": ("speech",)}
    async with gateway("lab", settings=settings(alice=rights)) as (_, client), calling(client, "alice") as alice:
        for tool, domain in (("lab_remember", "speech"), ("lab_echo", "billing")):
            with pytest.raises(MCPError):
                await alice.call_tool(tool, {"text": "hello"}, meta={"trunkline/domain": domain})  # type: ignore[arg-type]
    told = [vars(record) for record in caplog.records if record.name == "trunkline.audit"]
    assert [(each["trunkline_tool"], each["trunkline_outcome"]) for each in told] == [
        ("lab_remember", "refused"),
        ("lab_echo", "refused"),
    ]


async def test_who_is_asked_nothing_is_recorded_as_nobody_in_particular(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="trunkline.audit")
    infra: Infrastructure
    async with gateway("lab") as (infra, client):
        async with Client(
            streamable_http_client(f"http://{HOST}/mcp", http_client=client), mode="2026-07-28"
        ) as caller:
            await caller.call_tool("lab_echo", {"text": "hello"})
        assert infra.settings.gateway.authenticates is False
    assert [vars(record)["trunkline_principal"] for record in caplog.records if record.name == "trunkline.audit"] == [
        None
    ]
