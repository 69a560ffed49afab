"""Tells of each request of MCP that the gateway answered: how long it took, and how it went. Around all handlers."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS
from pydantic import ValidationError

from trunkline import clock
from trunkline.afterwards import afterwards
from trunkline.events import Emit, RequestServed
from trunkline.gateway.codes import MISTAKES, is_tool_error
from trunkline.registry.tool_registry import ToolRegistry

__all__ = ["told"]

_METHODS: Final = frozenset(
    {
        "completion/complete",
        "initialize",
        "logging/setLevel",
        "ping",
        "prompts/get",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/subscribe",
        "resources/templates/list",
        "resources/unsubscribe",
        "server/discover",
        "tools/call",
        "tools/list",
    }
)
"""What can be asked and is answered at once: of MCP's own methods all but those that keep a stream open."""


def told(emit: Emit, registry: ToolRegistry) -> ServerMiddleware[Any]:
    """Return the middleware; `registry` says which names of tools may become labels."""

    async def tell(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.request_id is None or ctx.method.startswith("subscriptions/"):
            return await call_next(ctx)
        started = clock.now()
        outcome, code = "cancelled", None
        try:
            result = await call_next(ctx)
            outcome = "tool_error" if is_tool_error(result) else "ok"
            return result
        except MCPError as error:
            code = error.error.code
            outcome = "ok" if code in MISTAKES else "error"
            raise
        except ValidationError:
            outcome, code = "ok", INVALID_PARAMS
            raise
        except Exception:
            outcome, code = "error", INTERNAL_ERROR
            raise
        finally:
            now = clock.now()
            method = ctx.method if ctx.method in _METHODS else "_unknown"
            transport: Any = "pipe" if ctx.request is None else "tcp"
            served = RequestServed(now, method, _tool(ctx, registry), transport, outcome, now - started, code)
            afterwards(partial(emit, served))

    return tell


def _tool(ctx: ServerRequestContext[Any, Any], registry: ToolRegistry) -> str:
    """The name of the tool that is called, where there is such a tool."""
    name = ctx.params.get("name") if ctx.params and ctx.method == "tools/call" else None
    return name if isinstance(name, str) and registry.get(name) is not None else ""
