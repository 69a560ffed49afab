"""The cache layers over a scripted service: what is served, asked for, kept and made invalid, in virtual time."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import mcp_types as types
import pytest
from mcp_types import Result

from tests.servers.watching import text_of
from tests.unit.cache.plans import a_plan
from tests.unit.cache.shared import Shared, Tier
from tests.unit.layers.calls import a_call, answer
from trunkline.cache.cache_manager import CacheManager
from trunkline.cache.entry import CacheKey
from trunkline.cache.plan import Plan
from trunkline.cache.tier import Claim
from trunkline.call import Call, Delivery, ToolResult
from trunkline.errors import AttemptTimeout, CallError, CircuitOpen, ConnectionLost
from trunkline.layers.cache import CacheLayer
from trunkline.layers.fresh import FreshLayer
from trunkline.policy import CacheSettings, ListingCachePolicy

pytestmark = pytest.mark.anyio


class Origin:
    """A server that counts its answers."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.asked = 0
        self.calls: list[Call] = []
        self.error: CallError | None = None
        self.says: Callable[[int], Result] = lambda number: answer(f"answer {number}")

    async def __call__(self, call: Call) -> Result:
        self.asked += 1
        number = self.asked
        self.calls.append(call)
        call.attempts += 1
        call.delivery = Delivery.UNKNOWN
        await anyio.sleep(self.seconds)
        if self.error is not None:
            call.may_have_run = self.error.may_have_run
            raise self.error
        call.may_have_run = True
        return self.says(number)


class Rig:
    """One process: a cache, its two layers, a server."""

    def __init__(self, origin: Origin, plan: Plan, tier: Tier | None = None, **settings: Any) -> None:
        self.origin = origin
        self.plan = plan
        self.cache = CacheManager(CacheSettings(**settings), tier=tier, rng=random.Random(1))
        self.layer = CacheLayer(self.cache, self._plan)
        self.fresh = FreshLayer(self.cache, self._plan)

    def _plan(self, _call: Call) -> Plan:
        return self.plan

    async def ask(self, n: Any = 1, **fields: Any) -> tuple[str, str]:
        """How a call was served, and what it was told."""
        call = a_call(arguments={"n": n}, **fields)
        result = cast("ToolResult", await self.serve(call))
        return call.cached, text_of(result)

    async def serve(self, call: Call) -> Result:
        return await self.fresh(call, lambda same: self.layer(same, self.origin))


@asynccontextmanager
async def rig(
    origin: Origin | None = None, *, tier: Tier | None = None, partition: str | None = None, **policy: Any
) -> AsyncGenerator[Rig, None]:
    made = Rig(origin or Origin(), a_plan(**{"ttl": 10.0, "stale": 0.0, **policy}), tier, partition=partition)
    await made.cache.start()
    try:
        yield made
    finally:
        await made.cache.stop()


async def test_an_answer_is_used_again_while_it_is_fresh() -> None:
    async with rig() as one:
        assert [await one.ask(), await one.ask(), await one.ask(2)] == [
            ("miss", "answer 1"),
            ("hit", "answer 1"),
            ("miss", "answer 2"),
        ]
        await anyio.sleep(10.0)
        assert await one.ask() == ("miss", "answer 3")


async def test_a_hit_makes_no_attempt() -> None:
    async with rig() as one:
        await one.ask()
        call = a_call(arguments={"n": 1})
        await one.serve(call)
        assert (call.attempts, call.may_have_run, call.server, call.target) == (0, False, "s", "known")


async def test_each_caller_has_an_object_of_its_own() -> None:
    async with rig() as one:
        await one.ask()
        for _ in range(2):
            result = cast("ToolResult", await one.serve(a_call(arguments={"n": 1})))
            assert text_of(result) == "answer 1"
            cast("types.TextContent", result.content[0]).text = "spoilt"


async def test_where_the_policy_says_so_all_have_the_same_content_and_a_provenance_of_their_own() -> None:
    async with rig(copy="shared") as one:
        await one.ask()
        first, second = [cast("ToolResult", await one.serve(a_call(arguments={"n": 1}))) for _ in range(2)]
        assert first is not second
        assert first.content is second.content


