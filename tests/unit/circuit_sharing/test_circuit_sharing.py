"""What processes tell one another of their circuits, and what each makes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from trunkline import EnhancedMCPClient, HttpEndpoint, ServerSettings, StdioEndpoint
from trunkline.circuit_sharing import CircuitSharing
from trunkline.events import CircuitChanged
from trunkline.policy import BreakerPolicy, ServerPolicy
from trunkline.resilience.circuit import Circuit, Verdict

pytestmark = pytest.mark.anyio

SHARED = ServerPolicy(breaker=BreakerPolicy(shared=True))
NOBODY = "http://user:hunter2@127.0.0.1:9/mcp?key=hunter2"
"""Nothing listens there."""


@dataclass
class Process:
    """One client, and the messages it sent."""

    client: EnhancedMCPClient
    sharing: CircuitSharing
    sent: list[Mapping[str, Any]]
    changes: list[CircuitChanged] = field(default_factory=list)

    def circuit(self, server: str = "s") -> Circuit:
        return self.client.fleet.stacks[server].replicas[0].circuit

    def fails(self, server: str = "s") -> None:
        now = anyio.current_time()
        for _ in range(5):
            permit = self.circuit(server).acquire(now)
            assert permit is not None
            self.circuit(server).release(permit, Verdict.FAILURE, now)

    def proves(self, server: str = "s") -> None:
        for _ in range(2):
            self.circuit(server).probe_succeeded(anyio.current_time())


@asynccontextmanager
async def process(**servers: ServerSettings) -> AsyncIterator[Process]:
    sent: list[Mapping[str, Any]] = []
    async with EnhancedMCPClient(servers.values()) as client:
        sharing = CircuitSharing(client.fleet, sent.append)
        client.bus.subscribe(sharing, sharing.kinds)
        made = Process(client, sharing, sent)
        client.bus.subscribe(lambda event: made.changes.append(event) if isinstance(event, CircuitChanged) else None)
        yield made


def at(name: str, url: str = NOBODY, policy: ServerPolicy = SHARED) -> ServerSettings:
    return ServerSettings(name, HttpEndpoint(url), policy)


@asynccontextmanager
async def two(first: ServerSettings, second: ServerSettings) -> AsyncIterator[tuple[Process, Process]]:
    async with AsyncExitStack() as stack:
        yield (
            await stack.enter_async_context(process(first=first)),
            await stack.enter_async_context(process(second=second)),
        )


async def test_what_one_learns_another_knows_under_whatever_name_and_tells_nobody() -> None:
    async with two(at("s"), at("other")) as (one, other):
        one.fails()
        (message,) = one.sent
        assert message["state"] == "open"
        assert 0.9 <= message["seconds"] <= 2.0
        other.sharing.hear(message, 0.25)
        assert other.circuit("other").state == "open"
        wait = other.circuit("other").retry_after(anyio.current_time())
        assert message["seconds"] - 0.5 < wait <= message["seconds"] - 0.25
        assert [(change.new, change.heard) for change in other.changes] == [("open", True)]
        assert other.sent == []
        assert repr(one.sharing) == "<CircuitSharing [1 told, 0 heard]>"
        assert repr(other.sharing) == "<CircuitSharing [0 told, 1 heard]>"


async def test_what_closes_after_proofs_closes_what_was_opened_on_hearsay() -> None:
    async with two(at("s"), at("s")) as (one, other):
        one.fails()
        other.sharing.hear(one.sent[0], 0.0)
        one.proves()
        assert one.sent[1]["state"] == "closed"
        other.sharing.hear(one.sent[1], 0.0)
        assert other.circuit().state == "closed"
        assert other.sent == []


async def test_a_probe_that_failed_is_told_to_nobody() -> None:
    async with process(s=at("s", policy=ServerPolicy(breaker=BreakerPolicy(shared=True, open_for=0.01)))) as one:
        one.fails()
        await anyio.sleep(0.01)
        one.circuit().probe_failed(anyio.current_time())
        assert [change.new for change in one.changes] == ["open", "half_open", "open"]
        assert len(one.sent) == 1


@pytest.mark.parametrize("age", [2.0, 60.0])
async def test_an_opening_that_is_over_when_it_is_heard_opens_nothing(age: float) -> None:
    async with two(at("s"), at("s")) as (one, other):
        one.fails()
        other.sharing.hear(one.sent[0], age)
        assert other.circuit().state == "closed"


async def test_old_word_of_a_closed_circuit_says_nothing_of_one_that_opened_since() -> None:
    async with two(at("s"), at("s")) as (one, other):
        one.fails()
        one.proves()
        other.fails()
        other.sharing.hear(one.sent[1], 60.0)
        assert other.circuit().state == "open"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(at("s", "http://127.0.0.1:9/other"), id="another place"),
        pytest.param(at("s", policy=ServerPolicy()), id="not shared"),
        pytest.param(at("s", policy=ServerPolicy(breaker=BreakerPolicy(enabled=False, shared=True))), id="no breaker"),
        pytest.param(ServerSettings("s", StdioEndpoint("no-such-program"), SHARED), id="no address"),
    ],
)
async def test_who_does_not_share_this_place_is_neither_told_nor_heard(other: ServerSettings) -> None:
    async with two(at("s"), other) as (teller, listener):
        teller.fails()
        listener.sharing.hear(teller.sent[0], 0.0)
        assert listener.circuit().state == "closed"
        listener.fails()
        assert all(message["place"] != teller.sent[0]["place"] for message in listener.sent)


async def test_a_message_says_nothing_of_the_address() -> None:
    async with process(s=at("s")) as one:
        one.fails()
        assert "hunter2" not in str(one.sent)
        assert "127.0.0.1" not in str(one.sent)


@pytest.mark.parametrize(
    "message", [{}, {"place": 3, "state": "open", "seconds": 1}, {"seconds": "1"}, {"seconds": float("nan")}]
)
async def test_what_is_no_message_of_ours_is_passed_over(message: dict[str, Any]) -> None:
    async with process(s=at("s")) as one:
        one.sharing.hear(message, 0.0)
        one.sharing.hear({**message, "place": None}, 0.0)
        assert one.changes == []
