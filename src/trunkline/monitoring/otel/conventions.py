"""OpenTelemetry's words for what we trace: names and attributes of spans, in one place for the day they change.

From `open-telemetry/semantic-conventions-genai`, `docs/gen-ai/mcp.md` and `gen-ai-spans.md` (status: Development), as
of 2026-08; the constants of `opentelemetry-semantic-conventions` 0.66b2 have the same names. What begins with
`trunkline.` is ours. Arguments, results, addresses of resources and words of errors are in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trunkline.call import Call, Method, Place
from trunkline.errors import CallError, ServerError
from trunkline.monitoring.labels import clean

__all__ = [
    "TOOL_CALL",
    "attempt_attributes",
    "call_attributes",
    "error_type",
    "finished_attributes",
    "request_attributes",
    "span_name",
    "status_code",
]

TOOL_CALL: Final = "tools/call"

Attributes = dict[str, str | int | float | bool]


def span_name(method: str, name: str | None) -> str:
    """`{method} {name}` for tools and prompts; a resource's address would make a name for each."""
    return f"{method} {clean(name)}" if name and method in (TOOL_CALL, "prompts/get") else method


def _operation(method: str, name: str | None) -> Attributes:
    found: Attributes = {"mcp.method.name": method}
    if method == TOOL_CALL:
        found["gen_ai.operation.name"] = "execute_tool"
    if name and method == TOOL_CALL:
        found["gen_ai.tool.name"] = clean(name)
    elif name and method == "prompts/get":
        found["gen_ai.prompt.name"] = clean(name)
    return found


def call_attributes(method: str, name: str, domain: str) -> tuple[str, Attributes]:
    """Name and first attributes of a logical call's span: `execute_tool {tool}`, or the method's own."""
    found = _operation(method, name) | {"trunkline.domain": clean(domain)}
    if method != TOOL_CALL:
        return span_name(method, name), found
    # Of the agent's side: the method belongs to the attempts.
    del found["mcp.method.name"]
    return f"execute_tool {clean(name)}", found


def attempt_attributes(method: Method, target: str, place: Place, era: str) -> Attributes:
    """First attributes of an attempt's span, `{method} {the server's own name of it}`."""
    found = _operation(method, target)
    if era:
        found["mcp.protocol.version"] = era
    if place.transport is not None:
        found["network.transport"] = place.transport
    if place.transport == "tcp":
        found["network.protocol.name"] = "http"
    if place.address is not None:
        found["server.address"] = place.address
    if place.port is not None:
        found["server.port"] = place.port
    found["trunkline.server"] = place.server
    if place.replica is not None:
        found["trunkline.replica"] = place.replica
    return found


def request_attributes(
    method: str, name: str | None, *, era: str, request: str | int | None, headers: Mapping[str, str] | None
) -> Attributes:
    """First attributes of the span of a request to the gateway; without `headers` it came over a pipe."""
    found = _operation(method, name) | {"mcp.protocol.version": era}
    if request is not None:
        found["jsonrpc.request.id"] = clean(str(request))
    found["network.transport"] = "pipe" if headers is None else "tcp"
    if headers is not None:
        found["network.protocol.name"] = "http"
        if session := headers.get("mcp-session-id"):
            found["mcp.session.id"] = clean(session)
    return found


def finished_attributes(call: Call, outcome: str) -> Attributes:
    """What is known of a call when it has ended."""
    found: Attributes = {
        "trunkline.call.id": call.id,
        "trunkline.outcome": outcome,
        "trunkline.attempts": call.attempts,
        "trunkline.cache": call.cached,
        "trunkline.degraded": call.degraded or call.fallback is not None or call.cached == "stale",
    }
    if call.server:
        found["trunkline.server"] = call.server
    if call.replica is not None:
        found["trunkline.replica"] = call.replica
    if call.fallback is not None:
        found["trunkline.fallback"] = call.fallback
    return found


def status_code(error: BaseException | None) -> str | None:
    """The JSON-RPC code a server answered with; None where it did not, or with a result."""
    return str(error.error_code) if isinstance(error, ServerError) and error.error_code is not None else None


def error_type(outcome: str, error: CallError | Exception | None = None) -> str | None:
    """`tool_error`, the JSON-RPC code, `timeout` or the class of the error; None for what is no error.

    What its caller cancelled is none: a hedge's loser, or an answer nobody wants any more.
    """
    if outcome in ("ok", "cancelled"):
        return None
    return status_code(error) or outcome
