"""Which sessions of the handshake era have their calls answered directly, which is told by the answer being JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import mcp_types as types
import pytest
from mcp.server import Server
from mcp.server.context import ServerRequestContext

from tests.unit.gateway.laboratory import gateway, infrastructure, tool, web
from trunkline.gateway.app import build_app
from trunkline.policy import GatewaySettings, LimitsPolicy

pytestmark = pytest.mark.anyio

CALL = {"method": "tools/call", "params": {"name": "lab_echo", "arguments": {"text": "hello"}}}


class Session:
    """A client's session, message by message."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client
        self._headers = {"accept": "application/json, text/event-stream"}

    async def post(self, message: dict[str, Any], **headers: str) -> httpx2.Response:
        sent = {"jsonrpc": "2.0", **message}
        return await self._client.post("/mcp", json=sent, headers={**self._headers, **headers})

    async def begin(self, **capabilities: Any) -> None:
        who = {"name": "test", "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": who}
        answer = await self.post({"id": 1, "method": "initialize", "params": params})
        self._headers["mcp-session-id"] = answer.headers["mcp-session-id"]
        self._headers["mcp-protocol-version"] = "2025-11-25"
        await self.post({"method": "notifications/initialized"})
        # That has been taken in once the next message is answered.
        await self.post({"id": "ping", "method": "ping"})

    async def end(self) -> int:
        return (await self._client.delete("/mcp", headers=self._headers)).status_code


def kind(response: httpx2.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0]


def text(response: httpx2.Response) -> str:
    answer = json.loads(response.text.partition("data: ")[2] or response.text)
    return str(answer["result"]["content"][0]["text"])


async def test_a_client_that_cannot_be_asked_anything_is_answered_directly() -> None:
    async with gateway("lab") as (_infra, client):
        session = Session(client)
        await session.begin()
        answer = await session.post({"id": 2, **CALL})

    assert (kind(answer), text(answer)) == ("application/json", "hello []")


async def test_one_that_can_be_asked_is_answered_by_its_session() -> None:
    async with gateway("lab") as (_infra, client):
        session = Session(client)
        await session.begin(sampling={})
        answer = await session.post({"id": 2, **CALL})

    assert (kind(answer), text(answer)) == ("text/event-stream", "hello []")


@pytest.mark.parametrize(
    "headers",
    [
        {"mcp-protocol-version": "2025-06-18"},
        {"mcp-session-id": "another"},
        {"content-type": "text/plain"},
        {"accept": "application/json"},
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_what_does_not_fit_the_session_is_left_to_the_sdk(headers: dict[str, str]) -> None:
    async with gateway("lab") as (_infra, client):
        session = Session(client)
        await session.begin()
        answer = await session.post({"id": 2, **CALL}, **headers)

    assert kind(answer) == "text/event-stream" or answer.status_code >= 400


async def test_a_session_that_has_ended_has_nobody_answered() -> None:
    async with gateway("lab") as (_infra, client):
        session = Session(client)
        await session.begin()
        assert await session.end() == 200
        answer = await session.post({"id": 2, **CALL})

    assert answer.status_code == 404


async def test_a_session_that_is_left_alone_ends() -> None:
    async with gateway("lab", settings=GatewaySettings(limits=LimitsPolicy(session_idle=0.2))) as (_infra, client):
        session = Session(client)
        await session.begin()
        await anyio.sleep(1.0)
        answer = await session.post({"id": 2, **CALL})

    assert answer.status_code == 404


async def test_a_session_in_use_is_shown_to_the_sdk_before_that_ends_it() -> None:
    limits = LimitsPolicy(session_idle=1.0)
    async with gateway("lab", settings=GatewaySettings(limits=limits)) as (_infra, client):
        session = Session(client)
        await session.begin()
        answers = []
        for number in range(30):
            answers.append(await session.post({"id": number + 2, **CALL}))
            await anyio.sleep(0.1)

    assert {answer.status_code for answer in answers} == {200}
    assert {kind(answer) for answer in answers} == {"application/json", "text/event-stream"}


class Waiting:
    """A server with a tool that waits until it is cancelled."""

    def __init__(self) -> None:
        self.has_begun = anyio.Event()
        self.has_ended = anyio.Event()

    def server(self) -> Server[dict[str, object]]:
        async def list_tools(_ctx: ServerRequestContext, _params: object) -> types.ListToolsResult:
            return types.ListToolsResult(tools=[tool("echo")])

        async def call_tool(_ctx: ServerRequestContext, _params: object) -> types.CallToolResult:
            self.has_begun.set()
            try:
                await anyio.sleep_forever()
            finally:
                self.has_ended.set()
            raise AssertionError("nothing ends it but a cancel")

        return Server("upstream", on_list_tools=list_tools, on_call_tool=call_tool)


@asynccontextmanager
async def waiting() -> AsyncIterator[tuple[Waiting, Session]]:
    waits = Waiting()
    async with (
        infrastructure("lab", make_server=waits.server) as infra,
        web(build_app(infra, "127.0.0.1", 8700)) as client,
    ):
        session = Session(client)
        await session.begin()
        yield waits, session


@pytest.mark.parametrize("said", [2, "2"], ids=repr)
async def test_a_call_that_its_client_cancels_ends(said: int | str) -> None:
    answers = []
    async with waiting() as (waits, session), anyio.create_task_group() as tasks:

        async def call() -> None:
            answers.append(await session.post({"id": 2, **CALL}))

        tasks.start_soon(call)
        await waits.has_begun.wait()
        await session.post({"method": "notifications/cancelled", "params": {"requestId": 3}})
        assert not waits.has_ended.is_set()
        accepted = await session.post({"method": "notifications/cancelled", "params": {"requestId": said}})
        await waits.has_ended.wait()

    assert accepted.status_code == 202
    assert [answer.json()["error"]["message"] for answer in answers] == ["Request cancelled"]
