"""A real MCP server that takes only tokens of a real authorization server: got, renewed, replaced, shown nowhere."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from mcp import Client, MCPError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from mcp_types import TextContent

from tests.servers.authorizing import CLIENT, SECRET, Authorizing, authorizing
from tests.servers.watching import eventually, reason_of, state_of, text_of
from trunkline import (
    ClientCredentials,
    DeadlineExceeded,
    EnhancedMCPClient,
    HttpEndpoint,
    ServerError,
    ServerSettings,
    ServerUnavailable,
)
from trunkline.policy import PoolPolicy, ServerPolicy
from trunkline.testing.processes import free_port

pytestmark = [pytest.mark.anyio, pytest.mark.integration, pytest.mark.requirement("UPSTREAM-AUTH")]


@pytest.fixture(scope="module")
async def process() -> AsyncIterator[Authorizing]:
    async with authorizing() as server:
        yield server


@pytest.fixture(scope="module")
async def other_process() -> AsyncIterator[Authorizing]:
    async with authorizing("127.0.0.2") as server:
        yield server


@pytest.fixture
async def server(process: Authorizing) -> Authorizing:
    """A server as it is at first."""
    await process.control(reset=True)
    return process


@pytest.fixture
async def elsewhere(other_process: Authorizing) -> Authorizing:
    """Another one, on another host."""
    await other_process.control(reset=True)
    return other_process


def credentials(**fields: Any) -> ClientCredentials:
    return ClientCredentials(**{"client_id": CLIENT, "client_secret": SECRET, **fields})


@asynccontextmanager
async def client_of(server: Authorizing, auth: Any, *, connections: int = 1) -> AsyncIterator[EnhancedMCPClient]:
    policy = ServerPolicy(pool=PoolPolicy(connections=connections))
    settings = ServerSettings("search", HttpEndpoint(server.url, auth=auth), policy)
    async with EnhancedMCPClient({"search": settings}) as client:
        yield client


async def sent(client: EnhancedMCPClient) -> dict[str, str]:
    """The headers of a call, as the server got them."""
    headers: dict[str, str] = json.loads(text_of(await client.call_tool("search_headers")))
    return headers


async def test_a_token_is_found_out_about_fetched_once_and_sent_by_every_connection(server: Authorizing) -> None:
    await server.control(scope="search:read")
    async with client_of(server, credentials(), connections=3) as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(sent, client)
        journal = await server.journal()
        assert (await sent(client))["authorization"] == f"Bearer {journal['tokens'][0]}"
    assert journal["asked"] == [
        {
            "proof": "client_secret_basic",
            "grant_type": "client_credentials",
            "scope": "search:read",
            "resource": server.url,
        }
    ]
    assert journal["paths"] == [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/token",
    ]
    assert journal["refused"] == 1, "only the question without a token, what the server wants, was refused"


@pytest.mark.parametrize("proofs", [["client_secret_post"], ["client_secret_basic"], []], ids=str)
async def test_the_secret_is_sent_as_the_authorization_server_takes_it(server: Authorizing, proofs: list[str]) -> None:
    await server.control(proofs=proofs)
    async with client_of(server, credentials()) as client:
        await sent(client)
        (asked,) = (await server.journal())["asked"]
    assert asked["proof"] == (proofs or ["client_secret_basic"])[0]


@pytest.mark.parametrize("is_file", [True, False], ids=["file", "text"])
async def test_a_private_key_proves_who_we_are_without_being_sent(
    server: Authorizing, tmp_path: Path, is_file: bool
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    path = tmp_path / "key.pem"
    path.write_text(pem)
    auth = ClientCredentials(CLIENT, private_key=str(path) if is_file else pem, algorithm="ES256", key_id="k1")
    await server.control(public_key=public.decode())
    async with client_of(server, auth) as client:
        await sent(client)
        (asked,) = (await server.journal())["asked"]
    assert asked["proof"] == "private_key_jwt"
    assert pem not in json.dumps(asked)


async def test_with_a_token_endpoint_nothing_is_discovered(server: Authorizing) -> None:
    await server.control(has_resource_metadata=False, issuer="nobody")
    auth = credentials(token_endpoint=f"{server.origin}/token", scopes=("a", "b"), resource="")
    async with client_of(server, auth) as client:
        await sent(client)
    journal = await server.journal()
    assert journal["paths"] == ["/token"]
    assert journal["refused"] == 0
    assert journal["asked"][0] == {
        "proof": "client_secret_basic",
        "grant_type": "client_credentials",
        "scope": "a b",
    }


async def test_calls_are_made_side_by_side(server: Authorizing) -> None:
    """The SDK's provider holds its lock over whole requests; ten calls would wait for one another for ever here."""
    async with client_of(server, credentials()) as client:
        await sent(client)
        before = (await server.journal())["served"]
        done: list[str] = []

        async def call() -> None:
            done.append(text_of(await client.call_tool("search_slow")))

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(call)
            with anyio.fail_after(20):
                while (await server.journal())["served"] < before + 10:
                    assert done == []
            assert done == []
            await server.control(release=True)
    assert len(done) == 10


