"""What each MCP request does: it goes through the client's stack, as its caller, and to what that one may use.

What a principal may not use is not there for it: no listing shows it, and asking for it is asking for nothing known.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import fields
from functools import wraps
from typing import Any, Final, TypeAlias, TypeVar, cast, get_args

import mcp_types as types
from mcp import MCPError
from mcp.server.context import ServerRequestContext

from trunkline.call import CacheMode, Provenance, ToolResult
from trunkline.errors import CallError, InvalidArguments, ServerError
from trunkline.exchange import Exchange
from trunkline.gateway.audit import Audit
from trunkline.gateway.codes import FORWARDED, code_of, data_of, message_of
from trunkline.gateway.peers import Downstream, Levels
from trunkline.gateway.principals import Principal, caller_of
from trunkline.gateway.rounds import in_rounds
from trunkline.infrastructure import Infrastructure
from trunkline.mcp_client import EnhancedMCPClient
from trunkline.registry.wording import quoted

__all__ = ["CACHE_KEY", "DOMAIN_KEY", "PROVENANCE_KEY", "Requests", "answered"]

DOMAIN_KEY: Final = "trunkline/domain"
"""In a request's `_meta`: the domain the call is recorded under."""
CACHE_KEY: Final = "trunkline/cache"
"""In a request's `_meta`: how a cached answer may be used, `use`, `refresh` or `bypass`; anything else is an error."""
PROVENANCE_KEY: Final = "trunkline/provenance"
"""In a result's `_meta`: where the answer came from, with the fields of `Provenance`."""

_MODES: Final[tuple[CacheMode, ...]] = get_args(CacheMode)
_FIELDS: Final = tuple(field.name for field in fields(Provenance))
_DEFAULT_DOMAIN: Final = "gateway"
_DOMAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

_Context: TypeAlias = ServerRequestContext[Any, Any]
ParamsT = TypeVar("ParamsT")
AnswerT = TypeVar("AnswerT")


