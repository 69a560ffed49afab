"""Opens the servers for one short command: waits until each has answered or failed, and remembers how that went."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from trunkline.cli.exits import CommandError
from trunkline.cli.progress import progress
from trunkline.config import Settings
from trunkline.errors import ConfigError
from trunkline.events import ConnectFailed, ConnectionOpened, Event
from trunkline.infrastructure import Infrastructure

__all__ = ["Opened", "Outcome", "open_all", "open_for_call"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the first try to connect to one server went."""

    server: str
    ok: bool
    seconds: float
    era: str
    tools: int
    reason: str
    """Empty where all is well."""


class Opened:
    """The infrastructure, entered, and what its servers answered."""

    def __init__(self, infra: Infrastructure, first: dict[str, Event], started: float) -> None:
        self.infra = infra
        self._first = first
        self._started = started

    def outcomes(self) -> tuple[Outcome, ...]:
        """One for each server, in the order of the configuration."""
        return tuple(self._outcome(name) for name in self.infra.settings.servers)

    def _outcome(self, name: str) -> Outcome:
        event = self._first.get(name)
        tools = sum(tool.server == name for tool in self.infra.registry.tools())
        match event:
            case ConnectionOpened():
                return Outcome(name, ok=True, seconds=event.at - self._started, era=event.era, tools=tools, reason="")
            case ConnectFailed():
                seconds, reason = event.at - self._started, event.reason
            case _:
                seconds = anyio.current_time() - self._started
                reason = f"no answer within {seconds:.1f} s"
        return Outcome(name, ok=False, seconds=seconds, era="", tools=tools, reason=reason)


@asynccontextmanager
async def open_all(settings: Settings) -> AsyncIterator[Opened]:
    """Enter the infrastructure, and wait until every server has answered, failed, or used up its connect timeout."""
    async with _open(settings) as opened:
        longest = max((server.policy.pool.connect_timeout for server in settings.servers.values()), default=0.0)
        with progress(f"connecting to {_servers(len(settings.servers))} ..."):
            await opened.infra.mcp_client.fleet.wait_settled(anyio.current_time() + longest)
        yield opened


@asynccontextmanager
async def open_for_call(settings: Settings) -> AsyncIterator[Infrastructure]:
    """Enter the infrastructure for one call, which itself waits for the server it needs."""
    async with _open(settings) as opened:
        with progress("waiting for the answer ..."):
            yield opened.infra


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[Opened]:
    # What goes wrong is told in one line of ours; a library's warnings would only say it twice.
    logging.getLogger().addHandler(logging.NullHandler())
    first: dict[str, Event] = {}

    def note(event: Event) -> None:
        if isinstance(event, ConnectionOpened | ConnectFailed):
            first.setdefault(event.server, event)

    started = anyio.current_time()
    try:
        infra = Infrastructure(settings, observers=[note])
    except ConfigError as error:
        raise CommandError(error.problems) from error
    with progress(f"connecting to {_servers(len(settings.servers))} ..."):
        await infra.__aenter__()
    try:
        yield Opened(infra, first, started)
    finally:
        await infra.aclose()


def _servers(count: int) -> str:
    return f"{count} server" if count == 1 else f"{count} servers"