@pytest.mark.parametrize("is_kept", [True, False], ids=["kept", "too large to keep"])
async def test_two_hundred_that_miss_together_are_one_call_and_have_two_hundred_objects(is_kept: bool) -> None:
    async with rig(Origin(1.0), max_item_bytes=10**6 if is_kept else 1) as one:
        told: list[Result] = []
        outcomes: list[str] = []

        async def ask() -> None:
            call = a_call(arguments={"n": 1})
            told.append(await one.serve(call))
            outcomes.append(f"{call.cached} {call.attempts}")

        async with anyio.create_task_group() as tasks:
            for _ in range(200):
                tasks.start_soon(ask)
        assert one.origin.asked == 1
        assert sorted(outcomes) == ["coalesced 0"] * 199 + ["miss 1"]
        assert len({id(result) for result in told}) == 200
        assert len({id(cast("ToolResult", result).content[0]) for result in told}) == 200
        assert {text_of(cast("ToolResult", result)) for result in told} == {"answer 1"}


@pytest.mark.requirement("CACHE-CANCEL")
async def test_the_first_caller_may_give_up_and_the_others_are_answered() -> None:
    async with rig(Origin(1.0)) as one:
        told: list[tuple[str, str]] = []

        async def ask() -> None:
            told.append(await one.ask())

        async with anyio.create_task_group() as tasks, anyio.create_task_group() as hasty:
            hasty.start_soon(one.ask)
            await anyio.sleep(0.1)
            tasks.start_soon(ask)
            await anyio.sleep(0.1)
            hasty.cancel_scope.cancel()
        assert told == [("coalesced", "answer 1")]
        assert one.origin.asked == 1


async def test_a_flight_has_the_policys_time_and_not_its_first_callers() -> None:
    async with rig(Origin(20.0)) as one:
        told: list[tuple[str, str]] = []

        async def ask() -> None:
            told.append(await one.ask(deadline=anyio.current_time() + 60.0))

        async with anyio.create_task_group() as tasks:
            with anyio.move_on_after(1.0):
                tasks.start_soon(ask)
                await one.ask(deadline=anyio.current_time() + 1.0)
        assert told == [("miss", "answer 1")] or told == [("coalesced", "answer 1")]


@pytest.mark.parametrize("fields", [{"progress": object()}, {"attempt_timeout": 3.0}], ids=["progress", "own timeout"])
async def test_a_call_that_wants_something_of_its_own_flies_alone_and_is_kept_and_served_like_any(
    fields: dict[str, Any],
) -> None:
    async with rig(Origin(1.0)) as one:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.ask)
            await anyio.sleep(0.1)
            assert await one.ask(**fields) == ("miss", "answer 2")
        assert one.origin.calls[1].progress is fields.get("progress")
        assert one.origin.calls[1].attempt_timeout == fields.get("attempt_timeout")
        assert (await one.ask(**fields))[0] == "hit"


async def test_who_comes_after_an_invalidation_does_not_wait_for_a_call_of_before() -> None:
    async with rig(Origin(2.0)) as one:
        told: list[tuple[str, str]] = []

        async def ask() -> None:
            told.append(await one.ask())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.sleep(0.5)
            tasks.start_soon(ask)
            await anyio.sleep(0.5)
            one.cache.invalidate(tool="s_known")
            tasks.start_soon(ask)
            await anyio.sleep(0.5)
            tasks.start_soon(ask)
        before, after = told[:2], told[2:]
        assert sorted(before) == [("coalesced", "answer 1"), ("miss", "answer 1")]
        assert sorted(after) == [("coalesced", "answer 2"), ("miss", "answer 2")]
        assert await one.ask() == ("hit", "answer 2")


async def test_out_of_touch_nobody_joins_a_call_that_was_made_too_long_ago() -> None:
    shared = Shared()
    tier = shared.tier()
    async with rig(Origin(8.0), tier=tier, partition="all") as one:
        tier.synced = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(one.ask)
                await anyio.sleep(3.0)
        assert one.origin.asked == 2


async def test_nobody_joins_a_call_whose_server_has_answered_and_which_only_gives_back_its_claim() -> None:
    shared = Shared()
    tier = Lingering(shared)
    async with rig(tier=tier, partition="all", lease=5.0) as one:
        one.origin.says = lambda number: answer(f"answer {number}", is_error=True)
        told: list[Result] = []

        async def ask() -> None:
            told.append(await one.serve(a_call(arguments={"n": 1})))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.sleep(0.5)
            tasks.start_soon(ask)
        assert one.origin.asked == 2


