"""Attacks by callers: each is tried against a gateway that runs, and fails. docs/security.md has the list."""

from __future__ import annotations

import base64
import json
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import mcp_types as types
import pytest
from mcp.shared.inbound import encode_header_value
from mcp_types import HEADER_MISMATCH

from tests.resilience.gateways import RunningGateway, running_gateway
from tests.resilience.raw_http import exchange, rendered
from tests.security.callers import (
    MODERN,
    PATIENCE,
    Caller,
    call,
    connected,
    ending_of,
    message_of,
    principals,
    result_of,
)
from tests.servers import hostile, telltale
from trunkline.testing import faults

pytestmark = [pytest.mark.integration, pytest.mark.requirement("GATEWAY-ATTACKS")]

UPSTREAM = "the-gateways-own-credential"
LIMITS = {"connections": 60, "head": 16384, "head_time": 1.0, "body": 1_000_000, "body_time": 1.0, "read_time": 1.0}
LEGACY = "2025-11-25"
JSON_AND_STREAM = [
    ("Content-Type", "application/json"),
    ("Accept", "application/json, text/event-stream"),
    ("MCP-Protocol-Version", MODERN),
]
MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """In front of a careless server that says again what it was sent, and one that is left alone."""
    told = principals(
        alice={},
        mallory={"tools": ["good_*"], "prompts": [], "resources": []},
        olga={"watch": True, "manage": True},
        hasty={"rate": 0.01, "burst": 2},
    )
    ours: dict[str, Any] = {
        "gateway": {"principals": told, "limits": LIMITS},
        "logging": {"format": "json", "level": "debug"},
    }
    with telltale.serving() as port:
        careless = {"url": f"http://127.0.0.1:{port}/mcp", "headers": {"Authorization": f"Bearer {UPSTREAM}"}}
        folder = tmp_path_factory.mktemp("attacked")
        with running_gateway(folder, "good", others={"careless": careless}, token="olga-token", **ours) as running:
            yield running
            assert running.complaints() == []


@pytest.fixture
def alice(gateway: RunningGateway) -> Iterator[Caller]:
    """Who may call everything, and can do so after the test as well."""
    caller = Caller(gateway.port, "alice")
    yield caller
    assert result_of(caller.call("good_add", {"a": 2, "b": 3}))["structuredContent"] == {"sum": 5}


@pytest.fixture
def mallory(gateway: RunningGateway) -> Caller:
    """Who may call tools of the server `good` only."""
    return Caller(gateway.port, "mallory")


def refused(gateway: RunningGateway, reason: str) -> int:
    """How many requests were refused so far for a reason, by the metrics."""
    wanted = f'trunkline_requests_refused_total{{reason="{reason}"}} '
    lines = gateway.page("/metrics").text.splitlines()
    return next((int(float(line.removeprefix(wanted))) for line in lines if line.startswith(wanted)), 0)


# ------------------------------------------------------------------------------------------------------------ who acts


def test_a_callers_token_goes_no_further_and_the_gateways_own_credential_is_used(alice: Caller) -> None:
    smuggled = [
        ("Cookie", "session=alice-token"),
        ("Proxy-Authorization", "Bearer alice-token"),
        ("X-Api-Key", "alice-token"),
        ("X-Forwarded-Authorization", "Bearer alice-token"),
    ]
    said = result_of(alice.call("careless_tell", {}, *smuggled))["content"][0]["text"]
    assert f"Bearer {UPSTREAM}" in said
    assert "alice-token" not in said


@pytest.mark.parametrize("name", ["careless_tell", "tell", "careless_tell\x00", " careless_tell", "CARELESS_TELL"])
def test_who_may_less_cannot_have_the_gateway_do_it_with_its_own_credential(name: str, mallory: Caller) -> None:
    body = json.dumps(call(name)).encode()
    for named in (name, "good_echo"):
        answer = mallory.post(body, ("Mcp-Method", "tools/call"), ("Mcp-Name", encode_header_value(named)))
        assert UPSTREAM.encode() not in answer.body
        # With its own name in the header it is the rights that refuse it, and not the header.
        assert (message_of(answer)["error"]["code"] == HEADER_MISMATCH) is (named != name)


