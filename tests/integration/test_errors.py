"""Every error of the tree, raised by a real cause, and what it says: whose it is, whether the tool may have run."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import anyio
import pytest

from tests.servers.watching import Record, children_of, eventually, reason_of, text_of
from trunkline import (
    AttemptTimeout,
    BreakerPolicy,
    BulkheadFull,
    BulkheadPolicy,
    CallError,
    CircuitOpen,
    ConfigError,
    ConnectionLost,
    DeadlineExceeded,
    Delivery,
    EnhancedMCPClient,
    HttpEndpoint,
    Infrastructure,
    InvalidArguments,
    InvalidResult,
    PoolPolicy,
    RateLimited,
    RatePolicy,
    RetryPolicy,
    ServerError,
    ServerPolicy,
    ServerSettings,
    ServerUnavailable,
    StdioEndpoint,
    ToolNotFound,
    ToolRefused,
    TrunklineError,
)
from trunkline.events import CallFinished, ConnectFailed
from trunkline.testing.journal import executions
from trunkline.testing.processes import faulty_http, free_port
from trunkline.testing.processes import faulty_stdio as stdio

pytestmark = [pytest.mark.anyio, pytest.mark.integration, pytest.mark.requirement("SEED-CLIENT-3")]

POOL = PoolPolicy(base=0.02, cap=0.2, grace=0.2)
POLICY = ServerPolicy(pool=POOL, retry=RetryPolicy(base=0.01, cap=0.02))
BOUND = 15.0

Transport: TypeAlias = Literal["stdio", "http"]


@dataclass(frozen=True, slots=True)
class Scene:
    """One client of one server, `s`, and the truth about what that server did."""

    client: EnhancedMCPClient
    record: Record
    journal: Path

    def runs(self, op: str) -> int:
        """How often the side effect of `op` happened."""
        return executions(self.journal)[op]

    def begun(self, op: str) -> int:
        """How often `op` reached the server."""
        return executions(self.journal, "before")[op]

    async def error(self, tool: str, arguments: dict[str, Any] | None = None, **options: Any) -> CallError:
        """What a call that must fail raises."""
        with anyio.fail_after(BOUND), pytest.raises(CallError) as caught:
            await self.client.call_tool(tool, arguments or {}, **options)
        return caught.value


@asynccontextmanager
async def scene(folder: Path, transport: Transport, policy: ServerPolicy = POLICY) -> AsyncGenerator[Scene, None]:
    journal, record = folder / "journal", Record()
    if transport == "stdio":
        settings = ServerSettings("s", stdio(journal=journal), policy)
        async with EnhancedMCPClient([settings], observers=[record]) as client:
            yield Scene(client, record, journal)
    else:
        async with faulty_http(journal=journal) as server:
            settings = ServerSettings("s", HttpEndpoint(server.url), policy)
            async with EnhancedMCPClient([settings], observers=[record]) as client:
                yield Scene(client, record, journal)


@dataclass(frozen=True, slots=True)
class Case:
    """One call and its error."""

    what: str
    kind: type[CallError]
    tool: str
    arguments: dict[str, Any]
    may_have_run: bool
    says: str
    attempts: int = 1
    runs: int = 0
    """How often the server's journal says that it ran."""
    delivery: Delivery | None = None
    retry_after: float | None = None
    transports: tuple[Transport, ...] = ("stdio", "http")
    policy: ServerPolicy = POLICY
    options: tuple[tuple[str, Any], ...] = ()
    """Of the call."""
    details: tuple[tuple[str, Any], ...] = ()
    """Further attributes of the error."""


def fault(kind: str, **arguments: Any) -> dict[str, Any]:
    return {"kind": kind, "op": "it", **arguments}


