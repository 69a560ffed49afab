"""Which protocol era a server speaks: asked once, judged by positive evidence only, then pinned.

Sits in the session's opening. The SDK's `mode="auto"` takes every failed `server/discover` for a legacy server, so
that a hiccup at connect time downgrades a modern one. Here only an answer is evidence: a fault fails the connection,
which is then tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio
import mcp_types as types
from mcp import ClientSession, MCPError
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from trunkline.policy import Era
from trunkline.transport.faults import is_closed_by_sdk
from trunkline.transport.wire import CURRENT_WIRE, Wire

__all__ = ["EraUndecided", "PinnedEra", "negotiate"]

_QUIET = 5.0
"""Seconds without an answer to the probe after which the handshake is offered as well."""
_NOT_EVIDENCE = frozenset({401, 403, 407, 408, 425, 429})
"""HTTP refusals that say nothing about the era; neither does any 5xx."""


class EraUndecided(Exception):
    """The server's answer proves neither era; the message says what it was."""


@dataclass(slots=True)
class PinnedEra:
    """What one server was found to speak; shared by all its connections, cleared when it proves wrong."""

    discovered: types.DiscoverResult | None = None
    legacy: bool = False

    def clear(self) -> None:
        """Ask again at the next connection."""
        self.discovered, self.legacy = None, False


async def negotiate(session: ClientSession, era: Era, pinned: PinnedEra, wire: Wire) -> None:
    """Leave `session` ready for calls, in the era configured, pinned or found; `wire` tells what happened below.

    Raises:
        MCPError: The handshake was refused or the connection failed.
        EraUndecided: The probe's answer is no evidence.
        RuntimeError: No protocol version in common.
    """
    token = CURRENT_WIRE.set(wire)
    try:
        if era == "2025-11-25" or (era == "auto" and pinned.legacy):
            await session.initialize()
            return
        if pinned.discovered is None:
            pinned.discovered = await _find_out(session, wire, may_shake_hands=era == "auto")
        if pinned.discovered is not None:
            session.adopt(pinned.discovered)
        elif era != "auto":
            msg = f"the server does not speak {era}"
            raise EraUndecided(msg)
        elif session.initialize_result is None:
            wire.status = None
            await session.initialize()
            pinned.legacy = True
    finally:
        CURRENT_WIRE.reset(token)


async def _find_out(session: ClientSession, wire: Wire, *, may_shake_hands: bool) -> types.DiscoverResult | None:
    """Probe; when nothing comes back for a while, offer the handshake as well and take whichever is answered.

    A server may ignore unknown requests before its handshake, or it may just be slow to start: neither is told from
    the other by waiting. One that answers the handshake is taken at its word, but not pinned.
    """
    found: types.DiscoverResult | None = None
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:

        async def probe() -> None:
            nonlocal found, failure
            try:
                found = await _discover(session, wire)
            except (MCPError, EraUndecided) as error:
                failure = error
            tasks.cancel_scope.cancel()

        tasks.start_soon(probe)
        await anyio.sleep(_QUIET)
        if may_shake_hands:
            CURRENT_WIRE.set(Wire())
            try:
                await session.initialize()
            except MCPError as error:
                if error.code != types.UNSUPPORTED_PROTOCOL_VERSION:
                    failure = error
                    tasks.cancel_scope.cancel()
            else:
                tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return found


async def _discover(
    session: ClientSession, wire: Wire, version: str = LATEST_MODERN_VERSION, *, may_insist: bool = True
) -> types.DiscoverResult | None:
    """The server's discover result; None when its answer is that of a server of the handshake era.

    A refusal that names a version we speak is taken at its word once, even where it is the one that was refused.
    """
    try:
        raw = await _send_discover(session, version)
    except MCPError as error:
        named = _supported(error)
        mutual = [known for known in MODERN_PROTOCOL_VERSIONS if known in named]
        if mutual and may_insist:
            return await _discover(session, wire, mutual[-1], may_insist=False)
        _judge(error, wire, named)
        return None
    try:
        result = types.DiscoverResult.model_validate(raw)
    except ValidationError as error:
        msg = "the server answered server/discover with something else"
        raise EraUndecided(msg) from error
    return result if any(known in result.supported_versions for known in MODERN_PROTOCOL_VERSIONS) else None


async def _send_discover(session: ClientSession, version: str) -> dict[str, Any]:
    """One probe; the SDK gives up after 10 s, but a server may take longer to start than that."""
    while True:
        try:
            return await session.send_discover(version)
        except MCPError as error:
            if error.code != types.REQUEST_TIMEOUT:
                raise


def _judge(error: MCPError, wire: Wire, named: list[str]) -> None:
    """Return when this refusal is a handshake-era server's; raise when it proves nothing."""
    if wire.fault is not None:
        raise error
    if named and not any(version in HANDSHAKE_PROTOCOL_VERSIONS for version in named):
        msg = f"the server speaks only {', '.join(named)}"
        raise EraUndecided(msg) from error
    if wire.status is not None and (wire.status in _NOT_EVIDENCE or wire.status >= 500):
        raise error
    if is_closed_by_sdk(error) or error.code == types.PARSE_ERROR or "content type" in error.message:
        raise error


def _supported(error: MCPError) -> list[str]:
    """Versions a -32022 error names."""
    if error.code != types.UNSUPPORTED_PROTOCOL_VERSION:
        return []
    try:
        return types.UnsupportedProtocolVersionErrorData.model_validate(error.error.data).supported
    except ValidationError:
        return []
