"""The enhanced MCP client: every tool call of an application goes through here.

The same method names and leading parameters as the SDK's `mcp.Client`, over all configured servers at once. It holds
the client's stack and the fleet of servers; what happens to a call is said in `stack.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Self

import anyio
import mcp_types as types

from trunkline import clock
from trunkline.bus import EventBus
from trunkline.cache.cache_manager import CacheManager
from trunkline.call import CacheMode, Method, ProgressCallback, ToolResult
from trunkline.caller import Caller
from trunkline.client_stack import client_stack
from trunkline.content import Content, expect
from trunkline.endpoint import Endpoint, ServerSettings, settings_of
from trunkline.events import Observer
from trunkline.exchange import Exchange
from trunkline.fallbacks import FallbackFunction, Fallbacks
from trunkline.fleet import Fleet
from trunkline.health.monitor import HealthMonitor
from trunkline.health.report import HealthReport
from trunkline.policy import ToolPolicy
from trunkline.registry.availability_fold import AvailabilityFold
from trunkline.registry.tool_registry import ToolRegistry

__all__ = ["EnhancedMCPClient"]

_STARTUP = 3.0
"""Seconds after opening in which listings wait for servers that have neither answered nor failed yet."""


class EnhancedMCPClient:
    """Calls tools on any number of servers, resiliently. Enter it once; call it from any task; leave it in any task.

    Entering never fails because a server is down, and takes no longer than the first server that answers.
    """

    def __init__(
        self,
        servers: Mapping[str, Endpoint | ServerSettings | str] | Iterable[ServerSettings] = (),
        *,
        tools: Mapping[str, ToolPolicy] | None = None,
        fallbacks: Mapping[str, FallbackFunction] | None = None,
        cache: CacheManager | None = None,
        bus: EventBus | None = None,
        observers: Iterable[Observer] = (),
        rng: random.Random | None = None,
    ) -> None:
        """Describe the client; nothing is started before it is entered.

        Args:
            servers: By name: an endpoint, a URL, or settings with policies.
            tools: Policies by tool name as shown to callers; `*` in a name stands for any characters.
            fallbacks: By tool name, what answers when nothing else does: `(arguments, error)` to an answer.
            cache: Where answers are kept; one of its own, in memory, when None.
            bus: Where events go; one of its own when None.
            observers: Told every event.
            rng: Source of all jitter; give a seeded one for repeatable tests.
        """
        self.bus = bus or EventBus()
        for observer in observers:
            self.bus.subscribe(observer)
        self.registry = ToolRegistry(emit=self.bus.emit, tools=tools or {})
        self._rng = rng or random.Random()  # jitter and request ids, not secrets
        self._servers = settings_of(servers)
        self.monitor = HealthMonitor(emit=self.bus.emit, rng=self._rng)
        """Watches the servers."""
        self.bus.subscribe(self.monitor.observe, self.monitor.kinds)
        self.cache = cache or CacheManager(emit=self.bus.emit, rng=rng)
        self.fleet = Fleet(self.registry, self.monitor, emit=self.bus.emit, rng=self._rng, cache=self.cache)
        self.bus.subscribe(AvailabilityFold(self.registry, self.fleet.replicas_of), AvailabilityFold.kinds)
        ladder = Fallbacks(self.fleet, self.registry, fallbacks or {})
        caching = self.fleet.caching
        if caching is not None:
            self.bus.subscribe(caching, caching.kinds)
        fresh, tracer = None if caching is None else caching.fresh, self.bus.tracer
        self._service = client_stack(self.fleet.send, ladder=ladder, emit=self.bus.emit, fresh=fresh, tracer=tracer)
        self._content = Content(self.fleet)
        self._caller = Caller(self._rng)
        self._opened_at = 0.0

    def __repr__(self) -> str:
        return f"<EnhancedMCPClient {self.fleet!r} {self.registry!r}>"

    async def __aenter__(self) -> Self:
        self._opened_at = clock.now()
        await self.cache.start()
        try:
            await self.fleet.start(self._servers)
            await self.fleet.wait_first_ready()
        except BaseException:
            await self.aclose()  # nobody leaves what was never entered: its children would stay
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            await self.fleet.stop()
            await self.cache.stop()

    async def aclose(self) -> None:
        """Leave, where `async with` does not fit."""
        await self.__aexit__()

    def health(self) -> HealthReport:
        """The last known health of everything. A plain read: no I/O."""
        return self.monitor.report()

    def for_domain(self, domain: str) -> EnhancedMCPClient:
        """The same client, bound to a domain: its calls are recorded under it."""
        return self._bound(replace(self._caller, domain=domain))

    def for_principal(self, name: str) -> EnhancedMCPClient:
        """The same client, bound to whom calls are made for: what is kept of their answers is for that one alone.

        Take the name from a verified credential, such as a user's id, never from what a request says of itself.
        """
        return self._bound(replace(self._caller, principal=name))

    def for_exchange(self, exchange: Exchange) -> EnhancedMCPClient:
        """The same client, bound to somebody who can be asked, for one call; raises `InputRequired` beside the rest."""
        return self._bound(replace(self._caller, exchange=exchange))

    def _bound(self, caller: Caller) -> EnhancedMCPClient:
        bound = object.__new__(type(self))
        bound.__dict__.update(self.__dict__, _caller=caller)
        return bound

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
        """Call a tool by its full name, `<server>_<tool>`, or by its bare name while that is unique.

        Args:
            name: The tool.
            arguments: Checked against the tool's schema before anything is sent.
            read_timeout_seconds: Seconds one attempt may take; the server's policy when None.
            progress_callback: Hears of progress; each report extends the attempt, never the deadline.
            meta: The request's `_meta`.
            timeout: Seconds the whole call may take, queueing, retries and fallbacks included; by policy when None.
            domain: Whom to record it under; when None, what the client is bound to, or the enclosing tracked operation.
            cache: How a cached answer may be used.

        Raises:
            CallRejected: It was not sent; the tool has not run.
            CallFailed: It may have run, unless `may_have_run` says otherwise.
            DeadlineExceeded: `timeout` passed.
        """
        tool = self.registry.get(name)
        if timeout is None and tool is not None:
            timeout = tool.policy.timeout or self.fleet.policy_of(tool.server).timeout
        call = self._caller.new_call("tools/call", name, dict(arguments or {}), timeout=timeout, domain=domain)
        call.attempt_timeout, call.progress, call.meta = read_timeout_seconds, progress_callback, meta
        call.cache = cache
        return expect(await self._service(call), ToolResult)

    async def list_tools(self, *, cursor: str | None = None) -> types.ListToolsResult:
        """Every tool of every server that has been reached, under its full name, in one page."""
        await self.fleet.wait_settled(self._opened_at + _STARTUP)
        return types.ListToolsResult(tools=self.registry.definitions())

    async def list_resources(self, *, cursor: str | None = None) -> types.ListResourcesResult:
        """Every resource of every server that can be reached, in one page."""
        await self.fleet.wait_settled(self._opened_at + _STARTUP)
        return await self._content.list_resources(self._ask)

    async def list_resource_templates(self, *, cursor: str | None = None) -> types.ListResourceTemplatesResult:
        """Every resource template of every server that can be reached, in one page."""
        await self.fleet.wait_settled(self._opened_at + _STARTUP)
        return await self._content.list_templates(self._ask)

    async def read_resource(self, uri: str, *, meta: Mapping[str, Any] | None = None) -> types.ReadResourceResult:
        """Read a resource from the server that lists it, or whose template fits it; raises as `call_tool`."""
        await self.fleet.wait_settled(self._opened_at + _STARTUP)
        server = await self._content.find_resource(uri, self._ask)
        return expect(await self._ask("resources/read", server, uri, meta=meta), types.ReadResourceResult)

    async def watch_resource(self, uri: str, *, wanted: bool = True) -> None:
        """Have the server of a resource tell of its updates, by `ResourceUpdated` events, or no longer."""
        self.fleet.stacks[await self._content.find_resource(uri, self._ask)].watch(uri, wanted=wanted)

    async def list_prompts(self, *, cursor: str | None = None) -> types.ListPromptsResult:
        """Every prompt of every server that can be reached, under its full name, in one page."""
        await self.fleet.wait_settled(self._opened_at + _STARTUP)
        return await self._content.list_prompts(self._ask)

    async def get_prompt(
        self, name: str, arguments: dict[str, str] | None = None, *, meta: Mapping[str, Any] | None = None
    ) -> types.GetPromptResult:
        """Get a prompt by its full name, or by its bare name while that is unique; raises as `call_tool`."""
        await self.fleet.wait_settled(self._opened_at + _STARTUP)
        server, target = await self._content.find_prompt(name, self._ask)
        found = await self._ask("prompts/get", server, target, arguments or {}, meta=meta)
        return expect(found, types.GetPromptResult)

    async def complete(
        self,
        ref: types.PromptReference | types.ResourceTemplateReference,
        argument: dict[str, str],
        context_arguments: dict[str, str] | None = None,
    ) -> types.CompleteResult:
        """Suggestions for an argument of a prompt or resource template; raises as `call_tool`."""
        await self.fleet.wait_settled(self._opened_at + _STARTUP)
        if isinstance(ref, types.PromptReference):
            server, target = await self._content.find_prompt(ref.name, self._ask)
            ref = ref.model_copy(update={"name": target})
        else:
            server = await self._content.find_resource(ref.uri, self._ask)
            target = ref.uri
        arguments = {"ref": ref, "argument": argument, "context_arguments": context_arguments}
        return expect(await self._ask("completion/complete", server, target, arguments), types.CompleteResult)

    def apply(self, servers: Iterable[ServerSettings], tools: Mapping[str, ToolPolicy] | None = None) -> None:
        """Put other settings in force while calls run: servers are added, changed and removed; no call is dropped."""
        if tools is not None:
            self.registry.set_policies(tools=tools)
        self.fleet.apply(servers)

    async def _ask(
        self,
        method: Method,
        server: str,
        target: str,
        arguments: dict[str, Any] | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
    ) -> types.Result:
        """One call that is not a tool's, to a server already known. All of them read, so they are repeatable."""
        call = self._caller.new_call(method, target, arguments or {}, timeout=self.fleet.policy_of(server).timeout)
        call.server, call.target, call.repeatable, call.meta = server, target, True, meta
        return await self._service(call)
