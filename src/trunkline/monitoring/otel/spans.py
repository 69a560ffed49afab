"""Calls, attempts and requests as spans of OpenTelemetry. Uses its API alone: whose SDK takes them is not asked here.

A logical call is `execute_tool {tool}`, each attempt a client span below it, and what the MCP SDK makes of the request
is below that: the trace context it writes into `_meta` leads here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import Token
from functools import lru_cache
from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider

from trunkline.call import Call, Place
from trunkline.events import Event, FallbackUsed, HedgeStarted, RetryScheduled
from trunkline.monitoring.otel.carriers import caller_context, carries, extracted
from trunkline.monitoring.otel.conventions import (
    TOOL_CALL,
    attempt_attributes,
    call_attributes,
    error_type,
    finished_attributes,
    request_attributes,
    span_name,
    status_code,
)
from trunkline.version import VERSION

__all__ = ["OpenTelemetryTracer", "RequestSpan"]

_ERROR: Final = Status(StatusCode.ERROR)
_DESCRIBED: Final = 1024
"""Names of which the attributes are kept: without an SDK, making them would be a third of what a call costs."""

OnFailure = Callable[[str, Exception], None]
"""Told the name and the error of what should not have raised."""


class OpenTelemetryTracer:
    """Makes spans for calls. What of OpenTelemetry raises is told to `on_failure`, and changes no call."""

    kinds: Final = frozenset[type[Event]]({RetryScheduled, HedgeStarted, FallbackUsed})
    """The events that become events of the call's span, see `observe`."""

    def __init__(self, provider: TracerProvider | None = None, *, on_failure: OnFailure, baggage: bool = True) -> None:
        """Make spans by `provider`, or by whatever the application has set or will set when None.

        Without `baggage`, what callers of the gateway send as such goes no further.
        """
        self.on_failure = on_failure
        self._baggage = baggage
        self._tracer = trace.get_tracer("trunkline", VERSION, provider)
        self._whose = trace.ProxyTracerProvider()
        self._has_sdk = not isinstance(self._tracer, trace.ProxyTracer)
        self._describe = lru_cache(_DESCRIBED)(call_attributes)

    def __repr__(self) -> str:
        return f"<OpenTelemetryTracer {type(self._tracer).__name__}>"

    def start(self, call: Call) -> CallSpan | None:
        """Begin a call, below the task's span, or below the one that its own `_meta` names."""
        try:
            return None if self._is_idle(call.meta, None) else self._start(call)
        except Exception as error:  # boundary: a span processor of the application's may raise anything
            self.on_failure("tracer", error)
            return None

    def _is_idle(self, meta: Mapping[str, Any] | None, headers: Mapping[str, str] | None) -> bool:
        """Whether nobody has set up an SDK so far, and nothing is in a trace either: then there is nothing to do."""
        if self._has_sdk:
            return False
        # The cheapest look the API has: who has none gets a stand-in. Once there is an SDK it stays.
        self._has_sdk = not isinstance(self._whose.get_tracer("trunkline"), trace.ProxyTracer)
        is_traced = trace.get_current_span() is not trace.INVALID_SPAN or carries(meta) or carries(headers)
        return not (self._has_sdk or is_traced)

    def _start(self, call: Call) -> CallSpan | None:
        # Cut: what a stranger calls itself may be of any length, and is kept for a while.
        name, attributes = self._describe(call.method, call.name[:256], call.domain[:256])
        within = extracted(call.meta, context.get_current()) if call.meta and "traceparent" in call.meta else None
        outer = _enclosing(call) if within is None and call.method == TOOL_CALL else None
        if outer is not None:
            return CallSpan(self, call, outer, None)
        span = self._tracer.start_span(name, within, SpanKind.INTERNAL, attributes)
        if not span.get_span_context().is_valid:
            return None
        return CallSpan(self, call, span, context.attach(trace.set_span_in_context(span, within)))

    def attempt(self, call: Call, place: Place, era: str) -> AttemptSpan | None:
        """Begin an attempt below the task's span."""
        try:
            name = span_name(call.method, call.target)
            attributes = attempt_attributes(call.method, call.target, place, era)
            span = self._tracer.start_span(name, None, SpanKind.CLIENT, attributes)
            return AttemptSpan(self, span, context.attach(trace.set_span_in_context(span)))
        except Exception as error:  # boundary: as in `start`
            self.on_failure("tracer", error)
            return None

    def serve(
        self,
        method: str,
        name: str | None,
        *,
        era: str,
        request: str | int | None,
        meta: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
    ) -> RequestSpan | None:
        """Begin a request to the gateway, below the span that its `_meta` names, else below that of its `headers`.

        `headers` are None for a request that came over a pipe. What comes as no valid context counts for nothing.
        """
        try:
            if self._is_idle(meta, headers):
                return None
            within, links = caller_context(meta, headers, baggage=self._baggage)
            attributes = request_attributes(method, name, era=era, request=request, headers=headers)
            span = self._tracer.start_span(span_name(method, name), within, SpanKind.SERVER, attributes, links)
            return RequestSpan(self, span, context.attach(trace.set_span_in_context(span, within)))
        except Exception as error:  # boundary: as in `start`
            self.on_failure("tracer", error)
            return None

    def observe(self, event: Event) -> None:
        """Note on the call's span what happened to it: a retry, a hedge, a fallback."""
        span = trace.get_current_span()
        if not span.is_recording():
            return
        if isinstance(event, RetryScheduled):
            span.add_event(
                "trunkline.retry",
                {"error.type": event.reason, "trunkline.attempt": event.attempt, "trunkline.delay": event.delay},
            )
        elif isinstance(event, HedgeStarted):
            span.add_event("trunkline.hedge", {"trunkline.delay": event.delay})
        elif isinstance(event, FallbackUsed):
            span.add_event("trunkline.fallback", {"error.type": event.reason, "trunkline.fallback": event.fallback})


