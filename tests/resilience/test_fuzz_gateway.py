"""R12: whatever is sent to a gateway is answered, and refused in words; it logs nothing unhandled and lives on.

A process of its own in front of real servers, on a real socket: what breaks there breaks for users.
"""

from __future__ import annotations

import json
import re
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
import schemathesis
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mcp import Client
from schemathesis.engine import events, from_schema

from tests.resilience.conftest import Report
from tests.resilience.gateways import RunningGateway, running_gateway
from tests.resilience.mcp_requests import (
    BYTES,
    HEADER_NAMES,
    HEADER_VALUES,
    LEGACY,
    METHODS,
    QUERIES,
    REQUESTS,
    RESUMING,
    SESSION,
    TARGETS,
    McpRequest,
    Pieces,
)
from tests.resilience.raw_http import Answer, exchange, rendered
from tests.resilience.shares import FUZZING, cases_of

pytestmark = [pytest.mark.resilience, pytest.mark.requirement("R12"), pytest.mark.timeout(3600)]

PATIENCE = 10.0
"""Seconds the gateway may take to answer, on a busy machine: its calls have a deadline of one."""
INTERNAL_ERROR = re.compile(rb'"error": ?\{"code": ?-32603\b')
"""What the SDK and the gateway say where something of theirs raised: no answer to a bad request is that. (What a server
behind says itself has a code of ours.)"""
ACCEPT = ("Accept", "application/json, text/event-stream")


class Fuzzed:
    """A gateway under fuzz: sends, judges every answer, and keeps count."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.gateway = gateway
        self.answers = Counter[int]()
        self.complaints: list[str] = []
        """What the gateway did not handle, each with the requests before it."""
        self._last = deque[bytes](maxlen=3)
        self._session: str | None = None

    @property
    def session(self) -> str:
        """The id of a session that is open; another one each time the last was ended."""
        if self._session is None:
            params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "f", "version": "1"}}
            answer = self.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
            self._session = answer.header("mcp-session-id")
            assert self._session is not None, answer
            self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return self._session

    def post(self, message: Any) -> Answer:
        """Send what is right, in the session."""
        headers = [("Host", "127.0.0.1"), ("Content-Type", "application/json"), ACCEPT]
        if self._session is not None:
            headers.append(("Mcp-Session-Id", self._session))
        return exchange(
            self.gateway.port, rendered("POST", "/mcp", headers, json.dumps(message).encode()), patience=PATIENCE
        )

    def send(self, request: bytes, *, is_http: bool = True, may_stay_open: bool = False, ends: bool = False) -> Answer:
        """Send `request`, judge what comes of it, and return that. Where it is HTTP there must be an answer."""
        answer = exchange(
            self.gateway.port, request, patience=PATIENCE, ends=ends, lingering=0.02 if may_stay_open else PATIENCE
        )
        self.answers[answer.status] += 1
        assert answer.is_complete or (may_stay_open and answer.is_stream), f"no end of it in {PATIENCE} s: {answer}"
        assert answer.status or not is_http, "the connection ended without an answer"
        assert answer.status < 500, answer
        assert not INTERNAL_ERROR.search(answer.body), answer
        assert self.gateway.process.poll() is None, "the gateway died"
        self._note_complaints(request)
        return answer

    def _note_complaints(self, request: bytes) -> None:
        # A log is written a moment later: which request it was cannot be told for certain, and need not fail that one.
        self._last.append(request[:2000])
        if said := self.gateway.complaints():
            self.complaints.append("\n".join([*map(repr, self._last), *said]))

    def request(self, request: McpRequest) -> Answer:
        """Send a request with the session's id where that belongs."""
        headers = [(name, self.session if value == SESSION else value) for name, value in request.headers]
        if not any(name == "Host" for name, _ in headers):
            headers.append(("Host", "127.0.0.1"))
        answer = self.send(rendered(request.method, "/mcp", headers, request.body), may_stay_open=request.opens_stream)
        opened = answer.header("mcp-session-id")
        if opened is not None and opened != self._session:
            self._delete(opened)
        if self._session is not None and (request.method == "DELETE" or answer.status == 404):
            # It may have ended, or not: there is room for a limited number.
            self._delete(self._session)
            self._session = None
        return answer

    def _delete(self, session: str) -> None:
        self.send(rendered("DELETE", "/mcp", [("Host", "127.0.0.1"), ACCEPT, ("Mcp-Session-Id", session)], b""))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """In front of one server that is left alone and one whose tools misbehave; a call ends after a second."""
    with running_gateway(tmp_path_factory.mktemp("fuzzed"), "good", "bad", defaults={"timeout": 1.0}) as running:
        yield running
        assert running.complaints() == []


@pytest.fixture
def fuzzed(gateway: RunningGateway) -> Iterator[Fuzzed]:
    """The gateway, which must work after the test as if nothing had happened."""
    before = gateway.open_files()
    subject = Fuzzed(gateway)
    yield subject
    assert gateway.get("/health/live") == {"status": "ok"}
    anyio.run(_still_works, gateway)
    assert "\n\n".join(subject.complaints[:3]) == ""
    assert gateway.open_files() <= before + 20, "connections, streams or sessions are left open"


