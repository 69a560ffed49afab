"""The fleet's own state as metrics: who the servers are, what is under way at each, and what waits for it."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.endpoint import place_of
from trunkline.fleet import Fleet
from trunkline.monitoring.readings import Reading
from trunkline.registry.tool_registry import ToolRegistry

__all__ = ["fleet_readings", "registry_readings"]

_REPLICA = ("mcp_server", "replica")
_FACTS = ("server_address", "server_port", "network_transport", "mcp_protocol_version")


def fleet_readings(fleet: Fleet) -> Iterator[Reading]:
    """What is known of each replica now: a plain read."""
    under_way: dict[tuple[str, ...], float] = {}
    waiting: dict[tuple[str, ...], float] = {}
    facts: dict[tuple[str, ...], float] = {}
    for server, stack in list(fleet.stacks.items()):
        for replica in stack.replicas:
            where = (server, replica.name or "")
            pool = replica.pool.statistics()
            under_way[where] = pool.in_flight
            # In the bulkhead's queue first, then for a connection: nobody stands in both.
            waiting[where] = replica.admission.waiting + pool.waiting
            place = place_of(replica.endpoint, server, replica.name)
            address = (place.address or "", str(place.port or ""), place.transport or "")
            facts[*where, *address, replica.pool.era] = 1
    yield Reading("trunkline_attempts_inflight", "gauge", "Attempts that wait for an answer.", under_way, _REPLICA)
    yield Reading("trunkline_attempts_waiting", "gauge", "Attempts that wait for their turn.", waiting, _REPLICA)
    yield Reading("trunkline_server_info", "gauge", "Where a server is.", facts, (*_REPLICA, *_FACTS), merge="max")


def registry_readings(registry: ToolRegistry) -> Iterator[Reading]:
    """Which tools are not what was accepted: a plain read."""
    refused: dict[tuple[str, ...], float] = {(server,): count for server, count in registry.acceptance.refused.items()}
    words = "Tools that are refused because they are not what was accepted."
    yield Reading("trunkline_tools_refused", "gauge", words, refused, ("mcp_server",), merge="max")
