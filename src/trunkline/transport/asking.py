"""Whom a session's server reaches when it asks back or logs: the peer of the calls under way. Sits beside the session.

Only a session that is opened for one client has one of these: what a server asks on a session that several share could
be meant for any of them, and is answered by nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mcp_types as types
from mcp import MCPError
from mcp.client.session import ClientRequestContext

from trunkline import clock
from trunkline.call import Call
from trunkline.exchange import Exchange

__all__ = ["Line"]

_MOST = 16
"""Questions of one server that wait for one client at a time: whoever is asked is a person, or pays a model."""


class Line:
    """Leads to one client, for as long as a call of it is under way."""

    def __init__(self) -> None:
        self._calls: list[tuple[Call, Exchange]] = []
        self._open = 0

    def __repr__(self) -> str:
        return f"<Line [{len(self._calls)} calls]>"

    @property
    def callbacks(self) -> dict[str, Any]:
        """What the SDK's session is to call, by its own names for them."""
        return {
            "sampling_callback": self.sample,
            "elicitation_callback": self.elicit,
            "list_roots_callback": self.list_roots,
            "logging_callback": self.log,
        }

    @contextmanager
    def held(self, call: Call, exchange: Exchange) -> Iterator[None]:
        """Keep it open for this call."""
        place = (call, exchange)
        self._calls.append(place)
        try:
            yield
        finally:
            self._calls.remove(place)

    async def sample(
        self, _context: ClientRequestContext, params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult | types.CreateMessageResultWithTools | types.ErrorData:
        """Have the client's model answer."""
        found = await self._ask(types.CreateMessageRequest(params=params))
        if isinstance(found, types.CreateMessageResult | types.CreateMessageResultWithTools | types.ErrorData):
            return found
        return _misfit()

    async def elicit(
        self, _context: ClientRequestContext, params: types.ElicitRequestParams
    ) -> types.ElicitResult | types.ErrorData:
        """Have the client's user answer."""
        found = await self._ask(types.ElicitRequest(params=params))
        return found if isinstance(found, types.ElicitResult | types.ErrorData) else _misfit()

    async def list_roots(self, _context: ClientRequestContext) -> types.ListRootsResult | types.ErrorData:
        """Have the client tell its roots."""
        found = await self._ask(types.ListRootsRequest())
        return found if isinstance(found, types.ListRootsResult | types.ErrorData) else _misfit()

    async def log(self, entry: types.LoggingMessageNotificationParams) -> None:
        """Tell the client what its server logs; of what belongs to no call it is not told."""
        if self._calls:
            await self._calls[-1][1].peer.log(entry)

    async def _ask(self, request: types.InputRequest) -> types.InputResponse | types.ErrorData:
        if not self._calls:
            return types.ErrorData(code=types.INVALID_REQUEST, message="no call is under way that this belongs to")
        if self._open >= _MOST:
            return types.ErrorData(code=types.INVALID_REQUEST, message=f"{_MOST} questions are open already")
        # The protocol does not say which of a client's calls a question belongs to. All have the same client behind
        # them; so the latest is asked through, and the time of none runs meanwhile.
        waiting = list(self._calls)
        self._open += 1
        for call, exchange in waiting:
            call.repeatable = False  # made again, it would ask again
            exchange.stop(clock.now())
        try:
            return await waiting[-1][1].peer.ask(request)
        except MCPError as refusal:
            return refusal.error
        finally:
            self._open -= 1
            for _call, exchange in waiting:
                exchange.go_on(clock.now())


def _misfit() -> types.ErrorData:
    return types.ErrorData(code=types.INTERNAL_ERROR, message="the client answered something else than was asked")