def test_a_page_cannot_use_what_a_browser_has_remembered(gateway: RunningGateway) -> None:
    remembered = base64.b64encode(b"any:olga-token").decode()
    visitor = Caller(gateway.port)
    basic, origin = ("Authorization", f"Basic {remembered}"), ("Origin", "http://evil.example")
    assert visitor.get("/api/v1/status", basic).status == 200
    assert visitor.get("/api/v1/status", basic, origin).status == 403
    assert visitor.post(b"{}", basic, origin).status == 403
    # Without an Origin a page can send a form, and no JSON.
    form = [*visitor.headers, basic, ("Content-Type", "text/plain")]
    cleared = exchange(gateway.port, rendered("POST", "/api/v1/cache/clear", form, b"{}"), patience=PATIENCE)
    assert cleared.status == 415


def test_a_session_counts_for_nothing_without_the_token_of_who_opened_it(alice: Caller, mallory: Caller) -> None:
    params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    start = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode()
    session = alice.post(start, era=None).header("mcp-session-id")
    assert session is not None
    alice.post(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}', ("Mcp-Session-Id", session), era=LEGACY)
    ask = b'{"jsonrpc": "2.0", "id": 2, "method": "tools/list"}'
    nobody = Caller(alice.port)
    assert nobody.post(ask, ("Mcp-Session-Id", session), era=LEGACY).status == 401
    for thief in (mallory, Caller(alice.port, "olga")):
        assert thief.post(ask, ("Mcp-Session-Id", session), era=LEGACY).status == 404
        assert thief.get("/mcp", ("Accept", "text/event-stream"), ("Mcp-Session-Id", session)).status in (403, 404)
    assert b"careless_tell" in alice.post(ask, ("Mcp-Session-Id", session), era=LEGACY).body


def test_what_the_headers_say_of_a_request_has_to_be_what_its_body_says(alice: Caller, mallory: Caller) -> None:
    wrong = [
        [("Mcp-Method", "tools/list"), ("Mcp-Name", "good_echo")],
        [("Mcp-Method", "tools/call"), ("Mcp-Name", "good_add")],
        [("MCP-Protocol-Version", "2030-01-01"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "good_echo")],
    ]
    body = json.dumps(call("good_echo", {"text": "x"})).encode()
    for caller in (alice, mallory):
        for headers in wrong:
            answer = caller.post(body, *headers, era=None if headers[0][0].startswith("MCP") else MODERN)
            assert (answer.status, message_of(answer)["error"]["code"]) == (400, HEADER_MISMATCH)


# ---------------------------------------------------------------------------------------------------- too much of it


