"""The MCP server in front of all configured servers: every request goes through the client's stack.

Speaks both eras over whatever transport it is run on. What a caller sends beside a call's name and arguments (HTTP
headers, `_meta`) stays here; its trace context leads to the spans made here, and those go upstream.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cached_property
from typing import Any

import mcp_types as types
from mcp.server import Server
from mcp.server.lowlevel import NotificationOptions
from mcp.server.models import InitializationOptions
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager

from trunkline.gateway.admission import Admission
from trunkline.gateway.announcements import Announcements
from trunkline.gateway.direct_calls import DirectCalls
from trunkline.gateway.endings import Endings
from trunkline.gateway.intake import Intake
from trunkline.gateway.peers import Levels
from trunkline.gateway.requests import Requests, answered
from trunkline.gateway.sealing import sealed
from trunkline.gateway.serving import told
from trunkline.gateway.sessions import DirectSessions
from trunkline.gateway.tracing import traced
from trunkline.gateway.updates import Updates
from trunkline.infrastructure import Infrastructure
from trunkline.version import VERSION

__all__ = ["GatewayServer", "build_server", "http_endpoint"]


class GatewayServer(Server[None]):
    """An SDK server that announces changes of all its listings, in both eras."""

    announcements: Announcements
    sessions: DirectSessions

    @cached_property
    def _stamp(self) -> Mapping[str, Any]:
        return self.server_info.model_dump(by_alias=True, mode="json", exclude_none=True)

    @property
    def server_info_stamp(self) -> dict[str, Any]:
        """Who this is, as every answer says it in 2026-07-28."""
        # All of it is text, so that a copy is one; the SDK's, which goes all the way down, is a fiftieth of a call.
        return dict(self._stamp)

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """Return what a handshake is answered with; changes are announced unless the options say otherwise."""
        announced = NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True)
        return super().create_initialization_options(
            notification_options or announced, experimental_capabilities, extensions
        )


def build_server(infra: Infrastructure) -> GatewayServer:
    """Return the MCP server for `infra`, which whoever runs it has entered or is entering.

    Errors of ours reach the caller as `codes` says; arguments that do not fit are a result with `is_error`.
    """
    sessions = infra.settings.gateway.limits.sessions
    announcements = Announcements(infra.registry, sessions=sessions)
    updates = Updates(infra, announcements)
    levels = Levels(sessions=sessions)
    requests = Requests(infra, levels)

    @asynccontextmanager
    async def lifespan(_server: Server[None]) -> AsyncIterator[None]:
        async with announcements.running(), updates.running():
            yield

    def input_schema(name: str) -> Mapping[str, Any] | None:
        tool = infra.registry.get(name)
        # It is read for what it says of headers, from one end to the other at each call.
        return tool.definition.input_schema if tool is not None and tool.mirrors_arguments else None

    server = GatewayServer(
        "trunkline",
        version=VERSION,
        title="Trunkline",
        instructions="Tools of several servers behind one. A tool's name begins with the name of its server.",
        lifespan=lifespan,
        get_tool_input_schema=input_schema,
        on_list_tools=answered(requests.list_tools),
        on_call_tool=answered(requests.call_tool),
        on_list_resources=answered(requests.list_resources),
        on_list_resource_templates=answered(requests.list_templates),
        on_read_resource=answered(requests.read_resource),
        on_list_prompts=answered(requests.list_prompts),
        on_get_prompt=answered(requests.get_prompt),
        on_completion=answered(requests.complete),
        on_subscribe_resource=answered(updates.subscribe),
        on_unsubscribe_resource=answered(updates.unsubscribe),
        on_subscriptions_listen=answered(updates.listen),
    )
    # Not by the constructor, which warns that later revisions have no such request.
    server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, levels.set_level)
    server.announcements = announcements
    server.sessions = DirectSessions(sessions=sessions, idle=infra.settings.gateway.limits.session_idle)
    server.middleware[:] = [
        traced(infra.telemetry.tracer),
        told(infra.bus.emit, infra.registry),
        announcements.remember,
        server.sessions.remember,
        sealed(lambda: infra.settings.gateway),
    ]
    return server


def http_endpoint(
    server: GatewayServer, infra: Infrastructure
) -> tuple[Callable[[], AbstractAsyncContextManager[None]], Admission, Intake]:
    """Return the server over HTTP, both eras at one address: what must run beside it, its door, the ASGI application.

    Host and Origin are not checked here, nor a request's size: that is done for every route.
    """
    limits = infra.settings.gateway.limits

    def release(session: str) -> None:
        server.sessions.forget(session)
        for stack in infra.mcp_client.fleet.stacks.values():
            stack.release(session)

    manager = StreamableHTTPSessionManager(
        server,
        session_idle_timeout=limits.session_idle,
        max_request_body_size=sys.maxsize,
        max_sessions=limits.sessions,
    )

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        async with manager.run(), admission.exchanges.running():
            yield

    endings = Endings(StreamableHTTPASGIApp(manager), release)
    admission = Admission(endings)
    return running, admission, Intake(DirectCalls(admission, server, server.sessions))
