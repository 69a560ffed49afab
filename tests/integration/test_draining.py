"""A gateway that is told to end while calls are under way: what becomes of them, of new ones, and of streams."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError

from tests.resilience.gateways import RunningGateway, entered_gateway
from tests.servers.asking import ACCEPT, HANDSHAKE, ask, open_session
from tests.servers.raw import request
from tests.servers.watching import PATIENCE, eventually, is_running
from trunkline.gateway.codes import STOPPING
from trunkline.testing.journal import executions, read

pytestmark = [pytest.mark.anyio, pytest.mark.integration, pytest.mark.requirement("DRAIN")]

ERAS = ("legacy", "2026-07-28")
LONG = 60_000
"""Milliseconds: longer than any test waits."""


@asynccontextmanager
async def visitor(gateway: RunningGateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=gateway.url, timeout=PATIENCE) as web:
        yield web


class Listener:
    """Reads a stream to its end; a connection that breaks is an error."""

    def __init__(self) -> None:
        self.text = ""
        self.has_ended = False

    async def follow(self, web: httpx2.AsyncClient, method: str, path: str, **given: Any) -> None:
        async with web.stream(method, path, **given) as answer:
            assert answer.status_code == 200
            async for piece in answer.aiter_text():
                self.text += piece
        self.has_ended = True


async def call(gateway: RunningGateway, era: str, op: str, delay_ms: int, ends: dict[str, Any]) -> None:
    """Call the slow tool, and note under `op` how that ended."""
    async with Client(f"{gateway.url}/mcp", mode=era) as client:
        # Or the SDK asks after the call, to check its result by, and on a busy machine comes when the gateway is gone.
        await client.list_tools()
        try:
            result = await client.call_tool("slow_append", {"op": op, "delay_ms": delay_ms})
            ends[op] = "error" if result.is_error else "ok"
        except MCPError as error:
            ends[op] = error.error


def gateway_with(folder: Path, **drain: float) -> AbstractAsyncContextManager[RunningGateway]:
    """A gateway in front of a slow server that keeps a journal; its attempts have all the time that a test takes."""
    return entered_gateway(
        folder,
        "slow",
        options={"journal": folder / "journal"},
        gateway={"drain": drain},
        defaults={"attempt_timeout": 90},
    )


async def has_exited(gateway: RunningGateway) -> int:
    await eventually(lambda: gateway.process.poll() is not None)
    assert gateway.complaints() == []
    return int(gateway.process.returncode)


async def is_leaving(web: httpx2.AsyncClient) -> None:
    with anyio.fail_after(PATIENCE):
        while (await web.get("/health/ready")).status_code != 503:  # noqa: ASYNC110 - another process
            await anyio.sleep(0.02)


async def test_sigterm_lets_calls_finish_turns_new_ones_away_ends_streams_politely_and_exits_with_0(
    tmp_path: Path,
) -> None:
    ends: dict[str, Any] = {}
    journal = tmp_path / "journal"
    async with gateway_with(tmp_path, timeout=60.0) as gateway:
        async with visitor(gateway) as web, anyio.create_task_group() as tasks:
            session = await open_session(web)
            standing, subscribed, watching = Listener(), Listener(), Listener()
            headers = {**ACCEPT, "Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-11-25"}
            tasks.start_soon(lambda: standing.follow(web, "GET", "/mcp", headers=headers))
            listen = request(9, "subscriptions/listen", notifications={"toolsListChanged": True})
            modern = {**ACCEPT, "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "subscriptions/listen"}
            tasks.start_soon(lambda: subscribed.follow(web, "POST", "/mcp", json=listen, headers=modern))
            tasks.start_soon(lambda: watching.follow(web, "GET", "/api/v1/events"))
            for era in ERAS:
                tasks.start_soon(call, gateway, era, era, 1_000, ends)
            await eventually(lambda: executions(journal, "before").total() == len(ERAS))
            await eventually(lambda: "acknowledged" in subscribed.text and "event: view" in watching.text)
            # Stopped, so that the calls end when this test lets them and not before.
            server = read(journal)[0].pid
            os.kill(server, signal.SIGSTOP)
            gateway.process.send_signal(signal.SIGTERM)

            await is_leaving(web)
            told = (await web.get("/health/ready")).json()
            assert (told["status"], told["reasons"][0]) == ("not_ready", "the gateway is stopping")
            assert (await web.get("/health/live")).status_code == 200
            await eventually(lambda: standing.has_ended and subscribed.has_ended and watching.has_ended)
            last = json.loads(subscribed.text.rstrip().rsplit("data: ", 1)[1])
            assert (last["id"], last["result"]["resultType"]) == (9, "complete")

            stateless = await ask(web, "tools/call", name="slow_append", arguments={"op": "late"})
            handshake = await ask(web, "initialize", **HANDSHAKE)
            in_session = await ask(web, "tools/call", session=session, name="slow_append", arguments={"op": "late"})
            for answer, status in ((stateless, 503), (handshake, 503), (in_session, 404)):
                assert (answer.status_code, answer.headers["retry-after"]) == (status, "1")
                assert answer.json()["id"] == 1
                assert answer.json()["error"]["data"]["may_have_run"] is False
            # What an SDK asks after a call, to check its result by, is answered still.
            assert (await ask(web, "tools/list", session=session)).status_code == 200
            assert gateway.process.poll() is None
            assert ends == {}

            os.kill(server, signal.SIGCONT)
            assert await has_exited(gateway) == 0
        assert ends == dict.fromkeys(ERAS, "ok")
        assert executions(journal) == dict.fromkeys(ERAS, 1)
        assert not is_running(server)


async def test_calls_that_do_not_end_are_broken_off_when_the_time_for_it_is_up(tmp_path: Path) -> None:
    ends: dict[str, Any] = {}
    journal = tmp_path / "journal"
    async with gateway_with(tmp_path, timeout=0.3) as gateway:
        async with anyio.create_task_group() as tasks:
            for era in ERAS:
                tasks.start_soon(call, gateway, era, era, LONG, ends)
            await eventually(lambda: executions(journal, "before").total() == len(ERAS))
            gateway.process.send_signal(signal.SIGTERM)
            assert await has_exited(gateway) == 0
        assert "gateway_drain_cut" in gateway.log.read_text()
        assert {era: (end.code, end.data["may_have_run"]) for era, end in ends.items()} == dict.fromkeys(
            ERAS, (STOPPING, True)
        )
        assert not is_running(read(journal)[0].pid)


async def test_before_it_turns_requests_away_it_says_so_and_a_second_signal_cuts_the_waiting_short(
    tmp_path: Path,
) -> None:
    async with gateway_with(tmp_path, announce=600.0, timeout=600.0) as gateway, visitor(gateway) as web:
        gateway.process.send_signal(signal.SIGTERM)
        await is_leaving(web)
        answer = await ask(web, "tools/call", name="slow_append", arguments={"op": "announced"})
        assert answer.status_code == 200
        assert executions(tmp_path / "journal") == {"announced": 1}
        gateway.process.send_signal(signal.SIGTERM)
        assert await has_exited(gateway) == 0
