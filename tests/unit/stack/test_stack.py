"""The order of the layers, seen from outside: by probes between them, and by what would go wrong in another order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import anyio
import pytest
from mcp_types import Result

from tests.unit.layers.calls import Hanging, Scripted, a_call, answer
from trunkline.cache.cache_manager import CacheManager
from trunkline.call import Call, Layer, Service, compose
from trunkline.client_stack import client_stack
from trunkline.endpoint import HttpEndpoint, InProcessEndpoint, ServerSettings, StdioEndpoint
from trunkline.errors import (
    AttemptTimeout,
    CircuitOpen,
    ConnectionLost,
    DeadlineExceeded,
    InvalidArguments,
    ServerUnavailable,
)
from trunkline.events import CallFinished, CircuitChanged, Event
from trunkline.layers.cache import CacheLayer
from trunkline.layers.fresh import FreshLayer
from trunkline.policy import BreakerPolicy, BulkheadPolicy, HedgePolicy, RatePolicy, RetryPolicy, ServerPolicy
from trunkline.pool.pool import Pool
from trunkline.server_stack import ServerStack
from trunkline.stack import CLIENT_ORDER, REPLICA_ORDER, SERVER_ORDER, Position

pytestmark = pytest.mark.anyio

IN_PROCESS = ServerSettings("s", InProcessEndpoint(object()))


class Connections:
    """Stands where the pool would: hands each attempt to a service."""

    def __init__(self, service: Service) -> None:
        self.send = service

        self.is_ready = True

    def on_ready(self, now: float) -> None:
        """Replaced by the stack."""


def no_ladder(_call: Call) -> tuple[()]:
    """Nothing stands in for anything."""
    return ()


def a_stack(
    service: Service,
    events: list[Event] | None = None,
    replicas: int = 1,
    cache: Layer | None = None,
    **policies: Any,
) -> ServerStack:
    """A server's stack over `service`."""
    others = tuple(InProcessEndpoint(object()) for _ in range(replicas - 1))
    return ServerStack(
        replace(IN_PROCESS, policy=ServerPolicy(**policies), replicas=others),
        emit=(events if events is not None else []).append,
        rng=random.Random(1),
        on_listing=lambda _replica, _tools: None,
        cache=cache,
        make_pool=lambda *_args, **_options: cast("Pool", Connections(service)),
    )


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What passes each layer of the stacks made from here on: its name on the way down, and again on the way up."""
    seen: list[str] = []

    def probe(name: str) -> Layer:
        async def watch(call: Call, call_next: Service) -> Result:
            seen.append(f"{name} down")
            try:
                return await call_next(call)
            finally:
                seen.append(f"{name} up")

        return watch

    def composed(layers: Sequence[Layer], service: Service) -> Service:
        watched = [both for layer in layers for both in (probe(type(layer).__name__.removesuffix("Layer")), layer)]
        return compose(watched, service)

    monkeypatch.setattr("trunkline.stack.compose", composed)
    return seen


async def test_a_call_passes_the_clients_layers_in_the_order_that_is_written_down(passed: list[str]) -> None:
    fresh = FreshLayer(CacheManager(), lambda _call: None)
    await client_stack(Scripted(), ladder=no_ladder, emit=lambda _event: None, fresh=fresh)(a_call())
    assert passed == [
        *("Observe down", "Fresh down", "Deadline down", "Fallback down"),
        *("Fallback up", "Deadline up", "Fresh up", "Observe up"),
    ]
    built = [position.name for position in CLIENT_ORDER]
    assert [name.removesuffix(" down").lower() for name in passed[: len(built)]] == built


async def test_an_attempt_passes_the_servers_layers_in_the_order_that_is_written_down(passed: list[str]) -> None:
    await a_stack(Scripted()).send(a_call())
    down = ["Validate", "Retry", "Breaker", "Timeout", "Bulkhead"]
    assert passed == [f"{name} down" for name in down] + [f"{name} up" for name in reversed(down)]


async def test_with_every_layer_enabled_none_is_missing_from_the_written_order(passed: list[str]) -> None:
    cache = CacheLayer(CacheManager(), lambda _call: None)
    policies: dict[str, Any] = {"hedge": HedgePolicy(enabled=True), "rate": RatePolicy(per_second=5.0)}
    await a_stack(Scripted(), replicas=2, cache=cache, **policies).send(a_call())
    down = [name.removesuffix(" down").lower() for name in passed if name.endswith("down")]
    assert down == [position.name for position in (*SERVER_ORDER, *REPLICA_ORDER)]


async def test_only_what_is_below_retry_is_passed_again_by_the_second_attempt(passed: list[str]) -> None:
    await a_stack(Scripted([ConnectionLost("gone")])).send(a_call())
    counted = {name: passed.count(f"{name} down") for name in ("Validate", "Retry", "Breaker", "Timeout", "Bulkhead")}
    assert counted == {"Validate": 1, "Retry": 1, "Breaker": 2, "Timeout": 2, "Bulkhead": 2}


@pytest.mark.parametrize("position", [*CLIENT_ORDER, *SERVER_ORDER, *REPLICA_ORDER], ids=lambda position: position.name)
def test_every_position_has_its_reason(position: Position) -> None:
    assert len(position.reason.split()) >= 5


def test_no_position_is_named_twice() -> None:
    names = [position.name for position in (*CLIENT_ORDER, *SERVER_ORDER, *REPLICA_ORDER)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("layer", ["retry", "breaker", "bulkhead"])
async def test_a_layer_that_is_not_enabled_is_not_there(passed: list[str], layer: str) -> None:
    off: Any = {"retry": RetryPolicy, "breaker": BreakerPolicy, "bulkhead": BulkheadPolicy}[layer](enabled=False)
    await a_stack(Scripted(), **{layer: off}).send(a_call())
    expected = [name for name in ("validate", "retry", "breaker", "timeout", "bulkhead") if name != layer]
    assert [name.split()[0].lower() for name in passed if name.endswith("down")] == expected


async def test_the_observer_sees_the_deadline_pass() -> None:
    events: list[Event] = []
    service = client_stack(Hanging(sent=True), ladder=no_ladder, emit=events.append)
    with pytest.raises(DeadlineExceeded):
        await service(a_call())
    assert [event.outcome for event in events if isinstance(event, CallFinished)] == ["DeadlineExceeded"]


async def test_a_malformed_call_is_told_its_mistakes_even_while_the_circuit_is_open() -> None:
    stack = a_stack(Scripted())
    stack.replicas[0].circuit.force_open(anyio.current_time())
    with pytest.raises(InvalidArguments):
        await stack.send(a_call(problems=lambda _arguments: ("n: missing",)))
    assert stack.budget.balance == 100.0


async def test_every_attempt_of_one_call_is_judged() -> None:
    service = Scripted([ConnectionLost("one"), ConnectionLost("two"), ConnectionLost("three")])
    stack = a_stack(service, breaker=BreakerPolicy(consecutive=2))
    with pytest.raises(ConnectionLost) as raised:
        await stack.send(a_call())
    assert service.attempts == 2
    assert isinstance(raised.value.__cause__, CircuitOpen)


async def test_timeouts_are_seen_by_the_circuit() -> None:
    stack = a_stack(Hanging(sent=True), attempt_timeout=1.0, breaker=BreakerPolicy(consecutive=1))
    with pytest.raises(AttemptTimeout):
        await stack.send(a_call(repeatable=False))
    assert stack.replicas[0].circuit.state == "open"


async def test_waiting_for_a_turn_is_part_of_the_attempts_time() -> None:
    stack = a_stack(
        Hanging(sent=True), attempt_timeout=1.0, bulkhead=BulkheadPolicy(limit=1), retry=RetryPolicy(enabled=False)
    )
    async with anyio.create_task_group() as tasks:

        async def occupy() -> None:
            with pytest.raises(AttemptTimeout):
                await stack.send(a_call(attempt_timeout=8.0))

        tasks.start_soon(occupy)
        await anyio.sleep(0.1)
        started = anyio.current_time()
        with pytest.raises(ServerUnavailable):
            await stack.send(a_call())
        assert anyio.current_time() - started == pytest.approx(1.0)
    assert stack.replicas[0].admission.in_flight == stack.replicas[0].admission.waiting == 0


async def test_an_attempt_that_the_circuit_refuses_never_holds_a_place() -> None:
    stack = a_stack(Scripted())
    stack.replicas[0].circuit.force_open(anyio.current_time())
    with pytest.raises(CircuitOpen):
        await stack.send(a_call())
    assert stack.replicas[0].admission.entered == 0


async def test_two_servers_share_no_state() -> None:
    breaker = BreakerPolicy(consecutive=1)
    one, two = a_stack(Scripted([ConnectionLost("gone")]), breaker=breaker), a_stack(Scripted(), breaker=breaker)
    with pytest.raises(ConnectionLost):
        await one.send(a_call(repeatable=False))
    assert (one.replicas[0].circuit.state, two.replicas[0].circuit.state) == ("open", "closed")
    assert await two.send(a_call()) == answer()
    assert one.budget is not two.budget
    for name in ("circuit", "admission", "pool"):
        assert getattr(one.replicas[0], name) is not getattr(two.replicas[0], name)


async def test_a_circuits_moves_are_told_with_the_servers_name() -> None:
    events: list[Event] = []
    stack = a_stack(Scripted(), events)
    stack.replicas[0].circuit.force_open(3.0)
    stack.replicas[0].circuit.force_closed(4.0)
    assert events == [
        CircuitChanged(3.0, "s", None, "closed", "open", "forced open"),
        CircuitChanged(4.0, "s", None, "open", "closed", "forced closed"),
    ]


async def test_a_new_connection_proves_as_much_as_the_circuit_asks_for() -> None:
    stack = a_stack(Scripted([ConnectionLost("gone")]), breaker=BreakerPolicy(consecutive=1, successes=3))
    with pytest.raises(ConnectionLost):
        await stack.send(a_call(repeatable=False))
    states = [stack.replicas[0].circuit.state]
    stack.replicas[0].pool.on_ready(anyio.current_time())
    assert [*states, stack.replicas[0].circuit.state] == ["open", "closed"]


@pytest.mark.parametrize(
    ("endpoint", "limit"),
    [(StdioEndpoint("server"), 8), (HttpEndpoint("http://127.0.0.1/mcp"), 32), (InProcessEndpoint(object()), 32)],
    ids=["stdio", "http", "in process"],
)
async def test_how_many_attempts_are_let_in_depends_on_the_transport(endpoint: Any, limit: int) -> None:
    stack = ServerStack(
        ServerSettings("s", endpoint),
        emit=lambda _event: None,
        rng=random.Random(1),
        on_listing=lambda _replica, _tools: None,
    )
    assert stack.replicas[0].admission.limit == limit


async def test_a_stack_says_in_one_line_how_it_is() -> None:
    said = repr(a_stack(Scripted()))
    assert "\n" not in said
    for part in ("<ServerStack s", "<Circuit [closed", "<Admission [0 of 32 in flight"):
        assert part in said