async def _still_works(gateway: RunningGateway) -> None:
    """Either era can call through it, and every connection the fuzzer left has ended."""
    with anyio.fail_after(PATIENCE):
        for era in ("legacy", "2026-07-28"):
            async with Client(f"{gateway.url}/mcp", mode=era) as client:
                result = await client.call_tool("good_add", {"a": 2, "b": 3})
                assert result.structured_content == {"sum": 5}


def told(fuzzed: Fuzzed) -> str:
    """How many answers of which kind, and what was not handled."""
    kinds = Counter[str]()
    for status, number in fuzzed.answers.items():
        kinds[f"{status // 100}xx" if status else "none"] += number
    answers = ", ".join(f"{kinds[kind]:,} {kind}" for kind in sorted(kinds))
    return f"{fuzzed.answers.total():,} cases, {len(fuzzed.complaints)} unhandled ({answers})"


def test_any_request_at_the_mcp_endpoint_is_answered_or_refused_in_either_era(fuzzed: Fuzzed, report: Report) -> None:
    cases = 0

    @settings(FUZZING, max_examples=cases_of("/mcp requests"))
    @given(REQUESTS)
    @example(RESUMING)
    def answered(request: McpRequest) -> None:
        nonlocal cases
        cases += 1
        fuzzed.request(request)

    answered()
    report("R12", "/mcp requests", told(fuzzed))
    assert cases >= cases_of("/mcp requests")
    assert fuzzed.answers[200] > cases / 20, "hardly any request got past the door"


def test_any_bytes_at_the_mcp_endpoint_are_answered_or_refused(fuzzed: Fuzzed, report: Report) -> None:
    cases = 0
    shapes = st.sampled_from(["whole", "whole", "whole", "cut short", "too long", "chunked", "bare"])

    @settings(FUZZING, max_examples=cases_of("/mcp bytes"))
    @given(shapes, st.sampled_from([None, LEGACY, "2026-07-28"]), BYTES)
    def answered(shape: str, era: str | None, pieces: Pieces) -> None:
        nonlocal cases
        cases += 1
        body = pieces.bytes
        headers = [("Host", "127.0.0.1"), ("Content-Type", "application/json"), ACCEPT, ("Connection", "close")]
        if era is not None:
            headers.append(("MCP-Protocol-Version", era))
        if era == LEGACY:
            headers.append(("Mcp-Session-Id", fuzzed.session))
        match shape:
            case "whole":
                fuzzed.send(rendered("POST", "/mcp", headers, body))
            case "cut short":
                fuzzed.send(rendered("POST", "/mcp", headers, body, length=len(body) + 7), is_http=False, ends=True)
            case "too long":
                fuzzed.send(rendered("POST", "/mcp", headers, body, length=len(body) // 2))
            case "chunked":
                lines = ["POST /mcp HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
                head = "\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""]).encode()
                fuzzed.send(head + body, is_http=False, ends=True)
            case _:
                fuzzed.send(body + b"\r\n\r\n", is_http=False, ends=True)

    answered()
    report("R12", "/mcp bytes", told(fuzzed))
    assert cases >= cases_of("/mcp bytes")


def test_any_request_beside_the_mcp_endpoint_is_answered_or_refused(fuzzed: Fuzzed, report: Report) -> None:
    cases = 0
    described = list(fuzzed.gateway.get("/openapi.json")["paths"])
    served = st.sampled_from([*described, "/", "/openapi.json", "/static/app.js"])

    @settings(FUZZING, max_examples=cases_of("HTTP API"))
    @given(
        METHODS,
        served | served | st.builds(str.__add__, served, QUERIES) | TARGETS,
        st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=3),
        st.just(Pieces(())) | BYTES,
    )
    def answered(method: str, target: str, headers: list[tuple[str, str]], body: Pieces) -> None:
        nonlocal cases
        cases += 1
        if not any(name == "Host" for name, _ in headers):
            headers = [*headers, ("Host", "127.0.0.1")]
        fuzzed.send(rendered(method, target, headers, body.bytes), may_stay_open=True)

    answered()
    report("R12", "HTTP API", told(fuzzed))
    assert cases >= cases_of("HTTP API")


def test_the_api_answers_as_its_own_description_says(fuzzed: Fuzzed, report: Report) -> None:
    """By schemathesis: methods, headers and parameters that the description knows, and ones that it does not."""
    whole = schemathesis.openapi.from_url(f"{fuzzed.gateway.url}/openapi.json")
    # A stream without an end: schemathesis would wait for it.
    described = whole.exclude(path="/api/v1/events")
    cases, wrong, asked, statuses = 0, list[str](), set[str](), Counter[int]()
    for event in from_schema(described).execute():
        if isinstance(event, (events.NonFatalError, events.FatalError)):
            wrong.append(repr(event))
        if isinstance(event, events.ScenarioFinished):
            cases += len(event.recorder.cases)
            asked |= {event.label} if event.label is not None else set()
            answers = (each.response for each in event.recorder.interactions.values())
            statuses.update(answer.status_code for answer in answers if answer is not None)
            wrong += [
                f"{event.label}: {check.failure_info.failure}"
                for checks in event.recorder.checks.values()
                for check in checks
                if check.failure_info is not None
            ]
    report("R12", "API description", f"{cases:,} cases of schemathesis, {len(wrong)} against the description")
    assert wrong == []
    paths = fuzzed.gateway.get("/openapi.json")["paths"]
    operations = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert operations - asked == {"GET /api/v1/events"}
    assert statuses[200] > 0
    assert [status for status in statuses if status >= 500] == []
