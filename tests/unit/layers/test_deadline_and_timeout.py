"""The two clocks of a call: the deadline of the whole, and the timeout of one attempt."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest
from mcp_types import Result

from tests.unit.layers.calls import Hanging, Scripted, a_call, answer
from trunkline.call import Call, Delivery
from trunkline.errors import AttemptTimeout, DeadlineExceeded, ServerUnavailable
from trunkline.layers.deadline import DeadlineLayer
from trunkline.layers.timeout import TimeoutLayer

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-RES-1")]


async def test_a_call_ends_at_its_deadline_and_says_that_it_may_have_run() -> None:
    call = a_call(deadline=anyio.current_time() + 3.0)
    with pytest.raises(DeadlineExceeded, match="did not finish within 3 s; it may have run") as raised:
        await DeadlineLayer()(call, Hanging(sent=True))
    assert anyio.current_time() == call.deadline
    assert raised.value.may_have_run
    assert (raised.value.tool, raised.value.server) == ("s_read", "s")


async def test_a_call_that_was_never_sent_says_so_at_its_deadline() -> None:
    call = a_call(deadline=anyio.current_time() + 3.0)
    with pytest.raises(DeadlineExceeded, match="it was not sent") as raised:
        await DeadlineLayer()(call, Hanging(sent=False))
    assert not raised.value.may_have_run


async def test_an_earlier_attempt_is_not_forgotten_at_the_deadline() -> None:
    call = a_call(deadline=anyio.current_time() + 3.0, may_have_run=True)
    with pytest.raises(DeadlineExceeded) as raised:
        await DeadlineLayer()(call, Hanging(sent=False))
    assert raised.value.may_have_run


async def test_somebody_elses_cancellation_passes_through_both_layers() -> None:
    timeout = TimeoutLayer(2.0)

    async def attempt(call: Call) -> Result:
        return await timeout(call, Hanging(sent=True))

    with anyio.move_on_after(1.0) as scope:
        await DeadlineLayer()(a_call(), attempt)
    assert scope.cancelled_caught


async def test_a_deadline_that_has_passed_already_sends_nothing() -> None:
    async def service(_call: Call) -> Result:
        await anyio.lowlevel.checkpoint()
        raise AssertionError

    with pytest.raises(DeadlineExceeded) as raised:
        await DeadlineLayer()(a_call(deadline=anyio.current_time() - 1.0), service)
    assert not raised.value.may_have_run


@pytest.mark.parametrize(("sent", "error"), [(True, AttemptTimeout), (False, ServerUnavailable)])
async def test_an_attempt_ends_at_its_timeout(sent: bool, error: type[Exception]) -> None:
    started = anyio.current_time()
    with pytest.raises(error, match="within 2 s"):
        await TimeoutLayer(2.0)(a_call(), Hanging(sent=sent))
    assert anyio.current_time() - started == 2.0


async def test_the_calls_own_timeout_replaces_the_servers() -> None:
    started = anyio.current_time()
    with pytest.raises(AttemptTimeout):
        await TimeoutLayer(2.0)(a_call(attempt_timeout=0.5), Hanging(sent=True))
    assert anyio.current_time() - started == 0.5


async def test_where_the_deadline_comes_first_it_is_the_deadlines_to_end_the_attempt() -> None:
    call = a_call(deadline=anyio.current_time() + 1.0)
    with anyio.move_on_after(5.0) as scope:
        await TimeoutLayer(2.0)(call, Hanging(sent=True))
    assert scope.cancelled_caught
    assert call.attempt_ends == call.deadline


async def test_progress_extends_an_attempt_and_gives_the_callers_callback_back() -> None:
    heard: list[float] = []

    async def told(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    async def service(call: Call) -> Result:
        for step in range(4):
            await anyio.sleep(1.5)
            assert call.progress is not None
            await call.progress(step, None, None)
        return answer()

    call = a_call(progress=told)
    assert await TimeoutLayer(2.0)(call, service) == answer()
    assert heard == [0, 1, 2, 3]
    assert call.progress is told


async def test_late_progress_of_an_earlier_attempt_does_not_shorten_anything() -> None:
    async def told(progress: float, total: float | None, message: str | None) -> None: ...

    call = a_call(progress=told, attempt_timeout=2.0, deadline=anyio.current_time() + 3.0)

    async def service(call: Call) -> Result:
        await anyio.sleep(1.9)
        assert call.progress is not None
        await call.progress(1, None, None)
        assert call.attempt_ends == call.deadline
        call.delivery = Delivery.UNKNOWN
        await anyio.sleep_forever()
        raise AssertionError

    started = anyio.current_time()
    with pytest.raises(DeadlineExceeded):
        await DeadlineLayer()(call, lambda given: TimeoutLayer(9.0)(given, service))
    assert anyio.current_time() - started == 3.0


async def test_a_quick_answer_is_returned_as_it_is() -> None:
    service, expected = Scripted([answer("quick")]), answer("quick")
    assert await DeadlineLayer()(a_call(), lambda call: TimeoutLayer(2.0)(call, service)) == expected