CASES = (
    Case(
        "arguments that do not fit",
        InvalidArguments,
        "s_append",
        {"op": 17},
        may_have_run=False,
        says="op",
        attempts=0,
    ),
    Case("a name nobody has", ToolNotFound, "s_ecko", {}, may_have_run=False, says="s_ecko", attempts=0),
    Case(
        "no answer to an attempt",
        AttemptTimeout,
        "s_fault",
        fault("hang", effect=True),
        may_have_run=True,
        says="did not answer 's_fault' within 0.3 s",
        runs=1,
        delivery=Delivery.UNKNOWN,
        policy=replace(POLICY, attempt_timeout=0.3),
    ),
    Case(
        "an attempt timeout of the call's own",
        AttemptTimeout,
        "s_append",
        {"op": "it", "delay_ms": 60_000},
        may_have_run=True,
        says="within 0.2 s",
        options=(("read_timeout_seconds", 0.2),),
    ),
    Case(
        "a crash before the answer",
        ConnectionLost,
        "s_fault",
        fault("crash_after"),
        may_have_run=True,
        says="",
        runs=1,
        delivery=Delivery.UNKNOWN,
    ),
    Case(
        "a cut body",
        ConnectionLost,
        "s_fault",
        fault("cut"),
        may_have_run=True,
        says="'s'",
        runs=1,
        transports=("http",),
    ),
    Case(
        "a reset connection",
        ConnectionLost,
        "s_fault",
        fault("reset"),
        may_have_run=True,
        says="'s'",
        runs=1,
        transports=("http",),
    ),
    Case(
        "an error of the protocol",
        ServerError,
        "s_rpc_error",
        {"code": -32099, "message": "out of paper"},
        may_have_run=True,
        says="error -32099: out of paper",
        delivery=Delivery.ANSWERED,
        details=(("error_code", -32099),),
    ),
    Case(
        "HTTP 429 that does not go away",
        ServerError,
        "s_fault",
        fault("status", status=429, retry_after="0.05"),
        may_have_run=False,
        says="the server asks to slow down (HTTP 429)",
        attempts=3,
        delivery=Delivery.REFUSED,
        retry_after=0.05,
        details=(("status", 429), ("is_overload", True)),
        transports=("http",),
    ),
    Case(
        "HTTP 429 whose wait is longer than the deadline",
        ServerError,
        "s_fault",
        fault("status", status=429, retry_after="3600"),
        may_have_run=False,
        says="HTTP 429",
        delivery=Delivery.REFUSED,
        retry_after=3600.0,
        transports=("http",),
    ),
    Case(
        "HTTP 500",
        ServerError,
        "s_fault",
        fault("status", status=500, effect=True),
        may_have_run=True,
        says="HTTP 500",
        runs=1,
        delivery=Delivery.UNKNOWN,
        details=(("status", 500), ("is_overload", False)),
        transports=("http",),
    ),
    Case(
        "a result against the tool's own schema",
        InvalidResult,
        "s_add_wrong",
        {"a": 1, "b": 2},
        may_have_run=True,
        says="no valid result",
        delivery=Delivery.ANSWERED,
    ),
    Case(
        "something that is no result",
        InvalidResult,
        "s_fault",
        fault("not_a_result"),
        may_have_run=True,
        says="no valid result",
        runs=1,
        delivery=Delivery.ANSWERED,
    ),
    Case(
        "something that is no JSON",
        InvalidResult,
        "s_fault",
        fault("garbage"),
        may_have_run=True,
        says="not JSON-RPC",
        runs=1,
        delivery=Delivery.ANSWERED,
        transports=("http",),
    ),
    Case(
        "a deadline while the server works",
        DeadlineExceeded,
        "s_append",
        {"op": "it", "delay_ms": 60_000},
        may_have_run=True,
        says="it may have run",
        delivery=Delivery.UNKNOWN,
        options=(("timeout", 0.3),),
    ),
)
TABLE = [pytest.param(case, on, id=f"{case.what} over {on}") for case in CASES for on in case.transports]


@pytest.mark.parametrize(("case", "transport"), TABLE)
async def test_an_error_says_whose_it_is_and_whether_the_tool_may_have_run(
    case: Case, transport: Transport, tmp_path: Path
) -> None:
    async with scene(tmp_path, transport, case.policy) as on:
        error = await on.error(case.tool, case.arguments, **dict(case.options))
        (finished,) = on.record.of(CallFinished)
        ran = on.runs("it")

    assert type(error) is case.kind
    assert case.says in str(error)
    assert (error.tool, error.attempts) == (case.tool, case.attempts)
    assert error.server == ("" if case.kind is ToolNotFound else "s")
    assert error.may_have_run is case.may_have_run
    assert case.delivery in (None, error.delivery)
    assert error.retry_after == case.retry_after
    for name, value in case.details:
        assert getattr(error, name) == value
    # What callers are told agrees with the server's own journal and with the event.
    assert ran == case.runs
    assert (finished.outcome, finished.attempts, finished.may_have_run) == (
        error.code,
        case.attempts,
        error.may_have_run,
    )


@pytest.mark.requirement("SEED-CLIENT-3")
async def test_an_unknown_tool_comes_with_the_names_that_may_have_been_meant(tmp_path: Path) -> None:
    async with scene(tmp_path, "stdio") as on:
        error = await on.error("s_ecko")

    assert isinstance(error, ToolNotFound)
    assert "s_echo" in error.suggestions


