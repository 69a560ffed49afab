"""Everything Trunkline raises, and for each whether the tool may have run.

    TrunklineError
    ├── ConfigError              a mistake in a configuration: file, key path, what was found, what was expected
    ├── CallRejected             never sent: the tool has not run
    │   ├── InvalidArguments     the arguments do not fit the tool's schema
    │   ├── ToolNotFound         no server has a tool (or prompt, or resource) of that name
    │   ├── ToolRefused          the tool is not what somebody accepted, see docs/pinning.md
    │   ├── CircuitOpen          the server keeps failing; `retry_after` says when to come back
    │   ├── BulkheadFull         too many calls wait for this server already
    │   ├── RateLimited          the server is sent as much as it may be sent already
    │   └── ServerUnavailable    no connection to the server could be had, or no token for it
    ├── CallFailed               sent: the tool may have run, unless `may_have_run` says otherwise
    │   ├── AttemptTimeout       no answer within one attempt's timeout
    │   ├── ConnectionLost       the connection ended before the answer
    │   ├── ServerError          the server answered with an error of the protocol or of HTTP
    │   └── InvalidResult        the server answered with something that is not a valid result
    └── DeadlineExceeded         the whole call's deadline passed

A tool's own `is_error` result is a result: it is returned, not raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trunkline.call import Call, Delivery

__all__ = [
    "AttemptTimeout",
    "BulkheadFull",
    "CallError",
    "CallFailed",
    "CallRejected",
    "CircuitOpen",
    "ConfigError",
    "ConnectionLost",
    "DeadlineExceeded",
    "InvalidArguments",
    "InvalidResult",
    "RateLimited",
    "ServerError",
    "ServerUnavailable",
    "ToolNotFound",
    "ToolRefused",
    "TrunklineError",
]


class TrunklineError(Exception):
    """Root of the tree."""


class ConfigError(TrunklineError):
    """A mistake in a configuration. `problems` lists every one found, in file order."""

    def __init__(self, problems: Sequence[str], *, source: str = "") -> None:
        self.source = source
        """The file, or a word for where the mapping came from."""
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class CallError(TrunklineError):
    """A call that has no answer. Says for which tool and server, and whether the tool may have run."""

    delivery: Delivery = Delivery.NOT_SENT

    def __init__(
        self,
        message: str,
        *,
        tool: str = "",
        server: str = "",
        attempts: int = 0,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.tool = tool
        """The tool as shown to callers."""
        self.server = server
        """The configured server, empty when none was found."""
        self.attempts = attempts
        """Attempts that were handed to a connection."""
        self.retry_after = retry_after
        """Seconds after which another try is worth it; None when unknown."""

    @property
    def may_have_run(self) -> bool:
        """Whether the server may have executed the tool, in any attempt of this call."""
        return self.delivery in (Delivery.UNKNOWN, Delivery.ANSWERED)

    @property
    def code(self) -> str:
        """A constant, low-cardinality name for labels and wires: the class name."""
        return type(self).__name__


class CallRejected(CallError):
    """Never sent: the tool has not run."""


class InvalidArguments(CallRejected):
    """The arguments do not fit the tool's input schema. `problems` has one line per mistake."""

    def __init__(self, message: str, *, problems: Sequence[str] = (), tool: str = "", server: str = "") -> None:
        super().__init__(message, tool=tool, server=server)
        self.problems = tuple(problems)


class ToolNotFound(CallRejected):
    """No server has a tool of that name. `suggestions` are the nearest known names."""

    def __init__(self, message: str, *, suggestions: Sequence[str] = (), tool: str = "", server: str = "") -> None:
        super().__init__(message, tool=tool, server=server)
        self.suggestions = tuple(suggestions)


class ToolRefused(CallRejected):
    """The tool differs from what was accepted, or nobody has accepted it. `command` is what a person types to do so.

    `parts` says what has changed (`title`, `description`, `inputSchema`, `outputSchema`, `annotations`); it is empty
    for a tool that was never accepted.
    """

    def __init__(
        self, message: str, *, parts: Sequence[str] = (), command: str = "", tool: str = "", server: str = ""
    ) -> None:
        super().__init__(message, tool=tool, server=server)
        self.parts = tuple(parts)
        self.command = command


class CircuitOpen(CallRejected):
    """The server's circuit is open; `retry_after` is always set."""


class BulkheadFull(CallRejected):
    """Too many calls wait for this server, or this one could not be served before its deadline."""


class RateLimited(CallRejected):
    """By the configured rate of its server, this call's turn would come after its deadline; `retry_after` says when."""


class ServerUnavailable(CallRejected):
    """No connection to the server could be had in time, or no token that it asks for."""


class CallFailed(CallError):
    """Sent, and no result. `may_have_run` is False only where the server itself said that it did not execute it."""

    delivery = Delivery.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        delivery: Delivery | None = None,
        incident: object | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        if delivery is not None:
            self.delivery = delivery
        self.incident = incident
        """Failures with the same incident (one lost connection) are one failure to circuits and budgets."""


class AttemptTimeout(CallFailed):
    """No answer within one attempt's timeout."""


class ConnectionLost(CallFailed):
    """The connection ended before the answer."""


class ServerError(CallFailed):
    """The server answered with an error of the protocol or of HTTP.

    `error_code` is the JSON-RPC code, `status` the HTTP status, `data` the error's data; each None when absent.
    """

    def __init__(
        self,
        message: str,
        *,
        error_code: int | None = None,
        status: int | None = None,
        data: Any = None,
        delivery: Delivery = Delivery.ANSWERED,
        **details: Any,
    ) -> None:
        super().__init__(message, delivery=delivery, **details)
        self.error_code = error_code
        self.status = status
        self.data = data

    @property
    def is_overload(self) -> bool:
        """Whether the server asked to slow down (HTTP 429 or 503): worth trying again later."""
        return self.status in (429, 503)


class InvalidResult(CallFailed):
    """The server answered, but not with a valid result of this tool. The tool has very likely run."""

    delivery = Delivery.ANSWERED


class DeadlineExceeded(CallError):
    """The whole call's deadline passed. `may_have_run` tells whether an attempt was under way."""

    def __init__(self, message: str, *, may_have_run: bool, **details: Any) -> None:
        super().__init__(message, **details)
        self.delivery = Delivery.UNKNOWN if may_have_run else Delivery.NOT_SENT

    @classmethod
    def of(cls, call: Call, deadline: float) -> DeadlineExceeded:
        """The error of a call that was stopped at `deadline`, which is the call's own or that of a part of it."""
        may_have_run = call.may_have_run or call.delivery in (Delivery.UNKNOWN, Delivery.ANSWERED)
        state = "it may have run" if may_have_run else "it was not sent"
        where = f" on server {call.server!r}" if call.server else ""
        words = f"{call.name!r}{where} did not finish within {deadline - call.started:g} s; {state}"
        return cls(words, may_have_run=may_have_run, tool=call.name, server=call.server)
