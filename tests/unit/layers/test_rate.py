"""Attempts wait for their turn by the server's rate, and one that has no time for it is refused at once."""

from __future__ import annotations

import anyio
import pytest

from tests.unit.layers.calls import Scripted, a_call
from trunkline.errors import RateLimited
from trunkline.layers.rate import RateLayer
from trunkline.resilience.rate import RateLimit

pytestmark = pytest.mark.anyio


async def test_attempts_beyond_the_burst_are_sent_at_the_rate() -> None:
    layer, service, began = RateLayer(RateLimit(2.0, 2)), Scripted(), anyio.current_time()
    ended: list[float] = []

    async def attempt() -> None:
        await layer(a_call(), service)
        ended.append(anyio.current_time() - began)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(attempt)
    assert ended == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.5])


async def test_an_attempt_without_time_for_its_turn_is_refused_at_once_and_told_when_to_come_back() -> None:
    layer, service = RateLayer(RateLimit(0.1, 1)), Scripted()
    await layer(a_call(), service)
    began = anyio.current_time()
    with pytest.raises(RateLimited) as raised:
        await layer(a_call(deadline=began + 5.0), service)
    assert anyio.current_time() == began
    assert raised.value.retry_after == pytest.approx(10.0)
    assert not raised.value.may_have_run
    assert service.attempts == 1


async def test_who_is_cancelled_while_waiting_gives_the_turn_back() -> None:
    layer, service = RateLayer(RateLimit(1.0, 1)), Scripted()
    await layer(a_call(), service)
    with anyio.move_on_after(0.25):
        await layer(a_call(), service)
    began = anyio.current_time()
    await layer(a_call(), service)
    assert anyio.current_time() - began == pytest.approx(0.75)
    assert service.attempts == 2
