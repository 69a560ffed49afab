"""The client that the conformance harnesses test: `conformance_client.py URL`, with the scenario in the environment.

Everything goes through `EnhancedMCPClient`. It lists the tools and calls each of them, which is what most scenarios
want; credentials are those that `MCP_CONFORMANCE_CONTEXT` gives, or a person's, who logs in.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp_types as types

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # started by its path, from anywhere

from tests.conformance.person import Answers, logging_in, sample
from trunkline import CallError, ClientCredentials, EnhancedMCPClient, HttpEndpoint, ServerPolicy, ServerSettings
from trunkline.events import ConnectFailed, ConnectionOpened, Event
from trunkline.exchange import Exchange, InputRequired
from trunkline.policy import Era, HealthPolicy, PoolPolicy

PATIENCE = 50.0
"""Seconds; the harness gives a scenario no more than 60."""
ROUNDS = 10


def credentials_for(scenario: str, url: str, context: Mapping[str, Any]) -> ClientCredentials | httpx2.Auth | None:
    """How requests are authorised in a scenario."""
    match scenario:
        case "auth/client-credentials-basic":
            return ClientCredentials(context["client_id"], context["client_secret"])
        case "auth/client-credentials-jwt":
            key, algorithm = context["private_key_pem"], context["signing_algorithm"]
            return ClientCredentials(context["client_id"], private_key=key, algorithm=algorithm)
        case _ if scenario.startswith("auth/"):
            return logging_in(url, context)
        case _:
            return None


def calls_for(tools: Sequence[types.Tool], context: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What is called: what the scenario says, or everything."""
    if "toolCalls" in context:
        # Null is of no type that these schemas allow, so it would not be sent: such an argument is left out.
        return [
            (told["name"], {key: value for key, value in told["arguments"].items() if value is not None})
            for told in context["toolCalls"]
        ]
    schemas = {tool.name: tool.input_schema for tool in tools}
    return [
        (name, {"schema": schemas["json_schema_2020_12_tool"]} if name == "json_schema_echo" else sample(schema))
        for name, schema in schemas.items()
    ]


async def call(client: EnhancedMCPClient, name: str, arguments: dict[str, Any]) -> None:
    """Call a tool in as many rounds as it takes; what comes of it is the harness's to judge."""
    person, responses, state = Answers(), None, None
    for _ in range(ROUNDS):
        try:
            await client.for_exchange(Exchange(person, responses, state)).call_tool(name, arguments)
        except InputRequired as required:
            asked = required.result.input_requests or {}
            responses = {key: await person.ask(request) for key, request in asked.items()}
            state = required.result.request_state
        except CallError as error:
            sys.stderr.write(f"{name}: {error}\n")
            return
        else:
            return


async def main(url: str, scenario: str, context: Mapping[str, Any], era: Era) -> None:
    """Play one scenario."""
    first, settled = list[Event](), anyio.Event()

    def note(event: Event) -> None:
        if isinstance(event, ConnectFailed | ConnectionOpened):
            first.append(event)
            settled.set()

    policy = ServerPolicy(
        prefix="",
        era=era,
        timeout=PATIENCE,
        attempt_timeout=PATIENCE / 2,
        pool=PoolPolicy(connect_timeout=PATIENCE),
        health=HealthPolicy(enabled=False),  # nobody else asks the server anything
    )
    endpoint = HttpEndpoint(url, auth=credentials_for(scenario, url, context))
    async with EnhancedMCPClient([ServerSettings("tested", endpoint, policy)], observers=[note]) as client:
        with anyio.fail_after(PATIENCE):
            await settled.wait()
        if isinstance(first[0], ConnectFailed):
            raise SystemExit(f"not connected: {first[0].reason}")
        tools: list[types.Tool] = (await client.list_tools()).tools
        for name, arguments in calls_for(tools, context):
            await call(client, name, arguments)


if __name__ == "__main__":
    spoken = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION")
    anyio.run(
        main,
        sys.argv[-1],
        os.environ.get("MCP_CONFORMANCE_SCENARIO", ""),
        json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}")),
        "2026-07-28"
        if spoken == "2026-07-28"
        else "2025-11-25",  # the stable suite knows only that one, and says nothing
    )
