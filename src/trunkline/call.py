"""One call, its answer, and the two function types everything else is made of.

The whole model in one sentence: a *service* answers a call, a *layer* stands in front of a service, and a
stack is a list of layers over a service. Bottom of the tree, with what passes beside a call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from functools import partial
from math import inf
from typing import Any, Literal, Protocol, TypeAlias

from mcp_types import CallToolResult, Result
from pydantic import PrivateAttr

from trunkline.exchange import Exchange

__all__ = [
    "CURRENT_CALL",
    "CURRENT_DOMAIN",
    "UNATTRIBUTED",
    "CacheMode",
    "CacheOutcome",
    "Call",
    "Delivery",
    "Layer",
    "Method",
    "Place",
    "ProgressCallback",
    "Provenance",
    "Service",
    "Span",
    "ToolResult",
    "Tracer",
    "compose",
]

UNATTRIBUTED = "unattributed"
"""The domain of a call that nobody claimed: recorded always, lost never."""

CURRENT_DOMAIN: ContextVar[str | None] = ContextVar("trunkline_domain", default=None)
"""The domain of the tracked operation this code runs in; calls made inside inherit it."""

CURRENT_CALL: ContextVar[Call | None] = ContextVar("trunkline_call", default=None)
"""The call this code runs in: what a log record is about. Not how parts of a stack find their call."""

CacheMode: TypeAlias = Literal["use", "refresh", "bypass"]
CacheOutcome: TypeAlias = Literal["miss", "hit", "stale", "coalesced", "bypass"]


class ProgressCallback(Protocol):
    """Hears of a call's progress; the same shape as the MCP SDK's."""

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        """Hear that `progress` of `total` is done."""
        ...


Method: TypeAlias = Literal[
    "tools/call",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "prompts/list",
    "prompts/get",
    "completion/complete",
]


class Delivery(Enum):
    """What is known about whether the server got the request, once an attempt has ended.

    The one question behind every retry; the SDK erases it, so the transport tracks it.
    """

    NOT_SENT = "not_sent"
    """Provably no byte reached the server: any tool may be tried again."""
    REFUSED = "refused"
    """The server said that it did not execute it (429, 503 with Retry-After): any tool may be tried again."""
    UNKNOWN = "unknown"
    """Perhaps executed: only repeatable tools may be tried again."""
    ANSWERED = "answered"
    """The server answered, well or badly: never tried again."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attempt goes, as far as it may be shown."""

    server: str
    replica: str | None = None
    transport: Literal["pipe", "tcp"] | None = None
    """None in this process."""
    address: str | None = None
    """Name or number of the host; None where none is asked."""
    port: int | None = None


class Span(Protocol):
    """One call or attempt in a trace. Who starts it is inside it until it ends; neither ever raises."""

    @property
    def trace_id(self) -> str:
        """The trace's id, 32 hexadecimal digits."""
        ...

    def attempt(self, call: Call, place: Place, era: str) -> Span | None:
        """Begin one attempt below; `era` is the version of the protocol. None where it leaves no trace."""
        ...

    def end(self, outcome: str, error: Exception | None = None) -> None:
        """End it, in the same task; `outcome` as in the events."""
        ...


class Tracer(Protocol):
    """Follows calls across processes."""

    def start(self, call: Call) -> Span | None:
        """Begin a call, below whatever span the task is in; None where it leaves no trace. Never raises."""
        ...


