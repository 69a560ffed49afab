"""Whether a failed attempt may be made again: the one table behind every retry.

    what is known                            repeatable tool           any other tool
    never sent                               again, free               again, free
    refused by the server: overload          again, counted, paid      again, counted, paid
    refused by the server: any other 4xx     never                     never
    sent, outcome unknown                    again, counted, paid      never
    answered                                 never                     never
    refused on this side, deadline passed    never                     never

"Free" follows gRPC's transparent retries (proposal A6): what never left the client is no attempt. It still waits its
backoff and ends at the deadline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_types import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND

from trunkline.call import Delivery
from trunkline.errors import CallFailed, DeadlineExceeded, InvalidArguments, ServerError, ToolNotFound, ToolRefused

if TYPE_CHECKING:
    from trunkline.errors import CallError

__all__ = ["Decision", "may_fall_back", "may_retry", "may_serve_kept"]

_RESOURCE_NOT_FOUND = -32002
_SAYS_NO = frozenset({INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, _RESOURCE_NOT_FOUND})
_MAY_PASS = frozenset({408, 425, 429})
"""Statuses of a client's error that the next try may not have."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to try again, and at whose cost."""

    retry: bool
    counts: bool
    """Whether the failed attempt uses up one of `RetryPolicy.attempts`."""
    charged: bool
    """Whether the retry is paid from the retry budget."""
    reason: str
    """Constant words, fit for a label."""


_DEADLINE = Decision(retry=False, counts=False, charged=False, reason="the deadline passed")
_REJECTED = Decision(retry=False, counts=False, charged=False, reason="refused on this side")
_NOT_SENT = Decision(retry=True, counts=False, charged=False, reason="never sent")
_REFUSED = Decision(retry=True, counts=True, charged=True, reason="refused by the server")
_REFUSED_FOR_GOOD = Decision(retry=False, counts=True, charged=False, reason="refused for good")
_REPEATABLE = Decision(retry=True, counts=True, charged=True, reason="outcome unknown, repeatable")
_UNKNOWN = Decision(retry=False, counts=True, charged=False, reason="outcome unknown, must not run twice")
_ANSWERED = Decision(retry=False, counts=True, charged=False, reason="answered")


def may_retry(error: CallError, *, repeatable: bool) -> Decision:
    """Decide about an attempt that ended in `error`. Attempts, budget and deadline are the caller's to check.

    `repeatable` says that running the tool twice is known to be harmless.
    """
    if isinstance(error, DeadlineExceeded):
        return _DEADLINE
    if not isinstance(error, CallFailed):
        return _REJECTED
    if error.delivery is Delivery.NOT_SENT:
        return _NOT_SENT
    if error.delivery is Delivery.REFUSED:
        return _REFUSED if isinstance(error, ServerError) and error.is_overload else _REFUSED_FOR_GOOD
    if error.delivery is Delivery.UNKNOWN:
        return _REPEATABLE if repeatable else _UNKNOWN
    return _ANSWERED


def may_fall_back(error: CallError, *, repeatable: bool) -> bool:
    """Whether another server or tool may be asked after a call ended in `error`.

    Never where the tool may have run, unless it is `repeatable`; and not for the caller's own mistakes, which no
    substitute mends.
    """
    if isinstance(error, (InvalidArguments, ToolNotFound)):
        return False
    if isinstance(error, ServerError) and error.error_code == INVALID_PARAMS:
        return False
    return repeatable or not error.may_have_run


def may_serve_kept(error: CallError) -> bool:
    """Whether an older answer may stand in for one that ended in `error`.

    Not where the server has one and it is no: the question is wrong, the thing is gone, or it is not for this caller.
    Nor where the tool is refused: it may have been another one already when it answered.
    """
    if isinstance(error, (InvalidArguments, ToolRefused)):
        return False
    if isinstance(error, ServerError):
        is_no = error.status is not None and 400 <= error.status < 500 and error.status not in _MAY_PASS
        return not is_no and error.error_code not in _SAYS_NO
    return True
