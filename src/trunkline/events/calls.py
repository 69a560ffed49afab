"""What happened to calls and their attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trunkline.call import CacheOutcome, Delivery, Method
from trunkline.events.event import Event

__all__ = [
    "AttemptFinished",
    "CallFinished",
    "CallStarted",
    "FallbackUsed",
    "HedgeStarted",
    "RequestServed",
    "RetryScheduled",
]


@dataclass(frozen=True, slots=True)
class CallStarted(Event):
    """A call entered the client. Exactly one `CallFinished` with the same `call_id` follows."""

    call_id: str
    method: Method
    name: str
    domain: str
    trace_id: str | None = None
    """The trace the call belongs to, 32 hexadecimal digits; None where nobody traces."""


@dataclass(frozen=True, slots=True)
class CallFinished(Event):
    """A call has its answer or its error."""

    call_id: str
    method: Method
    name: str
    domain: str
    server: str
    outcome: str
    """`ok`, `tool_error`, `cancelled`, or the class name of the error raised."""
    duration: float
    """Seconds, queueing and retries included."""
    attempts: int
    cache: CacheOutcome
    fallback: str | None
    may_have_run: bool
    tracked: bool
    """Whether the call was made inside a tracked domain operation, which counts the domain's request itself."""
    trace_id: str | None = None
    """As in `CallStarted`."""


@dataclass(frozen=True, slots=True)
class AttemptFinished(Event):
    """One attempt at one server ended."""

    call_id: str
    method: Method
    name: str
    domain: str
    server: str
    replica: str | None
    outcome: str
    duration: float
    delivery: Delivery
    trace_id: str | None = None
    """As in `CallStarted`."""
    error_code: int | None = None
    """The JSON-RPC code of the error the server answered with; None where it answered with none."""


@dataclass(frozen=True, slots=True)
class RetryScheduled(Event):
    """Another attempt will follow after `delay` seconds."""

    call_id: str
    name: str
    server: str
    attempt: int
    """The number of the attempt that failed, from 1."""
    delay: float
    reason: str


@dataclass(frozen=True, slots=True)
class HedgeStarted(Event):
    """The first replica is slow for this tool; a second one was asked as well."""

    call_id: str
    name: str
    server: str
    delay: float
    """Seconds the first one had."""


@dataclass(frozen=True, slots=True)
class FallbackUsed(Event):
    """A substitute is asked, because what came before it in the ladder has no answer."""

    call_id: str
    name: str
    server: str
    fallback: str
    """The server or tool that is asked, or `static` or `callable`."""
    reason: str
    """Class name of the error that led to it."""


@dataclass(frozen=True, slots=True)
class RequestServed(Event):
    """The gateway answered one request of a caller, or failed to."""

    method: str
    """One of MCP's; `_unknown` for what a caller made up."""
    name: str
    """Of a tool that exists, as shown to callers; else empty."""
    transport: Literal["pipe", "tcp"]
    outcome: str
    """`ok`, `tool_error`, `cancelled`, or `error`; `ok` also where the caller was told of a mistake of its own."""
    duration: float
    error_code: int | None = None
    """The JSON-RPC code of the error it was answered with; None where it was no error."""
