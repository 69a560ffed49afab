"""What a server asks while a call runs, or instead of its answer: whom it reaches, and what the call's time does."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest

from tests.interaction.worlds import BOUND, QUIET, error_of
from tests.servers.curious import QUESTION, Curious, Person
from tests.servers.watching import text_of
from trunkline import (
    AttemptTimeout,
    CachePolicy,
    DeadlineExceeded,
    EnhancedMCPClient,
    InvalidResult,
    ServerError,
    ServerPolicy,
    ServerSettings,
    ToolPolicy,
)
from trunkline.exchange import Exchange, InputRequired
from trunkline.policy import Era

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def client_of(
    server: Curious, era: Era, tools: Mapping[str, ToolPolicy] | None = None, **policies: Any
) -> AsyncGenerator[EnhancedMCPClient, None]:
    policy = ServerPolicy(era=era, health=QUIET, **policies)
    settings = ServerSettings("s", server.endpoint, policy)
    with anyio.fail_after(BOUND):
        async with EnhancedMCPClient([settings], tools=tools or {}, rng=random.Random(7)) as client:
            yield client


async def ask(client: EnhancedMCPClient, person: Person, **options: Any) -> str:
    return text_of(await client.for_exchange(Exchange(person)).call_tool("s_ask", **options))


async def test_a_server_that_must_not_ask_back_shares_its_connection_among_all() -> None:
    async with client_of(Curious(), "2025-11-25", interactive=False) as client:
        await error_of(ask(client, Person("Ada")), ServerError)
        assert repr(client.fleet.stacks["s"].replicas[0].pool.own) == "<OwnConnections s [0 open]>"


async def test_each_is_asked_what_its_own_call_wants_to_know() -> None:
    people = [Person(name, takes=takes) for name, takes in (("Ada", 3.0), ("Bob", 1.0), ("Eve", 2.0))]
    answers: dict[str, str] = {}

    async def call(person: Person) -> None:
        answers[person.name] = await ask(client, person)

    async with client_of(Curious(), "2025-11-25") as client, anyio.create_task_group() as tasks:
        for person in people:
            tasks.start_soon(call, person)
    assert answers == {"Ada": "Ada", "Bob": "Bob", "Eve": "Eve"}
    assert [person.asked for person in people] == [1, 1, 1]


async def test_a_server_is_told_what_the_one_can_do_whom_the_call_is_made_for(era: Era) -> None:
    server = Curious()
    async with client_of(server, era) as client:
        try:
            await ask(client, Person("Ada"))
        except InputRequired:
            assert era == "2026-07-28"
        # Nobody can be asked: one era says so to the server, the other to whoever made the call.
        await error_of(client.call_tool("s_ask"), InvalidResult if era == "2026-07-28" else ServerError)
    told, untold = server.capabilities
    assert told == types.ClientCapabilities.model_validate({"elicitation": {"form": {}}})
    assert untold == types.ClientCapabilities()


async def test_the_time_of_a_call_stands_still_while_somebody_is_asked() -> None:
    async with client_of(Curious(), "2025-11-25", timeout=5.0, attempt_timeout=2.0) as client:
        person = Person("Ada", takes=1000.0)
        started = anyio.current_time()
        assert await ask(client, person) == "Ada"
        assert anyio.current_time() - started >= 1000.0


async def test_what_is_left_of_a_calls_time_is_what_was_left_before() -> None:
    async with client_of(Curious(anyio.sleep_forever), "2025-11-25", timeout=5.0, attempt_timeout=10.0) as client:
        started = anyio.current_time()
        await error_of(ask(client, Person("Ada", takes=1000.0)), DeadlineExceeded)
        assert 1004.0 <= anyio.current_time() - started <= 1006.0


async def test_a_call_that_asked_is_not_made_again_though_its_tool_may_run_twice() -> None:
    server, person = Curious(anyio.sleep_forever), Person("Ada", takes=30.0)
    twice = {"s_ask": ToolPolicy(idempotent=True)}
    async with client_of(server, "2025-11-25", twice, timeout=60.0, attempt_timeout=2.0) as client:
        await error_of(ask(client, person), AttemptTimeout)
    assert (server.calls, person.asked) == (1, 1)


async def test_a_round_with_answers_is_not_made_again_though_its_tool_may_run_twice() -> None:
    server, person = Curious(anyio.sleep_forever), Person("Ada", key=None)
    twice = {"s_ask": ToolPolicy(idempotent=True)}
    answers: types.InputResponses = {"who": types.ElicitResult(action="accept", content={"name": "Ada"})}
    async with client_of(server, "2026-07-28", twice, timeout=60.0, attempt_timeout=2.0) as client:
        second = client.for_exchange(Exchange(person, answers, "asked"))
        await error_of(second.call_tool("s_ask"), AttemptTimeout)
    assert (server.calls, person.asked) == (1, 0)


async def test_questions_of_the_stateless_era_are_handed_on_and_the_answers_taken_back() -> None:
    person = Person("Ada", key=None)
    async with client_of(Curious(), "2026-07-28") as client:
        with pytest.raises(InputRequired) as required:
            await ask(client, person)
        assert required.value.result.request_state == "asked"
        answers: types.InputResponses = {"who": await person.ask(QUESTION)}
        second = client.for_exchange(Exchange(person, answers, "asked"))
        assert text_of(await second.call_tool("s_ask")) == "Ada"


async def test_who_does_not_answer_is_told_to_the_server_as_an_error() -> None:
    async with client_of(Curious(), "2025-11-25") as client:
        with pytest.raises(Exception, match="nobody is there"):
            await ask(client, Person("nobody"))


async def test_what_is_cached_is_asked_for_as_by_nobody() -> None:
    server, person = Curious(), Person("Ada")
    cached = {"s_ask": ToolPolicy(cache=CachePolicy(ttl=60.0))}
    async with client_of(server, "2026-07-28", cached) as client:
        await error_of(ask(client, person), InvalidResult)
    assert person.asked == 0


async def test_logs_reach_whose_call_they_belong_to_from_the_level_that_one_set() -> None:
    server, listening, deaf = Curious(), Person("Ada", level="warning"), Person("Bob")
    async with client_of(server, "2025-11-25") as client:
        await ask(client, listening)
        await ask(client, listening)
        await ask(client, deaf)
    assert server.levels == ["warning"]
    assert listening.heard == ["call 1", "call 2"]
    assert deaf.heard == ["call 3"]


async def test_logs_of_the_stateless_era_reach_whose_call_asked_for_them() -> None:
    server, listening, deaf = Curious(), Person("Ada", key=None, level="warning"), Person("Bob", key=None)

    async def call(person: Person) -> None:
        with pytest.raises(InputRequired):
            await ask(client, person)

    async with client_of(server, "2026-07-28") as client:
        for person in (listening, deaf, listening):
            await call(person)
    assert listening.heard == ["call 1", "call 3"]
    assert deaf.heard == []


async def test_a_caller_that_gives_up_while_somebody_is_asked_takes_the_question_back() -> None:
    person = Person("Ada", takes=500.0)
    async with client_of(Curious(), "2025-11-25") as client:
        with anyio.move_on_after(10) as patience:
            await ask(client, person)
        assert patience.cancelled_caught
        assert await ask(client, Person("Bob")) == "Bob"
        assert client.fleet.stacks["s"].replicas[0].admission.in_flight == 0


async def test_a_connection_of_ones_own_that_ended_is_opened_again() -> None:
    async with client_of(Curious(), "2025-11-25") as client:
        pool = client.fleet.stacks["s"].replicas[0].pool
        slow = Person("Ada", takes=1.5)
        answers: list[str] = []

        async def call() -> None:
            answers.append(await ask(client, slow))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.sleep(1)
            pool.replace("replaced by the test")
            # Under way on the old one, it may finish; the next has a new one.
            assert await ask(client, Person("Ada")) == "Ada"
        assert answers == ["Ada"]
        assert slow.asked == 1
        await anyio.sleep(1)
        assert repr(pool.own) == "<OwnConnections s [1 open]>"
