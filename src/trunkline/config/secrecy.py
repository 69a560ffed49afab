"""Which values of a configuration must not be shown: told to every endpoint, and collected for all that writes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from trunkline.endpoint import Endpoint, InProcessEndpoint, ServerSettings
from trunkline.secrets import Secrets, secrets_in

__all__ = ["with_secrets"]


def with_secrets(
    servers: Mapping[str, ServerSettings], ours: Mapping[str, Any], hidden: Collection[str]
) -> tuple[Mapping[str, ServerSettings], Secrets]:
    """Return the servers with endpoints that also hide `hidden`, and every secret of the whole configuration.

    `ours` is the table `trunkline`, its variables replaced; `hidden` are those variables' values, and the servers'.
    """
    values = tuple(sorted(hidden))
    told = {
        name: replace(
            server,
            endpoint=_hiding(server.endpoint, values),
            replicas=tuple(_hiding(replica, values) for replica in server.replicas),
        )
        for name, server in servers.items()
    }
    places = [place for server in told.values() for place in (server.endpoint, *server.replicas)]
    own = Secrets((*values, *secrets_in(ours)))
    return MappingProxyType(told), Secrets.union((own, *(place.secrets for place in places)))


def _hiding(endpoint: Endpoint, values: tuple[str, ...]) -> Endpoint:
    return endpoint if isinstance(endpoint, InProcessEndpoint) else replace(endpoint, hidden=values)
