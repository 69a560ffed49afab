"""All servers of one client: added, changed and removed while calls run. Sits between the stacks and the client."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

import anyio
from anyio.abc import TaskGroup
from mcp_types import Result

from trunkline import clock
from trunkline.call import Call
from trunkline.endpoint import ServerSettings
from trunkline.errors import ToolNotFound
from trunkline.events import Emit
from trunkline.health.monitor import HealthMonitor, Probe
from trunkline.policy import ServerPolicy
from trunkline.pool.owner import Owner
from trunkline.pool.pool import Pool
from trunkline.registry.tool_registry import ToolRegistry
from trunkline.stack import ServerStack

__all__ = ["Fleet"]

_DEFAULTS = ServerPolicy()


class Fleet:
    """Runs every server's pool in one task of its own and routes calls to the servers."""

    def __init__(self, registry: ToolRegistry, health: HealthMonitor, *, emit: Emit, rng: random.Random) -> None:
        self._registry = registry
        self._health = health
        self._emit = emit
        self._rng = rng
        self._stacks: dict[str, ServerStack] = {}
        self._owner = Owner(self._main)
        self._tasks: TaskGroup | None = None
        self._stopping = anyio.Event()

    def __repr__(self) -> str:
        ready = sum(stack.pool.is_ready for stack in self._stacks.values())
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
        async with anyio.create_task_group() as tasks:

            async def watch(pool: Pool) -> None:
                await pool.settled.wait()
                if pool.is_ready:
                    tasks.cancel_scope.cancel()

            for stack in self._stacks.values():
                tasks.start_soon(watch, stack.pool)

    async def wait_settled(self, until: float) -> None:
        """Wait until every server has answered or failed, at most until `until` on the loop's clock."""
        with anyio.CancelScope(deadline=until):
            for stack in list(self._stacks.values()):
                await stack.pool.settled.wait()

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
        for stack in self._stacks.values():
            stack.pool.close()
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
        self._health.add(name, settings.policy.health)
        if old is None:
            self._registry.add_server(name, settings.policy)
        else:
            self._registry.set_policies(servers={name: settings.policy})
        keeps_pool = old is not None and _same_connections(old.settings, settings)
        stack = ServerStack(
            settings,
            emit=self._emit,
            rng=self._rng,
            on_listing=lambda tools: self._registry.update(name, tools, clock.now()),
            pool=old.pool if old is not None and keeps_pool else None,
        )
        self._stacks[name] = stack
        if keeps_pool:
            return
        if old is not None:
            old.pool.close()
        self._tasks.start_soon(self._run, name, stack.pool, settings.policy)

    def remove(self, name: str) -> None:
        """Take a server out. Calls under way finish within the pool's grace."""
        stack = self._stacks.pop(name, None)
        if stack is not None:
            self._registry.remove_server(name)
            self._health.remove(name)
            stack.pool.close()

    async def _run(self, name: str, pool: Pool, policy: ServerPolicy) -> None:
        """Keep one server's connections and probe them, until its pool is closed."""

        def tell_circuit(alive: bool, now: float) -> None:
            stack = self._stacks.get(name)
            if stack is not None and stack.pool is pool:
                (stack.circuit.probe_succeeded if alive else stack.circuit.probe_failed)(now)

        def recovers_in() -> float | None:
            stack = self._stacks.get(name)
            if stack is None or stack.circuit.state == "closed":
                return None
            return stack.circuit.retry_after(clock.now())

        probe = Probe(
            policy=policy.health,
            ping=pool.ping,
            recovers_in=recovers_in,
            is_ready=lambda: pool.is_ready,
            on_result=tell_circuit,
            replace=lambda: pool.replace("no sign of life for too long"),
        )
        async with anyio.create_task_group() as tasks:
            if policy.health.enabled:
                tasks.start_soon(self._health.probe, name, probe)
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
            ServerUnavailable: The server that may have it has never been reached, so nobody knows.
            CallError: As the server's stack raises.
        """
        if not call.server:
            await self._resolve(call)
        stack = self._stacks.get(call.server)
        if stack is None:
            words = f"server {call.server!r} is not configured"
            raise ToolNotFound(words, tool=call.name, server=call.server, suggestions=tuple(self._stacks))
        return await stack.send(call)

    async def _resolve(self, call: Call) -> None:
        try:
            tool = self._registry.resolve(call.name)
        except ToolNotFound:
            if not await self._heard_more(call):
                raise
            tool = self._registry.resolve(call.name)
        call.server, call.target, call.repeatable = tool.server, tool.target, tool.repeatable
        call.problems = tool.validator.problems
        if call.attempt_timeout is None:
            call.attempt_timeout = tool.policy.attempt_timeout

    async def _heard_more(self, call: Call) -> bool:
        """Wait for servers that may have the tool and have not been reached yet; whether another look is worth it.

        Raises:
            ServerUnavailable: By its prefix the tool belongs to a server that has never been reached.
        """
        named = self._registry.servers_for(call.name)
        for name in named:
            await self._stacks[name].pool.wait_ready(call)
        starting = [stack for stack in self._stacks.values() if not stack.pool.settled.is_set()]
        for stack in () if named else starting:
            await stack.pool.settled.wait()
        return bool(named or starting)


def _same_connections(old: ServerSettings, new: ServerSettings) -> bool:
    """Whether the old connections serve the new settings: only what is above the pool differs."""
    before, after = old.policy, new.policy
    return (old.endpoint, before.pool, before.health, before.era, before.refresh) == (
        new.endpoint,
        after.pool,
        after.health,
        after.era,
        after.refresh,
    )
