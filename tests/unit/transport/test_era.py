"""Which era a server speaks is decided by answers, not by accidents."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from mcp import ClientSession, MCPError
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp_types import ErrorData, JSONRPCError, JSONRPCRequest, JSONRPCResponse
from trio.testing import MockClock

from trunkline.policy import Era
from trunkline.transport.era import EraUndecided, PinnedEra, negotiate
from trunkline.transport.wire import TrackingDispatcher, Wire, Wires

pytestmark = pytest.mark.anyio

Answer = dict[str, Any] | ErrorData | None
"""What a server says to one request; None is silence."""

MODERN: Answer = {
    "supportedVersions": ["2026-07-28"],
    "capabilities": {},
    "serverInfo": {"name": "m", "version": "1"},
    "resultType": "complete",
    "ttlMs": 0,
    "cacheScope": "public",
    "_meta": {},
}
HANDSHAKE: Answer = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "serverInfo": {"name": "h", "version": "1"},
}
UNKNOWN_METHOD = ErrorData(code=-32601, message="Method not found")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Virtual time: a silent server costs nothing."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@dataclass(slots=True)
class Server:
    """The other end of the streams: answers by method, and can tell what HTTP would note."""

    discover: Answer | list[Answer]
    initialize: Answer = field(default_factory=lambda: UNKNOWN_METHOD)
    note: Callable[[], None] = lambda: None
    asked: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    def answer(self, request: JSONRPCRequest) -> Answer:
        self.asked.append(request.method)
        if request.method == "initialize":
            return self.initialize
        self.note()
        meta = (request.params or {}).get("_meta", {})
        self.versions.append(meta["io.modelcontextprotocol/protocolVersion"])
        return self.discover.pop(0) if isinstance(self.discover, list) else self.discover


@asynccontextmanager
async def session(server: Server) -> AsyncGenerator[ClientSession, None]:
    async with (
        create_client_server_memory_streams() as ((read, write), (received, sent)),
        anyio.create_task_group() as tasks,
    ):

        async def serve() -> None:
            async for item in received:
                if isinstance(item, SessionMessage) and isinstance(item.message, JSONRPCRequest):
                    request_id, answer = item.message.id, server.answer(item.message)
                    if isinstance(answer, ErrorData):
                        await sent.send(SessionMessage(JSONRPCError(jsonrpc="2.0", id=request_id, error=answer)))
                    elif answer is not None:
                        await sent.send(SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=request_id, result=answer)))

        tasks.start_soon(serve)
        wires: Wires = {}
        dispatcher = TrackingDispatcher(
            JSONRPCDispatcher(read, write), wires, random.Random(1), latest=deque(), on_end=lambda: None
        )
        async with ClientSession(dispatcher=dispatcher) as client:
            yield client
        tasks.cancel_scope.cancel()


async def settle(server: Server, pinned: PinnedEra, *, era: Era = "auto", wire: Wire | None = None) -> str | None:
    """The version the session speaks after negotiating."""
    async with session(server) as client:
        with anyio.fail_after(60):
            await negotiate(client, era, pinned, wire or Wire())
        return client.protocol_version


async def undecided(server: Server, pinned: PinnedEra, *, era: Era = "auto", wire: Wire | None = None) -> Exception:
    """What negotiating raises."""
    async with session(server) as client:
        with pytest.raises((EraUndecided, MCPError)) as caught:
            await negotiate(client, era, pinned, wire or Wire())
        return caught.value


async def test_a_server_that_answers_is_modern_and_that_is_kept() -> None:
    server, pinned = Server(MODERN), PinnedEra()

    assert await settle(server, pinned) == "2026-07-28"
    assert await settle(server, pinned) == "2026-07-28"
    assert server.asked == ["server/discover"]
    pinned.clear()
    assert await settle(server, pinned) == "2026-07-28"
    assert server.asked == ["server/discover"] * 2


@pytest.mark.parametrize(
    "refusal",
    [
        UNKNOWN_METHOD,
        ErrorData(code=-32600, message="Not initialized"),
        ErrorData(code=-32602, message="Invalid request parameters"),
        ErrorData(code=-32022, message="Unsupported", data={"supported": ["2025-11-25"], "requested": "2026-07-28"}),
        ErrorData(code=-32022, message="Unsupported", data="nonsense"),
        ErrorData(code=-32000, message="Bad Request: Unsupported protocol version: 2026-07-28"),
    ],
    ids=[
        "unknown method",
        "not initialized",
        "invalid params",
        "names the handshake's version",
        "names nothing",
        "-32000",
    ],
)
async def test_a_server_that_refuses_the_question_gets_its_handshake_and_that_is_kept(refusal: ErrorData) -> None:
    server, pinned = Server(refusal, HANDSHAKE), PinnedEra()

    assert await settle(server, pinned) == "2025-11-25"
    assert await settle(server, pinned) == "2025-11-25"
    assert server.asked.count("server/discover") == 1
    assert server.asked.count("initialize") == 2


async def test_a_silent_server_gets_its_handshake_but_is_asked_again_next_time() -> None:
    server, pinned = Server(None, HANDSHAKE), PinnedEra()

    started = anyio.current_time()
    assert await settle(server, pinned) == "2025-11-25"
    assert 5.0 <= anyio.current_time() - started < 6.0
    assert pinned.legacy is False
    await settle(server, pinned)
    assert server.asked.count("server/discover") == 2


@pytest.mark.parametrize("status", [401, 403, 407, 408, 425, 429, 500, 502, 503, 504])
async def test_an_http_refusal_that_says_nothing_about_the_era_proves_nothing(status: int) -> None:
    wire, pinned = Wire(), PinnedEra()
    server = Server(ErrorData(code=-32603, message="Server returned an error response"), HANDSHAKE)
    server.note = lambda: setattr(wire, "status", status)

    assert isinstance(await undecided(server, pinned, wire=wire), MCPError)
    assert (pinned.legacy, pinned.discovered) == (False, None)
    assert "initialize" not in server.asked


@pytest.mark.parametrize("status", [200, 400, 404])
async def test_an_http_refusal_of_the_question_itself_is_evidence(status: int) -> None:
    wire, pinned = Wire(), PinnedEra()
    server = Server(UNKNOWN_METHOD, HANDSHAKE)
    server.note = lambda: setattr(wire, "status", status)

    assert await settle(server, pinned, wire=wire) == "2025-11-25"
    assert pinned.legacy is True


@pytest.mark.parametrize(
    "error",
    [
        ErrorData(code=-32700, message="Failed to parse JSON response"),
        ErrorData(code=-32000, message="Connection closed"),
        ErrorData(code=-32000, message="SSE stream ended without a response"),
        ErrorData(code=-32600, message="Unexpected content type: text/html"),
    ],
)
async def test_garbage_and_lost_connections_prove_nothing(error: ErrorData) -> None:
    server, pinned = Server(error, HANDSHAKE), PinnedEra()

    assert isinstance(await undecided(server, pinned), MCPError)
    assert "initialize" not in server.asked


async def test_a_network_fault_proves_nothing() -> None:
    wire, server = Wire(), Server(UNKNOWN_METHOD, HANDSHAKE)
    server.note = lambda: setattr(wire, "fault", OSError("reset"))

    assert isinstance(await undecided(server, PinnedEra(), wire=wire), MCPError)


async def test_an_answer_that_is_no_discovery_proves_nothing() -> None:
    server, pinned = Server({"hello": "world"}, HANDSHAKE), PinnedEra()

    assert "something else" in str(await undecided(server, pinned))
    assert "initialize" not in server.asked


async def test_a_server_of_unknown_versions_is_refused_by_name() -> None:
    error = ErrorData(code=-32022, message="Unsupported", data={"supported": ["2031-01-01"], "requested": "2026-07-28"})

    assert "speaks only 2031-01-01" in str(await undecided(Server(error, HANDSHAKE), PinnedEra()))


def refusing(*supported: str) -> ErrorData:
    return ErrorData(code=-32022, message="Unsupported", data={"supported": [*supported], "requested": "2026-07-28"})


@pytest.mark.parametrize("era", ["auto", "2026-07-28"])
async def test_a_version_that_is_refused_and_named_is_asked_for_once_more(era: Era) -> None:
    server = Server([refusing("2026-07-28"), MODERN])

    assert await settle(server, PinnedEra(), era=era) == "2026-07-28"
    assert server.asked == ["server/discover"] * 2


async def test_a_server_that_refuses_what_it_names_is_not_asked_for_ever() -> None:
    server = Server(refusing("2026-07-28"), HANDSHAKE)

    assert "speaks only 2026-07-28" in str(await undecided(server, PinnedEra()))
    assert await settle(Server(refusing("2025-11-25", "2026-07-28"), HANDSHAKE), PinnedEra()) == "2025-11-25"
    assert server.asked == ["server/discover"] * 2


@pytest.mark.parametrize(
    ("era", "asked", "version"),
    [("2025-11-25", ["initialize"], "2025-11-25"), ("2026-07-28", ["server/discover"], "2026-07-28")],
)
async def test_a_configured_era_is_taken_as_it_is(era: Era, asked: list[str], version: str) -> None:
    server = Server(MODERN, HANDSHAKE)

    assert await settle(server, PinnedEra(), era=era) == version
    assert server.asked == asked


async def test_a_configured_era_that_the_server_does_not_speak_is_an_error() -> None:
    server = Server(UNKNOWN_METHOD, HANDSHAKE)

    assert "does not speak 2026-07-28" in str(await undecided(server, PinnedEra(), era="2026-07-28"))
    assert "initialize" not in server.asked
