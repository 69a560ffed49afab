"""Children and their groups, servers that are paused or loud, and settings that change while calls run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.servers.watching import Record, children_of, eventually, is_running, state_of, text_of
from trunkline import (
    AttemptTimeout,
    CallError,
    DeadlineExceeded,
    EnhancedMCPClient,
    HealthPolicy,
    HttpEndpoint,
    Infrastructure,
    PoolPolicy,
    ServerPolicy,
    ServerSettings,
    ServerUnavailable,
    ToolNotFound,
)
from trunkline.events import (
    AttemptFinished,
    ConfigRejected,
    ConfigReloaded,
    ConnectionEnded,
    ConnectionOpened,
    ConnectStarted,
)
from trunkline.testing.journal import executions, read
from trunkline.testing.processes import Option, faulty_http, stdio_command
from trunkline.testing.processes import faulty_stdio as stdio

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.integration,
    pytest.mark.resilience,
    pytest.mark.requirement("SEED-CLIENT-2", "SEED-TEST-4"),
]

GRACE = 0.3
POLICY = ServerPolicy(pool=PoolPolicy(base=0.02, cap=0.1, grace=GRACE))
LATE = 0.25
"""Seconds a deadline may be late."""


def at(policy: ServerPolicy = POLICY, **options: Option) -> ServerSettings:
    return ServerSettings("s", stdio(**options), policy)


@pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
async def test_children_lead_groups_of_their_own_and_are_gone_with_their_children_after_closing(
    era: str, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    policy = replace(POLICY, pool=replace(POLICY.pool, connections=2))
    record = Record()
    async with EnhancedMCPClient([at(policy, journal=journal, spawn_grandchild=True, era=era)], observers=[record]):
        await record.until(ConnectionOpened, count=2)
        servers = children_of(journal)
        grandchildren = [entry.pid for entry in read(journal) if entry.phase == "spawned"]
        groups = {os.getpgid(pid) for pid in [*servers, *grandchildren]}

    assert len(servers) == len(grandchildren) == 2
    assert groups == set(servers)
    assert os.getpgid(0) not in groups
    await eventually(lambda: not any(map(is_running, [*servers, *grandchildren])))
    assert children_of(journal) == []


async def test_a_server_that_refuses_to_go_is_killed_within_its_grace(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with EnhancedMCPClient([at(journal=journal, refuse_sigterm=True)]) as client:
        (pid,) = children_of(journal)
        assert text_of(await client.call_tool("s_echo", {"text": "hello"})) == "hello"
        leaving = anyio.current_time()
    took = anyio.current_time() - leaving

    assert not is_running(pid)
    # The grace, a second between SIGTERM and SIGKILL, and what a busy machine adds.
    assert took < GRACE + 1.0 + 2.0


async def test_a_stopped_server_is_killed_too(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with EnhancedMCPClient([at(journal=journal)]):
        (pid,) = children_of(journal)
        os.kill(pid, signal.SIGSTOP)

    assert not is_running(pid)


async def test_clients_are_entered_and_left_in_any_order_by_any_task(tmp_path: Path) -> None:
    clients = {name: EnhancedMCPClient([at(journal=tmp_path / name)]) for name in ("one", "two", "three")}
    said: list[str] = []

    async def enter(name: str) -> None:
        await clients[name].__aenter__()

    async def use(name: str) -> None:
        said.append(text_of(await clients[name].call_tool("s_echo", {"text": name})))

    async def each(names: tuple[str, ...], act: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        for name in names:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(act, name)

    async def leave(name: str) -> None:
        await clients[name].aclose()

    await each(("one", "two", "three"), enter)
    await each(("three", "one", "two"), use)
    await each(("two", "one", "three"), leave)
    await each(("two", "one", "three"), leave)

    assert said == ["three", "one", "two"]
    assert children_of(tmp_path) == []


async def test_leaving_while_calls_run_lets_them_finish_within_the_grace_and_ends_the_others(tmp_path: Path) -> None:
    policy = replace(POLICY, pool=replace(POLICY.pool, grace=1.5))
    ends: list[str] = []
    client = EnhancedMCPClient([at(policy, journal=tmp_path / "journal")])
    await client.__aenter__()

    async def call(op: str, delay_ms: int) -> None:
        try:
            ends.append(text_of(await client.call_tool("s_append", {"op": op, "delay_ms": delay_ms})))
        except CallError as error:
            ends.append(f"{op}: {error.may_have_run}")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, "short", 400)
        tasks.start_soon(call, "long", 60_000)
        await eventually(lambda: executions(tmp_path / "journal", "before").total() == 2)
        await client.aclose()

    assert ends == ["short", "long: True"]
    assert children_of(tmp_path) == []
    with pytest.raises(ServerUnavailable, match="shutting down"):
        await client.call_tool("s_echo", {"text": "too late"})


async def test_an_idle_servers_death_is_noticed_when_it_dies_and_not_at_the_next_call(tmp_path: Path) -> None:
    record, journal = Record(), tmp_path / "journal"
    async with EnhancedMCPClient([at(journal=journal)], observers=[record]) as client:
        (first,) = children_of(journal)
        os.kill(first, signal.SIGKILL)
        await record.until(ConnectionEnded)
        await record.until(ConnectionOpened, count=2)
        (second,) = children_of(journal)
        attempts = record.of(AttemptFinished)
        result = await client.call_tool("s_echo", {"text": "hello"})

    assert attempts == []
    assert first != second
    assert (text_of(result), result.provenance.attempts) == ("hello", 1)


async def test_a_flood_on_stderr_stops_nobody() -> None:
    async with EnhancedMCPClient([at(stderr_flood=2_000_000)]) as client:
        result = await client.call_tool("s_fault", {"kind": "stderr", "bytes": 2_000_000})
        assert text_of(result) == "ok"
        assert text_of(await client.call_tool("s_echo", {"text": "hello"})) == "hello"


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_a_deadline_holds_on_a_server_that_is_stopped(transport: str, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with faulty_http() as server:
        settings = (
            at(journal=journal) if transport == "stdio" else ServerSettings("s", HttpEndpoint(server.url), POLICY)
        )
        async with EnhancedMCPClient([settings]) as client:
            assert text_of(await client.call_tool("s_echo", {"text": "hello"})) == "hello"
            (pid,) = children_of(journal) or [server.pid]
            os.kill(pid, signal.SIGSTOP)
            late = []
            for _ in range(3):
                started = anyio.current_time()
                with pytest.raises(DeadlineExceeded) as caught:
                    await client.call_tool("s_append", {"op": "it"}, timeout=0.4)
                late.append(anyio.current_time() - started - 0.4)
                assert caught.value.may_have_run is True
            os.kill(pid, signal.SIGCONT)
            said = text_of(await client.call_tool("s_echo", {"text": "again"}))

    assert max(late) < LATE
    assert said == "again"


async def test_a_caller_that_gives_up_returns_at_once_though_the_server_reads_nothing(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    async with EnhancedMCPClient([at(journal=journal)]) as client:
        (pid,) = children_of(journal)
        os.kill(pid, signal.SIGSTOP)
        large = "x" * 5_000_000
        late = []
        for _ in range(2):
            started = anyio.current_time()
            with anyio.move_on_after(0.3) as scope:
                await client.call_tool("s_echo", {"text": large})
            assert scope.cancelled_caught
            late.append(anyio.current_time() - started - 0.3)
        os.kill(pid, signal.SIGCONT)
        said = text_of(await client.call_tool("s_echo", {"text": "again"}))
        pool = client.fleet.stacks["s"].replicas[0].pool.statistics()

    assert max(late) < 2 * LATE
    assert said == "again"
    assert (pool.in_flight, pool.waiting) == (0, 0)


async def test_a_server_that_stays_silent_is_started_again(tmp_path: Path) -> None:
    record, journal = Record(), tmp_path / "journal"
    watched = HealthPolicy(interval=0.1, timeout=0.1, restart_after=2)
    async with EnhancedMCPClient([at(replace(POLICY, health=watched), journal=journal)], observers=[record]) as client:
        (first,) = children_of(journal)
        os.kill(first, signal.SIGSTOP)
        await record.until(ConnectionEnded, reason="no sign of life for too long")
        await record.until(ConnectionOpened, count=2)
        said = text_of(await client.call_tool("s_echo", {"text": "hello"}))
        await eventually(lambda: not is_running(first))

    assert said == "hello"


@pytest.mark.requirement("INV-4", "SEED-RES-3")
async def test_a_hanging_server_does_not_delay_the_calls_of_another(tmp_path: Path) -> None:
    policy = replace(POLICY, attempt_timeout=1.0)
    async with faulty_http() as hanging:
        servers = [
            ServerSettings("hanging", HttpEndpoint(hanging.url), policy),
            ServerSettings("well", stdio(journal=tmp_path / "journal"), policy),
        ]
        async with EnhancedMCPClient(servers) as client:
            await client.list_tools()
            hanging.stop()
            durations: list[float] = []

            async def hang() -> None:
                with pytest.raises(AttemptTimeout):
                    await client.call_tool("hanging_append", {"op": "it"})

            async with anyio.create_task_group() as tasks:
                for _ in range(30):
                    tasks.start_soon(hang)
                for _ in range(50):
                    result = await client.call_tool("well_echo", {"text": "hello"})
                    durations.append(result.provenance.duration)
                done_first = client.fleet.stacks["hanging"].replicas[0].pool.statistics().in_flight
            hanging.cont()

    assert sorted(durations)[len(durations) // 2] < 0.25
    assert done_first > 0


def config(servers: dict[str, Path], attempt_timeout: float = 10.0) -> str:
    """A file in which each server keeps a journal."""
    tables = []
    for name, journal in servers.items():
        program, arguments = stdio_command(journal=journal)
        tables.append(f"[mcpServers.{name}]\ncommand = {program!r}\nargs = {arguments!r}\n")
    return "\n".join([*tables, f"[trunkline.defaults]\nattempt_timeout = {attempt_timeout}\n"])


@pytest.mark.requirement("SEED-CLIENT-4")
async def test_settings_change_while_calls_run_and_no_call_is_dropped(tmp_path: Path) -> None:
    path, record = tmp_path / "trunkline.toml", Record()
    one, two = tmp_path / "one", tmp_path / "two"
    path.write_text(config({"one": one}), "utf-8")
    ended = anyio.Event()
    said: dict[str, str] = {}
    long: list[str] = []
    async with Infrastructure.from_config(path, observers=[record]) as infra:
        client = infra.mcp_client

        async def keep_calling(caller: int) -> None:
            number = 0
            while not ended.is_set():
                number += 1
                op = f"{caller}-{number}"
                said[op] = text_of(await client.call_tool("one_append", {"op": op, "delay_ms": 10}))

        async def call_long() -> None:
            long.append(text_of(await client.call_tool("two_append", {"op": "long", "delay_ms": 1_500})))

        async with anyio.create_task_group() as tasks:
            for caller in range(4):
                tasks.start_soon(keep_calling, caller)

            path.write_text(config({"one": one, "two": two}), "utf-8")
            added = await record.until(ConfigReloaded)
            assert text_of(await client.call_tool("two_echo", {"text": "new"})) == "new"

            path.write_text(config({"one": one, "two": two}, attempt_timeout=7.0), "utf-8")
            changed = await record.until(ConfigReloaded, count=2)
            policy = client.fleet.policy_of("one")

            path.write_text("[mcpServers.one]\ncommand = 17\n", "utf-8")
            rejected = await record.until(ConfigRejected)
            others = client.health().others
            assert text_of(await client.call_tool("two_echo", {"text": "still"})) == "still"

            tasks.start_soon(call_long)
            await eventually(lambda: executions(two, "before")["long"])
            path.write_text(config({"one": one}, attempt_timeout=7.0), "utf-8")
            removed = await record.until(ConfigReloaded, count=3)
            with pytest.raises(ToolNotFound):
                await client.call_tool("two_echo", {"text": "gone"})
            await eventually(lambda: long)
            ended.set()
        await eventually(lambda: children_of(two) == [])
        mended = client.health().others

    assert (added.added, removed.removed) == (("two",), ("two",))
    assert set(changed.changed) == {"one", "two"}
    assert policy.attempt_timeout == 7.0
    assert str(path) in rejected.source
    (configuration,) = others
    assert configuration.name == "configuration"
    assert "mcpServers.one.command" in configuration.reason
    assert mended == ()
    # A change of policy, and an invalid file, leave connections alone.
    assert len(record.of(ConnectStarted, server="one")) == 1
    assert long == ["long"]
    assert said == {op: op for op in said}
    assert executions(one) == dict.fromkeys(said, 1)


async def test_a_server_whose_address_changes_is_replaced_and_its_calls_finish_where_they_began(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    policy = replace(POLICY, pool=replace(POLICY.pool, grace=10.0))
    ends: list[str] = []
    async with EnhancedMCPClient([at(policy, journal=old)]) as client:

        async def call() -> None:
            ends.append(text_of(await client.call_tool("s_append", {"op": "begun", "delay_ms": 1_000})))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await eventually(lambda: executions(old, "before")["begun"])
            client.apply([at(policy, journal=new)])
            ends.append(text_of(await client.call_tool("s_append", {"op": "next"})))
        await eventually(lambda: children_of(old) == [])
        assert state_of(client, "s") == "healthy"

    assert ends == ["next", "begun"]
    assert (executions(old), executions(new)) == ({"begun": 1}, {"next": 1})