@pytest.mark.parametrize("who", ["alice", None])
def test_a_body_without_end_is_cut_off_and_takes_no_memory(
    who: str | None, gateway: RunningGateway, alice: Caller
) -> None:
    before = gateway.resident()
    caller = Caller(gateway.port, who)
    head = [*caller.headers, ("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]
    lines = "\r\n".join(["POST /mcp HTTP/1.1", *(f"{name}: {value}" for name, value in head), "", ""]).encode()
    chunk = b"%x\r\n%s\r\n" % (65536, b"[" * 65536)
    with connected(gateway.port, 1) as (connection,):
        connection.sendall(lines)
        sent = 0
        try:
            while sent < 200 * MEBIBYTE:
                connection.sendall(chunk)
                sent += len(chunk)
        except (ConnectionError, TimeoutError):
            pass
        assert sent < 200 * MEBIBYTE, "all of it was taken"
    assert gateway.resident() - before < 30 * MEBIBYTE


@pytest.mark.parametrize("size", [17_000, 70_000, 2_000_000])
@pytest.mark.parametrize("shape", ["one line", "many lines", "the address"])
def test_a_head_that_is_too_large_is_refused(size: int, shape: str, gateway: RunningGateway, alice: Caller) -> None:
    target, headers = "/health/live", alice.headers
    if shape == "one line":
        headers = [*headers, ("X-Large", "x" * size)]
    elif shape == "many lines":
        headers = [*headers, *((f"X-{number}", "x" * 100) for number in range(size // 100))]
    else:
        target = f"/health/live?{'x' * size}"
    answer = exchange(gateway.port, rendered("GET", target, headers, b""), patience=PATIENCE)
    # Where it is still being sent when it is refused, the answer may be lost on the way.
    assert answer.status in ((431,) if size < 100_000 else (431, 0))
    assert answer.is_complete


def test_requests_that_come_drop_by_drop_end_and_hold_nobody_up(gateway: RunningGateway, alice: Caller) -> None:
    before = refused(gateway, "too_slow")
    heads = [f"{name}: {value}\r\n".encode() for name, value in alice.headers]
    body = [b"POST /mcp HTTP/1.1\r\n", *heads, b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"]
    with connected(gateway.port, 40) as slow:
        for number, connection in enumerate(slow):
            start = [b"GET /mcp HTTP/1.1\r\n", *heads] if number % 2 else body
            connection.sendall(b"".join(start))
        while True:
            # All the while others are served.
            assert result_of(alice.call("good_add", {"a": 1, "b": 1}))["structuredContent"] == {"sum": 2}
            open_ones = [connection for connection in slow if dripped(connection)]
            if not open_ones:
                break
        answers = [ending_of(connection) for connection in slow]
    assert [answer for answer in answers if answer and not answer.startswith(b"HTTP/1.1 408 ")] == []
    assert sum(answer.startswith(b"HTTP/1.1 408 ") for answer in answers) >= 1
    assert refused(gateway, "too_slow") == before + 40


def dripped(connection: socket.socket) -> bool:
    """Send one more byte; whether the other side has not hung up yet."""
    try:
        connection.settimeout(0.001)
        try:
            if connection.recv(1, socket.MSG_PEEK):
                return False
        except TimeoutError:
            pass
        else:
            return False
        connection.settimeout(PATIENCE)
        connection.sendall(b"x")
    except OSError:
        return False
    return True


def test_a_connection_on_which_nothing_is_said_ends(gateway: RunningGateway) -> None:
    with connected(gateway.port, 1) as (silent,):
        assert ending_of(silent) == b""


def test_answers_that_nobody_takes_in_are_given_up_and_hold_no_connection(
    gateway: RunningGateway, alice: Caller
) -> None:
    body = json.dumps(call("good_fault", dict(faults.big()))).encode()
    told = [*alice.headers, ("Mcp-Method", "tools/call"), ("Mcp-Name", "good_fault"), *JSON_AND_STREAM]
    before = gateway.open_files()
    with connected(gateway.port, 10, window=4096) as readers:
        for reader in readers:
            reader.sendall(rendered("POST", "/mcp", told, body))
        ended = [ended_without_reading(reader) for reader in readers]
        assert ended == [True] * 10
        assert gateway.open_files() <= before
    wanted = 'trunkline_answers_abandoned_total{path="/mcp",reason="stopped reading"} 10'
    assert wanted in gateway.page("/metrics").text


@pytest.mark.parametrize("is_held_up", [False, True], ids=["answered at once", "behind a call that hangs"])
def test_requests_that_nobody_waits_for_the_answers_of_take_no_memory(
    is_held_up: bool, gateway: RunningGateway, alice: Caller
) -> None:
    told = [*alice.headers, ("Mcp-Method", "tools/call"), ("Mcp-Name", "good_fault"), *JSON_AND_STREAM]
    hanging = rendered("POST", "/mcp", told, json.dumps(call("good_fault", dict(faults.hang()))).encode())
    many = rendered("GET", "/health/live", alice.headers, b"") * 1000
    before = gateway.resident()
    with connected(gateway.port, 1, window=4096) as (connection,):
        connection.settimeout(3)
        sent = 0
        try:
            connection.sendall(hanging if is_held_up else b"")
            while sent < 100 * MEBIBYTE:
                sent += connection.send(many)
        except (ConnectionError, TimeoutError):
            pass
        assert sent < 100 * MEBIBYTE, "all of it was taken"
        assert gateway.resident() - before < 30 * MEBIBYTE


def ended_without_reading(connection: socket.socket) -> bool:
    """Whether the other side resets the connection although there is something to read, while we do not."""
    watch = select.poll()
    watch.register(connection, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in watch.poll(PATIENCE * 1000))


def test_connections_beyond_the_limit_are_turned_away_and_the_room_comes_back(
    gateway: RunningGateway, alice: Caller
) -> None:
    before = refused(gateway, "too_many_connections")
    with connected(gateway.port, 100) as crowd:
        turned_away = [each for each in crowd if ending_of(each).startswith(b"HTTP/1.1 503 ")]
    assert turned_away
    assert refused(gateway, "too_many_connections") >= before + 40


def test_who_comes_too_often_is_told_when_to_come_again(gateway: RunningGateway, alice: Caller) -> None:
    hasty = Caller(gateway.port, "hasty")
    answers = [hasty.call("good_echo", {"text": "x"}) for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429, 429]
    assert int(answers[-1].header("retry-after") or 0) >= 1
    assert refused(gateway, "too_many_requests") == 3
    (noted,) = [each for each in records(gateway.log) if each["event"] == "too_many_requests"]
    assert (noted["logger"], noted["trunkline_principal"]) == ("trunkline.audit", "hasty")


# -------------------------------------------------------------------------------------------- what is not as it looks


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        json.dumps(call("good_echo"))[:-1] + f', "params": {DEEP}}}',
        json.dumps(call("good_echo")).replace('"arguments": {}', f'"arguments": {{"text": {DEEP}}}'),
        '{"a":' * 100_000,
        json.dumps(call("good_add")).replace('"arguments": {}', f'"arguments": {{"a": {"9" * 50_000}, "b": 1}}'),
        json.dumps(call("good_add")).replace('"arguments": {}', '"arguments": {"a": 1e999999, "b": NaN}'),
    ],
    ids=["array", "params", "arguments", "objects", "digits", "not a number"],
)
def test_json_made_to_be_hard_to_read_is_refused(body: str, gateway: RunningGateway, alice: Caller) -> None:
    named = "good_add" if '"good_add"' in body else "good_echo"
    answer = alice.post(body.encode(), ("Mcp-Method", "tools/call"), ("Mcp-Name", named))
    assert answer.status in (200, 400)
    found = message_of(answer)
    assert found["error"]["code"] != HEADER_MISMATCH if "error" in found else found["result"]["isError"]
    for path in ("/api/v1/cache/clear", "/api/v1/cache/invalidate"):
        headers = [*Caller(gateway.port, "olga").headers, ("Content-Type", "application/json")]
        answer = exchange(gateway.port, rendered("POST", path, headers, body.encode()[:60_000]), patience=PATIENCE)
        assert answer.status == 400


def test_of_a_key_said_twice_what_is_judged_is_what_is_done(mallory: Caller) -> None:
    twice = json.dumps(call("good_echo", {"text": "x"}))
    for first, second in (("good_echo", "careless_tell"), ("careless_tell", "good_echo")):
        body = twice.replace('"name": "good_echo"', f'"name": "{first}", "name": "{second}"')
        for named in (first, second):
            answer = mallory.post(body.encode(), ("Mcp-Method", "tools/call"), ("Mcp-Name", named))
            assert UPSTREAM.encode() not in answer.body
            assert b"I was given" not in answer.body


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 5\r\nContent-Length: 50",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Content-Length: +5",
        "Content-Length: 5\r\nX-Folded: a\r\n b\x00c",
        "Content-Length : 5",
    ],
)
def test_a_request_hidden_within_another_is_never_answered(head: str, gateway: RunningGateway, alice: Caller) -> None:
    hidden = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with connected(gateway.port, 1) as (connection,):
        outer = f"POST /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n\r\n0\r\n\r\n".encode()
        connection.sendall(outer + hidden)
        answers = ending_of(connection)
    assert answers.startswith(b"HTTP/1.1 4")
    assert b"HTTP/1.1 200" not in answers


def records(log: Path) -> list[dict[str, Any]]:
    """Every line of a log is one record in JSON."""
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()[2:]]


def test_a_name_made_up_by_a_caller_forges_no_line_of_log_audit_or_metrics(
    gateway: RunningGateway, alice: Caller
) -> None:
    names = [*hostile.NAMES.values(), hostile.EVIL]
    for name in names:
        shown = ("Mcp-Name", encode_header_value(name[:5000]))
        answer = alice.post(json.dumps(call(name[:5000])).encode(), ("Mcp-Method", "tools/call"), shown)
        assert message_of(answer)["error"]["code"] == types.INVALID_PARAMS, "looked for, and known to nobody"
        for path in ("/mcp", "/api/v1/server", "/api/v1/domain", "/nothing"):
            Caller(gateway.port, "olga").get(f"{path}?name={quote(hostile.FORGED)}")
    for era in (LEGACY, MODERN):
        alice.post(json.dumps({"jsonrpc": "2.0", "id": 1, "method": hostile.EVIL}).encode(), era=era)
    assert all(each["event"] != "forged_line" for each in records(gateway.log))
    written = gateway.log.read_text("utf-8") + gateway.page("/metrics").text
    assert not set("\x1b\x07\x00\x9b\u202e\u2066") & set(written)
    assert "\nforged_metric" not in written
    assert len(written) < 20 * MEBIBYTE
