"""A request in as many rounds as it takes until the server has no more questions.

A client of 2026-07-28 makes the rounds itself: it is given the questions, and comes back with the answers. For one of
the handshake era they are made here, where the server is of the newer era: it is asked what the server wants to know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

import anyio
import mcp_types as types
from mcp import MCPError

from trunkline.exchange import Exchange, InputRequired
from trunkline.gateway.peers import Downstream

__all__ = ["Round", "in_rounds"]

_MOST: Final = 10
"""Rounds of one request; the SDK's clients make no more either."""
_PAUSE: Final = 0.25
"""Seconds before a round for which nothing was asked: the server only wants to be asked later."""

AnswerT = TypeVar("AnswerT")
Round: TypeAlias = Callable[[Exchange], Awaitable[AnswerT]]
"""Makes the request once; raises `InputRequired` where the server has questions."""


async def in_rounds(
    peer: Downstream, params: types.InputResponseRequestParams, make: Round[AnswerT]
) -> AnswerT | types.InputRequiredResult:
    """The answer, or the questions for a client that makes the rounds itself.

    Raises:
        MCPError: The client did not answer, or the server asks for ever.
    """
    responses, state = params.input_responses, params.request_state
    for _ in range(_MOST):
        try:
            return await make(Exchange(peer, responses, state))
        except InputRequired as required:
            if not peer.can_be_asked:
                return required.result
            responses, state = await _answers(peer, required.result.input_requests or {}), required.result.request_state
    raise MCPError(types.INTERNAL_ERROR, f"the server still asks for input after {_MOST} rounds")


async def _answers(peer: Downstream, requests: types.InputRequests) -> types.InputResponses | None:
    """What the client answers, all questions asked at once; the first refusal ends them all."""
    if not requests:
        await anyio.sleep(_PAUSE)
        return None
    for request in requests.values():
        peer.require(request)  # before anybody is asked for nothing
    answers: types.InputResponses = {}
    refusals: list[MCPError] = []
    async with anyio.create_task_group() as tasks:

        async def ask(key: str, request: types.InputRequest) -> None:
            try:
                answers[key] = await peer.ask(request)
            except MCPError as refusal:
                refusals.append(refusal)
                tasks.cancel_scope.cancel()

        for key, request in requests.items():
            tasks.start_soon(ask, key, request)
    if refusals:
        raise refusals[0]
    return answers
