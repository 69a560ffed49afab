"""What is asked at the same time goes together; nobody waits beyond the deadline, and nothing is ever cancelled."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.servers.watching import eventually
from trunkline.cache.lane import Lane, abandonable
from trunkline.cache.link import NOT_KNOWN, FaultKind, LinkFault, NotKnown

pytestmark = pytest.mark.anyio


class Peer:
    """Answers with the double of what it is asked; stays silent or breaks when told to."""

    def __init__(self, deadline: float = 20.0, limit: int = 100) -> None:
        self.exchanges: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken: FaultKind | None = None
        self.was_cancelled = False
        self.faults: list[FaultKind] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        self.lane: Lane[int, int] = Lane(
            self._exchange, deadline=deadline, limit=limit, on_fault=self._on_fault, tasks=self.tasks
        )

    async def _exchange(self, questions: list[int]) -> list[int]:
        self.exchanges.append(questions)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        if self.broken is not None:
            raise LinkFault(self.broken)
        return [2 * question for question in questions]

    def _on_fault(self, kind: FaultKind) -> None:
        self.faults.append(kind)
        self.lane.end()


async def asked(peer: Peer, questions: range, then: Callable[[], object]) -> dict[int, int | NotKnown]:
    answers: dict[int, int | NotKnown] = {}

    async def ask(question: int) -> None:
        answers[question] = await peer.lane.ask(question)

    async with anyio.create_task_group() as tasks:
        for question in questions:
            tasks.start_soon(ask, question)
        await eventually(lambda: peer.exchanges)
        then()
    return answers


async def test_what_is_asked_at_once_goes_together_and_so_does_what_the_answer_wakes() -> None:
    peer = Peer()

    async def ask_twice(question: int) -> None:
        assert await peer.lane.ask(question) == 2 * question
        assert await peer.lane.ask(-question) == -2 * question

    async with anyio.create_task_group() as tasks:
        for question in range(64):
            tasks.start_soon(ask_twice, question)
    assert [len(exchange) for exchange in peer.exchanges] == [64, 64]


async def test_what_is_asked_while_an_exchange_is_under_way_goes_together_in_the_next() -> None:
    peer = Peer()
    peer.gate.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer.lane.ask, 0)
        await eventually(lambda: peer.exchanges)
        for question in range(1, 64):
            tasks.start_soon(peer.lane.ask, question)
        await eventually(lambda: repr(peer.lane) == "<Lane busy [1 asked, 63 waiting]>")
        peer.gate.set()
    assert [len(exchange) for exchange in peer.exchanges] == [1, 63]


async def test_a_lane_that_ends_before_its_exchange_has_begun_asks_nothing() -> None:
    peer = Peer()
    asking = asyncio.ensure_future(peer.lane.ask(1))
    await asyncio.sleep(0)
    assert repr(peer.lane) == "<Lane busy [0 asked, 1 waiting]>"
    peer.lane.end()
    assert await asking is NOT_KNOWN
    await eventually(lambda: not peer.tasks)
    assert peer.exchanges == []


async def test_no_more_go_together_than_may() -> None:
    peer = Peer(limit=10)
    peer.gate.clear()
    answers = await asked(peer, range(25), peer.gate.set)
    assert len(answers) == 25
    assert [len(exchange) for exchange in peer.exchanges] == [10, 10, 5]


async def test_after_the_deadline_nobody_knows_and_the_exchange_is_left_alone() -> None:
    peer = Peer(deadline=0.05)
    peer.gate.clear()
    answers = await asked(peer, range(20), lambda: None)
    assert set(answers.values()) == {NOT_KNOWN}
    assert peer.faults == ["timed_out"]
    assert len(peer.tasks) == 1
    peer.gate.set()
    await eventually(lambda: not peer.tasks)
    assert not peer.was_cancelled
    assert await peer.lane.ask(1) is NOT_KNOWN
    assert repr(peer.lane) == "<Lane ended [0 asked, 0 waiting]>"


async def test_a_fault_is_no_answer_for_everybody_and_is_told_once() -> None:
    peer = Peer()
    peer.gate.clear()
    peer.broken = "lost"
    answers = await asked(peer, range(20), peer.gate.set)
    assert set(answers.values()) == {NOT_KNOWN}
    assert peer.faults == ["lost"]
    assert [len(exchange) for exchange in peer.exchanges] == [20]


async def test_who_gives_up_disturbs_nobody() -> None:
    peer = Peer()
    peer.gate.clear()
    answers: list[int | NotKnown] = []

    async def ask(question: int) -> None:
        answers.append(await peer.lane.ask(question))

    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as impatient:
            impatient.start_soon(ask, 1)
            impatient.start_soon(ask, 2)
            await eventually(lambda: peer.exchanges)
            tasks.start_soon(ask, 3)
            await eventually(lambda: "2 asked, 1 waiting" in repr(peer.lane))
            impatient.cancel_scope.cancel()
        peer.gate.set()
    assert answers == [6]
    assert not peer.was_cancelled
    assert await peer.lane.ask(4) == 8


@pytest.mark.parametrize("asks", ["a lane", "a probe"])
async def test_a_loop_that_was_held_up_itself_is_not_held_against_the_answer(asks: str) -> None:
    loop, peer = asyncio.get_running_loop(), Peer()
    near, far = socket.socketpair()
    near.setblocking(False)

    async def exchange(questions: list[int]) -> list[int]:
        await loop.sock_recv(near, 1)
        for _ in range(3):  # an answer is read in several steps
            await asyncio.sleep(0)
        return questions

    def hold_up() -> None:
        far.send(b"!")
        # The answer is there, and nothing of this loop runs until long after the deadline.
        end = loop.time() + 0.1
        while loop.time() < end:
            pass

    with near, far:
        loop.call_later(0.001, hold_up)
        if asks == "a probe":
            assert await abandonable(exchange([7]), 0.03, peer.tasks) == [7]
        else:
            lane: Lane[int, int] = Lane(exchange, deadline=0.03, limit=9, on_fault=peer._on_fault, tasks=peer.tasks)
            assert await lane.ask(7) == 7
    assert peer.faults == []


async def test_what_is_abandoned_goes_on_and_its_end_is_nobodys_business() -> None:
    tasks: set[asyncio.Task[Any]] = set()
    gate = asyncio.Event()

    async def work() -> None:
        await gate.wait()
        raise LinkFault("lost")

    with pytest.raises(LinkFault) as caught:
        await abandonable(work(), 0.01, tasks)
    assert caught.value.kind == "timed_out"
    assert len(tasks) == 1
    gate.set()
    await eventually(lambda: not tasks)
