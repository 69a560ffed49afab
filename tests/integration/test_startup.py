"""Starting with servers that are dead, silent, closed to us or crashing: the healthy one is used at once.

The others heal by themselves, as soon as what was wrong with them is mended.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.servers.doorman import Doorman, doorman, status
from tests.servers.watching import Record, eventually, reason_of, shell, state_of, text_of
from trunkline import (
    EnhancedMCPClient,
    HttpEndpoint,
    Infrastructure,
    PoolPolicy,
    ServerPolicy,
    ServerSettings,
    StdioEndpoint,
)
from trunkline.events import ConnectFailed, ConnectionOpened, ConnectStarted
from trunkline.testing.processes import FaultyHttp, faulty_http, free_port, http_command
from trunkline.testing.processes import faulty_stdio as stdio

pytestmark = [pytest.mark.anyio, pytest.mark.integration]

HANG = "cat > /dev/null"
UNTIL_REPAIRED = 'if [ ! -e "$0" ]; then {}; fi; exec "$@"'
FAST = PoolPolicy(base=0.02, cap=0.2)
OF_NO_USE = ("dead", "silent", "stuck", "closed", "crashing")
GENEROUS = 15.0
"""Seconds: half of what the silent servers are given, several times what the healthy one needs."""


@dataclass(slots=True)
class Town:
    """Five servers in trouble, one that is well, and how each is mended."""

    servers: dict[str, HttpEndpoint | StdioEndpoint]
    dead: FaultyHttp
    silent: FaultyHttp
    guarded: Doorman
    repairs: Path

    async def mend(self, name: str) -> None:
        """Take away what is wrong with one server; nothing is said to the client."""
        match name:
            case "dead":
                await self.dead.start()
            case "silent":
                self.silent.cont()
            case "closed":
                self.guarded.turn_away = lambda _request: None
            case "stuck" | "crashing":
                (self.repairs / name).touch()


@asynccontextmanager
async def town(repairs: Path) -> AsyncGenerator[Town, None]:
    """The servers, in the order in which trouble comes first."""
    async with AsyncExitStack() as stack:
        silent = await stack.enter_async_context(faulty_http())
        silent.stop()
        behind = await stack.enter_async_context(faulty_http())
        guarded = await stack.enter_async_context(doorman(behind.port))
        guarded.turn_away = lambda _request: status(401, WWW_Authenticate="Bearer")
        port = free_port()
        program, arguments = http_command(port=port)
        dead = FaultyHttp(port, [program, *arguments], listens=True)
        stack.push_async_callback(dead.kill)
        crash = "echo starting >&2; echo 'no licence key' >&2; exit 3"
        servers: dict[str, HttpEndpoint | StdioEndpoint] = {
            "dead": HttpEndpoint(dead.url),
            "silent": HttpEndpoint(silent.url),
            "stuck": shell(UNTIL_REPAIRED.format(HANG + "; exit"), repairs / "stuck"),
            "closed": HttpEndpoint(guarded.url, {"Authorization": "Bearer of-no-use"}),
            "crashing": shell(UNTIL_REPAIRED.format(crash), repairs / "crashing"),
            "healthy": stdio(),
        }
        yield Town(servers, dead, silent, guarded, repairs)


def settings(found: Town, connect_timeout: float) -> list[ServerSettings]:
    pool = PoolPolicy(base=FAST.base, cap=FAST.cap, connect_timeout=connect_timeout, grace=0.2)
    return [ServerSettings(name, endpoint, ServerPolicy(pool=pool)) for name, endpoint in found.servers.items()]


@pytest.mark.requirement("SEED-RES-3", "INV-4", "SEED-TEST-4")
async def test_entering_waits_for_the_healthy_server_and_for_no_other(tmp_path: Path) -> None:
    record = Record()
    async with town(tmp_path) as found:
        client = EnhancedMCPClient(settings(found, connect_timeout=2 * GENEROUS), observers=[record])
        with anyio.fail_after(GENEROUS):
            await client.__aenter__()
            unsettled = {name for name in found.servers if not client.fleet.stacks[name].is_settled}
            said = text_of(await client.call_tool("healthy_echo", {"text": "already"}))
        report = client.health()
        with anyio.fail_after(GENEROUS):
            await client.aclose()

    assert said == "already"
    # Every server was tried, the healthy one answered, and nobody waited for the two that say nothing.
    assert {event.server for event in record.of(ConnectStarted)} == set(found.servers)
    assert {"silent", "stuck"} <= unsettled
    assert {event.server for event in record.of(ConnectionOpened)} == {"healthy"}
    assert report.state == "degraded"
    assert report.is_ready


@pytest.mark.requirement("SEED-CLIENT-1", "SEED-OBS-2", "SEED-RES-3", "INV-3")
async def test_health_says_what_is_wrong_with_each_server_and_each_heals_by_itself(tmp_path: Path) -> None:
    record = Record()
    expected = {
        "dead": "ConnectError",
        "silent": "no handshake and listing within 1.5 s",
        "stuck": "no handshake and listing within 1.5 s",
        "closed": "HTTP 401, check the configured headers or auth",
        "crashing": "the server's process exited with status 3: no licence key",
        "healthy": "",
    }
    async with (
        town(tmp_path) as found,
        EnhancedMCPClient(settings(found, connect_timeout=1.5), observers=[record]) as client,
    ):
        for name in OF_NO_USE:
            await record.until(ConnectFailed, server=name)
        report = {server.name: server for server in client.health().servers}

        assert {name: server.reason.partition(":")[0] for name, server in report.items()} == {
            name: words.partition(":")[0] for name, words in expected.items()
        }
        assert report["crashing"].reason == expected["crashing"]
        assert "of-no-use" not in repr(report)
        assert {name for name, server in report.items() if server.state in ("degraded", "down")} == set(OF_NO_USE)

        for name in OF_NO_USE:
            await found.mend(name)
            await record.until(ConnectionOpened, server=name)
            assert text_of(await client.call_tool(f"{name}_echo", {"text": name})) == name
            assert (state_of(client, name), reason_of(client, name)) == ("healthy", "")

        assert client.health().state == "healthy"
        assert len((await client.list_tools()).tools) == 6 * 10


@pytest.mark.requirement("SEED-RES-3", "INV-4")
async def test_entering_ends_when_every_server_has_failed() -> None:
    servers: dict[str, StdioEndpoint | str] = {
        "dead": f"http://127.0.0.1:{free_port()}/mcp",
        "gone": StdioEndpoint("not-there"),
    }
    async with EnhancedMCPClient({**servers}) as client:
        assert reason_of(client, "gone") == "program or folder not found: not-there"
        assert client.health().state in ("degraded", "down")
        assert (await client.list_tools()).tools == []


@pytest.mark.requirement("SEED-DI-1", "INV-4")
async def test_infrastructure_is_entered_while_servers_are_down_and_says_so(tmp_path: Path) -> None:
    async with town(tmp_path) as found:
        healthy = found.servers["healthy"]
        assert isinstance(healthy, StdioEndpoint)
        config: dict[str, Any] = {
            "mcpServers": {
                "dead": {"url": found.dead.url},
                "silent": {"url": found.silent.url},
                "healthy": {"command": healthy.command, "args": list(healthy.args)},
            },
            "trunkline": {"servers": {"dead": {"pool": {"cap": 0.2}}}},
        }
        async with Infrastructure.from_config(config) as infra:
            said = text_of(await infra.mcp_client.call_tool("healthy_echo", {"text": "hello"}, domain="greeting"))
            await eventually(lambda: state_of(infra, "dead") != "unknown")
            report = infra.health.report()
            await found.mend("dead")
            await eventually(lambda: state_of(infra, "dead") == "healthy")

    assert said == "hello"
    assert report.state == "degraded"
    assert infra.metrics.domain("greeting").requests == 1


@pytest.mark.requirement("SEED-RES-3")
async def test_a_server_that_ends_when_it_is_asked_for_its_tools_is_quoted() -> None:
    program = """
import json, sys
about = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "n", "version": "1"}}
for line in sys.stdin:
    asked = json.loads(line)
    if asked["method"] == "initialize":
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": about}), flush=True)
    if asked["method"] == "tools/list":
        sys.exit("no table of tools")
"""
    endpoint = StdioEndpoint(sys.executable, ("-c", program))
    record = Record()
    async with EnhancedMCPClient(
        [ServerSettings("s", endpoint, ServerPolicy(pool=FAST, era="2025-11-25"))], observers=[record]
    ):
        failed = await record.until(ConnectFailed)

    assert failed.reason == "the server's process exited with status 1: no table of tools"
