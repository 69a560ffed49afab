"""Processes with a cache each, the servers they call, and a plain model of what an answer may be.

The model knows no key, no tag and no version. Every answer has a number, under which is written down who was asked, by
whom, for whom, with what and when; an answer is wrong if it was made for another question, or before something made it
invalid that its caller's process has done, or must have heard of.
"""

from __future__ import annotations

import json
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import anyio
import mcp_types
from anyio.abc import TaskGroup

from tests.resilience.cache_operations import (
    ARGUMENTS,
    PROCESSES,
    SERVERS,
    Ask,
    Fault,
    Invalidate,
    News,
    Operation,
    Pass,
)
from trunkline import HttpEndpoint
from trunkline.cache.cache_manager import CacheManager
from trunkline.cache.link_keeper import Connect
from trunkline.cache.redis_tier import RedisTier
from trunkline.caching import Caching
from trunkline.call import Call, Delivery, Service, ToolResult
from trunkline.clock import now
from trunkline.endpoint import ServerSettings
from trunkline.errors import CallError, ServerError
from trunkline.events import Event, ResourceUpdated
from trunkline.kept import Kept
from trunkline.policy import CachePolicy, CacheSettings, ListingCachePolicy, RedisPolicy, ServerPolicy, ToolPolicy
from trunkline.registry.tool_registry import ToolRegistry

__all__ = ["Surroundings", "World", "Wrong"]

TTL: Final = 5.0
JITTER: Final = 0.1
STALE: Final = 3.0
KEPT: Final = 20.0
_CLOCK: Final = 5.5
"""Seconds an answer may live longer because the shared tier's clock was set back."""
_URI: Final = "memo://page"
_TAGGED: Final = "find"
_FOREVER: Final = 100_000.0
_WRITES: Final = frozenset({"write", "retag", "wipe", "plain"})


class Wrong(AssertionError):
    """An answer that must not be."""


class Surroundings(Protocol):
    """The shared tier and the ways to it."""

    max_unsynced: float

    def way(self, number: int, rng: random.Random) -> tuple[RedisPolicy, Connect | None]:
        """How a new process with this number gets there."""
        ...

    async def meddle(self, kind: str, number: int) -> None:
        """Let something go wrong, there or on the way of one process."""
        ...

    async def heal(self) -> None:
        """All is well again."""
        ...


@dataclass(slots=True)
class Served:
    """A server as one process knows it."""

    settings: ServerSettings
    era: str = "2026-07-28"


@dataclass(slots=True, eq=False)
class Asked:
    """One time that a server was asked, and what it said."""

    ask: Ask
    question: tuple[Any, ...]
    """Everything that may make a difference, but for whom."""
    principal: str | None
    by: Process
    begun: int
    serial: int
    ended: int | None = None
    ended_at: float = 0.0
    is_public: bool = False


@dataclass(slots=True)
class Begun:
    """A call as it set out."""

    id: str
    ask: Ask
    question: tuple[Any, ...]
    principal: str | None
    moment: int
    at: float
    synced_at: float
    runs: int = 0


@dataclass(slots=True)
class Invalidated:
    """What one process has made invalid."""

    by: Process
    what: str
    covers: Callable[[Asked], bool]
    told_at: float | None = None
    """When the shared tier was seen to have heard of it."""


@dataclass(slots=True, eq=False)
class Process:
    """One incarnation of a process."""

    number: int
    cache: CacheManager
    tier: RedisTier
    registry: ToolRegistry
    served: dict[str, Served]
    caching: Caching
    kept: Kept
    schemas: dict[tuple[str, str], int] = field(default_factory=dict)
    """The version of each tool; -1 where it is gone."""
    gone: dict[tuple[str, str], int] = field(default_factory=dict)
    """The version it had last."""
    calls: int = 0
    idle: anyio.Event = field(default_factory=anyio.Event)

    @property
    def unheard(self) -> int:
        """Invalidations that the shared tier has not confirmed."""
        return len(self.tier._invalidations.outbox)

    @property
    def is_well(self) -> bool:
        """Whether it is in touch with the shared tier, and has told it everything."""
        return self.tier.is_available and not self.unheard

    def list_tools(self, server: str) -> None:
        """Take over what a server says its tools are."""
        reads, warns = (mcp_types.ToolAnnotations(read_only_hint=value) for value in (True, False))
        tools = [
            mcp_types.Tool(
                name=name,
                description=f"in its version {self.schemas.get((server, name), 0)}",
                input_schema={"type": "object"},
                annotations=warns if name == "wipe" else reads if name in ("look", "find", "shared") else None,
            )
            for name in ("look", "find", "shared", "write", "retag", "wipe", "plain")
            if self.schemas.get((server, name), 0) >= 0
        ]
        self.registry.update(server, tools, now())


