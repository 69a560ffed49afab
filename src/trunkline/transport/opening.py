"""Opens a session to any endpoint: transport, dispatcher, handshake. The only entrance to this package."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import mcp_types as types
from mcp import ClientSession, MCPError
from mcp.client.session import IncomingMessage
from mcp.shared.dispatcher import Dispatcher
from mcp.shared.transport_context import TransportContext
from mcp_types import CONNECTION_CLOSED, HEADER_MISMATCH, METHOD_NOT_FOUND, UNSUPPORTED_PROTOCOL_VERSION

from trunkline.endpoint import Endpoint, HttpEndpoint, InProcessEndpoint, StdioEndpoint
from trunkline.policy import Era
from trunkline.transport.asking import Line
from trunkline.transport.authorization.authorizing import Authorization
from trunkline.transport.authorization.failure import AuthorizationFailed
from trunkline.transport.changes import Changed, read_change
from trunkline.transport.era import EraUndecided, PinnedEra, negotiate
from trunkline.transport.faults import cause_of
from trunkline.transport.http import open_http
from trunkline.transport.inprocess import open_in_process
from trunkline.transport.reasons import Blots, SessionFailed, presentable, reason_for, words_in
from trunkline.transport.session import Session
from trunkline.transport.stdio import ChildProcess, open_stdio
from trunkline.transport.wire import TrackingDispatcher, Wire, Wires, hear_log
from trunkline.version import VERSION

__all__ = ["SessionSettings", "open_session"]

_CLOSED_BY_SDK = "Connection closed"
_NO_HANDSHAKE: Final = frozenset({HEADER_MISMATCH, METHOD_NOT_FOUND, UNSUPPORTED_PROTOCOL_VERSION})
"""What a server answers to a handshake that speaks the stateless era only."""
_LATEST: Final = 16
"""Calls whose arguments are taken out of a child's last words: careless servers write them to stderr."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What every session to one server is opened with."""

    endpoint: Endpoint
    era: Era
    pinned: PinnedEra
    rng: random.Random
    connect_timeout: float
    """Seconds for one TCP connect; the whole opening is bounded by the caller."""
    grace: float
    """Seconds a child may take to exit by itself."""
    authorization: Authorization
    capabilities: Mapping[str, Any] | None = None
    """What the client can do whom the session is opened for; None where it is opened for all."""


@asynccontextmanager
async def open_session(
    settings: SessionSettings, *, on_lost: Callable[[str], None], on_changed: Changed
) -> AsyncIterator[Session]:
    """Connect and shake hands.

    `on_lost` gets the reason when the connection ends; it may be called more than once. `on_changed` is told what the
    server tells of changes by itself, as servers of the handshake era do.

    Raises:
        SessionFailed: The server cannot be started or reached, or the handshake failed.
    """
    endpoint, wire = settings.endpoint, Wire(capabilities=settings.capabilities)
    blots = Blots(endpoint, settings.authorization)
    line = None if settings.capabilities is None else Line()
    failure: SessionFailed | None = None
    async with AsyncExitStack() as stack:
        wires: Wires = {}
        latest: deque[Any] = deque(maxlen=_LATEST if isinstance(endpoint, StdioEndpoint) else 0)
        try:
            dispatcher, explain = await _connect(stack, settings, wires, latest)
        except (OSError, ValueError) as error:
            hopeless = isinstance(error, FileNotFoundError | PermissionError)
            reason = presentable(reason_for(error, wire), blots.now)
            raise SessionFailed(reason, hopeless=hopeless) from cause_of(error, blots.now)
        tracking = TrackingDispatcher(
            dispatcher,
            wires,
            settings.rng,
            latest=latest,
            on_end=lambda: on_lost(presentable(explain.now(), blots.now)),
        )

        async def on_message(message: IncomingMessage) -> None:
            change = read_change(message)
            if change is not None:
                on_changed(*change)

        callbacks: dict[str, Any] = {"logging_callback": hear_log} if line is None else line.callbacks
        who = types.Implementation(name="trunkline", version=VERSION)
        client = await stack.enter_async_context(
            ClientSession(dispatcher=tracking, message_handler=on_message, client_info=who, **callbacks)
        )
        try:
            await negotiate(client, settings.era, settings.pinned, wire)
        except (MCPError, EraUndecided, RuntimeError, ValueError) as error:
            if not _is_end(error, wire) and wire.fault is None:
                settings.pinned.clear()
            failure = SessionFailed(
                presentable(await explain.why(error, wire), blots.now),
                hopeless=isinstance(wire.fault, AuthorizationFailed) and not wire.fault.may_pass,
                refused=isinstance(error, MCPError) and error.code in _NO_HANDSHAKE,
            )
            failure.__cause__ = cause_of(error, blots.now)
        else:
            yield Session(client, endpoint, blots, on_lost=on_lost, explain=explain.why, line=line)
    # Raised out here, because the task groups in the stack would wrap it.
    if failure is not None:
        raise failure


class _Explanation:
    """What to say of a connection's end: a child's exit and last words, or just that it ended."""

    def __init__(self, words: str, child: ChildProcess | None = None, latest: Iterable[Any] = ()) -> None:
        self._words = words
        self._child = child
        self._latest = latest

    def now(self) -> str:
        if self._child is None:
            return self._words
        return self._child.last_words(word for given in self._latest for word in words_in(given))

    async def why(self, error: Exception, wire: Wire) -> str:
        """Why a request failed; if by the connection's end, then as told a moment later, when a child's is known."""
        if not _is_end(error, wire):
            return reason_for(error, wire)
        if self._child:
            await self._child.settle()
        return self.now()


def _is_end(error: Exception, wire: Wire) -> bool:
    """Whether a request failed because the connection ended, and nothing else is known of it.

    Not by the code alone: servers answer with the same one for reasons of their own.
    """
    said_by_sdk = isinstance(error, MCPError) and (error.code, error.message) == (CONNECTION_CLOSED, _CLOSED_BY_SDK)
    return said_by_sdk and wire.fault is None


async def _connect(
    stack: AsyncExitStack, settings: SessionSettings, wires: Wires, latest: deque[Any]
) -> tuple[Dispatcher[TransportContext], _Explanation]:
    """A dispatcher that reaches the server, and what to say of its end."""
    match settings.endpoint:
        case StdioEndpoint() as endpoint:
            piped, child = await stack.enter_async_context(open_stdio(endpoint, wires, grace=settings.grace))
            return piped, _Explanation("", child, latest)
        case HttpEndpoint() as endpoint:
            opened = open_http(endpoint, wires, settings.authorization, connect_timeout=settings.connect_timeout)
            return await stack.enter_async_context(opened), _Explanation("the HTTP session ended")
        case InProcessEndpoint() as endpoint:
            era: Era = "2025-11-25" if settings.era == "2025-11-25" else "2026-07-28"
            dispatcher = await stack.enter_async_context(open_in_process(endpoint.server, era, wires))
            return dispatcher, _Explanation("the in-process server ended")
