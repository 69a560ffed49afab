"""A span for each request to the gateway, by the conventions, and the caller's trace context for the calls below.

Stands where the SDK's own middleware does, which reads no headers, passes no baggage on, and knows one place only for
spans to go: this one's go where the calls' do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import mcp_types as types
from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from pydantic import ValidationError

if TYPE_CHECKING:
    from trunkline.monitoring.otel.spans import OpenTelemetryTracer

__all__ = ["traced"]

_CALLERS_FAULTS: Final = frozenset({-32700, -32600, -32601, -32602, -32002})
"""JSON-RPC codes that say the caller was mistaken: by the conventions no errors of a server."""


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
            match result:
                case types.CallToolResult(is_error=True) | {"isError": True}:
                    error = "tool_error"
                case _:
                    pass
            return result
        except MCPError as failure:
            code = str(failure.error.code)
            error = None if failure.error.code in _CALLERS_FAULTS else code
            raise
        except ValidationError:
            code = str(types.INVALID_PARAMS)
            raise
        except Exception as failure:
            error = type(failure).__name__
            raise
        finally:
            span.end(error, code)

    return follow
