"""Several gateways as one address: nothing that a client of 2026-07-28 sends has to reach the same one twice.

A session of the handshake era does. What its client sees when that gateway goes is told here too.
"""

from __future__ import annotations

import re
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from tests.resilience.gateways import RunningGateway, entered_gateway
from tests.servers.asking import ask, open_session
from tests.servers.watching import PATIENCE, eventually
from trunkline import EnhancedMCPClient, HttpEndpoint, ServerPolicy, ServerSettings
from trunkline.testing.journal import executions, read
from trunkline.testing.processes import free_port

pytestmark = [pytest.mark.anyio, pytest.mark.integration, pytest.mark.requirement("BALANCED")]

CONFIG = Path(__file__).resolve().parents[2] / "deploy" / "haproxy.cfg"


SLOW = 2_000
"""Milliseconds."""


class Pair:
    """Two gateways, each in front of a child of its own that writes down in `journal` what it executes."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.journal = folder / "journal"
        self.gateways: list[RunningGateway] = []
        self._stack = stack
        self._started = 0

    async def start(self, port: int | None = None) -> None:
        """Start one more."""
        self._started += 1
        folder = self.folder / f"gateway-{self._started}"
        folder.mkdir()
        options = {"journal": self.journal}
        started = entered_gateway(folder, "lab", port=port, options=options)
        self.gateways.append(await self._stack.enter_async_context(started))

    async def replace(self, gateway: RunningGateway) -> None:
        """Start another one where one has ended."""
        self.gateways.remove(gateway)
        await self.start(gateway.port)

    def executors(self) -> Counter[int]:
        """How many calls each child has executed."""
        return Counter(entry.pid for entry in read(self.journal) if entry.phase == "after")


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        both = Pair(folder, stack)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(both.start)
            tasks.start_soon(both.start)
        yield both


@pytest.fixture(scope="module")
async def kept(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    async with pair(tmp_path_factory.mktemp("pair")) as started:
        yield started


@pytest.fixture
async def both(kept: Pair) -> Pair:
    """Two that run, whatever a test before has done to them."""
    for gateway in [each for each in kept.gateways if each.process.poll() is not None]:
        await kept.replace(gateway)
    return kept


class MovedOn(httpx2.AsyncBaseTransport):
    """A balancer for which there is one gateway at a time."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.gateway = gateway
        self._wire = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(port=self.gateway.port)
        return await self._wire.handle_async_request(request)

    async def aclose(self) -> None:
        await self._wire.aclose()


class TakingTurns(httpx2.AsyncBaseTransport):
    """The worst balancer there is: no request goes where the one before it went, unless nobody listens there."""

    def __init__(self, gateways: list[RunningGateway]) -> None:
        self._ports = [gateway.port for gateway in gateways]
        self._wire = httpx2.AsyncHTTPTransport()
        self.turns: list[int] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._ports.append(self._ports.pop(0))
        for port in self._ports:
            request.url = request.url.copy_with(port=port)
            with suppress(httpx2.ConnectError):
                response = await self._wire.handle_async_request(request)
                self.turns.append(port)
                return response
        raise httpx2.ConnectError("nobody listens", request=request)

    async def aclose(self) -> None:
        await self._wire.aclose()


async def test_a_session_is_known_to_its_gateway_alone_and_elsewhere_it_is_begun_anew(both: Pair) -> None:
    async with AsyncExitStack() as stack:
        here, there = [
            await stack.enter_async_context(httpx2.AsyncClient(base_url=gateway.url, timeout=PATIENCE))
            for gateway in both.gateways
        ]
        session = await open_session(here)
        call: dict[str, Any] = {"name": "lab_append", "arguments": {"op": "in-session"}}
        assert (await ask(here, "tools/call", session=session, **call)).status_code == 200
        # Not found, by which the specification tells a client to begin anew; and nothing has run.
        assert (await ask(there, "tools/call", session=session, **call)).status_code == 404
        assert executions(both.journal)["in-session"] == 1
        another = await open_session(there)
        assert (await ask(there, "tools/call", session=another, **call)).status_code == 200


async def test_the_sdks_client_does_not_begin_a_session_anew_and_a_new_client_does(both: Pair) -> None:
    here, there = both.gateways
    balancer = MovedOn(here)
    url = f"{here.url}/mcp"
    async with httpx2.AsyncClient(transport=balancer) as web:
        async with Client(streamable_http_client(url, http_client=web), mode="legacy") as client:
            assert not (await client.call_tool("lab_echo", {"text": "before"})).is_error
            balancer.gateway = there
            for _ in range(2):
                with pytest.raises(MCPError, match="Session not found"):
                    await client.call_tool("lab_append", {"op": "lost"})
        async with Client(streamable_http_client(url, http_client=web), mode="legacy") as client:
            assert not (await client.call_tool("lab_echo", {"text": "after"})).is_error
    assert "lost" not in executions(both.journal)