class Lingering(Tier):
    """Takes a second to take a claim back."""

    async def claim(self, key: CacheKey, seconds: float) -> Claim | bool:
        return _Lingering()


class _Lingering:
    async def release(self) -> None:
        await anyio.sleep(1.0)


async def test_a_failure_is_each_ones_own_and_not_kept() -> None:
    async with rig(Origin(1.0)) as one:
        one.origin.error = CircuitOpen("open", retry_after=1.0)
        errors: list[CallError] = []

        async def ask() -> None:
            with pytest.raises(CircuitOpen) as raised:
                await one.ask()
            errors.append(raised.value)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)
        assert len({id(error) for error in errors}) == 3
        one.origin.error = None
        assert (await one.ask())[0] == "miss"


async def test_what_is_known_of_a_shared_call_is_known_of_each() -> None:
    async with rig() as one:
        one.origin.error = ConnectionLost("gone", delivery=Delivery.UNKNOWN)
        call = a_call(arguments={"n": 1})
        with pytest.raises(ConnectionLost):
            await one.serve(call)
        assert (call.may_have_run, call.delivery, call.attempts) == (True, Delivery.UNKNOWN, 1)


async def test_a_stale_answer_is_served_and_refreshed_once_in_the_background() -> None:
    async with rig(Origin(1.0), stale=5.0) as one:
        await one.ask()
        await anyio.sleep(12.0)
        started = anyio.current_time()
        for _ in range(3):
            assert await one.ask() == ("stale", "answer 1")
        assert anyio.current_time() == started
        await anyio.sleep(1.5)
        assert await one.ask() == ("hit", "answer 2")
        assert (one.origin.asked, one.cache.stats().refreshes) == (2, 1)


async def test_a_refresh_outlives_the_call_that_caused_it_and_has_none_of_its_limits() -> None:
    async with rig(Origin(5.0), stale=50.0) as one:
        await one.ask()
        await anyio.sleep(12.0)
        with anyio.move_on_after(0.5):
            await one.ask(progress=cast("Any", object()), attempt_timeout=0.1, deadline=anyio.current_time() + 0.1)
        await anyio.sleep(6.0)
        assert (await one.ask()) == ("hit", "answer 2")
        assert (one.origin.calls[1].progress, one.origin.calls[1].attempt_timeout) == (None, None)


async def test_a_refresh_that_fails_is_not_repeated_for_a_while() -> None:
    async with rig(stale=1000.0, recheck=30.0) as one:
        await one.ask()
        await anyio.sleep(12.0)
        one.origin.error = CircuitOpen("open")
        for _ in range(20):
            assert await one.ask() == ("stale", "answer 1")
            await anyio.sleep(1.0)
        assert one.origin.asked == 2
        one.origin.error = None
        await anyio.sleep(20.0)
        assert await one.ask() == ("stale", "answer 1")
        await anyio.sleep(0.1)
        assert await one.ask() == ("hit", "answer 3")


async def test_a_refresh_whose_answer_may_not_be_kept_is_not_repeated_either() -> None:
    async with rig(stale=1000.0) as one:
        await one.ask()
        await anyio.sleep(12.0)
        one.origin.says = lambda _number: answer("failed", is_error=True)
        for _ in range(5):
            assert await one.ask() == ("stale", "answer 1")
            await anyio.sleep(1.0)
        assert one.origin.asked == 2


async def test_a_fresh_answer_is_refreshed_early_the_likelier_the_nearer_its_end() -> None:
    async with rig(Origin(2.0), ttl=100.0, early=2.0) as one:
        await one.ask()
        await anyio.sleep(10.0)
        await one.ask()
        await anyio.wait_all_tasks_blocked()
        assert one.origin.asked == 1
        await anyio.sleep(89.0)
        for _ in range(10):
            assert (await one.ask())[0] == "hit"
        await anyio.sleep(3.0)
        assert await one.ask() == ("hit", "answer 2")


async def test_after_the_soft_timeout_what_is_kept_is_served_and_the_servers_answer_is_stored() -> None:
    async with rig(stale_if_error=100.0, soft_timeout=0.5) as one:
        await one.ask()
        await anyio.sleep(12.0)
        one.origin.seconds = 4.0
        started = anyio.current_time()
        assert await one.ask() == ("stale", "answer 1")
        assert anyio.current_time() - started == pytest.approx(0.5)
        await anyio.sleep(4.0)
        assert await one.ask() == ("hit", "answer 2")


