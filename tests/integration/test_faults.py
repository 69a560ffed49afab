"""One bad answer among many on one connection: the innocent calls do not notice it, and the connection goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import anyio
import pytest

from tests.servers.watching import Record, text_of
from trunkline import (
    BulkheadPolicy,
    CallError,
    EnhancedMCPClient,
    HttpEndpoint,
    ServerPolicy,
    ServerSettings,
)
from trunkline.endpoint import Endpoint
from trunkline.events import ConnectionEnded, ConnectionOpened
from trunkline.policy import Era
from trunkline.testing.processes import faulty_http
from trunkline.testing.processes import faulty_stdio as stdio

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.integration,
    pytest.mark.requirement("R4", "SEED-RES-3", "SEED-TEST-4", "INV-4"),
]

Transport: TypeAlias = Literal["stdio", "http"]
ERAS: tuple[Era, ...] = ("2025-11-25", "2026-07-28")
CALLERS = 20
STAYS = (30, 50)
"""Milliseconds a step: calls one after the other, of unlike lengths, so that one is in flight at any time."""
SILENCE = 0.6
"""Seconds the guilty call waits where its answer never comes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, and how the call that asked for it ends."""

    kind: str
    outcome: str
    arguments: dict[str, Any] = field(default_factory=dict)
    transports: tuple[Transport, ...] = ("stdio", "http")

    def __str__(self) -> str:
        return " ".join([self.kind, *(str(value) for value in self.arguments.values())])


FAULTS = (
    Fault("garbage", "AttemptTimeout", transports=("stdio",)),
    Fault("garbage", "AttemptTimeout", {"invalid": "utf8"}, ("stdio",)),
    Fault("garbage", "InvalidResult", transports=("http",)),
    Fault("garbage", "InvalidResult", {"invalid": "utf8"}, ("http",)),
    Fault("cut", "AttemptTimeout", transports=("stdio",)),
    Fault("cut", "ConnectionLost", transports=("http",)),
    Fault("reset", "ConnectionLost", transports=("http",)),
    Fault("big", "ok", {"megabytes": 5}),
    Fault("wrong_id", "AttemptTimeout", {"which": "unknown"}, ("stdio",)),
    Fault("wrong_id", "InvalidResult", {"which": "unknown"}, ("http",)),
    Fault("wrong_id", "InvalidResult", {"which": "in_flight"}, ("http",)),
    Fault("status", "ServerError", {"status": 503}, ("http",)),
    Fault("status", "ServerError", {"status": 503, "retry_after": "0.1"}, ("http",)),
    Fault("html", "ServerError", transports=("http",)),
    Fault("accepted", "ServerError", transports=("http",)),
    Fault("sse_cut", "ConnectionLost", transports=("http",)),
    Fault("sse_cut", "ConnectionLost", {"abrupt": True}, ("http",)),
    Fault("not_a_result", "InvalidResult"),
    Fault("not_a_result", "InvalidResult", {"shape": "words"}),
    Fault("rpc_error", "ServerError"),
    Fault("double", "ok"),
    Fault("slow_drip", "ok", {"delay_ms": 1}),
    Fault("stderr", "ok", {"bytes": 300_000}, ("stdio",)),
)


@asynccontextmanager
async def endpoint(transport: Transport, era: Era) -> AsyncGenerator[Endpoint, None]:
    if transport == "stdio":
        yield stdio(era=era)
    else:
        async with faulty_http(era=era) as server:
            yield HttpEndpoint(server.url)


@dataclass(slots=True)
class Round:
    """One bad answer among the calls of many, and how all of them ended."""

    client: EnhancedMCPClient
    fault: Fault
    said: list[str] = field(default_factory=list)
    guilty: str = ""
    is_crowded: anyio.Event = field(default_factory=anyio.Event)
    """Set when an innocent call is known to be in flight."""

    async def run(self) -> None:
        """Raises what an innocent call raises."""
        async with anyio.create_task_group() as tasks:
            for delay in STAYS:
                tasks.start_soon(self._stay, delay)
            for number in range(CALLERS):
                tasks.start_soon(self._innocent, number)
            await self.is_crowded.wait()
            tasks.start_soon(self._offend)

    async def _stay(self, delay: int) -> None:
        async def told(progress: float, total: float | None, message: str | None) -> None:
            self.is_crowded.set()

        while not self.guilty:
            steps = {"steps": 10, "delay_ms": delay}
            result = await self.client.call_tool("s_progress", steps, progress_callback=told)
            assert text_of(result) == "10 steps"

    async def _innocent(self, number: int) -> None:
        text = f"{self.fault} {number}"
        if text_of(await self.client.call_tool("s_echo", {"text": text})) == text:
            self.said.append(text)
        seconds = 0.05 * (number % 3 + 1)
        if text_of(await self.client.call_tool("s_sleep", {"seconds": seconds})) == f"slept {seconds} s":
            self.said.append(f"{text} slept")

    async def _offend(self) -> None:
        patience = SILENCE if self.fault.outcome == "AttemptTimeout" else None
        arguments = {"kind": self.fault.kind, **self.fault.arguments}
        try:
            result = await self.client.call_tool("s_fault", arguments, read_timeout_seconds=patience)
        except CallError as error:
            self.guilty = error.code
        else:
            self.guilty = "tool_error" if result.is_error else "ok"


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_a_bad_answer_harms_no_other_call_on_its_connection(transport: Transport, era: Era) -> None:
    record = Record()
    policy = ServerPolicy(bulkhead=BulkheadPolicy(limit=64))
    faults = [fault for fault in FAULTS if transport in fault.transports]
    async with (
        endpoint(transport, era) as where,
        EnhancedMCPClient([ServerSettings("s", where, policy)], observers=[record]) as client,
    ):
        rounds = [Round(client, fault) for fault in faults]
        for now in rounds:
            await now.run()
            assert text_of(await client.call_tool("s_echo", {"text": "afterwards"})) == "afterwards", now.fault
        pool = client.fleet.stacks["s"].replicas[0].pool.statistics()
        assert record.of(ConnectionEnded) == []

    assert {str(now.fault): now.guilty for now in rounds} == {str(fault): fault.outcome for fault in faults}
    assert {str(now.fault): len(now.said) for now in rounds} == {str(fault): 2 * CALLERS for fault in faults}
    assert len(record.of(ConnectionOpened)) == 1
    assert (pool.in_flight, pool.waiting, pool.failures) == (0, 0, 0)


@pytest.mark.parametrize("era", ERAS)
async def test_a_crash_costs_repeatable_calls_nothing_and_the_next_connection_serves_them(era: Era) -> None:
    record = Record()
    policy = ServerPolicy(bulkhead=BulkheadPolicy(limit=64), trust_annotations=True)
    said: list[str] = []
    async with EnhancedMCPClient([ServerSettings("s", stdio(era=era), policy)], observers=[record]) as client:

        async def innocent(number: int) -> None:
            await client.call_tool("s_sleep", {"seconds": 0.05})
            said.append(text_of(await client.call_tool("s_echo", {"text": str(number)})))

        async with anyio.create_task_group() as tasks:
            for number in range(CALLERS):
                tasks.start_soon(innocent, number)
            with pytest.raises(CallError) as caught:
                await client.call_tool("s_fault", {"kind": "crash_before", "code": 7})

    assert caught.value.may_have_run is True
    assert sorted(said, key=int) == [str(number) for number in range(CALLERS)]
    assert len(record.of(ConnectionOpened)) == 2
