"""Spans that have ended and wait for their push: at most so many, and whoever ends one never waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

from trunkline.policy import OtlpPolicy

__all__ = ["SpanSpool", "our_resource", "own_provider"]

_UNKNOWN: Final = "unknown_service"
"""How the SDK calls a service that nobody has named."""


class SpanSpool(SpanProcessor):
    """Keeps the latest spans, in the order of their ends. From any thread: a deque's own operations are atomic."""

    def __init__(self, limit: int, resource: Resource) -> None:
        """Keep at most `limit` spans, of `resource`."""
        self.resource = resource
        self.dropped = 0
        """Spans that found no room, or that a collector would not take."""
        self._waiting: deque[ReadableSpan] = deque()
        self._limit = limit

    def __repr__(self) -> str:
        return f"<SpanSpool [{len(self)} of {self._limit} spans wait, {self.dropped} dropped]>"

    def __len__(self) -> int:
        return len(self._waiting)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Do nothing yet."""

    def on_end(self, span: ReadableSpan) -> None:
        """Keep a span that is sampled, if there is room."""
        context = span.context
        if context is None or not context.trace_flags.sampled:
            return
        if len(self._waiting) >= self._limit:
            self.dropped += 1
        else:
            self._waiting.append(span)

    def take(self, most: int) -> list[ReadableSpan]:
        """Take out the oldest."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def put_back(self, spans: Sequence[ReadableSpan]) -> None:
        """Put spans back that could not be pushed, as far as there is room."""
        room = max(0, self._limit - len(self._waiting))
        self.dropped += max(0, len(spans) - room)
        self._waiting.extendleft(reversed(spans[:room]))

    def shutdown(self) -> None:
        """Nothing is open here."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Push nothing: who pushes does so when it is time."""
        return True


def our_resource() -> Resource:
    """Who this process is: as `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, else the service `trunkline`."""
    found = Resource.create()
    named = str(found.attributes.get("service.name", _UNKNOWN))
    return found.merge(Resource({"service.name": "trunkline"})) if named.startswith(_UNKNOWN) else found


def own_provider(policy: OtlpPolicy) -> tuple[TracerProvider | None, SpanSpool | None]:
    """A tracer provider of our own, known to nobody else, and where its spans wait; nothing where there is another.

    Of the traces that begin here a share is recorded, as `policy` says; others keep to their parent's decision.
    """
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None, None
    spool = SpanSpool(policy.max_spans, our_resource())
    sampler = ParentBasedTraceIdRatio(policy.sample)
    provider = TracerProvider(sampler=sampler, resource=spool.resource, shutdown_on_exit=False)
    provider.add_span_processor(spool)
    return provider, spool