async def test_a_token_that_ended_early_is_replaced_once_for_all_and_no_call_is_lost_or_made_twice(
    server: Authorizing,
) -> None:
    async with client_of(server, credentials()) as client:
        first = await sent(client)
        await server.control(revoke=True, token_delay=0.3)
        served = (await server.journal())["served"]
        results: list[dict[str, str]] = []

        async def call() -> None:
            results.append(await sent(client))

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(call)
        journal = await server.journal()
    assert {result["authorization"] for result in results} == {f"Bearer {journal['tokens'][0]}"}
    assert results[0]["authorization"] != first["authorization"]
    assert len(journal["asked"]) == 2
    assert journal["served"] == served + 20


async def test_a_token_is_replaced_before_it_ends_and_its_server_hears_of_it(server: Authorizing) -> None:
    await server.control(lifetime=6)
    async with client_of(server, credentials()) as client:
        seen: set[str] = set()
        await sent(client)
        refused = (await server.journal())["refused"]
        with anyio.fail_after(20):
            while len(seen) < 2:
                seen.add((await sent(client))["authorization"])
        journal = await server.journal()
    assert len(journal["asked"]) == 2
    assert journal["refused"] == refused, "a token was sent that had ended"


async def test_a_server_that_wants_more_is_given_a_token_that_allows_more(server: Authorizing) -> None:
    async with client_of(server, credentials()) as client:
        await sent(client)
        await server.control(scope="search:write")
        await sent(client)
        await server.control(scope="search:admin")
        await sent(client)
        asked = (await server.journal())["asked"]
    assert [request.get("scope") for request in asked] == [None, "search:write", "search:write search:admin"]


async def test_scopes_of_the_configuration_are_not_widened_by_a_server(server: Authorizing) -> None:
    async with client_of(server, credentials(scopes=("search:read",))) as client:
        await sent(client)
        await server.control(scope="search:write")
        with pytest.raises(ServerError, match=r"forbidden.*HTTP 403"):
            await sent(client)
        assert [request["scope"] for request in (await server.journal())["asked"]] == ["search:read"]


@pytest.mark.parametrize(
    ("settings", "auth", "told"),
    [
        ({}, {"client_secret": "wrong-secret-1"}, "(token): {origin}/token answered HTTP 401, invalid_client; check"),
        (
            {"token_status": 400, "token_error": "invalid_scope"},
            {"client_secret": "wrong-secret-1"},
            "(token): {origin}/token answered HTTP 400, invalid_scope; check scopes",
        ),
        (
            {"token_status": 400, "token_error": "Wrong! wrong-secret-1"},
            {"client_secret": "wrong-secret-1"},
            "(token): {origin}/token answered HTTP 400",
        ),
        ({"resource": "https://other/mcp"}, {}, "(discovery): the metadata at {origin}/.well-known/oauth-protected-"),
        ({"issuer": "https://other"}, {}, "is of another issuer, 'https://other'"),
        ({"issuers": ["https://id.other.example"]}, {}, "on another host; if the client's credentials belong there"),
        ({"issuers": ["http://169.254.169.254/"]}, {}, "on another host; if the client's credentials belong there"),
        ({"issuers": []}, {}, "names no authorization server; set issuer in its auth"),
        ({"token_endpoint": "http://169.254.169.254/latest"}, {}, "neither https nor on this machine"),
        ({"token_endpoint": "https://169.254.169.254/latest"}, {}, "further inside the network than the server is"),
        ({"token_endpoint": 7}, {}, "has no token_endpoint"),
        (
            {"resource_metadata": "https://10.255.255.1:0/x"},
            {},
            ": https://10.255.255.1:0/x cannot be reached",
        ),
        (
            {},
            {"token_endpoint": "http://127.0.0.1:9/token"},
            "127.0.0.1:9/token cannot be reached (Connect",
        ),
        ({}, {"issuer": "http://127.0.0.1:9"}, "(discovery): http://127.0.0.1:9/.well-known/oauth-authorization-"),
        ({}, {"client_secret": None, "private_key": "/no/such/file"}, "private_key names cannot be read"),
        ({}, {"client_secret": None, "private_key": "-----BEGIN nothing"}, "does not sign with RS256"),
    ],
)
async def test_why_there_is_no_token_is_said_with_the_step_and_what_to_do(
    server: Authorizing, settings: dict[str, Any], auth: dict[str, Any], told: str
) -> None:
    await server.control(**settings)
    async with client_of(server, credentials(**auth)) as client:
        await eventually(lambda: reason_of(client, "search"))
        reason = reason_of(client, "search")
        assert told.format(origin=server.origin) in reason
        assert "no access token" in reason
        assert "wrong-secret" not in reason