@dataclass(slots=True, eq=False)
class Call:
    """What a user asked for, once, and what has been learnt about it on the way down.

    The upper half is fixed when the call is made; the lower half is filled in by routing and by the layers.
    """

    id: str
    """Names this call in events, logs and errors."""
    method: Method
    name: str
    """The tool as shown to callers; a prompt's name, a resource's URI or a listing's server for other methods."""
    arguments: dict[str, Any]
    domain: str
    started: float
    """Seconds on the event loop's clock."""
    deadline: float
    """Seconds on the event loop's clock; the whole call ends before it."""
    attempt_timeout: float | None = None
    """Seconds one attempt may take; None takes the server's policy."""
    progress: ProgressCallback | None = None
    meta: Mapping[str, Any] | None = None
    cache: CacheMode = "use"
    principal: str | None = None
    """Whom it is made for: answers never cross from one to another. None where nobody is named."""
    tracked: bool = False
    """Whether it was made inside a tracked domain operation, which counts the domain's request itself."""
    span: Span | None = None
    """Its place in a trace, for attempts to begin theirs below; None where nobody traces."""
    exchange: Exchange | None = None
    """Who can be asked while it is made, and in which round it is; None where nobody can."""

    server: str = ""
    """The configured server this call is routed to; empty until it is known."""
    target: str = ""
    """The name the server itself uses for the tool."""
    problems: Callable[[dict[str, Any]], tuple[str, ...]] | None = None
    """What is wrong with the arguments, one line per mistake; None where nothing is known about them."""
    result_problems: Callable[[Any], tuple[str, ...]] | None = None
    """What is wrong with the structured content of a result, likewise; None where none is promised."""
    repeatable: bool = False
    """Whether running it twice is known to be harmless."""
    recheck: Callable[[str, str], None] | None = None
    """Asked, with server and target, once a connection is there: the server may have become another one while the call
    waited for it. Raises where the tool must not be called any more."""
    replica: str | None = None
    tried: frozenset[str] = frozenset()
    """Replicas that earlier attempts failed at: others are asked first."""
    attempts: int = 0
    """Attempts that were handed to a connection."""
    attempt_ends: float = inf
    """Seconds on the event loop's clock; the latest attempt ends before it. Progress moves it."""
    delivery: Delivery = Delivery.NOT_SENT
    """What is known about the latest attempt."""
    may_have_run: bool = False
    """Whether any attempt so far may have been executed."""
    server_time: float | None = None
    """Seconds the latest attempt spent with the server, waiting for its turn excluded; None when it never got there."""
    cached: CacheOutcome = "bypass"
    fallback: str | None = None
    degraded: bool = False
    """Whether it was served against better knowledge: by a replica that was left out for its failures."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an answer came from."""

    server: str = ""
    replica: str | None = None
    attempts: int = 0
    """Attempts sent to a server; 0 for an answer from the cache."""
    cache: CacheOutcome = "bypass"
    fallback: str | None = None
    """Name of the substitute that answered, None when the tool itself did."""
    degraded: bool = False
    """True when the answer is a substitute or stale, or came from a replica that was left out for its failures."""
    duration: float = 0.0
    """Seconds from the call to its answer, queueing and retries included."""
    trace_id: str | None = None
    """The trace the call belongs to, 32 hexadecimal digits; None where nobody traces."""


_NOWHERE = Provenance()


class ToolResult(CallToolResult):
    """An `mcp` `CallToolResult` that knows where it came from. On the wire it is the same result."""

    # Without a default: pydantic would make one for every result.
    _provenance: Provenance = PrivateAttr()

    @property
    def provenance(self) -> Provenance:
        """Where this answer came from; an empty record on a result no client made."""
        private: dict[str, Any] = self.__pydantic_private__ or {}
        found: Provenance = private.get("_provenance", _NOWHERE)
        return found

    def with_provenance(self, provenance: Provenance) -> ToolResult:
        """Mark this result in place and return it."""
        self._provenance = provenance
        return self


Service: TypeAlias = Callable[[Call], Awaitable[Result]]


class Layer(Protocol):
    """Stands in front of a service: may refuse, repeat, bound or watch what passes."""

    async def __call__(self, call: Call, call_next: Service) -> Result:
        """Serve the call, by `call_next` or without it."""
        ...


def compose(layers: Sequence[Layer], service: Service) -> Service:
    """Wrap `service` so that `layers[0]` sees each call first and its outcome last."""
    for layer in reversed(layers):
        service = partial(layer, call_next=service)
    return service
