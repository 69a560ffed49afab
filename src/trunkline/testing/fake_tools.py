"""Tools without a server, for a domain's own tests: stands where the enhanced client stands in a constructor.

    tools = FakeTools({"stt_transcribe_file": "hello"})
    assert await AudioProcessor(tools, MetricsCollector()).transcribe("clip.wav") == "hello"
    assert tools.called("stt_transcribe_file") == [{"path": "clip.wav"}]

A client of its own kind with no server behind it, so everything a domain may do with a client can be done with it:
names, signatures and result types cannot drift apart. Only the call itself is answered here; nothing is started.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from inspect import isawaitable
from typing import Any, TypeAlias

import mcp_types as types

from trunkline.call import CURRENT_DOMAIN, UNATTRIBUTED, CacheMode, ProgressCallback, Provenance, ToolResult
from trunkline.errors import InvalidArguments, ToolNotFound
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
    domain: str
    timeout: float | None = None
    """Seconds, as the caller gave them."""
    meta: Mapping[str, Any] | None = field(default=None, repr=False)


class FakeTools(EnhancedMCPClient):
    """Answers `call_tool` as the test says, and keeps what was asked.

    Raises:
        ToolNotFound: For a tool that was given no answer, with the nearest names.
        InvalidArguments: Where a schema was given and the arguments do not fit it.
    """

    def __init__(
        self,
        answers: Mapping[str, Answers] | None = None,
        *,
        schemas: Mapping[str, Mapping[str, Any]] | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        """Answer by tool name.

        `schemas` are input schemas, by tool name, that arguments are checked against as the real client does;
        `provenance` is what results say of themselves, for domains that look at it.
        """
        super().__init__()
        self.calls: list[MadeCall] = []
        """Every call made, in order, also those that ended in an error."""
        self._answers: dict[str, Iterator[Says] | Answers] = dict(answers or {})
        self._schemas = {name: compile_schema(dict(schema)) for name, schema in (schemas or {}).items()}
        self._provenance = provenance

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
        given = dict(arguments or {})
        told = domain or self._domain or CURRENT_DOMAIN.get() or UNATTRIBUTED
        self.calls.append(MadeCall(name, given, told, timeout, meta))
        self._check(name, given)
        said = self._next(name)
        if callable(said):
            found = said(**given)
            said = await found if isawaitable(found) else found
        if isinstance(said, Exception):
            raise said
        return _result(said).with_provenance(self._provenance or Provenance(server="fake", attempts=1))

    async def list_tools(self, *, cursor: str | None = None) -> types.ListToolsResult:
        """The tools that have an answer."""
        return types.ListToolsResult(
            tools=[types.Tool(name=name, input_schema={"type": "object"}) for name in self._answers]
        )

    def _check(self, name: str, arguments: dict[str, Any]) -> None:
        if name not in self._answers:
            near = get_close_matches(name, self._answers)
            raise ToolNotFound(f"this FakeTools has no answer for {name!r}", tool=name, suggestions=near)
        schema = self._schemas.get(name)
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
    if isinstance(said, str):
        return ToolResult(content=[types.TextContent(text=said)])
    if isinstance(said, types.CallToolResult):
        return ToolResult.model_validate(said.model_dump())
    return ToolResult(content=[types.TextContent(text=str(dict(said)))], structured_content=dict(said))
