"""Tools without a server, for a domain's own tests: stands where the enhanced client stands in a constructor.

    tools = FakeTools({"stt_transcribe_file": "hello"})
    assert await AudioProcessor(tools, MetricsCollector()).transcribe("clip.wav") == "hello"
    assert tools.called("stt_transcribe_file") == [{"path": "clip.wav"}]

A client of its own kind with no server behind it, so everything a domain may do with a client can be done with it:
names, signatures and result types cannot drift apart. Deadlines and events are the real ones; only what a server would
do is done here, and nothing is started.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from difflib import get_close_matches
from inspect import isawaitable
from math import inf
from typing import Any, TypeAlias

import mcp_types as types

from trunkline.call import CacheMode, Call, Delivery, ProgressCallback, Provenance, ToolResult, compose
from trunkline.client_stack import client_stack
from trunkline.content import expect
from trunkline.errors import CallError, InvalidArguments, ToolNotFound
from trunkline.events import Observer
from trunkline.layers.timeout import TimeoutLayer
from trunkline.mcp_client import EnhancedMCPClient
from trunkline.registry.schema import compile_schema

__all__ = ["FakeTools", "MadeCall", "Says"]

Says: TypeAlias = str | Mapping[str, Any] | types.CallToolResult | Exception
"""A text, structured content, a whole result, or an error to raise."""
Answers: TypeAlias = Says | Callable[..., Says | Awaitable[Says]] | Sequence[Says]
"""What a tool says: always the same, by a function of the arguments, or one after the other (the last one stays)."""


@dataclass(frozen=True, slots=True)
class MadeCall:
    """A call that was made."""

    name: str
    arguments: Mapping[str, Any]
    """As they were when the call was made, whatever the caller did with its objects afterwards."""
    domain: str
    timeout: float | None = None
    """Seconds, as the caller gave them."""
    meta: Mapping[str, Any] | None = field(default=None, repr=False)
    principal: str | None = None
    """Whom it was made for."""


class FakeTools(EnhancedMCPClient):
    """Answers `call_tool` as the test says, in its time, and keeps what was asked.

    Raises:
        ToolNotFound: For a tool that was given no answer, with the nearest names.
        InvalidArguments: Where a schema was given and the arguments do not fit it.
        DeadlineExceeded: When an answer takes longer than the call's `timeout`.
        AttemptTimeout: When it takes longer than its `read_timeout_seconds`.
    """

    def __init__(
        self,
        answers: Mapping[str, Answers] | None = None,
        *,
        schemas: Mapping[str, Mapping[str, Any]] | None = None,
        provenance: Provenance | None = None,
        observers: Iterable[Observer] = (),
    ) -> None:
        """Answer by tool name.

        `schemas` are input schemas, by tool name: listings show them, and arguments are checked against them as the
        real client does. `provenance` is what results say of themselves that bring none of their own, for domains that
        look at it. `observers` are told when calls begin and end.
        """
        super().__init__(observers=observers)
        self.calls: list[MadeCall] = []
        """Every call made, in order, also those that ended in an error."""
        self._answers: dict[str, Iterator[Says] | Answers] = dict(answers or {})
        self._schemas = {name: deepcopy(dict(schema)) for name, schema in (schemas or {}).items()}
        self._checks = {name: compile_schema(schema) for name, schema in self._schemas.items()}
        self._provenance = provenance or Provenance(server="fake", attempts=1)

    def __repr__(self) -> str:
        return f"<FakeTools [{len(self._answers)} tools, {len(self.calls)} calls]>"

    def answer(self, name: str, answers: Answers) -> None:
        """Give a tool another answer from here on."""
        self._answers[name] = answers

    def called(self, name: str) -> list[Mapping[str, Any]]:
        """The arguments of each call of a tool, in order; empty when it was never called."""
        return [call.arguments for call in self.calls if call.name == name]

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        read_timeout_seconds: float | None = None,
        progress_callback: ProgressCallback | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        domain: str | None = None,
        cache: CacheMode = "use",
    ) -> ToolResult:
        """Answer as the test says; every argument is taken as the real client takes it."""
        call = self._caller.new_call(
            "tools/call", name, deepcopy(dict(arguments or {})), timeout=timeout, domain=domain
        )
        call.attempt_timeout, call.progress, call.meta = read_timeout_seconds, progress_callback, meta
        call.cache = cache
        self.calls.append(
            MadeCall(name, deepcopy(call.arguments), call.domain, timeout, deepcopy(meta), call.principal)
        )
        told = self._provenance

        async def served(call: Call) -> ToolResult:
            nonlocal told
            result = await self._serve(call)
            told = result.provenance
            return result

        layers = client_stack(compose([TimeoutLayer(inf)], served), ladder=lambda _call: (), emit=self.bus.emit)
        # What the test says of the answer's origin, not what was measured.
        return expect(await layers(call), ToolResult).with_provenance(told)

    async def list_tools(self, *, cursor: str | None = None) -> types.ListToolsResult:
        """The tools that have an answer, with their schemas."""
        return types.ListToolsResult(
            tools=[
                types.Tool(name=name, input_schema=deepcopy(self._schemas.get(name, {"type": "object"})))
                for name in self._answers
            ]
        )

    async def _serve(self, call: Call) -> ToolResult:
        """What a server would do with the call."""
        self._check(call.name, call.arguments)
        call.server, call.attempts = self._provenance.server, self._provenance.attempts
        call.delivery, call.may_have_run = Delivery.UNKNOWN, True
        said = self._next(call.name)
        if callable(said):
            found = said(**call.arguments)
            said = await found if isawaitable(found) else found
        if isinstance(said, Exception):
            if isinstance(said, CallError):
                call.attempts, call.may_have_run = said.attempts, said.may_have_run
            raise said
        result = _result(said)
        told = result.provenance if result.provenance != Provenance() else self._provenance
        call.server, call.replica, call.attempts = told.server, told.replica, told.attempts
        call.cached, call.fallback, call.degraded = told.cache, told.fallback, told.degraded
        call.delivery = Delivery.ANSWERED
        return result.with_provenance(told)

    def _check(self, name: str, arguments: dict[str, Any]) -> None:
        if name not in self._answers:
            near = get_close_matches(name, self._answers)
            raise ToolNotFound(f"this FakeTools has no answer for {name!r}", tool=name, suggestions=near)
        schema = self._checks.get(name)
        problems = schema.problems(arguments) if schema is not None else ()
        if problems:
            raise InvalidArguments("; ".join(problems), problems=problems, tool=name)

    def _next(self, name: str) -> Any:
        answers = self._answers[name]
        if isinstance(answers, Sequence) and not isinstance(answers, str):
            if not answers:
                raise ToolNotFound(f"this FakeTools has no answer left for {name!r}", tool=name)
            if len(answers) > 1:
                self._answers[name] = answers[1:]
            return answers[0]
        return answers


def _result(said: str | Mapping[str, Any] | types.CallToolResult) -> ToolResult:
    """A result of its own for each call: what one caller does to it, no other sees."""
    if isinstance(said, str):
        return ToolResult(content=[types.TextContent(text=said)])
    if isinstance(said, ToolResult):
        return said.model_copy(deep=True)
    if isinstance(said, types.CallToolResult):
        return ToolResult.model_validate(said.model_dump())
    # As it would have come over a wire.
    text = json.dumps(dict(said), ensure_ascii=False)
    return ToolResult(content=[types.TextContent(text=text)], structured_content=json.loads(text))