class _Open:
    """A span that is the task's current one until it ends; one of somebody else's is only written to."""

    __slots__ = ("_span", "_token", "_tracer", "trace_id")

    def __init__(self, tracer: OpenTelemetryTracer, span: trace.Span, token: Token[Context] | None) -> None:
        self.trace_id = trace.format_trace_id(span.get_span_context().trace_id)
        self._tracer = tracer
        self._span = span
        self._token = token

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of trace {self.trace_id}>"

    def _close(self, error: str | None, code: str | None, more: Mapping[str, str | int | float | bool]) -> None:
        span = self._span
        try:
            if span.is_recording():
                span.set_attributes(more)
                if code is not None:
                    span.set_attribute("rpc.response.status_code", code)
                if error is not None:
                    span.set_attribute("error.type", error)
                    # Without words: what a server says may be anything.
                    span.set_status(_ERROR)
            if self._token is not None:
                span.end()
        except Exception as failure:  # boundary: a span processor of the application's may raise anything
            self._tracer.on_failure("tracer", failure)
        finally:
            if self._token is not None:
                context.detach(self._token)


class CallSpan(_Open):
    """A logical call."""

    __slots__ = ("_call",)

    def __init__(self, tracer: OpenTelemetryTracer, call: Call, span: trace.Span, token: Token[Context] | None) -> None:
        super().__init__(tracer, span, token)
        self._call = call

    def attempt(self, call: Call, place: Place, era: str) -> AttemptSpan | None:
        """Begin an attempt below."""
        return self._tracer.attempt(call, place, era)

    def end(self, outcome: str, error: Exception | None = None) -> None:
        """End the call."""
        self._close(error_type(outcome, error), status_code(error), finished_attributes(self._call, outcome))


class AttemptSpan(_Open):
    """One attempt."""

    __slots__ = ()

    def attempt(self, call: Call, place: Place, era: str) -> AttemptSpan | None:
        """An attempt has none below."""
        return None

    def end(self, outcome: str, error: Exception | None = None) -> None:
        """End the attempt."""
        self._close(error_type(outcome, error), status_code(error), {"trunkline.outcome": outcome})


class RequestSpan(_Open):
    """One request to the gateway."""

    __slots__ = ()

    def end(self, error: str | None, code: str | None = None) -> None:
        """End the request; `error` is the error's type, None where it went well, and `code` that of JSON-RPC."""
        self._close(error, code, {})


def _enclosing(call: Call) -> trace.Span | None:
    """A span for this very tool that an agent's framework has begun: by the conventions there is to be no second."""
    span = trace.get_current_span()
    if not span.is_recording() or getattr(span, "kind", None) is not SpanKind.INTERNAL:
        return None
    known: Mapping[str, Any] = getattr(span, "attributes", None) or {}
    is_same = (known.get("gen_ai.operation.name"), known.get("gen_ai.tool.name")) == ("execute_tool", call.name)
    return span if is_same else None