async def test_a_redirect_of_the_token_endpoint_takes_no_secret_along(
    server: Authorizing, elsewhere: Authorizing
) -> None:
    await server.control(token_endpoint=f"{elsewhere.origin}/token")
    auth = credentials(token_endpoint=f"{server.origin}/away")
    async with client_of(server, auth) as client:
        await eventually(lambda: "/away answered HTTP 307" in reason_of(client, "search"))
    assert (await elsewhere.journal())["asked"] == []


async def test_an_issuer_on_another_host_is_sent_the_secret_if_the_configuration_names_it(
    server: Authorizing, elsewhere: Authorizing
) -> None:
    await server.control(issuers=["http://127.0.0.3:1"], accepts_any=True, scope="search:read")
    async with client_of(server, credentials(issuer=elsewhere.origin)) as client:
        await sent(client)
    (asked,) = (await elsewhere.journal())["asked"]
    assert (asked["resource"], asked["scope"]) == (server.url, "search:read")


async def test_a_server_from_before_its_metadata_was_specified_is_its_own_issuer(server: Authorizing) -> None:
    await server.control(has_resource_metadata=False, resource_metadata=None)
    async with client_of(server, credentials()) as client:
        await sent(client)
    assert "/.well-known/oauth-protected-resource" in (await server.journal())["paths"]


async def test_metadata_is_looked_for_where_the_server_says(server: Authorizing) -> None:
    await server.control(resource_metadata=f"{server.origin}/elsewhere")
    async with client_of(server, credentials()) as client:
        await sent(client)
    assert (await server.journal())["paths"][0] == "/elsewhere"


async def test_calls_that_no_token_can_be_had_for_have_not_run_and_come_back_when_it_can(server: Authorizing) -> None:
    async with client_of(server, credentials()) as client:
        await sent(client)
        await server.control(revoke=True, token_status=503, token_headers={"Retry-After": "2"})
        served = (await server.journal())["served"]
        with pytest.raises(ServerUnavailable, match=r"'search' cannot be asked: no access token \(token\)") as raised:
            await sent(client)
        assert not raised.value.may_have_run
        assert raised.value.retry_after is not None
        assert raised.value.retry_after > 1
        assert (await server.journal())["served"] == served
        await server.control(token_status=200)

        async def mended() -> None:
            with anyio.fail_after(20):
                while True:
                    try:
                        await sent(client)
                    except ServerUnavailable:
                        await anyio.sleep(0.1)
                    else:
                        return

        await mended()


async def test_a_call_that_ends_while_its_refused_token_is_replaced_has_not_run(server: Authorizing) -> None:
    async with client_of(server, credentials()) as client:
        await sent(client)
        await server.control(revoke=True, token_delay=30.0)
        with pytest.raises(DeadlineExceeded) as raised:
            await client.call_tool("search_headers", timeout=1.0)
        assert not raised.value.may_have_run


