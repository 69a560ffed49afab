"""The examples of docs/credentials.md, against a real server that takes only tokens of its authorization server."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx2
import pytest

from tests.servers.authorizing import CLIENT, SECRET, Authorizing, authorizing
from trunkline import ClientCredentials, EnhancedMCPClient, HttpEndpoint, Infrastructure

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def server() -> AsyncGenerator[Authorizing, None]:
    async with authorizing() as running:
        yield running


async def test_tokens_from_a_configuration(server: Authorizing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCH_CLIENT_SECRET", SECRET)
    auth = {"client_id": CLIENT, "client_secret": "${SEARCH_CLIENT_SECRET}", "scopes": ["search:read"]}
    config = {"mcpServers": {"search": {"url": server.url}}, "trunkline": {"servers": {"search": {"auth": auth}}}}
    async with Infrastructure.from_config(config) as infra:
        assert not (await infra.mcp_client.call_tool("search_headers")).is_error


async def test_tokens_by_hand(server: Authorizing) -> None:
    client_id, client_secret, url = CLIENT, SECRET, server.url
    credentials = ClientCredentials(client_id, client_secret, scopes=("search:read",))
    async with EnhancedMCPClient({"search": HttpEndpoint(url, auth=credentials)}) as client:
        await client.call_tool("search_headers")


async def test_a_flow_of_ones_own(server: Authorizing) -> None:
    url = server.url
    basic = {"authorization": f"Basic {ClientCredentials(CLIENT, SECRET).basic}"}
    async with httpx2.AsyncClient(headers=basic) as http:
        token = (await http.post(f"{server.origin}/token")).json()["access_token"]

    class Agent(httpx2.Auth):
        """Takes its tokens from an agent on this machine."""

        async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
            request.headers["Authorization"] = f"Bearer {await token_of_the_agent()}"
            yield request

    async def token_of_the_agent() -> str:
        return str(token)

    async with EnhancedMCPClient({"search": HttpEndpoint(url, auth=Agent())}) as client:
        await client.call_tool("search_headers")
