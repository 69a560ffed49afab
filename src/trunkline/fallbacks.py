"""The ladder of each call: which servers, tools and answers stand in for its tool, by policy and by code."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from inspect import isawaitable
from typing import Any, TypeAlias

from mcp_types import CallToolResult, TextContent

from trunkline.call import Call, ToolResult
from trunkline.errors import CallError, ToolNotFound
from trunkline.fleet import Fleet
from trunkline.kept import Kept
from trunkline.layers.fallback import Answer, Elsewhere, Step
from trunkline.policy import FallbackPolicy
from trunkline.registry.tool import Tool, shown_prefix
from trunkline.registry.tool_registry import ToolRegistry

__all__ = ["FallbackAnswer", "FallbackFunction", "Fallbacks", "mapped"]

FallbackAnswer: TypeAlias = str | Mapping[str, Any] | CallToolResult
"""A text, structured content, or a whole result."""
FallbackFunction: TypeAlias = Callable[[dict[str, Any], CallError], FallbackAnswer | Awaitable[FallbackAnswer]]
"""`(the call's arguments, the error it ended with)`; what it raises leaves the call with its error."""

_LISTINGS = frozenset({"resources/list", "resources/templates/list", "prompts/list"})


class Fallbacks:
    """Builds ladders from the policies in force."""

    def __init__(self, fleet: Fleet, registry: ToolRegistry, functions: Mapping[str, FallbackFunction]) -> None:
        """Build on `fleet` and `registry`; `functions` answer for tools, by the name shown to callers."""
        self._fleet = fleet
        self._registry = registry
        self._functions = dict(functions)
        self._kept = None if fleet.caching is None else Kept(fleet.caching)

    def __call__(self, call: Call) -> Sequence[Step]:
        """The steps below the call's own server, in order; none for most calls."""
        kept = [] if self._kept is None else self._kept.rung(call)
        if call.method in _LISTINGS:
            return kept
        if call.method != "tools/call":
            return (*self._servers(call.server, call.target), *kept)
        tool = self._registry.get(call.name)
        if tool is not None:
            substitutes = self._substitutes(tool.name, tool.policy.fallback, tool, kept)
            return (*self._servers(tool.server, tool.target), *substitutes)
        # Its server has not been reached so far, so it is known by its name alone.
        owners = self._registry.servers_for(call.name)
        steps: Sequence[Step] = ()
        if owners:
            prefix = shown_prefix(owners[0], self._fleet.policy_of(owners[0]).prefix)
            steps = self._servers(owners[0], call.name.removeprefix(prefix))
        policy = self._registry.policy_of(call.name).fallback
        return (*steps, *self._substitutes(call.name, policy, None, kept))

    def _servers(self, server: str, target: str) -> Sequence[Step]:
        policy = self._fleet.policy_of(server)
        # The defaults may name a server that is then its own.
        return [
            Elsewhere(name, policy.reserve, self._to_server(name, target)) for name in policy.fallback if name != server
        ]

    def _substitutes(
        self, name: str, policy: FallbackPolicy, tool: Tool | None, kept: Sequence[Step]
    ) -> Sequence[Step]:
        reserve = self._fleet.policy_of("" if tool is None else tool.server).reserve
        steps: list[Step] = []
        if policy.enabled and policy.tool is not None:
            steps.append(Elsewhere(policy.tool, reserve, _to_tool(policy.tool, policy.arguments)))
        # A current answer from elsewhere is better than an old one from here, and that is better than a stand-in.
        steps.extend(kept)
        function = self._functions.get(name)
        if function is not None:
            steps.append(Answer("callable", reserve, _by(function)))
        if policy.enabled and policy.answer is not None:
            steps.append(Answer("static", 0.0, _static(policy.answer)))
        return steps

    def _to_server(self, server: str, target: str) -> Callable[[Call], Awaitable[Call]]:
        async def lead(call: Call) -> Call:
            if call.method != "tools/call":
                return replace(call, server=server, target=target)
            if not self._registry.has_listing(server) and server in self._fleet.stacks:
                await self._fleet.stacks[server].wait_ready(call)
            tools = self._registry.tools()
            there = next((tool for tool in tools if (tool.server, tool.target) == (server, target)), None)
            if there is None:
                words = f"fallback server {server!r} has no tool {target!r}"
                raise ToolNotFound(words, tool=call.name, server=server)
            return replace(
                call,
                server=server,
                target=target,
                repeatable=there.repeatable,
                problems=there.validator.problems,
                result_problems=there.result_problems,
            )

        return lead


def mapped(arguments: Mapping[str, Any], onto: Mapping[str, Any] | None) -> dict[str, Any]:
    """The substitute's arguments, as `FallbackPolicy.arguments` says."""
    if onto is None:
        return dict(arguments)
    found: dict[str, Any] = {}
    for name, value in onto.items():
        if not isinstance(value, str) or not value.startswith("$"):
            found[name] = value
        elif value.startswith("$$"):
            found[name] = value[1:]
        elif value[1:] in arguments:
            found[name] = arguments[value[1:]]
    return found


def _to_tool(name: str, onto: Mapping[str, Any] | None) -> Callable[[Call], Awaitable[Call]]:
    async def lead(call: Call) -> Call:
        return replace(
            call,
            name=name,
            arguments=mapped(call.arguments, onto),
            attempt_timeout=None,
            server="",
            target="",
            problems=None,
            result_problems=None,
            repeatable=False,
            tried=frozenset(),
        )

    return lead


def _by(function: FallbackFunction) -> Callable[[Call, CallError], Awaitable[ToolResult]]:
    async def give(call: Call, error: CallError) -> ToolResult:
        answer = function(dict(call.arguments), error)
        return _result(await answer if isawaitable(answer) else answer)

    return give


def _static(answer: FallbackAnswer) -> Callable[[Call, CallError], Awaitable[ToolResult]]:
    async def give(_call: Call, _error: CallError) -> ToolResult:
        return _result(answer)

    return give


def _result(answer: FallbackAnswer) -> ToolResult:
    if isinstance(answer, str):
        return ToolResult(content=[TextContent(text=answer)])
    if isinstance(answer, CallToolResult):
        return ToolResult.model_validate(answer.model_dump())
    structured = dict(answer)
    return ToolResult(content=[TextContent(text=json.dumps(structured))], structured_content=structured)
