"""The tools of the faulty servers: how they are listed, and what they do when nothing is wrong.

Plain data and plain coroutines, in wire form, because these servers use no SDK. Runs as part of a bare script.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING or __package__:
    from trunkline.testing.faulty_messages import Json
else:  # run as a script, see faulty_options
    from faulty_messages import Json

__all__ = ["Progress", "listing", "plain_tool", "problems", "run_tool", "text"]

Progress: TypeAlias = Callable[[int, int], Awaitable[None]]
"""`(step, steps)`: tells the caller, if it asked to be told."""

_JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
}

_TEXT = {"type": "string"}
_WHOLE = {"type": "integer"}
_MILLISECONDS = {"type": "integer", "minimum": 0, "description": "milliseconds"}
_OP = {"type": "string", "description": "names the operation in the journal"}
_SUM = {"type": "object", "properties": {"sum": _WHOLE}, "required": ["sum"], "additionalProperties": False}

_READ_ONLY = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False}
_WRITES = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": False}

_FAULT = {
    "kind": {"type": "string", "description": "what goes wrong"},
    "op": _OP,
    "effect": {"type": "boolean", "description": "whether the side effect happens; each kind has its default"},
    "times": {"type": "integer", "description": "flaky: how many calls with this op fail"},
    "failure": {"type": "string", "description": "flaky: the kind they fail with"},
    "status": {"type": "integer", "description": "status: the HTTP status code"},
    "retry_after": {"type": "string", "description": "status: the Retry-After header"},
    "rpc_body": {"type": "boolean", "description": "status: whether the body is a JSON-RPC error"},
    "code": {"type": "integer", "description": "rpc_error: the error code; crash: the exit status"},
    "message": {"type": "string", "description": "rpc_error: the message"},
    "invalid": {"type": "string", "enum": ["json", "utf8"], "description": "garbage: what it is not"},
    "which": {"type": "string", "enum": ["unknown", "in_flight"], "description": "wrong_id: whose id it carries"},
    "shape": {"description": "not_a_result: what stands where the result should"},
    "megabytes": {"type": "integer", "description": "big: size of the text; hog: memory it takes and keeps"},
    "bytes": {"type": "integer", "description": "stderr: how many"},
    "delay_ms": {"type": "integer", "description": "slow_drip: milliseconds between two bytes"},
    "abrupt": {"type": "boolean", "description": "sse_cut: the connection ends too, inside a chunk"},
    "add": {"type": "string", "description": "change_tools: a tool to add"},
    "remove": {"type": "string", "description": "change_tools: a tool to remove"},
    "redescribe": {"type": "string", "description": "change_tools: a tool that gets another description"},
}


def plain_tool(
    name: str,
    description: str,
    properties: Json,
    *,
    required: Iterable[str] = (),
    annotations: Json = _READ_ONLY,
    output: Json | None = None,
) -> Json:
    """One tool as `tools/list` shows it."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    tool: Json = {"name": name, "description": description, "inputSchema": schema, "annotations": annotations}
    return tool if output is None else {**tool, "outputSchema": output}


def listing() -> dict[str, Json]:
    """The tools a server starts with, by name."""
    numbers = {"a": _WHOLE, "b": _WHOLE}
    delayed = {"op": _OP, "delay_ms": _MILLISECONDS}
    tools = [
        plain_tool("echo", "Says the text again.", {"text": _TEXT}, required=["text"]),
        plain_tool("add", "Adds two whole numbers.", numbers, required=["a", "b"], output=_SUM),
        plain_tool("append", "Writes op down, once per call.", delayed, required=["op"], annotations=_WRITES),
        plain_tool("lookup", "Looks op up, as often as you like.", delayed, required=["op"]),
        plain_tool("sleep", "Sleeps, then answers.", {"seconds": {"type": "number"}}, required=["seconds"]),
        plain_tool("progress", "Counts the steps.", {"steps": _WHOLE, "delay_ms": _MILLISECONDS}, required=["steps"]),
        plain_tool("fail", "Fails as a tool does.", {"message": _TEXT}, required=["message"]),
        plain_tool(
            "rpc_error",
            "Fails as a protocol does.",
            {"code": _WHOLE, "message": _TEXT},
            required=["code", "message"],
            annotations=_WRITES,
        ),
        plain_tool("add_wrong", "Adds, against its own schema.", numbers, required=["a", "b"], output=_SUM),
        plain_tool("fault", "Goes wrong as told.", _FAULT, required=["kind"], annotations=_WRITES),
    ]
    return {tool["name"]: tool for tool in tools}


def problems(tool: Json, arguments: Json) -> list[str]:
    """What is wrong with `arguments`: required ones that are missing, and top-level types. Deeper is not looked."""
    schema = tool["inputSchema"]
    missing = [f"{name}: missing" for name in schema["required"] if name not in arguments]
    wrong = [
        f"{name}: expected {expected['type']}"
        for name, expected in schema["properties"].items()
        if name in arguments and "type" in expected and not isinstance(arguments[name], _JSON_TYPES[expected["type"]])
    ]
    return missing + wrong


def text(words: str, *, is_error: bool = False, structured: Json | None = None) -> Json:
    """A result of `tools/call` with one text block."""
    result: Json = {"content": [{"type": "text", "text": words}], "isError": is_error}
    return result if structured is None else {**result, "structuredContent": structured}


async def run_tool(name: str, arguments: Json, progress: Progress) -> Json:
    """Do what the tool promises, and return its result. A tool added later says its arguments again."""
    match name:
        case "add":
            total = arguments["a"] + arguments["b"]
            return text(str(total), structured={"sum": total})
        case "append" | "lookup":
            await asyncio.sleep(arguments.get("delay_ms", 0) / 1000)
            return text(arguments["op"])
        case "sleep":
            await asyncio.sleep(arguments["seconds"])
            return text(f"slept {arguments['seconds']} s")
        case "progress":
            for step in range(1, arguments["steps"] + 1):
                await asyncio.sleep(arguments.get("delay_ms", 0) / 1000)
                await progress(step, arguments["steps"])
            return text(f"{arguments['steps']} steps")
        case "fail":
            return text(arguments["message"], is_error=True)
        case _:
            return text(str(arguments.get("text", arguments)))