async def test_who_waits_until_a_soft_timeout_shares_no_object_with_who_just_waits() -> None:
    shared = Shared()
    policy: dict[str, Any] = {"soft_timeout": 1.0, "stale_if_error": 60.0}
    questions = range(16)  # which of two wakes first is a matter of chance
    async with (
        rig(tier=shared.tier(), partition="all", **policy) as there,
        rig(Origin(0.1), tier=shared.tier(), partition="all", **policy) as here,
    ):
        for n in questions:
            await there.ask(n)
        await anyio.sleep(10.0)
        here.origin.says = lambda _number: answer("whole", is_error=True)
        told: list[str] = []

        async def ask(n: int) -> None:
            result = cast("ToolResult", await here.serve(a_call(arguments={"n": n})))
            content = cast("types.TextContent", result.content[0])
            told.append(content.text)
            content.text = "spoilt"

        async with anyio.create_task_group() as tasks:
            for n in questions:
                tasks.start_soon(ask, n)
            # By now these have found what the other process kept, and wait for the server.
            await anyio.sleep(0.05)
            for n in questions:
                tasks.start_soon(ask, n)
        assert told == ["whole"] * 32


async def test_within_the_soft_timeout_the_servers_answer_is_served() -> None:
    async with rig(stale_if_error=100.0, soft_timeout=0.5) as one:
        await one.ask()
        await anyio.sleep(12.0)
        one.origin.seconds = 0.2
        assert await one.ask() == ("miss", "answer 2")


async def test_with_nothing_kept_there_is_no_soft_timeout() -> None:
    async with rig(Origin(2.0), stale_if_error=100.0, soft_timeout=0.5) as one:
        assert await one.ask() == ("miss", "answer 1")


async def test_what_was_made_invalid_meanwhile_is_not_served_after_the_soft_timeout() -> None:
    async with rig(stale_if_error=100.0, soft_timeout=0.5) as one:
        await one.ask()
        await anyio.sleep(12.0)
        one.origin.seconds = 4.0
        told: list[tuple[str, str]] = []

        async def ask() -> None:
            told.append(await one.ask())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.sleep(0.2)
            one.cache.invalidate(tool="s_known")
        assert told == [("miss", "answer 2")]
        one.origin.seconds = 0.0
        assert await one.ask() == ("miss", "answer 3")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"cache": "bypass"}, "caller"),
        ({"meta": {"tenant": "x"}}, "meta"),
        ({"arguments": {"n": float("nan")}}, "arguments"),
        ({"arguments": {"n": "\ud800"}}, "arguments"),
        ({"arguments": {"n": {1: 2}}}, "arguments"),
    ],
)
async def test_a_call_that_may_not_be_looked_up_passes_by_and_the_reason_is_counted(
    fields: dict[str, Any], reason: str
) -> None:
    async with rig() as one:
        for _ in range(2):
            call = a_call(**{"arguments": {"n": 1}, **fields})
            await one.serve(call)
            assert (call.cached, call.attempts) == ("bypass", 1)
        assert one.cache.stats().bypassed == {reason: 2}
        assert one.cache.stats().entries == 0


async def test_what_traces_and_counts_progress_makes_no_difference() -> None:
    async with rig() as one:
        meta = {
            "progressToken": 1,
            "traceparent": "00-1-2-3",
            "tracestate": "a",
            "baggage": "b",
            "trunkline/domain": "d",
        }
        await one.ask(meta=meta)
        assert (await one.ask(meta={**meta, "traceparent": "00-4-5-6"}))[0] == "hit"
        assert (await one.ask())[0] == "hit"


async def test_a_caller_may_want_a_new_answer_which_is_then_everybodys() -> None:
    async with rig() as one:
        await one.ask()
        assert await one.ask(cache="refresh") == ("miss", "answer 2")
        assert await one.ask() == ("hit", "answer 2")


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (answer("x", is_error=True), "error"),
        (ToolResult(content=[], _meta={"cache_hint": "no-cache"}), "no-cache"),
        (answer("x" * 2000), "oversize"),
        (ToolResult(content=[], structured_content={"n": float("nan")}), "inexact"),
    ],
    ids=["failed", "no-cache", "oversize", "inexact"],
)
async def test_an_answer_that_may_not_be_kept_is_passed_on_as_it_is(result: ToolResult, reason: str) -> None:
    async with rig(max_item_bytes=1000) as one:
        one.origin.says = lambda _number: result
        for _ in range(2):
            call = a_call(arguments={"n": 1})
            assert await one.serve(call) is result
            assert call.cached == "miss"
        assert one.cache.stats().refused == {reason: 2}


