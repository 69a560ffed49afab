"""Observe layer: exactly one start and one finish for every call, its span, and every answer's provenance.

Outermost: whatever happens below, cancellation included, is told once.
"""

from __future__ import annotations

from functools import partial

from mcp_types import Result

from trunkline import clock
from trunkline.afterwards import afterwards
from trunkline.call import CURRENT_CALL, Call, Provenance, Service, ToolResult, Tracer
from trunkline.errors import CallError
from trunkline.events import CallFinished, CallStarted, Emit

__all__ = ["ObserveLayer"]


class ObserveLayer:
    """Emits `CallStarted` and `CallFinished`, and marks results with where they came from."""

    def __init__(self, *, emit: Emit, tracer: Tracer | None = None) -> None:
        self._emit = emit
        self._tracer = tracer

    async def __call__(self, call: Call, call_next: Service) -> Result:
        """Serve the call and tell of it."""
        bound = CURRENT_CALL.set(call)
        span = call.span = None if self._tracer is None else self._tracer.start(call)
        trace_id = None if span is None else span.trace_id
        self._emit(CallStarted(call.started, call.id, call.method, call.name, call.domain, trace_id))
        outcome, ended, failure = "cancelled", None, None
        try:
            result = await call_next(call)
        except CallError as error:
            outcome, failure = error.code, error
            error.attempts = call.attempts
            raise
        except Exception as error:
            # Not ours, so a bug: told like any other end, and raised as it is.
            outcome = type(error).__name__
            raise
        else:
            outcome, ended = "ok", clock.now()
            if isinstance(result, ToolResult):
                outcome = "tool_error" if result.is_error else "ok"
                result.with_provenance(
                    Provenance(
                        server=call.server,
                        replica=call.replica,
                        attempts=call.attempts,
                        cache=call.cached,
                        fallback=call.fallback,
                        degraded=call.degraded or call.fallback is not None or call.cached == "stale",
                        duration=ended - call.started,
                        trace_id=trace_id,
                    )
                )
            return result
        finally:
            now = clock.now() if ended is None else ended
            finished = CallFinished(
                at=now,
                call_id=call.id,
                method=call.method,
                name=call.name,
                domain=call.domain,
                server=call.server,
                outcome=outcome,
                duration=now - call.started,
                attempts=call.attempts,
                cache=call.cached,
                fallback=call.fallback,
                may_have_run=call.may_have_run,
                tracked=call.tracked,
                trace_id=trace_id,
            )
            afterwards(partial(self._emit, finished))
            if span is not None:
                span.end(outcome, failure)
            CURRENT_CALL.reset(bound)