@asynccontextmanager
async def haproxy(both: Pair) -> AsyncIterator[str]:
    """The balancer as it is deployed, but for its own address, those of the gateways, and a quicker look at them."""
    program = shutil.which("haproxy")
    assert program is not None, "haproxy is not installed: make parts"
    port, config, log = free_port(), both.folder / "haproxy.cfg", both.folder / "haproxy.log"
    told = CONFIG.read_text("utf-8").replace("bind :8700", f"bind 127.0.0.1:{port}").replace("inter 1s", "inter 100ms")
    for gateway, name in zip(both.gateways, ("gateway-a", "gateway-b"), strict=True):
        told, count = re.subn(rf"{name}:8700", f"127.0.0.1:{gateway.port}", told)
        assert count == 1
    config.write_text(told, "utf-8")
    with log.open("w") as output:
        process = await anyio.open_process([program, "-db", "-f", str(config)], stdout=output, stderr=output)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as web:
            with anyio.fail_after(PATIENCE):
                while True:
                    assert process.returncode is None, log.read_text()
                    with suppress(httpx2.TransportError):
                        if (await web.get("/health/ready")).status_code == 200:
                            break
                    await anyio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.aclose()


async def test_behind_haproxy_each_session_stays_with_the_gateway_that_opened_it(both: Pair) -> None:
    everybody = both.executors()
    async with haproxy(both) as url:
        for _ in range(4):
            before = both.executors()
            async with Client(f"{url}/mcp", mode="legacy") as client:
                for _ in range(4):
                    await client.call_tool("lab_append", {"op": "x"})
            assert len(both.executors() - before) == 1
    assert len(both.executors() - everybody) == 2


async def test_requests_of_one_client_take_turns_between_gateways_and_either_may_be_killed(both: Pair) -> None:
    balancer = TakingTurns(both.gateways)
    before = both.executors()
    async with httpx2.AsyncClient(transport=balancer) as web:
        transport = streamable_http_client(f"{both.gateways[0].url}/mcp", http_client=web)
        async with Client(transport, mode="2026-07-28") as client:
            for number in range(10):
                assert not (await client.call_tool("lab_append", {"op": f"turn-{number}"})).is_error
            assert all(one != other for one, other in zip(balancer.turns, balancer.turns[1:], strict=False))
            assert len(both.executors() - before) == 2

            killed = both.gateways[0]
            killed.process.kill()
            await eventually(lambda: killed.process.poll() is not None)
            for number in range(10, 20):
                assert not (await client.call_tool("lab_append", {"op": f"turn-{number}"})).is_error
    assert [executions(both.journal)[f"turn-{number}"] for number in range(20)] == [1] * 20


async def test_behind_haproxy_one_gateway_after_the_other_is_replaced_under_load_and_no_call_fails(
    tmp_path: Path,
) -> None:
    done: list[str] = []
    is_over = anyio.Event()

    async def caller(name: str, client: Any, tool: str, delay: int) -> None:
        while not is_over.is_set():
            op = f"{name}-{len(done)}"
            assert not (await client.call_tool(tool, {"op": op, "delay_ms": delay})).is_error
            done.append(op)

    async def stateless(name: str, url: str, delay: int) -> None:
        async with Client(url, mode="2026-07-28") as client:
            await caller(name, client, "lab_append", delay)

    async def in_session(name: str, url: str, delay: int) -> None:
        # The SDK's own client does not begin a session anew; this library's does, and no caller of it notices.
        settings = ServerSettings("gateway", HttpEndpoint(url), ServerPolicy(era="2025-11-25"))
        async with EnhancedMCPClient([settings]) as client:
            await caller(name, client, "gateway_lab_append", delay)

    async def more_is_done() -> None:
        before = len(done)
        await eventually(lambda: len(done) > before + 4)

    async with pair(tmp_path) as both, haproxy(both) as balancer, anyio.create_task_group() as tasks:
        for each in (stateless, in_session):
            # Slow ones, which take longer than a gateway that does not drain would let them, and a quick one.
            for number, delay in enumerate((SLOW, SLOW, 100)):
                tasks.start_soon(each, f"{each.__name__}-{number}", f"{balancer}/mcp", delay)
        await eventually(lambda: len(both.executors()) == 2)
        first, second = both.gateways
        # Not announced: what is turned away before the balancer has noticed, it has to send elsewhere itself.
        await leaves(first)
        await more_is_done()
        await both.replace(first)
        # The balancer finds the new one by itself.
        await eventually(lambda: len(both.executors()) == 3)
        await leaves(second)
        await more_is_done()
        is_over.set()
    assert executions(both.journal) == dict.fromkeys(done, 1)


async def leaves(gateway: RunningGateway) -> None:
    """Have it end, and wait for that."""
    gateway.process.send_signal(signal.SIGTERM)
    await eventually(lambda: gateway.process.poll() is not None)
    assert gateway.process.returncode == 0
    assert gateway.complaints() == []