async def test_an_answer_whose_tags_moved_in_flight_is_passed_on_and_not_kept() -> None:
    async with rig(Origin(1.0)) as one:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.ask)
            await anyio.sleep(0.5)
            one.cache.invalidate(tool="s_known")
        assert (await one.ask())[0] == "miss"
        assert one.cache.stats().refused == {"outrun": 1}


async def test_an_entry_that_cannot_be_read_is_a_miss_and_counted() -> None:
    async with rig() as one:
        await one.ask()
        for place in one.cache.tiers.memory._small.values():
            place.value.entry.body = b"{broken"
        assert await one.ask() == ("miss", "answer 2")
        assert one.cache.stats().faults == 1
        assert await one.ask() == ("hit", "answer 2")


@pytest.mark.requirement("CACHE-PRINCIPAL")
async def test_principals_never_cross() -> None:
    async with rig(partition="house") as one:
        for who in ("ada", "bob", None, "house"):
            await one.ask(principal=who)
        assert one.origin.asked == 3
        assert await one.ask(principal="ada") == ("hit", "answer 1")
        assert await one.ask(principal="bob") == ("hit", "answer 2")
        one.cache.invalidate(principal="ada")
        assert await one.ask(principal="ada") == ("miss", "answer 4")
        assert await one.ask(principal="bob") == ("hit", "answer 2")


async def test_calls_of_different_principals_do_not_wait_for_one_another() -> None:
    async with rig(Origin(1.0)) as one, anyio.create_task_group() as tasks:
        for who in ("ada", "bob"):
            tasks.start_soon(lambda who=who: one.ask(principal=who))  # type: ignore[misc]
        await anyio.sleep(0.5)
        assert one.origin.asked == 2


async def test_a_cache_that_was_not_started_keeps_and_serves() -> None:
    one = Rig(Origin(), a_plan(ttl=10.0))
    assert [await one.ask(), await one.ask()] == [("miss", "answer 1"), ("hit", "answer 1")]
    await anyio.sleep(12.0)
    assert await one.ask() == ("stale", "answer 1")
    assert one.origin.asked == 1


async def changes(*, invalidates: tuple[str, ...] | None, error: CallError | None = None) -> str:
    """How a read is served after a call of another tool of the server."""
    async with rig(tags=("news",)) as one:
        await one.ask()
        reading, writing = one.plan, a_plan("s_write")
        writing.policy, writing.invalidates = None, invalidates
        one.plan, one.origin.error = writing, error
        if error is None:
            await one.ask()
        else:
            with pytest.raises(type(error)):
                await one.ask()
        one.plan, one.origin.error = reading, None
        return (await one.ask())[0]


@pytest.mark.parametrize(
    ("invalidates", "error", "served"),
    [
        pytest.param(None, None, "miss", id="by default everything of its server"),
        pytest.param((), None, "hit", id="nothing, it only reads"),
        pytest.param(("other",), None, "hit", id="what the policy names, and no more"),
        pytest.param(None, AttemptTimeout("late"), "miss", id="after a failure by which it may have run"),
        pytest.param(None, CircuitOpen("open"), "hit", id="not after one by which it cannot have run"),
    ],
)
async def test_what_a_call_of_another_tool_makes_invalid(
    invalidates: tuple[str, ...] | None, error: CallError | None, served: str
) -> None:
    assert await changes(invalidates=invalidates, error=error) == served


async def test_a_write_makes_invalid_what_was_told_its_principal_and_nobody_else() -> None:
    async with rig() as one:
        await one.ask(principal="ada")
        await one.ask(principal="bob")
        reading, one.plan = one.plan, a_plan("s_write")
        one.plan.policy, one.plan.invalidates = None, None
        await one.ask(principal="ada")
        one.plan = reading
        assert [(await one.ask(principal=who))[0] for who in ("ada", "bob")] == ["miss", "hit"]


