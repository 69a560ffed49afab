"""All servers of one client: added, changed and removed while calls run. Sits between the stacks and the client."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import anyio
from anyio.abc import TaskGroup
from mcp_types import Result, Tool

from trunkline import clock
from trunkline.cache.cache_manager import CacheManager
from trunkline.caching import Caching
from trunkline.call import Call
from trunkline.endpoint import ServerSettings
from trunkline.errors import ToolNotFound
from trunkline.events import Emit
from trunkline.health.monitor import HealthMonitor, Probe
from trunkline.policy import HealthPolicy, ServerPolicy
from trunkline.pool.owner import Owner
from trunkline.pool.pool import Pool
from trunkline.pool.waiting import first_settled
from trunkline.registry.tool_registry import ToolRegistry
from trunkline.replica import Replica
from trunkline.server_stack import ServerStack

__all__ = ["Fleet"]

_DEFAULTS = ServerPolicy()


class Fleet:
    """Runs every server's pool in one task of its own and routes calls to the servers."""

    def __init__(
        self,
        registry: ToolRegistry,
        health: HealthMonitor,
        *,
        emit: Emit,
        rng: random.Random,
        cache: CacheManager | None = None,
    ) -> None:
        """Run no server so far; what they answer is kept in `cache`, None for nowhere."""
        self._registry = registry
        self._health = health
        self._emit = emit
        self._rng = rng
        self._stacks: dict[str, ServerStack] = {}
        self.caching = Caching(cache, registry, self._stacks) if cache is not None and cache.settings.enabled else None
        """What may be kept of which call; None where nothing is."""
        self._owner = Owner(self._main)
        self._tasks: TaskGroup | None = None
        self._stopping = anyio.Event()

    def __repr__(self) -> str:
        ready = sum(stack.is_ready for stack in self._stacks.values())
        return f"<Fleet [{ready} of {len(self._stacks)} servers ready]>"

    @property
    def stacks(self) -> Mapping[str, ServerStack]:
        """The servers in force, by name."""
        return self._stacks

    async def start(self, servers: Iterable[ServerSettings]) -> None:
        """Start connecting to every server; waits for none."""
        await self._owner.start()
        for settings in servers:
            self.add(settings)

    async def wait_first_ready(self) -> None:
        """Wait until one server is ready, or all have failed."""
        await first_settled([replica.pool for stack in self._stacks.values() for replica in stack.replicas])

    async def wait_settled(self, until: float) -> None:
        """Wait until every server has answered or failed, at most until `until` on the loop's clock."""
        with anyio.CancelScope(deadline=until):
            for stack in list(self._stacks.values()):
                await stack.settle()

    def replicas_of(self, server: str) -> Sequence[str | None]:
        """The names of a server's replicas, None for a lone one; empty for an unknown server."""
        stack = self._stacks.get(server)
        return () if stack is None else [replica.name for replica in stack.replicas]

    def policy_of(self, server: str) -> ServerPolicy:
        """What a server's stack obeys; the defaults for an unknown one."""
        stack = self._stacks.get(server)
        return _DEFAULTS if stack is None else stack.settings.policy

    def apply(self, servers: Iterable[ServerSettings]) -> None:
        """Make these the servers: others are removed, changed ones replaced, equal ones left alone."""
        wanted = {settings.name: settings for settings in servers}
        for name in self._stacks.keys() - wanted.keys():
            self.remove(name)
        for name, settings in wanted.items():
            if name not in self._stacks or self._stacks[name].settings != settings:
                self.add(settings)

    async def stop(self) -> None:
        """Close every connection after its calls, or after its grace; leaves no task and no process behind."""
        self._stopping.set()
        if self.caching is not None:
            self.caching.cache.flights.end_background()  # nobody waits for these: they need no grace
        for stack in self._stacks.values():
            _close(stack.replicas)
        await self._owner.wait_ended()

    def add(self, settings: ServerSettings) -> None:
        """Bring a server in, or put another in the place of one with the same name.

        Calls under way on the old one finish there.
        """
        if self._tasks is None or self._stopping.is_set():
            msg = "the client is not open"
            raise RuntimeError(msg)
        name = settings.name
        old = self._stacks.get(name)
        on_listing = partial(self._listed, name)
        cache = None if self.caching is None else self.caching.layer
        stack = ServerStack(settings, emit=self._emit, rng=self._rng, on_listing=on_listing, cache=cache, before=old)
        if old is not None and old.settings.places != settings.places and self.caching is not None:
            self.caching.replaced(name)
        # Known to health and registry before anything happens to it.
        self._stacks[name] = stack
        self._health.add(name, settings.policy.health, [replica.name for replica in stack.replicas])
        if old is None:
            self._registry.add_server(name, settings.policy)
        else:
            self._registry.set_policies(servers={name: settings.policy})
        before = [] if old is None else [replica.pool for replica in old.replicas]
        after = [replica.pool for replica in stack.replicas]
        for pool in before:
            if pool not in after:
                pool.close()
        for pool in after:
            if pool not in before:
                self._tasks.start_soon(self._run, name, pool, settings.policy.health)

    def remove(self, name: str) -> None:
        """Take a server out. Calls under way finish within the pool's grace."""
        stack = self._stacks.pop(name, None)
        if stack is not None:
            self._registry.remove_server(name)
            self._health.remove(name)
            _close(stack.replicas)

    def _listed(self, server: str, replica: str | None, tools: Sequence[Tool]) -> None:
        stack = self._stacks.get(server)
        if stack is not None and stack.leads(replica):
            self._registry.update(server, tools, clock.now())

    def _replica(self, server: str, pool: Pool) -> Replica | None:
        """The replica that has this pool now; none once the pool has been replaced."""
        stack = self._stacks.get(server)
        return None if stack is None else next((found for found in stack.replicas if found.pool is pool), None)

    async def _run(self, name: str, pool: Pool, policy: HealthPolicy) -> None:
        """Keep one replica's connections and probe them, until its pool is closed."""

        def tell_circuit(alive: bool, now: float) -> None:
            replica = self._replica(name, pool)
            if replica is None:
                return
            if alive:
                replica.circuit.probe_succeeded(now)
                self._stacks[name].readmit(replica.name, now)
            else:
                replica.circuit.probe_failed(now)

        def recovers_in() -> float | None:
            replica = self._replica(name, pool)
            if replica is None or replica.circuit.state == "closed":
                return None
            return replica.circuit.retry_after(clock.now())

        probe = Probe(
            policy=policy,
            ping=pool.ping,
            recovers_in=recovers_in,
            is_ready=lambda: pool.is_ready,
            on_result=tell_circuit,
            replace=lambda: pool.replace("no sign of life for too long"),
        )
        async with anyio.create_task_group() as tasks:
            if policy.enabled:
                tasks.start_soon(self._health.probe, name, pool.replica, probe)
            await pool.run()
            tasks.cancel_scope.cancel()

    async def _main(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        with anyio.CancelScope() as watching:
            async with anyio.create_task_group() as watchers:
                watchers.start_soon(self._health.watch_loop)
                await self._stopping.wait()
                watching.cancel()
        # The pools were told to close; the task group waits for them.

    async def send(self, call: Call) -> Result:
        """Route one call to its server.

        Raises:
            ToolNotFound: No server has it.
            ToolRefused: It is not what somebody accepted.
            ServerUnavailable: The server that may have it has never been reached, so nobody knows.
            CallError: As the server's stack raises.
        """
        if not call.server:
            await self._resolve(call)
        stack = self._stacks.get(call.server)
        if stack is None:
            words = f"server {call.server!r} is not configured"
            raise ToolNotFound(words, tool=call.name, server=call.server, suggestions=tuple(self._stacks))
        if call.method == "tools/call":
            self._registry.acceptance.guard(call)
        return await stack.send(call)

    async def _resolve(self, call: Call) -> None:
        try:
            tool = self._registry.resolve(call.name)
        except ToolNotFound:
            if not await self._heard_more(call):
                raise
            tool = self._registry.resolve(call.name)
        is_first = call.exchange is None or not call.exchange.is_resumed  # what somebody answered is used once
        call.server, call.target, call.repeatable = tool.server, tool.target, tool.repeatable and is_first
        call.problems, call.result_problems = tool.validator.problems, tool.result_problems
        call.attempt_timeout = tool.policy.attempt_timeout if call.attempt_timeout is None else call.attempt_timeout

    async def _heard_more(self, call: Call) -> bool:
        """Wait for servers that may have the tool and have not been reached yet; whether another look is worth it.

        Raises:
            ServerUnavailable: By its prefix the tool belongs to a server that has never been reached.
        """
        named = self._registry.servers_for(call.name)
        for name in named:
            await self._stacks[name].wait_ready(call)
        starting = [stack for stack in self._stacks.values() if not stack.is_settled]
        for stack in () if named else starting:
            await stack.settle()
        return bool(named or starting)


def _close(replicas: Iterable[Replica]) -> None:
    for replica in replicas:
        replica.pool.close()
