"""What passes between a call's server and whom the call is made for, beside the question and its answer.

A server may want to know something before it answers: what a user enters, what the user's model says, which folders
there are. Servers of the handshake era ask back while the call runs; those of the stateless era answer with their
questions, and the call is made again with the answers. Sits at the bottom, beside the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Protocol

from mcp_types import (
    InputRequest,
    InputRequiredResult,
    InputResponse,
    InputResponses,
    LoggingLevel,
    LoggingMessageNotificationParams,
)

__all__ = ["Bound", "Exchange", "InputRequired", "Peer", "waited_in"]


class Peer(Protocol):
    """Whom a call is made for, as far as servers may be told of it."""

    @property
    def key(self) -> str | None:
        """Calls with the same key are made for the same client, which can be asked while they run.

        None where it cannot: it is told what the server asks, or asked between two rounds.
        """
        ...

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What it can be asked for, as the protocol says it to servers."""
        ...

    @property
    def log_level(self) -> LoggingLevel | None:
        """From which level on it wants to be told what servers log; None where it has not said."""
        ...

    async def ask(self, request: InputRequest) -> InputResponse:
        """Have it answer; raises the SDK's `MCPError` where it does not."""
        ...

    async def log(self, entry: LoggingMessageNotificationParams) -> None:
        """Tell it what a server logs."""
        ...


class Bound(Protocol):
    """What ends something at a time on the event loop's clock."""

    deadline: float


class InputRequired(Exception):
    """A server has questions instead of an answer. Raised to whoever made the call for a `Peer`."""

    def __init__(self, result: InputRequiredResult) -> None:
        super().__init__("the server needs to know more before it answers")
        self.result = result


@dataclass(slots=True, eq=False)
class Exchange:
    """One call's: with whom, in which round, and how long the call has stood still for it."""

    peer: Peer
    responses: InputResponses | None = None
    """What the peer answered to the questions of the round before; None in the first."""
    state: str | None = None
    """What the server gave with its questions, to be given back as it is."""
    bounds: list[Bound] = field(default_factory=list)
    """What would end the call, and waits while the peer is asked: people take longer than servers."""
    waited: float = 0.0
    """Seconds for which it waited so far."""
    _asking: int = 0
    _since: float = 0.0
    _before: list[tuple[Bound, float]] = field(default_factory=list)

    @property
    def is_resumed(self) -> bool:
        """Whether this is a later round of a call."""
        return self.responses is not None or self.state is not None

    def bounded(self, *bounds: Bound) -> _Bounded:
        """Have these stand still whenever the peer is asked, within the block."""
        return _Bounded(self.bounds, bounds)

    def stop(self, now: float) -> None:
        """The peer is being asked: nothing ends the call meanwhile."""
        self._asking += 1
        if self._asking == 1:
            self._since = now
            self._before = [(bound, bound.deadline) for bound in self.bounds]
            for bound in self.bounds:
                bound.deadline = inf

    def go_on(self, now: float) -> None:
        """It has answered, or will not: what is left of each time is what was left before."""
        self._asking -= 1
        if self._asking == 0:
            passed = now - self._since
            self.waited += passed
            for bound, deadline in self._before:
                bound.deadline = deadline + passed
            self._before = []


class _Bounded:
    """A block that adds to some bounds. Not a generator: calls enter two of these on their way."""

    __slots__ = ("_added", "_bounds")

    def __init__(self, bounds: list[Bound], added: tuple[Bound, ...]) -> None:
        self._bounds = bounds
        self._added = added

    def __enter__(self) -> None:
        self._bounds.extend(self._added)

    def __exit__(self, *_: object) -> None:
        for bound in self._added:
            self._bounds.remove(bound)


def waited_in(exchange: Exchange | None) -> float:
    """Seconds for which a call stood still so far, because somebody was asked."""
    return 0.0 if exchange is None else exchange.waited