async def test_a_write_that_is_cancelled_after_it_was_sent_counts_as_one_that_ran() -> None:
    async with rig() as one:
        await one.ask()
        reading, one.plan = one.plan, a_plan("s_write")
        one.plan.policy, one.plan.invalidates = None, None

        async def send(call: Call) -> Result:
            call.may_have_run = True
            await anyio.sleep_forever()
            raise AssertionError

        with anyio.move_on_after(1.0):
            await one.layer(a_call(arguments={"n": 1}), send)
        one.plan = reading
        assert (await one.ask())[0] == "miss"


async def test_a_write_for_nobody_in_particular_is_no_other_processs_business() -> None:
    shared = Shared()
    async with rig(tier=shared.tier()) as one:
        await one.ask(principal="ada")
        one.plan = a_plan("s_write")
        one.plan.policy, one.plan.invalidates = None, None
        before = dict(shared.versions)
        await one.ask()
        assert shared.versions == before
        await one.ask(principal="ada")
        assert shared.versions != before


async def test_where_nothing_was_ever_kept_a_write_has_nothing_to_do() -> None:
    async with rig() as one:
        one.plan = a_plan("s_write")
        one.plan.policy, one.plan.invalidates = None, None
        moves = one.cache.tiers.versions.moves
        await one.ask()
        assert (one.cache.tiers.versions.moves, len(one.cache.tiers.versions._young)) == (moves, 0)


async def test_what_another_process_keeps_is_found_and_not_asked_for() -> None:
    shared = Shared()
    async with rig(tier=shared.tier(), partition="us") as here, rig(tier=shared.tier(), partition="us") as there:
        await here.ask()
        assert await there.ask() == ("hit", "answer 1")
        assert there.origin.asked == 0
        there.cache.invalidate(tool="s_known", arguments={"n": 1})
        assert await here.ask() == ("miss", "answer 2")


async def test_without_a_partition_nothing_leaves_the_process() -> None:
    shared = Shared()
    async with rig(tier=shared.tier()) as here:
        await here.ask()
        assert (shared.entries, shared.tiers[0].writes) == ({}, 0)
        await here.ask(principal="ada")
        assert len(shared.entries) == 1


async def test_a_stale_answer_of_the_shared_tier_is_served_and_refreshed() -> None:
    shared = Shared()
    policy: dict[str, Any] = {"stale": 50.0, "partition": "us"}
    async with rig(tier=shared.tier(), **policy) as here, rig(tier=shared.tier(), **policy) as there:
        await here.ask()
        await anyio.sleep(12.0)
        assert await there.ask() == ("stale", "answer 1")
        await anyio.sleep(0.1)
        assert (await there.ask())[0] == "hit"
        assert there.origin.asked == 1


async def test_a_refresh_takes_what_another_process_has_refreshed_meanwhile() -> None:
    shared = Shared()
    policy: dict[str, Any] = {"stale": 50.0, "partition": "us"}
    async with rig(tier=shared.tier(), **policy) as here, rig(tier=shared.tier(), **policy) as there:
        await here.ask()
        await there.ask()
        await anyio.sleep(12.0)
        await here.ask()
        await anyio.sleep(0.1)
        assert await there.ask() == ("stale", "answer 1")
        await anyio.sleep(0.1)
        assert await there.ask() == ("hit", "answer 2")
        assert there.origin.asked == 0


async def test_several_processes_that_miss_together_ask_once_where_the_policy_has_a_lease() -> None:
    shared = Shared()
    policy: dict[str, Any] = {"lease": 5.0, "partition": "us"}
    origin = Origin(1.0)
    async with rig(origin, tier=shared.tier(), **policy) as here, rig(origin, tier=shared.tier(), **policy) as there:
        told: list[str] = []

        async def ask(one: Rig) -> None:
            told.append((await one.ask())[1])

        async with anyio.create_task_group() as tasks:
            for one in (here, there) * 50:
                tasks.start_soon(ask, one)
        assert (origin.asked, told) == (1, ["answer 1"] * 100)
        assert shared.claimed == set()


async def test_who_wants_a_new_answer_waits_for_no_claim() -> None:
    shared = Shared()
    async with rig(tier=shared.tier(), lease=2.0, partition="us") as here:
        shared.claimed.add(here.plan.space("us").key({"n": 1}).digest)
        started = anyio.current_time()
        assert await here.ask(cache="refresh") == ("miss", "answer 1")
        assert anyio.current_time() == started


