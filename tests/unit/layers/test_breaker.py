"""How each end of an attempt is judged, and that a permit always comes back."""

from __future__ import annotations

import random
from typing import Any

import anyio
import pytest
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from tests.unit.layers.calls import Hanging, Scripted, a_call, answer
from trunkline.call import Delivery
from trunkline.errors import (
    AttemptTimeout,
    BulkheadFull,
    CallError,
    CircuitOpen,
    ConnectionLost,
    InvalidResult,
    ServerError,
    ServerUnavailable,
)
from trunkline.layers.breaker import BreakerLayer
from trunkline.policy import BreakerPolicy
from trunkline.resilience.circuit import Circuit

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("SEED-RES-2")]


class Guarded:
    """The layer over a circuit of its own."""

    def __init__(self, *, is_probed: bool = True, **policy: Any) -> None:
        self.moves: list[tuple[str, str]] = []
        self.circuit = Circuit(
            BreakerPolicy(**{"consecutive": 1, "minimum": 2, "open_for": 2.0, **policy}),
            slow=5.0,
            rng=random.Random(1),
            on_change=lambda old, new, _reason, _now: self.moves.append((old, new)),
        )
        self.layer = BreakerLayer(self.circuit, lease=1.0, is_probed=is_probed)

    def state(self) -> str:
        """Of the circuit, now."""
        return self.circuit.state

    async def open(self) -> None:
        with pytest.raises(AttemptTimeout):
            await self.layer(a_call(), Scripted([AttemptTimeout("too slow")]))
        assert self.state() == "open"


@pytest.mark.parametrize(
    "error",
    [
        AttemptTimeout("too slow"),
        ConnectionLost("gone"),
        ConnectionLost("refused", delivery=Delivery.NOT_SENT),
        ServerError("broken", status=500, delivery=Delivery.UNKNOWN),
    ],
    ids=str,
)
async def test_a_failure_of_the_server_counts_against_it(error: CallError) -> None:
    guarded = Guarded()
    with pytest.raises(type(error)):
        await guarded.layer(a_call(), Scripted([error]))
    assert guarded.state() == "open"


@pytest.mark.parametrize(
    "error",
    [
        ServerError("too many requests", status=429, delivery=Delivery.REFUSED),
        ServerError("overload", status=503, delivery=Delivery.UNKNOWN),
        ServerError("internal", error_code=INTERNAL_ERROR),
    ],
    ids=str,
)
async def test_a_sign_of_overload_counts_by_its_share_only(error: ServerError) -> None:
    guarded = Guarded(minimum=3)
    for state in ("closed", "closed", "open"):
        with pytest.raises(ServerError):
            await guarded.layer(a_call(), Scripted([error]))
        assert guarded.state() == state


@pytest.mark.parametrize(
    "error",
    [
        ServerError("no", error_code=INVALID_PARAMS),
        ServerError("forbidden", status=403, delivery=Delivery.REFUSED),
        InvalidResult("what?"),
    ],
    ids=str,
)
async def test_a_server_that_answers_is_well_even_if_it_says_no(error: CallError) -> None:
    guarded = Guarded(successes=1)
    await guarded.open()
    await anyio.sleep(2.0)
    with pytest.raises(type(error)):
        await guarded.layer(a_call(), Scripted([error]))
    assert guarded.state() == "closed"


@pytest.mark.parametrize("error", [BulkheadFull("full"), ServerUnavailable("away"), ZeroDivisionError()], ids=repr)
async def test_what_never_reached_the_server_proves_nothing_and_frees_the_probes_slot(error: Exception) -> None:
    guarded = Guarded()
    await guarded.open()
    await anyio.sleep(2.0)
    with pytest.raises(type(error)):
        await guarded.layer(a_call(), Scripted([error]))
    assert guarded.state() == "half_open"
    assert await guarded.layer(a_call(), Scripted()) == answer()


async def test_a_result_that_is_an_error_is_a_success_of_the_server() -> None:
    guarded = Guarded(successes=1)
    await guarded.open()
    await anyio.sleep(2.0)
    assert await guarded.layer(a_call(), Scripted([answer(is_error=True)])) == answer(is_error=True)
    assert guarded.state() == "closed"


async def test_an_open_circuit_sends_nothing_and_says_when_to_come_back() -> None:
    guarded, service = Guarded(), Scripted()
    await guarded.open()
    with pytest.raises(CircuitOpen, match="server 's' keeps failing") as raised:
        await guarded.layer(a_call(), service)
    assert service.attempts == 0
    assert raised.value.tool == "s_read"
    assert raised.value.server == "s"
    assert raised.value.retry_after is not None
    assert 0 < raised.value.retry_after <= 2.0


async def test_abandoned_at_its_deadline_with_the_server_an_attempt_is_a_failure() -> None:
    guarded = Guarded()
    call = a_call(deadline=anyio.current_time() + 1.0)
    with anyio.CancelScope(deadline=call.deadline):
        await guarded.layer(call, Hanging(sent=True))
    assert guarded.state() == "open"


async def test_abandoned_at_its_deadline_before_it_was_sent_an_attempt_proves_nothing() -> None:
    guarded = Guarded()
    call = a_call(deadline=anyio.current_time() + 1.0)
    with anyio.CancelScope(deadline=call.deadline):
        await guarded.layer(call, Hanging(sent=False))
    assert guarded.state() == "closed"


async def test_cancelled_before_its_deadline_an_attempt_proves_nothing() -> None:
    guarded = Guarded()
    with anyio.move_on_after(1.0):
        await guarded.layer(a_call(), Hanging(sent=True))
    assert guarded.state() == "closed"


@pytest.mark.parametrize("is_probed", [True, False])
async def test_a_call_that_must_not_run_twice_probes_only_where_nobody_else_does(is_probed: bool) -> None:
    guarded = Guarded(is_probed=is_probed)
    await guarded.open()
    await anyio.sleep(2.0)
    call, service = a_call(repeatable=False), Scripted()
    if is_probed:
        with pytest.raises(CircuitOpen):
            await guarded.layer(call, service)
    else:
        await guarded.layer(call, service)
    assert service.attempts == (0 if is_probed else 1)


async def test_victims_of_one_incident_count_once() -> None:
    guarded, incident = Guarded(consecutive=2), object()
    for _ in range(5):
        with pytest.raises(ConnectionLost):
            await guarded.layer(a_call(), Scripted([ConnectionLost("gone", incident=incident)]))
    assert guarded.state() == "closed"
    with pytest.raises(ConnectionLost):
        await guarded.layer(a_call(), Scripted([ConnectionLost("gone", incident=object())]))
    assert guarded.state() == "open"


async def test_slowness_is_judged_by_the_time_with_the_server_alone() -> None:
    async def queued(call: Any) -> Any:
        await anyio.sleep(8.0)
        call.server_time = 1.0
        return answer()

    async def slow(call: Any) -> Any:
        call.server_time = 6.0
        return answer()

    guarded = Guarded()
    for _ in range(5):
        await guarded.layer(a_call(), queued)
    assert guarded.state() == "closed"
    for _ in range(20):
        await guarded.layer(a_call(), slow)
        if guarded.state() == "open":
            break
    assert guarded.state() == "open"
