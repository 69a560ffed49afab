"""One attempt as an event, once it has ended."""

from __future__ import annotations

from trunkline import clock
from trunkline.call import Call, Place
from trunkline.errors import CallError, ServerError
from trunkline.events import AttemptFinished

__all__ = ["attempt_finished"]


def attempt_finished(
    call: Call, place: Place, started: float, outcome: str, failure: CallError | None
) -> AttemptFinished:
    """What is told of an attempt that ends now; notes on the call how long its server took."""
    now = clock.now()
    call.server_time = now - started
    return AttemptFinished(
        at=now,
        call_id=call.id,
        method=call.method,
        name=call.name,
        domain=call.domain,
        server=place.server,
        replica=place.replica,
        outcome="timeout" if outcome == "cancelled" and now >= call.attempt_ends else outcome,
        duration=now - started,
        delivery=call.delivery,
        trace_id=None if call.span is None else call.span.trace_id,
        error_code=failure.error_code if isinstance(failure, ServerError) else None,
    )
