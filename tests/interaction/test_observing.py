"""Every call ends in one pair of events, whatever happens; whoever watches changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import mcp_types as types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.interaction.worlds import ONCE, World, error_of, world
from trunkline import (
    BreakerPolicy,
    BulkheadPolicy,
    CallError,
    EnhancedMCPClient,
    Infrastructure,
    MetricsCollector,
    ToolNotFound,
)
from trunkline.bus import EventBus
from trunkline.call import CURRENT_DOMAIN
from trunkline.config.settings import Settings
from trunkline.endpoint import InProcessEndpoint, ServerSettings
from trunkline.events import AttemptFinished, CallFinished, CallStarted, Event, ObserverFailed
from trunkline.policy import Era
from trunkline.testing.scripted_server import ScriptedServer, fail, hang, refuse, slow

pytestmark = pytest.mark.anyio


def pairs_up(events: list[Event]) -> bool:
    """Whether each call started once and finished once, in this order, and nothing finished that never started."""
    under_way: set[str] = set()
    seen: set[str] = set()
    for event in events:
        if isinstance(event, CallStarted):
            if event.call_id in seen:
                return False
            seen.add(event.call_id)
            under_way.add(event.call_id)
        elif isinstance(event, CallFinished):
            if event.call_id not in under_way:
                return False
            under_way.remove(event.call_id)
    return not under_way


async def succeeds(here: World) -> None:
    await here.client.call_tool("s_read")


async def fails_as_a_tool(here: World) -> None:
    here.server.steps.append(fail)
    await here.client.call_tool("s_read")


async def is_refused(here: World) -> None:
    here.server.steps.append(refuse(-32050))
    await here.client.call_tool("s_read")


async def times_out(here: World) -> None:
    here.server.steps.append(hang)
    await here.client.call_tool("s_read", None, 1.0)


async def passes_its_deadline(here: World) -> None:
    here.server.steps.append(hang)
    await here.client.call_tool("s_read", timeout=1.0)


async def is_cancelled(here: World) -> None:
    here.server.steps.append(hang)
    with anyio.move_on_after(1.0):
        await here.client.call_tool("s_read")


async def has_wrong_arguments(here: World) -> None:
    await here.client.call_tool("s_read", {"n": "three"})


async def names_no_tool(here: World) -> None:
    await here.client.call_tool("s_raed")


async def meets_an_open_circuit(here: World) -> None:
    here.replica.circuit.force_open(anyio.current_time())
    try:
        await here.client.call_tool("s_read")
    finally:
        here.replica.circuit.force_closed(anyio.current_time())


async def meets_a_full_bulkhead(here: World) -> None:
    here.server.steps.append(slow(1.0))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(here.client.call_tool, "s_read")
        await anyio.sleep(0.1)
        with suppress(CallError):
            await here.client.call_tool("s_read")


ENDINGS: list[tuple[Callable[[World], Awaitable[None]], list[str]]] = [
    (succeeds, ["ok"]),
    (fails_as_a_tool, ["tool_error"]),
    (is_refused, ["ServerError"]),
    (times_out, ["AttemptTimeout"]),
    (passes_its_deadline, ["DeadlineExceeded"]),
    (is_cancelled, ["cancelled"]),
    (has_wrong_arguments, ["InvalidArguments"]),
    (names_no_tool, ["ToolNotFound"]),
    (meets_an_open_circuit, ["CircuitOpen"]),
    (meets_a_full_bulkhead, ["BulkheadFull", "ok"]),
]


@pytest.mark.requirement("INV-1", "SEED-OBS-1")
@pytest.mark.parametrize(("ending", "outcomes"), ENDINGS, ids=[ending.__name__ for ending, _ in ENDINGS])
async def test_a_call_is_one_start_and_one_finish_however_it_ends(
    era: Era, ending: Callable[[World], Awaitable[None]], outcomes: list[str]
) -> None:
    bulkhead = BulkheadPolicy(limit=1, waiting=0)
    async with world(ScriptedServer(), era, retry=ONCE, bulkhead=bulkhead) as here:
        with suppress(CallError):
            await ending(here)
        assert pairs_up(here.events)
        assert [event.outcome for event in here.told(CallFinished)] == outcomes


@pytest.mark.requirement("INV-1")
async def test_a_bug_below_the_client_is_told_and_raised_as_it_is(monkeypatch: pytest.MonkeyPatch, era: Era) -> None:
    async with world(ScriptedServer(), era) as here:

        def broken(_name: str) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(here.client.registry, "resolve", broken)
        with pytest.raises(ZeroDivisionError):
            await here.client.call_tool("s_read")
        assert pairs_up(here.events)
        assert [event.outcome for event in here.told(CallFinished)] == ["ZeroDivisionError"]


WAYS: dict[str, Callable[[EnhancedMCPClient], Awaitable[object]]] = {
    "tools/call": lambda client: client.call_tool("s_read"),
    "resources/list": lambda client: client.list_resources(),
    "resources/templates/list": lambda client: client.list_resource_templates(),
    "resources/read": lambda client: client.read_resource("memo://one"),
    "prompts/list": lambda client: client.list_prompts(),
    "prompts/get": lambda client: client.get_prompt("s_greet"),
    "completion/complete": lambda client: client.complete(
        types.PromptReference(name="s_greet"), {"name": "who", "value": ""}
    ),
}


def full_server() -> ScriptedServer:
    """A server that has one of everything."""
    server = ScriptedServer()

    async def resources(_context: object, _params: object) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=[types.Resource(name="one", uri="memo://one")])

    async def templates(_context: object, _params: object) -> types.ListResourceTemplatesResult:
        found = types.ResourceTemplate(name="any", uri_template="memo://{name}")
        return types.ListResourceTemplatesResult(resource_templates=[found])

    async def read(_context: object, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        return types.ReadResourceResult(contents=[types.TextResourceContents(uri=str(params.uri), text="memo")])

    async def prompts(_context: object, _params: object) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=[types.Prompt(name="greet")])

    async def prompt(_context: object, _params: object) -> types.GetPromptResult:
        said = types.PromptMessage(role="user", content=types.TextContent(text="hello"))
        return types.GetPromptResult(messages=[said])

    async def complete(_context: object, _params: object) -> types.CompleteResult:
        return types.CompleteResult(completion=types.Completion(values=["world"]))

    server.add_request_handler("resources/list", types.PaginatedRequestParams, resources)
    server.add_request_handler("resources/templates/list", types.PaginatedRequestParams, templates)
    server.add_request_handler("resources/read", types.ReadResourceRequestParams, read)
    server.add_request_handler("prompts/list", types.PaginatedRequestParams, prompts)
    server.add_request_handler("prompts/get", types.GetPromptRequestParams, prompt)
    server.add_request_handler("completion/complete", types.CompleteRequestParams, complete)
    return server


@pytest.mark.requirement("INV-1", "SEED-OBS-1")
@pytest.mark.parametrize("method", WAYS)
async def test_every_public_way_to_call_passes_the_clients_stack(era: Era, method: str) -> None:
    async with world(full_server(), era) as here:
        await WAYS[method](here.client)
        assert pairs_up(here.events)
        finished = here.told(CallFinished)
        assert method in [event.method for event in finished]
        assert {event.outcome for event in finished} == {"ok"}
        assert len(here.told(AttemptFinished)) == len(finished)


async def test_the_client_has_no_public_way_to_call_that_is_not_shown_here() -> None:
    named = {"call_tool", "list_resources", "list_resource_templates", "read_resource", "list_prompts", "get_prompt"}
    quiet = {"list_tools", "for_domain", "for_principal", "for_exchange", "health", "apply", "aclose", "complete"}
    quiet |= {"watch_resource"}
    methods = {name for name, found in vars(EnhancedMCPClient).items() if callable(found) and name[0] != "_"}
    assert methods == named | quiet


@pytest.mark.requirement("INV-4")
async def test_an_observer_that_raises_changes_no_call_and_is_counted_and_announced_once(era: Era) -> None:
    async with world(ScriptedServer(), era) as here:

        def careless(event: Event) -> None:
            if type(event) in (CallStarted, CallFinished, ObserverFailed):
                raise LookupError

        here.client.bus.subscribe(careless)
        late: list[Event] = []
        here.client.bus.subscribe(late.append)
        for _ in range(10):
            result = await here.client.call_tool("s_read")
            assert not result.is_error
        assert [event.error for event in here.told(ObserverFailed)] == ["LookupError"]
        assert sum(here.client.bus.failures.values()) == 21
        assert pairs_up(late)
        assert sum(isinstance(event, CallFinished) for event in late) == 10


async def test_calls_inside_a_tracked_operation_inherit_its_domain(era: Era) -> None:
    metrics = MetricsCollector()
    async with world(ScriptedServer(), era) as here:
        metrics.watch(here.client.bus)
        async with metrics.track("speech", "transcribe"):
            await here.client.call_tool("s_read")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(here.client.call_tool, "s_read")
        await here.client.call_tool("s_read")
        assert [event.domain for event in here.told(CallFinished)] == ["speech", "speech", "unattributed"]
        assert {event.domain for event in here.told(AttemptFinished)} == {"speech", "unattributed"}
        assert metrics.domain("speech").requests == 1
        assert metrics.domain("unattributed").requests == 1


async def test_two_tasks_in_two_domains_do_not_mix_them(era: Era) -> None:
    metrics = MetricsCollector()
    async with world(ScriptedServer(*[slow(1.0)] * 6), era) as here:

        async def work(domain: str) -> None:
            async with metrics.track(domain, "work"):
                for _ in range(3):
                    result = await here.client.call_tool("s_read", meta={"domain": domain})
                    assert CURRENT_DOMAIN.get() == domain
                    assert not result.is_error

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work, "chat")
            tasks.start_soon(work, "speech")
        domains = [event.domain for event in here.told(CallFinished)]
        assert sorted(domains) == ["chat"] * 3 + ["speech"] * 3
        assert CURRENT_DOMAIN.get() is None


async def test_a_named_domain_beats_the_bound_one_and_that_beats_the_enclosing_one(era: Era) -> None:
    metrics = MetricsCollector()
    async with world(ScriptedServer(), era) as here:
        bound = here.client.for_domain("bound")
        await bound.call_tool("s_read")
        async with metrics.track("enclosing", "work"):
            await bound.call_tool("s_read")
            await here.client.call_tool("s_read")
            await bound.call_tool("s_read", domain="named")
        assert [event.domain for event in here.told(CallFinished)] == ["bound", "bound", "enclosing", "named"]


@pytest.mark.requirement("INV-2", "SEED-METRICS-1")
@given(
    plan=st.lists(
        st.tuples(
            st.sampled_from(["s_read", "s_write", "nowhere"]),
            st.sampled_from([None, "chat", "speech"]),
            st.sampled_from(["ok", "tool", "refused"]),
        ),
        max_size=20,
    )
)
def test_every_domain_request_is_recorded_the_unattributed_ones_too(
    plan: list[tuple[str, str | None, str]],
) -> None:
    metrics = MetricsCollector()

    async def play() -> None:
        async with world(ScriptedServer(), "2026-07-28", breaker=BreakerPolicy(enabled=False)) as here:
            metrics.watch(here.client.bus)
            for name, domain, ending in plan:
                here.server.steps.clear()
                if ending != "ok":
                    here.server.steps.append(fail if ending == "tool" else refuse(-32050))
                with suppress(CallError):
                    await here.client.call_tool(name, domain=domain)

    anyio.run(play)
    for domain in ("chat", "speech", "unattributed"):
        mine = [(name, ending) for name, chosen, ending in plan if (chosen or "unattributed") == domain]
        assert metrics.domain(domain).requests == len(mine)
        bad = [name for name, ending in mine if name == "nowhere" or ending != "ok"]
        assert metrics.domain(domain).errors == len(bad)


@pytest.mark.requirement("SEED-DI-1")
async def test_a_domain_service_gets_everything_through_its_constructor(era: Era) -> None:
    class AudioProcessor:
        def __init__(self, mcp_client: EnhancedMCPClient, metrics: MetricsCollector) -> None:
            self.mcp_client = mcp_client
            self.metrics = metrics

        async def transcribe(self) -> bool:
            async with self.metrics.track("speech", "transcribe"):
                result = await self.mcp_client.call_tool("s_read", timeout=20)
            return not result.provenance.degraded

    async with world(ScriptedServer(), era) as here:
        metrics = MetricsCollector()
        metrics.watch(here.client.bus)
        assert await AudioProcessor(here.client, metrics).transcribe()
        assert metrics.domain("speech").requests == 1


@pytest.mark.requirement("SEED-PURPOSE-1", "SEED-DI-1")
async def test_two_infrastructures_share_nothing() -> None:
    def settings(server: ScriptedServer) -> Settings:
        return Settings("test", servers={"s": ServerSettings("s", InProcessEndpoint(server))})

    async with Infrastructure(settings(ScriptedServer())) as one, Infrastructure(settings(ScriptedServer())) as two:
        await one.mcp_client.call_tool("s_read", domain="chat")
        assert one.metrics.domain("chat").requests == 1
        assert two.metrics.domain("chat").requests == 0
        assert one.bus is not two.bus
        assert one.registry is not two.registry
        assert one.health is not two.health


async def test_an_attempt_tells_its_timeout_from_its_callers_change_of_mind(era: Era) -> None:
    async with world(ScriptedServer(*[hang] * 4), era, retry=ONCE, attempt_timeout=5.0) as here:
        with anyio.move_on_after(1.0):
            await here.client.call_tool("s_read")
        with suppress(CallError):
            await here.client.call_tool("s_read")
        with suppress(CallError):
            await here.client.call_tool("s_read", timeout=1.0)
        assert [event.outcome for event in here.told(AttemptFinished)] == ["cancelled", "timeout", "timeout"]


async def test_callers_that_change_their_minds_are_no_sign_of_ill_health(era: Era) -> None:
    async with world(ScriptedServer(*[hang] * 5), era) as here:
        for _ in range(5):
            with anyio.move_on_after(1.0):
                await here.client.call_tool("s_read")
        assert here.client.health().state == "healthy"


async def test_an_unknown_tool_names_the_nearest_ones(era: Era) -> None:
    async with world(ScriptedServer(), era) as here:
        error = await error_of(here.client.call_tool("s_raed"), ToolNotFound)
        assert "s_read" in error.suggestions


async def test_one_bus_may_serve_two_clients() -> None:
    bus = EventBus()
    events: list[Event] = []
    bus.subscribe(events.append)
    one = EnhancedMCPClient({"a": InProcessEndpoint(ScriptedServer())}, bus=bus)
    two = EnhancedMCPClient({"b": InProcessEndpoint(ScriptedServer())}, bus=bus)
    async with one, two:
        await one.call_tool("a_read")
        await two.call_tool("b_read")
    assert pairs_up(events)
    assert [event.server for event in events if isinstance(event, CallFinished)] == ["a", "b"]