class World:
    """Everything there is in one run."""

    def __init__(
        self, seed: int, surroundings: Surroundings, *, pace: float = 1.0, partition: str | None = "team"
    ) -> None:
        """`pace` scales every time that operations name: real time is expensive."""
        self.tally: Counter[str] = Counter()
        self._rng = random.Random(seed)
        self._around = surroundings
        self._pace = pace
        self._partition = partition
        self._room = self._rng.choice((4_000, 64_000_000))
        self._processes: list[Process] = []
        self._stack = AsyncExitStack()
        self._moment = 0
        self._asked: dict[int, Asked] = {}
        self._begun: dict[str, Begun] = {}
        self._invalid_at: list[int] = []
        self._invalid: list[Invalidated] = []
        self._untold: list[Invalidated] = []
        self._wrong: list[Wrong] = []
        self._versions: Counter[tuple[str, str]] = Counter()

    async def play(self, operations: Sequence[Operation]) -> Counter[str]:
        """Do all of it, then see that everything is of use again; raises `Wrong`. Returns what happened how often."""
        for number in range(PROCESSES):
            self._processes.append(await self._start(number))
        try:
            async with anyio.create_task_group() as tasks:
                for operation in operations:
                    if self._wrong:
                        break
                    await self._do(operation, tasks)
                    self._look()
            await self._settle()
        finally:
            with anyio.CancelScope(shield=True):
                for process in self._processes:
                    await self._stop(process)
        self._raise()
        return self.tally

    # ------------------------------------------------------------------------------------------------------- processes

    async def _start(self, number: int) -> Process:
        policy, connect = self._around.way(number, self._rng)
        # In half of the worlds there is room for few answers, and the shared tier is asked for most.
        settings = CacheSettings(max_bytes=self._room, partition=self._partition, redis=policy)
        tier = RedisTier(policy, namespace="n", emit=_ignore, rng=random.Random(self._rng.random()), connect=connect)
        cache = CacheManager(settings, tier=tier, rng=random.Random(self._rng.random()))
        served: dict[str, Served] = {}
        told: list[Callable[[Event], None]] = []

        def tell(event: Event) -> None:
            for each in told:
                each(event)

        registry = ToolRegistry(tools=_tools(), emit=tell)
        caching = Caching(cache, registry, served)
        told.append(caching)
        process = Process(number, cache, tier, registry, served, caching, Kept(caching))
        for server in SERVERS:
            served[server] = Served(ServerSettings(server, HttpEndpoint(f"http://{server}.test/0"), _SERVER))
            registry.add_server(server, _SERVER)
            for name in ("look", "find", "shared"):
                process.schemas[server, name] = self._versions[server, name]
            process.list_tools(server)
        await cache.start()
        process.idle.set()
        return process

    async def _stop(self, process: Process) -> None:
        with anyio.fail_after(60):
            await process.idle.wait()
        await process.cache.stop()
        self.tally.update({f"tier: {name}": count for name, count in _counts(process.tier).items()})
        for name, count in (("faults", process.cache.stats().faults), ("flights left", len(process.cache.flights))):
            self.tally[f"cache: {name}"] += count

    # ------------------------------------------------------------------------------------------------------ operations

    async def _do(self, operation: Operation, tasks: TaskGroup) -> None:
        self.tally[type(operation).__name__] += 1
        match operation:
            case Pass():
                await anyio.sleep(operation.seconds * self._pace)
            case Fault(kind="heal"):
                await self._around.heal()
            case Fault():
                await self._around.meddle(operation.kind, operation.process)
            case Invalidate():
                self._invalidate(operation)
            case News():
                await self._hear(operation)
            case Ask():
                await self._call(operation, tasks)

    def _invalidate(self, what: Invalidate) -> None:
        process, cache = self._processes[what.process], self._processes[what.process].cache
        name, arguments = f"{what.server}_{what.tool}", ARGUMENTS[what.arguments]
        match what.by:
            case "arguments":
                cache.invalidate(tool=name, arguments=arguments)
            case "tool":
                cache.invalidate(tool=name)
            case "server":
                cache.invalidate(server=what.server)
            case "tag":
                cache.invalidate(tag="t")
            case "principal":
                cache.invalidate(principal=what.principal)
            case "mine":
                cache.invalidate(server=what.server, principal=what.principal)
            case "clear":
                cache.clear()
        self._note(process, what.by, _covered(what))

    async def _hear(self, news: News) -> None:
        process, server = self._processes[news.process], news.server
        served = process.served[server]
        match news.kind:
            case "drift" | "gone" if news.tool != "page":
                known = process.schemas[server, news.tool]
                # It goes away, or comes in another version: now and then in one that was there before.
                self._versions[server, news.tool] = (self._versions[server, news.tool] + 1) % 3
                new = self._versions[server, news.tool] if news.kind == "drift" or known < 0 else -1
                process.schemas[server, news.tool] = new
                if known >= 0:
                    process.gone[server, news.tool] = known
                process.list_tools(server)
                if new != known and known >= 0:
                    tool = news.tool
                    self._note(process, news.kind, lambda asked: (asked.ask.server, asked.ask.tool) == (server, tool))
            case "resource":
                process.caching(ResourceUpdated(now(), server, None, _URI))
                self._note(process, "resource", lambda asked: (asked.ask.server, asked.ask.tool) == (server, "page"))
            case "replace":
                url = f"http://{server}.test/{self._rng.randrange(2)}"
                process.served[server] = Served(ServerSettings(server, HttpEndpoint(url), _SERVER), served.era)
                process.caching.replaced(server)
                self._note(process, "replace", lambda asked: asked.ask.server == server)
            case "era":
                served.era = "2025-11-25" if served.era == "2026-07-28" else "2026-07-28"
            case "restart":
                await self._stop(process)
                self._processes[news.process] = await self._start(news.process)

    def _note(self, process: Process, what: str, covers: Callable[[Asked], bool], *, is_own: bool = False) -> None:
        self._moment += 1
        invalidated = Invalidated(process, what, covers)
        self._invalid_at.append(self._moment)
        self._invalid.append(invalidated)
        if not is_own:
            self._untold.append(invalidated)

    def _look(self) -> None:
        """See what the shared tier has been told by now."""
        if self._untold:
            for invalidated in self._untold:
                if not invalidated.by.unheard:
                    invalidated.told_at = now()
            self._untold = [invalidated for invalidated in self._untold if invalidated.told_at is None]

    # ----------------------------------------------------------------------------------------------------------- calls

    async def _call(self, ask: Ask, tasks: TaskGroup) -> None:
        process = self._processes[ask.process]
        if not process.calls:
            process.idle = anyio.Event()
        process.calls += 1
        if not ask.is_waited_for:
            tasks.start_soon(self._called, process, ask)
            return
        with anyio.move_on_after(0.05 * self._pace):
            done = anyio.Event()

            async def until_done() -> None:
                await self._called(process, ask)
                done.set()

            tasks.start_soon(until_done)
            await done.wait()

    async def _called(self, process: Process, ask: Ask) -> None:
        try:
            with anyio.CancelScope() as scope:
                if ask.given_up is not None:
                    scope.deadline = now() + ask.given_up * self._pace
                await self._judged(process, ask)
            self.tally["given up"] += scope.cancelled_caught
        except Wrong as wrong:
            self._wrong.append(wrong)
        finally:
            process.calls -= 1
            if not process.calls:
                process.idle.set()

    async def _judged(self, process: Process, ask: Ask) -> None:
        if process.schemas.get((ask.server, ask.tool), 0) < 0:
            return  # there is no such tool at the moment
        call, begun = self._set_out(process, ask)
        self._look()
        try:
            result = await self._through(process, call)
        except CallError as error:
            self._judge_error(process, begun, error)
            return
        finally:
            is_write = ask.tool in _WRITES
            if is_write and begun.runs:
                self._note_write(process, begun)
        if is_write and (begun.runs != 1 or call.cached != "bypass"):
            raise Wrong(f"{ask} ran {begun.runs} times, {call.cached}")
        self._judge(process, begun, call, self._read(process, begun, result))
        if isinstance(result, ToolResult) and ask.tool != "shared":
            # Whoever is given it may change it.
            assert result.structured_content is not None
            result.structured_content["serial"] = -1

    def _set_out(self, process: Process, ask: Ask) -> tuple[Call, Begun]:
        self._moment += 1
        principal = self._partition if ask.principal is None else ask.principal
        name, question = str(self._moment), self._question(process, ask)
        begun = Begun(name, ask, question, principal, self._moment, now(), process.tier.synced_at)
        self._begun[name] = begun
        is_page = ask.tool == "page"
        call = Call(
            id=name,
            method="resources/read" if is_page else "tools/call",
            name=_URI if is_page else f"{ask.server}_{ask.tool}",
            arguments={} if is_page else json.loads(question[5]),
            domain="d",
            started=now(),
            deadline=now() + _FOREVER,
            progress=_unheard if ask.is_alone else None,
            cache=ask.mode,  # type: ignore[arg-type] # one of its words
            principal=ask.principal,
            server=ask.server if is_page else "",
            target=_URI if is_page else "",
        )
        return call, begun

    def _question(self, process: Process, ask: Ask) -> tuple[Any, ...]:
        served = process.served[ask.server]
        schema = process.schemas.get((ask.server, ask.tool), 0)
        if schema < 0:
            schema = process.gone[ask.server, ask.tool]
        written = "" if ask.tool == "page" else json.dumps(ARGUMENTS[ask.arguments], sort_keys=True)
        return (ask.server, ask.tool, served.settings.endpoint.identity, served.era, schema, written)

    async def _through(self, process: Process, call: Call) -> mcp_types.Result:
        """The stack, as far as the cache has a place in it."""
        origin: Service = lambda asked: self._answer(process, asked)  # noqa: E731 - a service

        async def lead(led: Call) -> mcp_types.Result:
            if led.method == "tools/call":
                tool = process.registry.resolve(led.name)
                led.server, led.target = tool.server, tool.target
            return await process.caching.layer(led, origin)

        try:
            return await process.caching.fresh(call, lead)
        except CallError as error:
            for step in process.kept.rung(call):
                # It is the answer to the question as it would be asked now: the tool may have changed meanwhile. What
                # changes while the shared tier is asked comes too late.
                begun = self._begun[call.id]
                question = self._question(process, begun.ask)
                result = await step.give(call, error)
                self.tally["kept"] += 1
                begun.question = question
                return result
            raise

    async def _answer(self, process: Process, call: Call) -> mcp_types.Result:
        """What a server says; and that it was asked is written down."""
        begun = self._begun[call.id]
        begun.runs += 1
        ask = begun.ask
        self._moment += 1
        asked = Asked(ask, begun.question, begun.principal, process, self._moment, len(self._asked))
        self._asked[asked.serial] = asked
        self.tally["origin"] += 1
        call.attempts += 1
        call.may_have_run, call.delivery = True, Delivery.UNKNOWN
        await anyio.sleep(ask.takes * self._pace)
        call.delivery = Delivery.ANSWERED
        self._moment += 1
        asked.ended, asked.ended_at = self._moment, now()
        told = json.dumps([asked.question, asked.principal])
        if ask.outcome == "raises":
            raise ServerError(f"origin {asked.serial}")
        if ask.tool == "page":
            asked.is_public = ask.server == SERVERS[1] and begun.question[3] == "2026-07-28"
            return mcp_types.ReadResourceResult(
                contents=[mcp_types.TextResourceContents(uri=_URI, text=f"{asked.serial} {told}")],
                ttl_ms=int(1000 * TTL * self._pace),
                cache_scope="public" if asked.is_public else "private",
                _meta={"cache_hint": "no-cache"} if ask.outcome == "no_cache" else None,
            )
        return ToolResult(
            content=[mcp_types.TextContent(type="text", text=told)],
            structured_content={"serial": asked.serial},
            is_error=ask.outcome == "is_error",
            _meta={"cache_hint": "no-cache"} if ask.outcome == "no_cache" else None,
        )

    # ----------------------------------------------------------------------------------------------------------- model

    def _read(self, process: Process, begun: Begun, result: mcp_types.Result) -> Asked:
        if isinstance(result, mcp_types.ReadResourceResult):
            (content,) = result.contents
            assert isinstance(content, mcp_types.TextResourceContents)
            serial, _, told = content.text.partition(" ")
        else:
            assert isinstance(result, ToolResult)
            (text,) = result.content
            assert isinstance(text, mcp_types.TextContent)
            assert result.structured_content is not None
            serial, told = str(result.structured_content.get("serial")), text.text
        asked = self._asked.get(int(serial)) if serial.isdecimal() else None
        if asked is None or told != json.dumps([asked.question, asked.principal]):
            raise Wrong(f"process {process.number} was given what nobody said, to {begun.ask}")
        return asked

    def _judge_error(self, process: Process, begun: Begun, error: CallError) -> None:
        self.tally["errors"] += 1
        word, _, serial = str(error).partition(" ")
        asked = self._asked.get(int(serial)) if word == "origin" else None
        if asked is None:
            raise Wrong(f"process {process.number} was told {error!r}, which no server said, to {begun.ask}")
        if asked.question != begun.question or asked.principal != begun.principal:
            raise Wrong(f"{begun.ask} was given the error of {asked.ask}")
        self._judge_unkept(begun, asked)

    def _judge_unkept(self, begun: Begun, asked: Asked) -> None:
        """What may not be kept comes from a call that was under way."""
        if asked.ended is None or asked.ended < begun.moment:
            raise Wrong(f"{begun.ask} was given what was not to be kept, of {asked.ask}")

    def _judge(self, process: Process, begun: Begun, call: Call, asked: Asked) -> None:
        ask = begun.ask
        self.tally[call.cached] += 1
        if asked.question != begun.question:
            raise Wrong(f"{ask} was given the answer to {asked.ask}: {asked.question} instead of {begun.question}")
        if asked.principal != begun.principal and not asked.is_public:
            raise Wrong(f"{ask} was given what was said to {asked.principal}")
        if asked.ask.outcome != "ok" and (ask.tool != "page" or asked.ask.outcome == "no_cache"):
            self._judge_unkept(begun, asked)
        if asked.ask is ask:
            return
        if asked.by is not process:
            self.tally["from another process"] += 1
            if asked.principal is None and not asked.is_public:
                raise Wrong(f"{ask} was given what was said to nobody in particular in another process")
        if ask.mode != "use" or asked.ask.mode == "bypass":
            raise Wrong(f"{ask} was given the answer to {asked.ask}")
        if ask.is_alone and call.cached == "coalesced":
            raise Wrong(f"{ask} waited for another call")
        longest = (TTL * (1 + JITTER) + STALE + KEPT) * self._pace + _CLOCK
        if asked.ended is not None and begun.at - asked.ended_at > longest:
            raise Wrong(f"{ask} was given an answer from {begun.at - asked.ended_at:.3f} s before")
        self._judge_invalidated(process, begun, asked)

    def _judge_invalidated(self, process: Process, begun: Begun, asked: Asked) -> None:
        first, last = (bisect_left(self._invalid_at, moment) for moment in (asked.begun, begun.moment))
        for place in range(first, last):
            invalid = self._invalid[place]
            if not invalid.covers(asked):
                continue
            if invalid.by is process:
                raise Wrong(f"{begun.ask} was given what its process had invalidated ({invalid.what}): {asked.ask}")
            self.tally["not heard of yet"] += 1
            if invalid.told_at is None:
                continue
            if begun.synced_at > invalid.told_at:
                raise Wrong(f"{begun.ask} was given what its process had heard to be invalid ({invalid.what})")
            if begun.at - invalid.told_at > self._around.max_unsynced:
                late = begun.at - invalid.told_at
                raise Wrong(f"{begun.ask} was given what had been invalid ({invalid.what}) for {late:.3f} s")

    def _note_write(self, process: Process, begun: Begun) -> None:
        ask, principal = begun.ask, begun.principal
        if ask.tool == "retag":
            self._note(process, "retag", lambda asked: asked.ask.tool == _TAGGED)
        else:
            self._note(
                process,
                ask.tool,
                lambda asked: (asked.ask.server, asked.principal) == (ask.server, principal) and not asked.is_public,
                is_own=principal is None,  # what is told to nobody in particular never leaves its process
            )

    def _raise(self) -> None:
        if self._wrong:
            raise self._wrong[0]

    # ------------------------------------------------------------------------------------------------------ afterwards

    async def _settle(self) -> None:
        """When nothing is wrong any more, what one process asked for, the others have from the shared tier."""
        self._raise()
        await self._around.heal()
        end = now() + 60
        while True:
            missing = [found for found in [await self._shares(server) for server in SERVERS] if found]
            missing += [repr(process.tier) for process in self._processes if not process.is_well]
            self._raise()
            if not missing:
                break
            if now() > end:
                raise Wrong(f"nothing is wrong any more, and still processes do not share: {missing}")
            await anyio.sleep(max(0.2, self._pace))

    async def _shares(self, server: str) -> str:
        """What each process is given for the same question: one of them asks, the others find it."""
        for process in self._processes:
            served = Served(ServerSettings(server, HttpEndpoint(f"http://{server}.test/0"), _SERVER))
            if process.served[server] != served:
                process.served[server] = served
            if process.schemas[server, "look"] != 0:
                process.schemas[server, "look"] = 0
                process.list_tools(server)
        outcomes = []
        for process in self._processes:
            ask = Ask(process.number, server, "look", "ann", 1, "use", 0.0, "ok", None, False, True)
            before = self.tally["origin"]
            await self._judged(process, ask)
            outcomes.append(self.tally["origin"] - before)
            await anyio.sleep(0.02)
        return "" if outcomes[1:] == [0] * (PROCESSES - 1) else f"{server}: {outcomes} calls"