class Requests:
    """The requests of all callers."""

    def __init__(self, infra: Infrastructure, levels: Levels) -> None:
        self._client = infra.mcp_client
        self._infra = infra
        self._audit = Audit(lambda: infra.settings.gateway.audit)
        self._levels = levels

    async def list_tools(self, ctx: _Context, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        """Every tool the caller may use."""
        # In the registry's order, which is that of the configuration: the same at every call.
        principal, client = self._caller(ctx)
        tools = [tool for tool in (await client.list_tools()).tools if principal.tools.fit(tool.name)]
        return types.ListToolsResult(tools=tools, ttl_ms=0, cache_scope="private")

    async def call_tool(
        self, ctx: _Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        """One call of a tool, with its provenance; what is wrong with arguments is a result for the model to read."""
        principal, client = self._caller(ctx)
        wants_progress = "progress_token" in (ctx.meta or {})
        with self._audit.use_of(params.name, principal) as use:
            _require_tool(principal, client, params.name)
            domain, cache = _domain_of(ctx.meta, principal), _cache_mode_of(ctx.meta)

            async def make(exchange: Exchange) -> ToolResult:
                return await client.for_exchange(exchange).call_tool(
                    params.name,
                    params.arguments,
                    progress_callback=ctx.session.report_progress if wants_progress else None,
                    domain=domain,
                    cache=cache,
                )

            try:
                result = await in_rounds(self._peer(ctx), params, make)
            except InvalidArguments as error:
                use.outcome = error.code
                return _lesson(error)
            if not isinstance(result, ToolResult):
                use.outcome = "input_required"
                return result
            use.outcome = "tool_error" if result.is_error else "ok"
        return _with_provenance(result)

    async def list_resources(
        self, ctx: _Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """Every resource the caller may read."""
        principal, client = self._caller(ctx)
        found = await client.list_resources()
        return found.model_copy(
            update={"resources": [item for item in found.resources if principal.may_read(str(item.uri))]}
        )

    async def list_templates(
        self, ctx: _Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """Every resource template the caller may read from."""
        principal, client = self._caller(ctx)
        found = await client.list_resource_templates()
        shown = [item for item in found.resource_templates if principal.may_read(item.uri_template)]
        return found.model_copy(update={"resource_templates": shown})

    async def read_resource(
        self, ctx: _Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult | types.InputRequiredResult:
        """One resource's contents."""
        principal, client = self._caller(ctx)
        if not principal.may_read(str(params.uri)):
            raise _unknown("resource", str(params.uri))
        asked = self._peer(ctx), params
        found = await in_rounds(*asked, lambda exchange: client.for_exchange(exchange).read_resource(params.uri))
        if isinstance(found, types.InputRequiredResult):
            return found
        # The answer was made for the gateway's credentials: nobody downstream may share it.
        return types.ReadResourceResult(contents=found.contents, ttl_ms=0, cache_scope="private")

    async def list_prompts(
        self, ctx: _Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        """Every prompt the caller may get."""
        principal, client = self._caller(ctx)
        found = await client.list_prompts()
        return found.model_copy(
            update={"prompts": [item for item in found.prompts if principal.prompts.fit(item.name)]}
        )

    async def get_prompt(
        self, ctx: _Context, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult | types.InputRequiredResult:
        """One prompt, filled in."""
        principal, client = self._caller(ctx)
        await _require_prompt(principal, client, params.name)
        name, given = params.name, params.arguments
        asked = self._peer(ctx), params
        found = await in_rounds(*asked, lambda exchange: client.for_exchange(exchange).get_prompt(name, given))
        if isinstance(found, types.InputRequiredResult):
            return found
        return types.GetPromptResult(description=found.description, messages=found.messages)

    async def complete(self, ctx: _Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        """Suggestions for an argument of a prompt or a resource template."""
        principal, client = self._caller(ctx)
        if isinstance(params.ref, types.PromptReference):
            await _require_prompt(principal, client, params.ref.name)
        elif not principal.may_read(params.ref.uri):
            raise _unknown("resource", params.ref.uri)
        context = None if params.context is None else params.context.arguments
        argument = {"name": params.argument.name, "value": params.argument.value}
        found = await client.complete(params.ref, argument, context)
        return types.CompleteResult(completion=found.completion)

    def _peer(self, ctx: _Context) -> Downstream:
        return Downstream(ctx, self._levels, self._infra.settings.gateway.answer_timeout)

    def _caller(self, ctx: _Context) -> tuple[Principal, EnhancedMCPClient]:
        """Who asks, and the client bound to that one: what is kept of the answers is nobody else's."""
        principal = caller_of(ctx)
        name = principal.name
        return principal, self._client if name is None else self._client.for_principal(name)


def answered(
    request: Callable[[_Context, ParamsT], Awaitable[AnswerT]],
) -> Callable[[_Context, ParamsT], Awaitable[AnswerT]]:
    """The same request with its failures as JSON-RPC errors."""

    @wraps(request)
    async def answer(ctx: _Context, params: ParamsT) -> AnswerT:
        try:
            return await request(ctx, params)
        except MCPError:
            raise
        except CallError as error:
            if isinstance(error, ServerError) and error.error_code in FORWARDED:
                raise MCPError(error.error_code, message_of(error), error.data) from error
            raise MCPError(code_of(error), message_of(error), data_of(error)) from error
        except Exception as error:  # boundary: a bug of ours is logged here, and its words stay here
            logging.getLogger("trunkline.gateway").exception("request_failed", extra={"trunkline_method": ctx.method})
            raise MCPError(types.INTERNAL_ERROR, "internal error in the gateway; its log says more") from error

    return answer


def _require_tool(principal: Principal, client: EnhancedMCPClient, name: str) -> None:
    if principal.tools.fit_all:
        return
    tool = client.registry.get(name)
    if tool is None or not principal.tools.fit(tool.name):
        raise _unknown("tool", name)


async def _require_prompt(principal: Principal, client: EnhancedMCPClient, name: str) -> None:
    """Refuse a prompt that is not among those shown: a bare name may mean another server's than it looks like."""
    if principal.prompts.fit_all:
        return
    shown = {prompt.name for prompt in (await client.list_prompts()).prompts}
    if name not in shown or not principal.prompts.fit(name):
        raise _unknown("prompt", name)


def _unknown(what: str, name: str) -> MCPError:
    """What is refused and what is not there look the same."""
    return MCPError(types.INVALID_PARAMS, f"no {what} {quoted(name)} is known")


def _domain_of(meta: types.RequestParamsMeta | None, principal: Principal) -> str:
    wanted = (meta or {}).get(DOMAIN_KEY)
    if not isinstance(wanted, str) or not _DOMAIN.fullmatch(wanted):
        return _DEFAULT_DOMAIN
    if not principal.domains.fit(wanted):
        raise MCPError(types.INVALID_PARAMS, f"_meta {DOMAIN_KEY}: {quoted(wanted)} is not a domain of this caller")
    return wanted


def _cache_mode_of(meta: types.RequestParamsMeta | None) -> CacheMode:
    wanted: Any = (meta or {}).get(CACHE_KEY, "use")
    if wanted in _MODES:
        return cast("CacheMode", wanted)
    # Not passed over: who asks for a new answer must not be given an old one.
    words = f"_meta {CACHE_KEY}: found {quoted(wanted)}, expected one of {', '.join(_MODES)}"
    raise MCPError(types.INVALID_PARAMS, words)


def _lesson(error: InvalidArguments) -> types.CallToolResult:
    """A model reads results, not protocol errors: what is wrong, one line for each mistake."""
    words = "\n".join([f"The arguments of {error.tool} do not fit, and it was not called:", *error.problems])
    return types.CallToolResult(content=[types.TextContent(type="text", text=words)], is_error=True)


def _with_provenance(result: ToolResult) -> types.CallToolResult:
    provenance = result.provenance
    told = {name: getattr(provenance, name) for name in _FIELDS}  # `asdict` copies what cannot change, at some cost
    # The upstream server's name would pass for ours.
    meta = {**(result.meta or {}), PROVENANCE_KEY: told}
    meta.pop(types.SERVER_INFO_META_KEY, None)
    return result.model_copy(update={"meta": meta})
