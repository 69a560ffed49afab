"""Each fault is what it claims on the wire, and touches no request but the one that asked for it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest

from tests.servers.raw import HttpPeer, StdioPeer, call, http_peer, request, stdio_peer
from tests.servers.watching import eventually
from trunkline.testing import faults
from trunkline.testing.journal import executions
from trunkline.testing.processes import FaultyHttp, faulty_http

pytestmark = [pytest.mark.anyio, pytest.mark.integration]


@pytest.fixture
async def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
async def http(journal: Path) -> AsyncGenerator[FaultyHttp, None]:
    async with faulty_http(journal=journal) as server:
        yield server


@pytest.fixture
async def peer(http: FaultyHttp) -> AsyncGenerator[HttpPeer, None]:
    async with http_peer(http.url) as peer:
        yield peer


@pytest.fixture
async def pipes(journal: Path) -> AsyncGenerator[StdioPeer, None]:
    async with stdio_peer(journal=journal) as peer:
        yield peer


async def assert_serves(peer: HttpPeer | StdioPeer) -> None:
    """The same connection still gives honest answers."""
    answer = await peer.ask(call("next", "echo", text="still here"))
    body = answer[1] if isinstance(answer, tuple) else answer
    assert body["id"] == "next"
    assert body["result"]["content"][0]["text"] == "still here"


# ------------------------------------------------------------------------------------------------ over either transport


@pytest.mark.parametrize(("kind", "effects"), [("crash_before", 0), ("crash_after", 1)])
async def test_a_crash_happens_before_or_after_the_effect(
    pipes: StdioPeer, journal: Path, kind: str, effects: int
) -> None:
    await pipes.send(call(1, "fault", kind=kind, op="once", code=42))

    assert await pipes.wait() == 42
    assert executions(journal, "before")["once"] == 1
    assert executions(journal)["once"] == effects


async def test_a_crash_cuts_every_http_connection(http: FaultyHttp, peer: HttpPeer, journal: Path) -> None:
    await assert_serves(peer)
    # Held up as on a busy machine: the system resets a connection with a request that a dying process has not read, and
    # ends the others in good order.
    http.stop()
    async with http_peer(http.url) as bystander:
        await bystander.post(call(1, "sleep", seconds=60))
        http.cont()
        await eventually(lambda: executions(journal, "before")["sleep"])
        await peer.post(call(2, "fault", kind="crash_after"))

        assert await peer.rest() == b""
        assert await bystander.rest() == b""
    assert await http.wait() == 1


async def test_a_hanging_call_neither_answers_nor_runs_nor_holds_up_others(pipes: StdioPeer, journal: Path) -> None:
    await pipes.send(call(1, "fault", kind="hang", op="stuck"))
    await assert_serves(pipes)

    assert executions(journal, "before")["stuck"] == 1
    assert executions(journal)["stuck"] == 0


async def test_whether_a_failing_call_takes_effect_can_be_chosen(peer: HttpPeer, journal: Path) -> None:
    for op, effect in (("refused", False), ("done", True)):
        await peer.post(call(op, "fault", kind="status", op=op, effect=effect))
        await peer.body((await peer.head())[1])

    assert executions(journal) == {"done": 1}


async def test_an_answer_may_carry_an_id_nobody_used(pipes: StdioPeer) -> None:
    assert (await pipes.ask(call(1, "fault", kind="wrong_id")))["id"] == "nobody-asked"
    await assert_serves(pipes)


async def test_an_answer_may_carry_the_id_of_another_request_in_flight(http: FaultyHttp, peer: HttpPeer) -> None:
    async with http_peer(http.url) as victim, http_peer(http.url) as watcher:
        await victim.post(call("victim", "progress", steps=2, delay_ms=500))
        with anyio.fail_after(10):
            while True:
                status, answer = await peer.ask(call("thief", "fault", kind="wrong_id", which="in_flight"))
                if "result" in answer:
                    break
        assert status == 200
        assert answer["id"] == "victim"
        await assert_serves(watcher)
        _, headers = await victim.head()
        assert json.loads(await victim.body(headers))["result"]["content"][0]["text"] == "2 steps"


async def test_a_result_may_violate_the_schema_its_tool_is_listed_with(pipes: StdioPeer) -> None:
    listed = await pipes.ask(request(1, "tools/list"))
    answer = await pipes.ask(call(2, "add_wrong", a=1, b=2))

    (tool,) = (tool for tool in listed["result"]["tools"] if tool["name"] == "add_wrong")
    assert tool["outputSchema"]["properties"]["sum"] == {"type": "integer"}
    assert answer["result"]["structuredContent"] == {"sum": "three"}


async def test_a_result_may_have_any_shape(pipes: StdioPeer) -> None:
    assert (await pipes.ask(call(1, "fault", kind="not_a_result")))["result"] == {"content": 17}
    assert (await pipes.ask(call(2, "fault", kind="not_a_result", shape=[1])))["result"] == [1]


async def test_an_answer_may_be_megabytes_long(pipes: StdioPeer, peer: HttpPeer) -> None:
    over_pipes = await pipes.ask(call(1, "fault", kind="big", megabytes=3))
    _, over_http = await peer.ask(call(1, "fault", kind="big", megabytes=3))

    assert len(over_pipes["result"]["content"][0]["text"]) == 3_000_000
    assert over_pipes["result"] == over_http["result"]


async def test_a_flaky_call_fails_as_often_as_told_counted_per_operation(pipes: StdioPeer) -> None:
    def flaky(op: str) -> dict[str, object]:
        return call(op, "fault", kind="flaky", op=op, times=2)

    answers = [await pipes.ask(flaky(op)) for op in ("a", "a", "b", "a", "b", "b")]

    assert ["error" in answer for answer in answers] == [True, True, True, False, True, False]


async def test_a_server_that_crashes_while_flaky_remembers_it_in_its_next_life(journal: Path) -> None:
    flaky = call(1, "fault", kind="flaky", failure="crash_before", op="a", times=1)
    async with stdio_peer(journal=journal) as first:
        await first.send(flaky)
        assert await first.wait() == 1
    async with stdio_peer(journal=journal) as second:
        assert "result" in await second.ask(flaky)
    assert executions(journal) == {"a": 1}


async def test_an_unknown_fault_is_refused(pipes: StdioPeer) -> None:
    assert (await pipes.ask(call(1, "fault", kind="earthquake")))["error"]["code"] == -32602


# ------------------------------------------------------------------------------------------------------- over stdio


async def test_garbage_on_a_pipe_is_one_line_that_is_no_json_or_no_text(pipes: StdioPeer) -> None:
    await pipes.send(call(1, "fault", kind="garbage"))
    with pytest.raises(json.JSONDecodeError):
        json.loads((await pipes.line()).decode())
    await pipes.send(call(2, "fault", kind="garbage", invalid="utf8"))
    with pytest.raises(UnicodeDecodeError):
        (await pipes.line()).decode()
    await assert_serves(pipes)


async def test_a_cut_on_a_pipe_is_the_first_half_of_the_line(pipes: StdioPeer) -> None:
    await pipes.send(call(1, "fault", kind="cut"))

    line = await pipes.line()

    assert line.startswith(b'{"jsonrpc": "2.0", "id": 1')
    with pytest.raises(json.JSONDecodeError):
        json.loads(line)
    await assert_serves(pipes)


async def test_a_line_that_drips_is_not_mixed_with_another(pipes: StdioPeer) -> None:
    await pipes.send(call(1, "fault", kind="slow_drip", delay_ms=1), call(2, "echo", text="meanwhile"))

    answers = [await pipes.receive(), await pipes.receive()]

    assert {answer["id"] for answer in answers} == {1, 2}


async def test_a_request_may_be_answered_twice_on_a_pipe(pipes: StdioPeer) -> None:
    first = await pipes.ask(call(1, "fault", kind="double"))

    assert await pipes.receive() == first
    await assert_serves(pipes)


@pytest.mark.parametrize("kind", ["reset", "status", "html", "accepted", "sse_cut"])
async def test_faults_of_http_are_refused_on_a_pipe(pipes: StdioPeer, kind: str) -> None:
    assert (await pipes.ask(call(1, "fault", kind=kind)))["error"] == {"code": -32602, "message": f"{kind} needs HTTP"}


# --------------------------------------------------------------------------------------------------------- over HTTP


async def test_garbage_over_http_claims_to_be_json(peer: HttpPeer) -> None:
    for invalid in ("json", "utf8"):
        await peer.post(call(1, "fault", kind="garbage", invalid=invalid))
        status, headers = await peer.head()
        with pytest.raises(ValueError, match=r"Expecting value|codec can't decode"):
            json.loads(await peer.body(headers))
        assert (status, headers["content-type"]) == (200, "application/json")
    await assert_serves(peer)


async def test_a_cut_body_is_shorter_than_announced_and_ends_the_connection(http: FaultyHttp, peer: HttpPeer) -> None:
    async with http_peer(http.url) as bystander:
        await peer.post(call(1, "fault", kind="cut", op="cut"))
        _, headers = await peer.head()
        assert len(await peer.rest()) == int(headers["content-length"]) // 2
        await assert_serves(bystander)


async def test_a_reset_connection_breaks_instead_of_ending(peer: HttpPeer) -> None:
    await peer.post(call(1, "fault", kind="reset"))

    with pytest.raises(anyio.BrokenResourceError) as broken:
        await peer.rest()
    assert isinstance(broken.value.__cause__, ConnectionResetError)


async def test_a_status_comes_with_retry_after_and_a_body_of_either_kind(peer: HttpPeer) -> None:
    await peer.post(call(1, "fault", kind="status", status=429, retry_after="3"))
    status, headers = await peer.head()
    assert (status, headers["retry-after"]) == (429, "3")
    assert await peer.body(headers) == b"as you asked"

    status, answer = await peer.ask(call(2, "fault", **faults.rpc_body(code=-32000)))
    assert (status, answer["error"]["code"]) == (500, -32000)
    await assert_serves(peer)


async def test_a_body_that_drips_is_whole_in_the_end(peer: HttpPeer) -> None:
    _, answer = await peer.ask(call(1, "fault", kind="slow_drip", delay_ms=0))

    assert answer["result"]["content"][0]["text"] == "ok"
    await assert_serves(peer)


async def test_a_login_page_is_a_success_of_another_type(peer: HttpPeer) -> None:
    await peer.post(call(1, "fault", kind="html"))
    status, headers = await peer.head()

    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (await peer.body(headers)).startswith(b"<!doctype html>")
    await assert_serves(peer)


async def test_a_request_may_be_accepted_and_never_answered(peer: HttpPeer) -> None:
    await peer.post(call(1, "fault", kind="accepted"))
    status, headers = await peer.head()

    assert status == 202
    assert await peer.body(headers) == b""
    await assert_serves(peer)


async def test_an_event_stream_may_end_in_good_order_and_without_an_answer(peer: HttpPeer) -> None:
    await peer.post(call(1, "fault", kind="sse_cut"))
    _, headers = await peer.head()

    assert headers["content-type"] == "text/event-stream"
    assert [event async for event in peer.events()] == []
    await assert_serves(peer)


async def test_an_event_stream_may_end_in_the_middle_of_an_event(peer: HttpPeer) -> None:
    await peer.post(call(1, "fault", kind="sse_cut", abrupt=True))
    await peer.head()

    assert await peer.rest() == b"ffff\r\nevent: mess"


async def test_a_request_may_be_answered_twice_over_http(peer: HttpPeer) -> None:
    await peer.post(call(1, "fault", kind="double"))
    await peer.head()

    first, second = [event async for event in peer.events()]

    assert first == second
    await assert_serves(peer)


# --------------------------------------------------------------------------------------- refusals that are no faults


async def test_a_server_of_the_other_era_says_which_versions_it_speaks() -> None:
    initialize = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}
    async with stdio_peer(era="2026-07-28") as pipes, faulty_http(era="2026-07-28") as server:
        refused = await pipes.ask(initialize)
        async with http_peer(server.url) as peer:
            status, same = await peer.ask(initialize)

    assert refused["error"]["code"] == -32022
    assert refused["error"]["data"] == {"supported": ["2026-07-28"], "requested": "2025-11-25"}
    assert (status, same) == (400, refused)


async def test_a_server_of_the_handshake_era_does_not_know_discovery() -> None:
    async with stdio_peer(era="2025-11-25") as pipes, faulty_http(era="2025-11-25") as server:
        unknown = await pipes.ask(request(1, "server/discover"))
        async with http_peer(server.url) as peer:
            status, same = await peer.ask(request(1, "server/discover"))

    assert unknown["error"]["code"] == -32601
    assert (status, same) == (404, unknown)


async def test_a_session_nobody_opened_is_not_found(peer: HttpPeer) -> None:
    status, answer = await peer.ask(
        {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {}}, Mcp_Session_Id="of-an-earlier-life"
    )

    assert (status, answer["error"]["message"]) == (404, "Session not found")


async def test_headers_that_contradict_the_body_are_refused(peer: HttpPeer) -> None:
    status, answer = await peer.ask(call(1, "echo", text="hello"), Mcp_Name="add")

    assert (status, answer["error"]["code"]) == (400, -32020)


async def test_what_is_no_message_is_refused_and_the_connection_goes_on(pipes: StdioPeer) -> None:
    await pipes.send_line(b"[]")
    batch = await pipes.receive()
    await pipes.send_line(b"Hello?")
    words = await pipes.receive()

    assert batch["error"]["code"] == -32600
    assert words["error"]["code"] == -32700
    await assert_serves(pipes)