async def test_wrong_arguments_are_listed_one_by_one_and_never_sent(tmp_path: Path) -> None:
    async with scene(tmp_path, "stdio") as on:
        error = await on.error("s_append", {"delay_ms": "soon"})
        assert executions(on.journal, "before").total() == 0

    assert isinstance(error, InvalidArguments)
    assert len(error.problems) == 2
    assert any("delay_ms" in problem for problem in error.problems)


@pytest.mark.requirement("SEED-RES-2")
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_an_open_circuit_refuses_without_asking_the_server_and_says_when_to_come_back(
    transport: Transport, tmp_path: Path
) -> None:
    policy = replace(
        POLICY, attempt_timeout=0.2, breaker=BreakerPolicy(consecutive=3, open_for=30.0), retry=RetryPolicy(attempts=1)
    )
    async with scene(tmp_path, transport, policy) as on:
        for number in range(3):
            failure = await on.error("s_fault", {"kind": "hang", "op": f"real {number}"})
            assert isinstance(failure, AttemptTimeout)
        error = await on.error("s_append", {"op": "refused"})
        availability = on.client.registry.availability("s_append")

        assert on.begun("refused") == 0
        assert [on.begun(f"real {number}") for number in range(3)] == [1, 1, 1]
        assert reason_of(on.client, "s").startswith("circuit open")

    assert type(error) is CircuitOpen
    assert error.retry_after is not None
    assert 10 < error.retry_after <= 60
    assert (error.may_have_run, error.attempts, error.server, error.tool) == (False, 0, "s", "s_append")
    assert availability.state == "unavailable"


@pytest.mark.requirement("SEED-RES-1")
async def test_a_full_bulkhead_refuses_at_once_and_the_others_are_served(tmp_path: Path) -> None:
    policy = replace(POLICY, bulkhead=BulkheadPolicy(limit=2, waiting=1))
    said: list[str] = []
    async with scene(tmp_path, "stdio", policy) as on:

        async def call(op: str) -> None:
            said.append(text_of(await on.client.call_tool("s_append", {"op": op, "delay_ms": 500})))

        async with anyio.create_task_group() as tasks:
            for op in ("one", "two", "three"):
                tasks.start_soon(call, op)
            await eventually(lambda: on.begun("one") and on.begun("two"))
            error = await on.error("s_append", {"op": "four"})
        assert on.begun("four") == 0

    assert type(error) is BulkheadFull
    assert (error.may_have_run, error.attempts, error.server, error.tool) == (False, 0, "s", "s_append")
    assert error.retry_after is not None
    assert sorted(said) == ["one", "three", "two"]


async def test_a_call_that_the_rate_of_its_server_has_no_time_for_is_refused_at_once(tmp_path: Path) -> None:
    policy = replace(POLICY, timeout=4.0, rate=RatePolicy(per_second=0.1, burst=1))
    async with scene(tmp_path, "stdio", policy) as on:
        assert text_of(await on.client.call_tool("s_append", {"op": "one"})) == "one"
        error = await on.error("s_append", {"op": "two"})
        assert on.begun("two") == 0

    assert type(error) is RateLimited
    assert (error.may_have_run, error.attempts, error.server, error.tool) == (False, 0, "s", "s_append")
    assert error.retry_after is not None
    assert 4 < error.retry_after <= 10


async def test_a_missing_program_is_unavailable_at_once() -> None:
    async with EnhancedMCPClient({"s": StdioEndpoint("no-such-program")}) as client:
        with anyio.fail_after(BOUND), pytest.raises(ServerUnavailable, match="not found: no-such-program") as caught:
            await client.call_tool("s_echo", {"text": "hello"})

    assert (caught.value.may_have_run, caught.value.attempts) == (False, 0)
    assert (caught.value.server, caught.value.tool) == ("s", "s_echo")


async def test_a_server_that_stays_away_is_unavailable_at_once_and_says_when_it_is_tried_again() -> None:
    record = Record()
    policy = ServerPolicy(pool=PoolPolicy(base=0.02, cap=0.05, patience=0.1))
    nobody = HttpEndpoint(f"http://127.0.0.1:{free_port()}/mcp")
    async with EnhancedMCPClient([ServerSettings("s", nobody, policy)], observers=[record]) as client:
        await eventually(lambda: len(record.events) > 1 and record.events[-1].at - record.events[0].at > 0.2)
        with (
            anyio.fail_after(BOUND),
            pytest.raises(ServerUnavailable, match="cannot be reached: ConnectError") as caught,
        ):
            await client.call_tool("s_echo", {"text": "hello"})
        assert record.of(ConnectFailed)[-1].reason in str(caught.value)

    assert caught.value.retry_after is not None
    assert caught.value.retry_after <= 0.05


