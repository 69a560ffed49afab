"""Answers as the JSON that MCP has on the wire, and back. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mcp_types as types

from trunkline.call import ToolResult

__all__ = ["body_of", "may_be_kept", "parsed"]

_VALIDATE: dict[str, Callable[[bytes], Any]] = {
    method: kind.__pydantic_validator__.validate_json
    for method, kind in (
        ("tools/call", ToolResult),
        ("tools/list", types.ListToolsResult),
        ("resources/list", types.ListResourcesResult),
        ("resources/templates/list", types.ListResourceTemplatesResult),
        ("resources/read", types.ReadResourceResult),
        ("prompts/list", types.ListPromptsResult),
        ("server/discover", types.DiscoverResult),
    )
}


def body_of(method: str, result: types.Result) -> bytes | None:
    """The JSON of an answer; None for one that would be another one when read again (NaN has no JSON, for one)."""
    try:
        body = result.model_dump_json(by_alias=True, exclude_none=True).encode()
        return body if parsed(method, body) == result else None
    except ValueError:
        return None


def parsed(method: str, body: bytes) -> types.Result:
    """The answer, as an object of its own; raises `ValueError` for what is none."""
    read = _VALIDATE.get(method)
    if read is None:
        msg = f"no answer to {method!r} is kept"
        raise ValueError(msg)
    result: types.Result = read(body)
    return result


def may_be_kept(result: types.Result) -> str:
    """Why an answer is passed on and not kept, in constant words; empty where it may be."""
    if isinstance(result, types.CallToolResult):
        if result.is_error:
            return "error"
    elif not isinstance(result, types.CacheableResult):
        return "kind"
    if getattr(result, "result_type", "complete") != "complete":
        return "input required"
    return "no-cache" if result.meta is not None and result.meta.get("cache_hint") == "no-cache" else ""
