"""The bulkhead over a real session: how many are in flight, whose turn is next, and who is turned away at once."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest

from tests.interaction.worlds import ONCE, Elapsed, error_of, world
from trunkline import BulkheadFull, BulkheadPolicy, InProcessEndpoint
from trunkline.policy import Era
from trunkline.testing.scripted_server import ScriptedServer, slow

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-RES-3")]


async def test_no_more_than_the_limit_reach_the_server_at_once(era: Era) -> None:
    server = ScriptedServer(*[slow(1.0)] * 12)
    async with world(server, era, bulkhead=BulkheadPolicy(limit=3)) as here:
        elapsed = Elapsed()
        async with anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(here.client.call_tool, "s_write")
        assert elapsed() == 4.0
        assert server.peak == 3
        assert here.replica.admission.in_flight == here.replica.admission.waiting == 0


async def test_turns_come_in_the_order_of_arrival(era: Era) -> None:
    server = ScriptedServer(*[slow(1.0)] * 6)
    async with world(server, era, bulkhead=BulkheadPolicy(limit=1)) as here:
        finished: list[int] = []

        async def caller(number: int) -> None:
            await anyio.sleep(number / 100)
            await here.client.call_tool("s_write")
            finished.append(number)

        async with anyio.create_task_group() as tasks:
            for number in reversed(range(6)):
                tasks.start_soon(caller, number)
        assert finished == list(range(6))


async def test_one_more_than_may_wait_is_refused_at_once(era: Era) -> None:
    server = ScriptedServer(*[slow(5.0)] * 3)
    async with world(server, era, bulkhead=BulkheadPolicy(limit=1, waiting=2), attempt_timeout=60.0) as here:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(here.client.call_tool, "s_write")
            await anyio.sleep(0.1)
            elapsed = Elapsed()
            error = await error_of(here.client.call_tool("s_write"), BulkheadFull)
            assert elapsed() == 0.0
            assert not error.may_have_run
            assert "1 calls are under way and 2 wait" in str(error)
        assert len(server.executed) == 3


async def test_who_could_not_be_served_before_its_deadline_is_refused_at_once(era: Era) -> None:
    server = ScriptedServer(*[slow(4.0)] * 4)
    async with world(server, era, bulkhead=BulkheadPolicy(limit=1), retry=ONCE, attempt_timeout=60.0) as here:
        await here.client.call_tool("s_write")
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(here.client.call_tool, "s_write")
            await anyio.sleep(0.1)
            elapsed = Elapsed()
            error = await error_of(here.client.call_tool("s_write", timeout=6.0), BulkheadFull)
            assert elapsed() == 0.0
            assert error.retry_after == pytest.approx(8.0)
            result = await here.client.call_tool("s_write", timeout=20.0)
            assert not result.is_error


async def test_a_waiter_that_gives_up_lets_the_next_one_have_its_turn(era: Era) -> None:
    server = ScriptedServer(slow(5.0))
    async with world(server, era, bulkhead=BulkheadPolicy(limit=1)) as here:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.client.call_tool, "s_write")
            await anyio.sleep(0.1)
            with anyio.move_on_after(1.0):
                await here.client.call_tool("s_write")
            assert here.replica.admission.waiting == 0
            await here.client.call_tool("s_write")
        assert len(server.executed) == 2


async def test_one_servers_crowd_never_delays_another_servers_calls(era: Era) -> None:
    server = ScriptedServer(*[slow(5.0)] * 3)
    async with world(server, era, bulkhead=BulkheadPolicy(limit=1), attempt_timeout=60.0) as here:
        settings = here.stack.settings
        other = replace(settings, name="t", endpoint=InProcessEndpoint(ScriptedServer()))
        here.client.apply([settings, other])
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(here.client.call_tool, "s_write")
            await anyio.sleep(0.1)
            elapsed = Elapsed()
            await here.client.call_tool("t_write")
            assert elapsed() == 0.0