async def test_a_token_is_in_no_error_no_listing_no_log_and_no_repr(
    server: Authorizing, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with client_of(server, credentials()) as client:
        await sent(client)
        with pytest.raises(ServerError) as raised:
            await client.call_tool("search_leak")
        (tool, *_) = (await client.list_tools()).tools
        assert tool.description == "Called with Bearer [redacted]"
        token = (await server.journal())["tokens"][0]
        shown = f"{raised.value!r} {raised.value.__cause__!r} {client!r} {client.fleet!r} {client.health()!r}"
        endpoint = HttpEndpoint(server.url, auth=credentials())
        shown += f"{endpoint!r} {credentials()!r} {caplog.text}"
    assert "refused with Bearer [redacted]" in shown
    for secret in (token, SECRET, credentials().basic):
        assert secret not in shown


class Counting(httpx2.Auth):
    """A user's own flow: asks once more after a 401."""

    def __init__(self, server: Authorizing) -> None:
        self.server = server
        self.asked = 0

    async def async_auth_flow(self, request: httpx2.Request) -> Any:
        response = yield request
        if response.status_code == 401:
            self.asked += 1
            basic = {"Authorization": f"Basic {credentials().basic}"}
            given = yield httpx2.Request("POST", f"{self.server.origin}/token", headers=basic)
            await given.aread()
            request.headers["Authorization"] = f"Bearer {given.json()['access_token']}"
            yield request


async def test_a_flow_of_ones_own_is_run_for_each_request(server: Authorizing) -> None:
    auth = Counting(server)
    async with client_of(server, auth) as client:
        assert "authorization" in await sent(client)
        asked = auth.asked
        assert "authorization" in await sent(client)
        assert auth.asked == asked + 1


class Memory:
    """Where the SDK's providers keep what they were given."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


async def test_a_provider_of_the_sdk_is_such_a_flow(server: Authorizing) -> None:
    def provider() -> httpx2.Auth:
        return ClientCredentialsOAuthProvider(server.url, Memory(), "us", "a-plain-secret", issuer=server.origin)

    async with client_of(server, provider()) as client:
        await eventually(lambda: "its httpx2.Auth failed with OAuthTokenError" in reason_of(client, "search"))
    await server.control(reset=True, accepts_client=["us", "a-plain-secret"])
    async with client_of(server, provider()) as client:
        headers = await sent(client)
        await server.control(revoke=True)
        assert (await sent(client))["authorization"] != headers["authorization"]
    assert [request["proof"] for request in (await server.journal())["asked"]] == ["client_secret_basic"] * 2


class Broken(httpx2.Auth):
    async def async_auth_flow(self, request: httpx2.Request) -> Any:
        if self.is_broken:
            raise RuntimeError(f"no, and {SECRET} is why")
        yield request

    is_broken = False


async def test_a_flow_that_breaks_is_that_calls_fault_and_its_words_stay_its_own(server: Authorizing) -> None:
    await server.control(accepts_any=True)
    auth = Broken()
    async with client_of(server, auth) as client:
        await sent(client)
        auth.is_broken = True
        with pytest.raises(ServerUnavailable, match=r"its httpx2\.Auth failed with RuntimeError") as raised:
            await sent(client)
        assert SECRET not in f"{raised.value!r} {raised.value.__cause__!r}"
        auth.is_broken = False
        assert state_of(client, "search") == "healthy"
        await sent(client)


PAGES = (
    "/",
    "/metrics",
    "/health/ready",
    "/openapi.json",
    *(f"/api/v1/{page}" for page in ("status", "tools", "alerts", "cache", "view", "details", "server?name=search")),
)


@pytest.mark.requirement("UPSTREAM-TOKENS")
async def test_a_callers_token_goes_no_further_than_the_gateway_and_the_servers_own_is_on_no_page(
    server: Authorizing, tmp_path: Path
) -> None:
    ours = {"servers": {"search": {"auth": {"client_id": CLIENT, "client_secret": "${CLIENT_SECRET}"}}}}
    config = tmp_path / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"search": {"url": server.url}}, "trunkline": ours}))
    port, log = free_port(), tmp_path / "log"
    environ = {**os.environ, "CLIENT_SECRET": SECRET}
    command = [sys.executable, "-m", "trunkline", "serve", str(config), "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with log.open("w") as stderr:
        process = await anyio.open_process(command, stdin=subprocess.DEVNULL, stderr=stderr, env=environ)
    given = {"authorization": "Bearer of-the-caller-1", "x-api-key": "of-the-caller-2", "cookie": "s=of-the-caller-3"}
    try:
        async with httpx2.AsyncClient(headers=given, timeout=20.0) as http:
            await until_ready(http, url)
            for mode in ("legacy", "auto"):
                async with Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client:
                    result = await client.call_tool("search_headers")
                    (content,) = result.content
                    assert isinstance(content, TextContent)
                    headers = json.loads(content.text)
                    assert "of-the-caller" not in json.dumps(headers)
                    with pytest.raises(MCPError, match=r"refused with Bearer \[redacted\]"):
                        await client.call_tool("search_leak")
            pages = [await http.get(f"{url}{path}") for path in PAGES]
    finally:
        process.terminate()
        await process.aclose()
    (token,) = (await server.journal())["tokens"]
    assert headers["authorization"] == f"Bearer {token}"
    assert {page.status_code for page in pages} == {200}
    shown = log.read_text() + "".join(page.text for page in pages)
    assert "search" in shown
    for secret in (token, SECRET, credentials().basic, "of-the-caller"):
        assert secret not in shown


async def until_ready(http: httpx2.AsyncClient, url: str) -> None:
    with anyio.fail_after(40):
        while True:
            try:
                answer = await http.get(f"{url}/health/ready")
            except httpx2.TransportError:
                await anyio.sleep(0.05)
            else:
                if answer.status_code == 200:
                    return
