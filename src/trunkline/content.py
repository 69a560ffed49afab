"""Prompts, resources and completions of all servers: the client's other half, over the same stack as tools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

import anyio
import mcp_types as types

from trunkline.call import Method
from trunkline.errors import CallError, ToolNotFound
from trunkline.exchange import InputRequired
from trunkline.fleet import Fleet
from trunkline.registry.catalogue import Catalogue

__all__ = ["Ask", "Content", "expect"]

ResultT = TypeVar("ResultT", bound=types.Result)


class Ask(Protocol):
    """Makes one call to one server through the whole stack."""

    def __call__(
        self, method: Method, server: str, target: str, arguments: dict[str, Any] | None = None
    ) -> Awaitable[types.Result]:
        """Ask `server` for `target`, its own name for a thing."""
        ...


class Content:
    """Finds the server of a prompt or resource, and asks it. Listings leave out servers that cannot be reached."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._catalogue = Catalogue()

    async def list_prompts(self, ask: Ask) -> types.ListPromptsResult:
        """Every prompt of every server that has any, under the names callers use."""
        pages = await self._on_all("prompts/list", types.ListPromptsResult, ask, lambda can: can.prompts is not None)
        prompts = [
            prompt
            for server, page in pages.items()
            for prompt in self._catalogue.learn_prompts(server, self._prefix(server), page.prompts)
        ]
        return types.ListPromptsResult(prompts=prompts)

    async def list_resources(self, ask: Ask) -> types.ListResourcesResult:
        """Every resource of every server that has any."""
        pages = await self._on_all("resources/list", types.ListResourcesResult, ask, _has_resources)
        for server, page in pages.items():
            self._catalogue.learn_resources(server, page.resources)
        return types.ListResourcesResult(resources=[item for page in pages.values() for item in page.resources])

    async def list_templates(self, ask: Ask) -> types.ListResourceTemplatesResult:
        """Every resource template of every server that has any."""
        method: Method = "resources/templates/list"
        pages = await self._on_all(method, types.ListResourceTemplatesResult, ask, _has_resources)
        for server, page in pages.items():
            self._catalogue.learn_templates(server, page.resource_templates)
        templates = [item for page in pages.values() for item in page.resource_templates]
        return types.ListResourceTemplatesResult(resource_templates=templates)

    async def find_prompt(self, name: str, ask: Ask) -> tuple[str, str]:
        """The server of a prompt and its own name for it; asks the servers when it is not known yet."""
        place = self._catalogue.prompt(name)
        if place is None or place[0] not in self._fleet.stacks:  # remembered of a server that was removed since
            await self.list_prompts(ask)
            place = self._catalogue.prompt(name)
        if place is None:
            words = f"no server has a prompt {name!r}"
            raise ToolNotFound(words, tool=name)
        return place

    async def find_resource(self, uri: str, ask: Ask) -> str:
        """The server of a resource; asks the servers when it is not known yet."""
        server = self._catalogue.resource(uri)
        if server is None or server not in self._fleet.stacks:
            await self.list_resources(ask)
            await self.list_templates(ask)
            server = self._catalogue.resource(uri)
        if server is None:
            words = f"no server has a resource {uri!r}"
            raise ToolNotFound(words, tool=uri)
        return server

    def _prefix(self, server: str) -> str | None:
        return self._fleet.stacks[server].settings.policy.prefix

    async def _on_all(
        self, method: Method, kind: type[ResultT], ask: Ask, is_able: Callable[[types.ServerCapabilities], bool]
    ) -> Mapping[str, ResultT]:
        """Ask every able server at once; answers in the order of configuration."""
        found: dict[str, ResultT] = {}
        self._catalogue.keep(self._fleet.stacks)

        async def ask_one(server: str) -> None:
            try:
                result = await ask(method, server, server)
            except CallError:
                return  # Told as an event; the others' answers are worth having.
            if isinstance(result, kind):
                found[server] = result

        able = [name for name, stack in self._fleet.stacks.items() if stack.is_ready and is_able(stack.capabilities)]
        async with anyio.create_task_group() as tasks:
            for server in able:
                tasks.start_soon(ask_one, server)
        return {server: found[server] for server in able if server in found}


def _has_resources(capabilities: types.ServerCapabilities) -> bool:
    return capabilities.resources is not None


def expect(result: types.Result, kind: type[ResultT]) -> ResultT:
    """The result, known to be of its kind; raises `TypeError` for a bug of ours, and `InputRequired` for questions."""
    if isinstance(result, kind):
        return result
    if isinstance(result, types.InputRequiredResult):
        raise InputRequired(result)
    raise TypeError(f"expected {kind.__name__}, got {type(result).__name__}")
