"""What servers ask, log and tell, through a gateway that runs, to the SDK's own clients of both eras."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.session import ClientRequestContext

from tests.conformance.server import configured, everything, gateway, gateway_of
from tests.resilience.gateways import entered_gateway
from tests.servers.watching import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.integration, pytest.mark.requirement("GATEWAY-FORWARD")]

ERAS = ("legacy", "2026-07-28")
STATELESS = """
[mcpServers.stateless]
url = "http://127.0.0.1:{port}/mcp"
[trunkline.servers.stateless]
era = "2026-07-28"
"""
WATCHED = "test://watched-resource"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A gateway before a server that speaks both eras, and once more where it may use one only."""
    with gateway(STATELESS) as found:
        yield found


class Host:
    """A host with a user called `name`, who enters that, and a model that says it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[str] = []
        self.logged: list[object] = []
        self.updated: list[str] = []

    async def elicit(self, _context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        self.asked.append(params.message)
        entered: dict[str, Any] = dict.fromkeys(("name", "color", "username", "email", "context"), self.name)
        return types.ElicitResult(action="accept", content=entered)

    async def sample(
        self, _context: ClientRequestContext, params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult:
        self.asked.append(str(params.messages[0].content))
        said = types.TextContent(type="text", text=f"{self.name} it is")
        return types.CreateMessageResult(role="assistant", content=said, model="test")

    async def roots(self, _context: ClientRequestContext) -> types.ListRootsResult:
        self.asked.append("roots")
        return types.ListRootsResult(roots=[types.Root.model_validate({"uri": f"file:///{self.name}"})])

    async def log(self, params: types.LoggingMessageNotificationParams) -> None:
        self.logged.append(params.data)

    async def hear(self, message: object) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            self.updated.append(str(message.params.uri))

    @asynccontextmanager
    async def connected(
        self, url: str | StdioServerParameters, era: str, **options: Any
    ) -> AsyncGenerator[Client, None]:
        able: dict[str, Any] = {
            "elicitation_callback": self.elicit,
            "sampling_callback": self.sample,
            "list_roots_callback": self.roots,
            "logging_callback": self.log,
            "message_handler": self.hear,
        }
        with anyio.fail_after(60):
            async with Client(url, mode=era, **able, **options) as client:
                yield client


def text_of(result: types.CallToolResult) -> str:
    assert not result.is_error, result.content
    (content,) = result.content
    assert isinstance(content, types.TextContent)
    return content.text


@pytest.mark.parametrize(
    ("era", "tool", "arguments"),
    [
        ("legacy", "test_elicitation", {"message": "Who are you?"}),
        ("legacy", "test_sampling", {"prompt": "Who are you?"}),
        # A client of the older era before a server of the newer one: the gateway makes the rounds.
        ("legacy", "stateless_test_input_required_result_elicitation", {}),
        ("legacy", "stateless_test_input_required_result_multi_round", {}),
        ("legacy", "stateless_test_input_required_result_list_roots", {}),
        ("2026-07-28", "test_input_required_result_elicitation", {}),
        ("2026-07-28", "test_input_required_result_sampling", {}),
        ("2026-07-28", "test_input_required_result_list_roots", {}),
        ("2026-07-28", "test_input_required_result_multi_round", {}),
    ],
)
async def test_each_user_is_asked_what_the_servers_want_to_know_for_its_own_calls(
    url: str, era: str, tool: str, arguments: dict[str, Any]
) -> None:
    hosts = [Host(name) for name in ("Ada", "Bob", "Eve")]
    answers: dict[str, str] = {}

    async def call(host: Host) -> None:
        async with host.connected(url, era) as client:
            answers[host.name] = text_of(await client.call_tool(tool, arguments))

    async with anyio.create_task_group() as tasks:
        for host in hosts:
            tasks.start_soon(call, host)
    for host in hosts:
        assert host.name in answers[host.name]
        assert not any(other.name in answers[host.name] for other in hosts if other is not host)
        assert len(host.asked) == (2 if "multi_round" in tool else 1)


async def test_a_client_that_can_be_asked_does_not_notice_that_a_server_was_restarted(tmp_path: Path) -> None:
    host, question = Host("Ada"), {"message": "Who are you?"}
    # On a busy machine a server may take longer to start than calls wait for one.
    config, port = configured(tmp_path, "[trunkline.defaults.pool]\npatience = 60.0\n")
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(everything(port, tmp_path))
        async with host.connected(second.enter_context(gateway_of(config)), "legacy") as client:
            assert "Ada" in text_of(await client.call_tool("test_elicitation", question))
            first.close()
            with everything(port, tmp_path):
                assert "Ada" in text_of(await client.call_tool("test_elicitation", question))
    assert len(host.asked) == 2


async def test_the_process_that_a_session_had_to_itself_ends_with_the_session(tmp_path: Path) -> None:
    host = Host("Ada")
    async with entered_gateway(tmp_path, "good") as running:

        def children() -> set[str]:
            # Those of every thread: which of them starts a process is asyncio's business.
            found = set[str]()
            for thread in Path(f"/proc/{running.process.pid}/task").iterdir():
                with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                    found.update((thread / "children").read_text().split())
            return found

        before = children()
        async with host.connected(f"{running.url}/mcp", "legacy") as client:
            assert text_of(await client.call_tool("good_echo", {"text": "hello"})) == "hello"
            assert len(children() - before) == 1
        # Long before it would be closed for being out of use.
        await eventually(lambda: children() == before)


async def test_a_host_that_started_the_gateway_itself_is_asked_over_its_pipe(tmp_path: Path) -> None:
    host = Host("Ada")
    config, port = configured(tmp_path)
    with everything(port, tmp_path):
        command = ["-m", "trunkline", "serve", str(config), "--stdio"]
        started = StdioServerParameters(command=sys.executable, args=command)
        async with host.connected(started, "legacy") as client:
            assert "Ada" in text_of(await client.call_tool("test_elicitation", {"message": "Who are you?"}))
    assert host.asked == ["Who are you?"]


async def test_a_server_does_not_learn_of_what_a_client_cannot_do(url: str) -> None:
    async with Client(url, mode="legacy") as client:
        with pytest.raises(MCPError, match="back-channel"):
            await client.call_tool("test_elicitation", {"message": "Who are you?"})
    async with Client(url, mode="2026-07-28") as client:
        with pytest.raises(MCPError, match="sampling is needed") as refused:
            await client.call_tool("test_missing_capability", {})
        assert refused.value.error.data == {"requiredCapabilities": {"sampling": {}}}


async def test_logs_go_to_the_session_that_wants_them_and_only_from_its_level_on(url: str) -> None:
    listening, deaf = Host("Ada"), Host("Bob")
    async with listening.connected(url, "legacy") as client, deaf.connected(url, "legacy") as other:
        await client.session.send_request(level("debug"), types.EmptyResult)
        await other.session.send_request(level("error"), types.EmptyResult)
        await client.call_tool("test_tool_with_logging", {})
        await other.call_tool("test_tool_with_logging", {})
        await eventually(lambda: len(listening.logged) == 3)
        assert deaf.logged == []
        await other.session.send_request(level("info"), types.EmptyResult)
        await other.call_tool("test_tool_with_logging", {})
        await eventually(lambda: len(deaf.logged) == 3)
        assert len(listening.logged) == 3


async def test_logs_of_the_stateless_era_go_to_whose_request_asked_for_them(url: str) -> None:
    listening, deaf = Host("Ada"), Host("Bob")

    async def call(client: Client) -> None:
        for _ in range(3):
            await client.call_tool("test_tool_with_logging", {})

    async with (
        listening.connected(url, "2026-07-28", log_level="info") as client,
        deaf.connected(url, "2026-07-28") as other,
    ):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, client)
            tasks.start_soon(call, other)
        await eventually(lambda: len(listening.logged) == 9)
        assert deaf.logged == []


def level(wanted: types.LoggingLevel) -> types.SetLevelRequest:
    return types.SetLevelRequest(params=types.SetLevelRequestParams(level=wanted))


@pytest.mark.parametrize("era", ERAS)
async def test_progress_arrives_under_the_callers_own_token(url: str, era: str) -> None:
    heard: list[tuple[float, float | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        assert message is None
        heard.append((progress, total))

    async with Host("Ada").connected(url, era) as client:
        await client.call_tool("test_tool_with_progress", {}, progress_callback=hear)
        await eventually(lambda: heard == [(0, 100), (50, 100), (100, 100)], told=lambda: heard)


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_that_its_caller_gives_up_is_cancelled_on_the_server(url: str, era: str) -> None:
    async with Host("Ada").connected(url, era) as client:

        async def told() -> list[str]:
            return text_of(await client.call_tool("test_waiting", {})).split()

        before = await told()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "test_wait", {})
            while await told() != [*before, "waits"]:  # noqa: ASYNC110 - another process
                await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()
        while await told() != [*before, "waits", "cancelled"]:  # noqa: ASYNC110 - another process
            await anyio.sleep(0.05)


async def test_arguments_that_headers_mirror_are_mirrored_upstream_too(url: str) -> None:
    # The server refuses a call whose header is missing or says something else than the argument.
    async with Host("Ada").connected(url, "2026-07-28") as client:
        await client.list_tools()
        assert text_of(await client.call_tool("test_custom_headers", {"region": "eu"})) == "region: eu"


async def test_a_prompt_may_ask_too(url: str) -> None:
    host = Host("Ada")
    async with host.connected(url, "2026-07-28") as client:
        found = await client.get_prompt("test_input_required_result_prompt")
    assert "Ada" in str(found.messages[0].content)
    assert len(host.asked) == 1


async def test_updates_of_a_resource_reach_those_who_subscribed_in_either_era(url: str) -> None:
    subscribed, other, streamed = Host("Ada"), Host("Bob"), Host("Eve")
    request = types.SubscribeRequest(params=types.SubscribeRequestParams(uri=WATCHED))
    async with (
        subscribed.connected(url, "legacy") as client,
        other.connected(url, "legacy"),
        streamed.connected(url, "2026-07-28") as third,
    ):
        await client.session.send_request(request, types.EmptyResult)
        async with third.listen(resource_subscriptions=[WATCHED]) as stream:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_touch_until, third, lambda: subscribed.updated)
                change = await anext(stream)
            assert WATCHED in repr(change)
        assert set(subscribed.updated) == {WATCHED}
        assert other.updated == []


async def test_a_subscription_outlives_its_servers_restart_and_ends_when_it_is_ended(tmp_path: Path) -> None:
    host = Host("Ada")
    params = {"uri": WATCHED}
    begin = types.SubscribeRequest(params=types.SubscribeRequestParams.model_validate(params))
    end = types.UnsubscribeRequest(params=types.UnsubscribeRequestParams.model_validate(params))
    config, port = configured(tmp_path)
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(everything(port, tmp_path))
        async with host.connected(second.enter_context(gateway_of(config)), "legacy") as client:
            await client.session.send_request(begin, types.EmptyResult)
            await _touch_until(client, lambda: host.updated)
            first.close()
            host.updated.clear()
            with everything(port, tmp_path):
                # Nobody has touched it: what may have been missed meanwhile is told of.
                await eventually(lambda: host.updated)
                host.updated.clear()
                await _touch_until(client, lambda: host.updated)
                await client.session.send_request(end, types.EmptyResult)
                await anyio.sleep(1.0)  # what is on its way arrives
                host.updated.clear()
                for _ in range(5):
                    await client.call_tool("test_update_resource", {})
                    await anyio.sleep(0.2)
                assert host.updated == []


@pytest.mark.parametrize("era", ERAS)
async def test_a_server_completes_what_a_user_begins_to_type(era: str, url: str) -> None:
    async with Client(url, mode=era) as client:
        named = next(prompt.name for prompt in (await client.list_prompts()).prompts if prompt.arguments)
        argument = {"name": "city", "value": "par"}
        found = await client.complete(types.PromptReference(type="ref/prompt", name=named), argument)
    assert found.completion.values == ["paris", "park", "party"]


async def _touch_until(client: Client, condition: Callable[[], object]) -> None:
    """Change the resource until somebody heard: subscriptions upstream take a moment, and nothing is replayed."""
    while not condition():
        await client.call_tool("test_update_resource", {})
        await anyio.sleep(0.2)


async def test_who_subscribes_to_what_is_not_there_is_told(url: str) -> None:
    request = types.SubscribeRequest(params=types.SubscribeRequestParams(uri="test://nowhere"))
    async with Host("Ada").connected(url, "legacy") as client:
        with pytest.raises(MCPError, match="no server has a resource"):
            await client.session.send_request(request, types.EmptyResult)