async def test_an_attempt_that_only_waited_for_a_connection_was_not_sent() -> None:
    policy = replace(POLICY, attempt_timeout=0.3, pool=PoolPolicy(patience=60.0, base=0.02, cap=0.1))
    async with (
        faulty_http() as server,
        EnhancedMCPClient([ServerSettings("s", HttpEndpoint(server.url), policy)]) as client,
    ):
        assert text_of(await client.call_tool("s_echo", {"text": "hello"})) == "hello"
        await server.kill()
        with anyio.fail_after(BOUND), pytest.raises(CallError) as caught:
            await client.call_tool("s_append", {"op": "it"})

    assert type(caught.value) is ServerUnavailable
    assert caught.value.may_have_run is False


async def test_a_deadline_that_passes_while_nothing_could_be_sent_says_that_the_tool_has_not_run() -> None:
    policy = replace(POLICY, pool=PoolPolicy(patience=60.0, base=0.02, cap=0.1))
    async with (
        faulty_http() as server,
        EnhancedMCPClient([ServerSettings("s", HttpEndpoint(server.url), policy)]) as client,
    ):
        assert text_of(await client.call_tool("s_echo", {"text": "hello"})) == "hello"
        await server.kill()
        with anyio.fail_after(BOUND), pytest.raises(DeadlineExceeded, match="it was not sent") as caught:
            await client.call_tool("s_append", {"op": "it"}, timeout=0.4)

    assert caught.value.may_have_run is False
    assert (caught.value.server, caught.value.tool) == ("s", "s_append")


@pytest.mark.requirement("SEED-TEST-4")
@pytest.mark.resilience
async def test_a_server_killed_during_a_call_that_must_not_run_twice_leaves_the_outcome_open(tmp_path: Path) -> None:
    async with scene(tmp_path, "stdio") as on:
        errors: list[CallError] = []

        async def call() -> None:
            errors.append(await on.error("s_append", {"op": "it", "delay_ms": 60_000}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await eventually(lambda: on.begun("it"))
            (pid,) = children_of(on.journal)
            os.kill(pid, signal.SIGKILL)

        assert text_of(await on.client.call_tool("s_echo", {"text": "again"})) == "again"
        assert on.begun("it") == 1

    (error,) = errors
    assert type(error) is ConnectionLost
    assert (error.may_have_run, error.attempts, error.server, error.tool) == (True, 1, "s", "s_append")


def test_a_mistake_in_a_configuration_file_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "trunkline.toml"
    path.write_text('[mcpServers.s]\ncommand = "server"\n\n[trunkline.defaults]\ntimeot = 3\n', "utf-8")

    with pytest.raises(ConfigError, match="timeout") as caught:
        Infrastructure.from_config(path)

    assert caught.value.source == str(path)
    (problem,) = caught.value.problems
    assert "timeot" in problem


async def test_a_tool_that_nobody_has_accepted_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    server, journal = stdio(journal=tmp_path / "journal"), tmp_path / "journal"
    path, pins = tmp_path / "trunkline.toml", tmp_path / "pins.json"
    args = ", ".join(f"'{argument}'" for argument in server.args)
    path.write_text(
        f"[mcpServers.s]\ncommand = '{server.command}'\nargs = [{args}]\n[trunkline.pins]\nfile = '{pins}'\n", "utf-8"
    )
    async with Infrastructure.from_config(path) as infra:
        with pytest.raises(ToolRefused) as caught:
            await infra.mcp_client.call_tool("s_append", {"op": "it"})

    assert (caught.value.may_have_run, caught.value.attempts, caught.value.server) == (False, 0, "s")
    assert "trunkline pin" in str(caught.value)
    assert executions(journal) == {}


ELSEWHERE: dict[type[TrunklineError], Callable[..., Awaitable[None] | None]] = {
    CircuitOpen: test_an_open_circuit_refuses_without_asking_the_server_and_says_when_to_come_back,
    BulkheadFull: test_a_full_bulkhead_refuses_at_once_and_the_others_are_served,
    RateLimited: test_a_call_that_the_rate_of_its_server_has_no_time_for_is_refused_at_once,
    ServerUnavailable: test_a_missing_program_is_unavailable_at_once,
    ToolRefused: test_a_tool_that_nobody_has_accepted_is_refused_before_anything_is_sent,
    ConfigError: test_a_mistake_in_a_configuration_file_is_told_with_its_place,
}


def test_every_leaf_of_the_tree_has_a_real_cause_here() -> None:
    def leaves(kind: type[TrunklineError]) -> set[type[TrunklineError]]:
        below = kind.__subclasses__()
        return {leaf for child in below for leaf in leaves(child)} if below else {kind}

    assert leaves(TrunklineError) == {case.kind for case in CASES} | ELSEWHERE.keys()
