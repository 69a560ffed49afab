"""What callers of the gateway's JSON API may ask of its cache: read strictly, and refused with reasons."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse

from trunkline.gateway.guard import refusal
from trunkline.infrastructure import Infrastructure
from trunkline.registry.wording import listed, nearest, quoted

__all__ = ["Invalidation", "RefusedRequest", "read_body", "read_invalidation"]

_LARGEST: Final = 64 * 1024
"""Bytes of a request's body."""
_KEYS: Final = ("tool", "arguments", "server", "tag", "principal")


class RefusedRequest(Exception):
    """A request that is not served: status, code and words of the answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def answer(self) -> JSONResponse:
        """The answer that says so."""
        return refusal(self.status, self.code, str(self))


@dataclass(frozen=True, slots=True)
class Invalidation:
    """What is to be forgotten: everything that fits all that is given."""

    tool: str | None = None
    arguments: Mapping[str, Any] | None = None
    server: str | None = None
    tag: str | None = None
    principal: str | None = None


async def read_body(request: Request) -> Any:
    """Return the JSON of a request's body, an empty object for none.

    The content type is asked for because no page of another origin can send it unasked. Raises `RefusedRequest`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        words = f"the content type must be application/json, found {quoted(kind) if kind else 'none'}"
        raise RefusedRequest(415, "unsupported_media_type", words)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST:
            raise RefusedRequest(413, "too_large", f"the body is larger than {_LARGEST} bytes")
    try:
        value = {} if not body else json.loads(bytes(body), parse_constant=_refuse_constant)
        # Half a surrogate pair can be written in JSON, and not be answered with.
        json.dumps(value, ensure_ascii=False).encode()
        return value
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "it cannot be read"
        raise RefusedRequest(400, "invalid_json", f"the body is not JSON: {reason}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def read_invalidation(body: Any, infra: Infrastructure) -> Invalidation:
    """Return what a body asks to forget, of the tools, servers and tags there are. Raises `RefusedRequest`."""
    if not isinstance(body, dict):
        raise _misfit(f"expected an object with some of {listed(_KEYS)}")
    for key in body:
        if key not in _KEYS:
            raise _misfit(f"unknown key {quoted(key)}{_meant(key, _KEYS) or f'; known keys: {listed(_KEYS)}'}")
    if not body:
        raise _misfit(f"nothing to invalidate: expected some of {listed(_KEYS)}; POST /api/v1/cache/clear forgets all")
    for key, value in body.items():
        if key == "arguments":
            if not isinstance(value, dict):
                raise _misfit("arguments: expected an object")
        elif not isinstance(value, str) or not value:
            raise _misfit(f"{key}: expected a text that is not empty")
    if "arguments" in body and "tool" not in body:
        raise _misfit("arguments: expected a tool to go with them")
    return Invalidation(**_with_known_names(body, infra))


def _with_known_names(given: dict[str, Any], infra: Infrastructure) -> dict[str, Any]:
    """The same with the tool's shown name. A misspelt name is refused: its user would go on being given old answers."""
    settings, registry = infra.settings, infra.registry
    if "server" in given:
        _require("server", given["server"], settings.servers)
    if "tag" in given:
        servers = [server.policy.cache.tags for server in settings.servers.values()]
        tools = [policy.cache.tags for policy in settings.tools.values()]
        _require("tag", given["tag"], dict.fromkeys(tag for tags in (*tools, *servers) for tag in tags))
    if "tool" not in given:
        return given
    tool = registry.get(given["tool"])
    if tool is not None:
        return {**given, "tool": tool.name}
    # Its server may be down since before our start: its answers may be in a shared tier all the same.
    if given["tool"] not in settings.tools and not registry.servers_for(given["tool"]):
        _require("tool", given["tool"], [each.name for each in registry.tools()])
    return given


def _require(kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        words = f"no {kind} is named {quoted(name)}{_meant(name, known)}"
        raise RefusedRequest(404, f"unknown_{kind}", words)


def _meant(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f"; did you mean {' or '.join(quoted(each) for each in near)}?" if near else ""


def _misfit(message: str) -> RefusedRequest:
    return RefusedRequest(422, "invalid_request", message)