async def test_a_claim_whose_holder_is_gone_keeps_others_waiting_for_its_time_alone() -> None:
    shared = Shared()
    async with rig(tier=shared.tier(), lease=2.0, partition="us") as here:
        shared.claimed.add(here.plan.space("us").key({"n": 1}).digest)
        started = anyio.current_time()
        assert await here.ask() == ("miss", "answer 1")
        assert 2.0 <= anyio.current_time() - started <= 2.2


async def test_a_claim_is_given_back_when_the_call_is_cancelled() -> None:
    shared = Shared()
    async with rig(Origin(60.0), tier=shared.tier(), lease=50.0, partition="us") as here:
        with anyio.move_on_after(1.0):
            await here.ask()
        await anyio.wait_all_tasks_blocked()
        assert shared.claimed == set()


async def test_a_shared_tier_that_is_away_costs_nothing_but_its_entries() -> None:
    shared = Shared()
    async with rig(tier=shared.tier(), partition="us") as here:
        shared.tiers[0].is_available = False
        assert [await here.ask(), await here.ask()] == [("miss", "answer 1"), ("hit", "answer 1")]
        assert shared.tiers[0].writes == 0


async def test_all_have_the_same_content_also_of_what_another_process_kept() -> None:
    shared = Shared()
    policy: dict[str, Any] = {"copy": "shared", "partition": "us"}
    async with rig(tier=shared.tier(), **policy) as here, rig(tier=shared.tier(), **policy) as there:
        await here.ask()
        results = [cast("ToolResult", await there.serve(a_call(arguments={"n": 1}))) for _ in range(3)]
        assert len({id(result.content) for result in results}) == 1
        assert there.cache.stats().bytes == here.cache.stats().bytes


async def test_with_a_shared_tier_too_a_refresh_that_fails_is_not_repeated_for_a_while() -> None:
    shared = Shared()
    async with rig(tier=shared.tier(), partition="us", stale=1000.0) as one:
        await one.ask()
        await anyio.sleep(12.0)
        one.origin.error = CircuitOpen("open")
        for _ in range(10):
            assert await one.ask() == ("stale", "answer 1")
            await anyio.sleep(1.0)
        assert one.origin.asked == 2


async def test_with_a_shared_tier_too_a_fresh_answer_is_refreshed_early() -> None:
    shared = Shared()
    async with rig(Origin(2.0), tier=shared.tier(), partition="us", ttl=100.0, early=3.0) as one:
        await one.ask()
        await anyio.sleep(97.0)
        for _ in range(20):
            assert (await one.ask())[0] == "hit"
        await anyio.sleep(3.5)
        assert await one.ask() == ("hit", "answer 2")


def public(ttl_ms: int, scope: str) -> Callable[[int], Result]:
    """What a server says whose answer may be kept for so long, by so many."""
    hints = {"ttlMs": ttl_ms, "cacheScope": scope}
    return lambda _number: types.ReadResourceResult.model_validate({"contents": [], **hints})


def shares_public(one: Rig) -> None:
    one.plan.hints, one.plan.era = ListingCachePolicy(share_public=True), "2026-07-28"
    one.plan.method = "resources/read"


async def outcome(one: Rig, who: str | None) -> str:
    call = a_call(arguments={"n": 1}, principal=who)
    await one.serve(call)
    return call.cached


async def test_what_is_public_is_shared_by_processes_whoever_asked_for_it() -> None:
    shared = Shared()
    async with rig(tier=shared.tier()) as here, rig(tier=shared.tier()) as there:
        for one in (here, there):
            shares_public(one)
            one.origin.says = public(10_000, "public")
        assert await outcome(here, None) == "miss"
        assert await outcome(there, "bob") == "hit"
        assert there.origin.asked == 0


async def test_what_the_server_no_longer_calls_public_nobody_else_is_given() -> None:
    async with rig(stale=1000.0, jitter=0.0) as one:
        shares_public(one)
        one.origin.says = public(10_000, "public")
        assert [await outcome(one, who) for who in ("ada", "bob")] == ["miss", "hit"]
        await anyio.sleep(12.0)
        one.origin.says = public(10_000, "private")
        assert await outcome(one, "ada") == "stale"
        await anyio.sleep(0.1)
        assert [await outcome(one, who) for who in ("ada", "bob", "bob")] == ["hit", "miss", "hit"]
