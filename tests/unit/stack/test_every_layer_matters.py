"""Removing any one layer makes a named test fail: each test below passes with the stack as it is and fails without it.

The layers are taken out of the written order itself, so a layer that is added later must be given its test here.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import anyio
import pytest

from tests.servers.watching import text_of
from tests.unit.cache.plans import a_plan
from tests.unit.layers.calls import Hanging, Scripted, a_call, answer
from trunkline import stack as order
from trunkline.cache.cache_manager import CacheManager
from trunkline.cache.plan import Plan
from trunkline.call import Call, Delivery, Service, ToolResult
from trunkline.client_stack import client_stack
from trunkline.endpoint import InProcessEndpoint, ServerSettings
from trunkline.errors import (
    AttemptTimeout,
    BulkheadFull,
    CircuitOpen,
    ConnectionLost,
    DeadlineExceeded,
    InvalidArguments,
    RateLimited,
    ServerUnavailable,
)
from trunkline.events import CallFinished, Event
from trunkline.layers.cache import CacheLayer
from trunkline.layers.fallback import Answer
from trunkline.layers.fresh import FreshLayer
from trunkline.policy import BreakerPolicy, BulkheadPolicy, HedgePolicy, RatePolicy, RetryPolicy, ServerPolicy
from trunkline.pool.pool import Pool
from trunkline.server_stack import ServerStack

pytestmark = pytest.mark.anyio


class Connections:
    """Stands where a pool would: hands each attempt to a service."""

    def __init__(self, service: Service) -> None:
        self.send = service
        self.is_ready = True

    def on_ready(self, now: float) -> None:
        """Replaced by the replica."""


def plan_of(call: Call) -> Plan | None:
    """What the cache does about the tool `s_known`; it has no business with others."""
    return a_plan(ttl=60.0) if call.name == "s_known" else None


def whole(
    service: Service, events: list[Event], replicas: int = 1, asked: list[str] | None = None, **policies: Any
) -> Service:
    """The client's stack over a server's over `service`; a static answer stands in for the tool `s_fragile`.

    `asked` takes the names of calls that a ladder was made for.
    """
    cache = CacheManager()
    policy = ServerPolicy(**policies)
    others = tuple(InProcessEndpoint(object()) for _ in range(replicas - 1))
    settings = replace(ServerSettings("s", InProcessEndpoint(object())), policy=policy, replicas=others)
    server = ServerStack(
        settings,
        emit=events.append,
        rng=random.Random(1),
        on_listing=lambda _replica, _tools: None,
        cache=CacheLayer(cache, plan_of),
        make_pool=lambda *_args, **_options: cast("Pool", Connections(service)),
    )

    async def give(_call: Call, _error: Exception) -> Any:
        return answer("instead")

    def ladder(call: Call) -> tuple[Answer, ...]:
        if asked is not None:
            asked.append(call.name)
        return (Answer("static", 0.0, give),) if call.name == "s_fragile" else ()

    return client_stack(server.send, ladder=ladder, emit=events.append, fresh=FreshLayer(cache, plan_of))


async def every_call_is_told() -> None:
    events: list[Event] = []
    await whole(Scripted(), events)(a_call())
    assert [event.outcome for event in events if isinstance(event, CallFinished)] == ["ok"]


async def a_fresh_answer_needs_no_ladder() -> None:
    asked: list[str] = []
    service = whole(Scripted(), [], asked=asked)
    for _ in range(2):
        await service(a_call(name="s_known"))
    assert asked == ["s_known"]


async def what_is_known_is_not_asked_for_again() -> None:
    origin = Scripted()
    service = whole(origin, [])
    for _ in range(2):
        await service(a_call(name="s_known"))
    assert origin.attempts == 1


async def a_call_ends_at_its_deadline() -> None:
    call = a_call(attempt_timeout=60.0)
    with anyio.fail_after(30.0), pytest.raises(DeadlineExceeded):
        await whole(Hanging(sent=True), [])(call)


async def a_substitute_answers() -> None:
    lost = ConnectionLost("gone")
    result = await whole(Scripted([lost] * 9), [])(a_call(name="s_fragile"))
    assert text_of(cast("ToolResult", result)) == "instead"


async def a_malformed_call_is_refused() -> None:
    with pytest.raises(InvalidArguments):
        await whole(Scripted(), [])(a_call(problems=lambda _arguments: ("n: missing",)))


async def a_lost_call_is_tried_again() -> None:
    result = await whole(Scripted([ConnectionLost("gone")]), [])(a_call())
    assert text_of(cast("ToolResult", result)) == "ok"


async def a_slow_call_is_raced() -> None:
    attempts = 0

    async def slow_at_first(call: Call) -> Any:
        nonlocal attempts
        attempts += 1
        call.delivery = Delivery.UNKNOWN
        await anyio.sleep(9.0 if attempts == 1 else 0.1)
        return answer()

    hedge = HedgePolicy(enabled=True, delay=1.0, extra=1.0)
    with anyio.fail_after(2.0):
        await whole(slow_at_first, [], replicas=2, hedge=hedge)(a_call())


async def a_rate_is_kept() -> None:
    service = whole(Scripted(), [], rate=RatePolicy(per_second=0.01, burst=1))
    await service(a_call())
    with pytest.raises(RateLimited):
        await service(a_call())


async def a_failing_server_is_left_alone() -> None:
    once = RetryPolicy(enabled=False)
    service = whole(Scripted([ConnectionLost("gone")]), [], retry=once, breaker=BreakerPolicy(consecutive=1))
    with pytest.raises(ConnectionLost):
        await service(a_call())
    with pytest.raises(CircuitOpen):
        await service(a_call())


async def an_attempt_ends_before_the_call_does() -> None:
    once = RetryPolicy(enabled=False)
    with anyio.fail_after(5.0), pytest.raises(AttemptTimeout):
        await whole(Hanging(sent=True), [], retry=once, attempt_timeout=1.0)(a_call())


async def no_more_than_so_many_are_served_at_once() -> None:
    service = whole(Hanging(sent=True), [], bulkhead=BulkheadPolicy(limit=1, waiting=0))
    refusals: list[Exception] = []

    async def occupy() -> None:
        await service(a_call())

    with anyio.move_on_after(5.0):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(occupy)
            await anyio.sleep(0.1)
            try:
                await service(a_call())
            except BulkheadFull as refusal:
                refusals.append(refusal)
            tasks.cancel_scope.cancel()
    assert len(refusals) == 1


PROMISES: dict[str, Callable[[], Awaitable[None]]] = {
    "observe": every_call_is_told,
    "fresh": a_fresh_answer_needs_no_ladder,
    "deadline": a_call_ends_at_its_deadline,
    "fallback": a_substitute_answers,
    "validate": a_malformed_call_is_refused,
    "cache": what_is_known_is_not_asked_for_again,
    "retry": a_lost_call_is_tried_again,
    "hedge": a_slow_call_is_raced,
    "rate": a_rate_is_kept,
    "breaker": a_failing_server_is_left_alone,
    "timeout": an_attempt_ends_before_the_call_does,
    "bulkhead": no_more_than_so_many_are_served_at_once,
}
BUILT = [position.name for position in (*order.CLIENT_ORDER, *order.SERVER_ORDER, *order.REPLICA_ORDER)]


def test_every_layer_that_is_built_has_its_promise() -> None:
    assert list(PROMISES) == BUILT


@pytest.mark.parametrize("layer", BUILT)
async def test_with_the_layer_its_promise_is_kept(layer: str) -> None:
    await PROMISES[layer]()


@pytest.mark.parametrize("layer", BUILT)
async def test_without_the_layer_its_promise_is_broken(layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    complete = order.stacked

    def without(positions: Any, layers: Any, service: Service) -> Service:
        return complete(positions, {name: made for name, made in layers.items() if name != layer}, service)

    for module in ("client_stack", "server_stack", "replica"):
        monkeypatch.setattr(f"trunkline.{module}.stacked", without)
    broken = (pytest.fail.Exception, AssertionError, TimeoutError, ConnectionLost, ServerUnavailable, DeadlineExceeded)
    with pytest.raises(broken):
        await PROMISES[layer]()
