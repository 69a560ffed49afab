"""A span for each request to the gateway, by the conventions, and the caller's trace context for the calls below.

Stands where the SDK's own middleware does, which reads no headers, passes no baggage on, and knows one place only for
spans to go: this one's go where the calls' do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp_types import INVALID_PARAMS
from pydantic import ValidationError

from trunkline.gateway.codes import MISTAKES, is_tool_error

if TYPE_CHECKING:
    from trunkline.monitoring.otel.spans import OpenTelemetryTracer

__all__ = ["traced"]


def traced(tracer: OpenTelemetryTracer | None) -> ServerMiddleware[None]:
    """Return the middleware that has `tracer` follow requests; notifications are followed by nobody."""

    async def follow(ctx: ServerRequestContext[None, Any], call_next: CallNext) -> HandlerResult:
        if tracer is None or ctx.request_id is None:
            return await call_next(ctx)
        name = (ctx.params or {}).get("name")
        span = tracer.serve(
            ctx.method,
            name if isinstance(name, str) else None,
            era=ctx.protocol_version,
            request=ctx.request_id,
            meta=ctx.meta,
            headers=None if ctx.request is None else ctx.request.headers,
        )
        if span is None:
            return await call_next(ctx)
        error, code = None, None
        try:
            result = await call_next(ctx)
            error = "tool_error" if is_tool_error(result) else None
            return result
        except MCPError as failure:
            code = str(failure.error.code)
            error = None if failure.error.code in MISTAKES else code
            raise
        except ValidationError:
            code = str(INVALID_PARAMS)
            raise
        except Exception as failure:
            error = type(failure).__name__
            raise
        finally:
            span.end(error, code)

    return follow
