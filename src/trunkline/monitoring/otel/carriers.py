"""Trace context as others write it: in `_meta`, by MCP's SEP-414, or in headers of HTTP. By the API's propagators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link

__all__ = ["caller_context", "carries", "extracted"]


def carries(carrier: Mapping[str, Any] | None) -> bool:
    """Whether there is anything of a trace in it."""
    return bool(carrier) and carrier is not None and ("traceparent" in carrier or "baggage" in carrier)


def extracted(carrier: Mapping[str, Any], within: Context, *, without: Sequence[str] = ()) -> Context:
    """`within`, with what the carrier says of it; values that are no text say nothing."""
    texts = {key: value for key, value in carrier.items() if isinstance(value, str) and key not in without}
    return propagate.extract(texts, within)


def caller_context(
    meta: Mapping[str, Any] | None, headers: Mapping[str, str] | None, *, baggage: bool
) -> tuple[Context, Sequence[Link]]:
    """The context of who sent a request, and a link to that of the transport where it is another.

    That is what `meta` says, else the span the task is in already, else what `headers` say. `baggage` is whether theirs
    is taken.
    """
    without = () if baggage else ("baggage",)
    within = context.get_current()
    if headers is not None and not trace.get_current_span(within).get_span_context().is_valid:
        # Where the application's own instrumentation has not read them already.
        within = extracted(headers, within, without=without)
    transport = trace.get_current_span(within).get_span_context()
    if meta:
        within = extracted(meta, within, without=without)
    caller = trace.get_current_span(within).get_span_context()
    is_other = transport.is_valid and transport.span_id != caller.span_id
    return within, [Link(transport)] if is_other else []
