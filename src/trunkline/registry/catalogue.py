"""Who has which prompt and resource: remembered from the latest listings. No I/O; the client does the asking."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import mcp_types as types

from trunkline.registry.tool import shown_name

__all__ = ["Catalogue"]


class Catalogue:
    """Prompts by shown name, resources by URI, templates by the fixed part of their URI."""

    def __init__(self) -> None:
        self._prompts: dict[str, tuple[str, str]] = {}
        self._resources: dict[str, str] = {}
        self._templates: dict[str, str] = {}

    def __repr__(self) -> str:
        return (
            f"<Catalogue [{len(self._prompts)} prompts, {len(self._resources)} resources, "
            f"{len(self._templates)} templates]>"
        )

    def learn_prompts(self, server: str, prefix: str | None, prompts: Iterable[types.Prompt]) -> list[types.Prompt]:
        """Remember a server's prompts; returns them under the names callers use. The first server keeps a name."""
        self._prompts = {shown: place for shown, place in self._prompts.items() if place[0] != server}
        shown_prompts = []
        for prompt in prompts:
            shown = shown_name(server, prefix, prompt.name)
            if self._prompts.setdefault(shown, (server, prompt.name)) == (server, prompt.name):
                shown_prompts.append(prompt.model_copy(update={"name": shown}))
        return shown_prompts

    def learn_resources(self, server: str, resources: Iterable[types.Resource]) -> None:
        """Remember a server's resources. The first server keeps a URI."""
        self._resources = {uri: owner for uri, owner in self._resources.items() if owner != server}
        for resource in resources:
            self._resources.setdefault(str(resource.uri), server)

    def learn_templates(self, server: str, templates: Iterable[types.ResourceTemplate]) -> None:
        """Remember a server's resource templates. The first server keeps a template."""
        self._templates = {uri: owner for uri, owner in self._templates.items() if owner != server}
        for template in templates:
            self._templates.setdefault(template.uri_template, server)

    def keep(self, servers: Collection[str]) -> None:
        """Forget what belongs to servers that are not among these: they were removed, and others may have the names."""
        self._prompts = {shown: place for shown, place in self._prompts.items() if place[0] in servers}
        self._resources = {uri: owner for uri, owner in self._resources.items() if owner in servers}
        self._templates = {uri: owner for uri, owner in self._templates.items() if owner in servers}

    def prompt(self, shown: str) -> tuple[str, str] | None:
        """The server of a prompt and its own name for it; a bare name counts while it is unique."""
        if shown in self._prompts:
            return self._prompts[shown]
        bare = [place for place in self._prompts.values() if place[1] == shown]
        return bare[0] if len(bare) == 1 else None

    def resource(self, uri: str) -> str | None:
        """The server of a resource: the one that listed it, else the one whose template fits it most closely."""
        if uri in self._resources:
            return self._resources[uri]
        if uri in self._templates:
            return self._templates[uri]
        fitting = [template for template in self._templates if uri.startswith(template.partition("{")[0])]
        best = max(fitting, key=lambda template: len(template.partition("{")[0]), default=None)
        return None if best is None else self._templates[best]