def _covered(what: Invalidate) -> Callable[[Asked], bool]:
    arguments = json.dumps(ARGUMENTS[what.arguments], sort_keys=True)

    def covers(asked: Asked) -> bool:
        ask = asked.ask
        is_tool = (ask.server, ask.tool) == (what.server, what.tool)
        is_whose = asked.principal == what.principal and not asked.is_public
        return {
            "arguments": is_tool and asked.question[5] == arguments,
            "tool": is_tool,
            "server": ask.server == what.server,
            "tag": ask.tool == _TAGGED,
            "principal": is_whose,
            "mine": is_whose and ask.server == what.server,
            "clear": True,
        }[what.by]

    return covers


def _tools() -> dict[str, ToolPolicy]:
    kept = CachePolicy(ttl=TTL, stale=STALE, stale_if_error=KEPT, jitter=JITTER, recheck=2.0)
    policies = {
        "look": replace(kept, early=1.0),
        "find": replace(kept, tags=("t",), soft_timeout=0.05),
        "shared": replace(kept, copy="shared", lease=1.0),
        "wipe": kept,
        "retag": CachePolicy(invalidates=("t",)),
    }
    return {f"{server}_{name}": ToolPolicy(cache=policy) for server in SERVERS for name, policy in policies.items()}


_SERVER: Final = ServerPolicy(
    trust_annotations=True,
    listings=ListingCachePolicy(stale=STALE, stale_if_error=KEPT, share_public=True),
)


def _counts(tier: RedisTier) -> dict[str, int]:
    told = tier.statistics()
    return {
        "found": told.found,
        "outdated": told.outdated,
        "seeded": told.seeded,
        "gaps": told.backplane.gaps,
        "messages": told.backplane.messages,
        **{f"damaged {kind}": count for kind, count in told.damaged.items()},
        **{f"fault {kind}": count for kind, count in told.client.faults.items()},
    }


def _ignore(_event: Event) -> None:
    """Tell nobody."""


async def _unheard(progress: float, total: float | None, message: str | None) -> None:
    """Hear nothing."""
