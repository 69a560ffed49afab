"""The servers of the tour, each a process of its own, and the configuration in front of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trunkline.testing.journal import Entry, read
from trunkline.testing.processes import FaultyHttp, faulty_http, stdio_command

__all__ = ["PATIENCE", "Cast", "cast"]

PATIENCE = 1.0
"""Seconds callers wait for a server that is away before they are refused at once: a tour has less time than 10 s."""


@dataclass(frozen=True, slots=True)
class Cast:
    """The running servers. `notes` is no field: the gateway starts it, as it does every server over stdio."""

    orders: FaultyHttp
    search: tuple[FaultyHttp, FaultyHttp]
    folder: Path

    def configuration(self) -> Mapping[str, Any]:
        """What a user would have written into a file."""
        program, arguments = stdio_command(journal=self._journal("notes"))
        return {
            "mcpServers": {
                "search": {"url": self.search[0].url},
                "orders": {"url": self.orders.url},
                "notes": {"command": program, "args": arguments},
            },
            "trunkline": {
                "defaults": {
                    "timeout": 5.0,
                    "trust_annotations": True,
                    "pool": {"patience": PATIENCE, "cap": 1.0},
                    "health": {"interval": 1.0},
                },
                "servers": {"search": {"replicas": [self.search[1].url]}},
                "tools": {
                    "orders_lookup": {"cache": {"ttl": 1.0, "stale": 0.0, "stale_if_error": 600.0, "recheck": 1.0}},
                    # A new order changes the status of no other: kept ones stay valid.
                    "orders_append": {"cache": {"invalidates": []}},
                },
            },
        }

    def journals(self) -> list[Entry]:
        """What the servers that take writes wrote down, as they did it."""
        return [*read(self._journal("orders")), *read(self._journal("notes"))]

    def _journal(self, server: str) -> Path:
        return self.folder / f"{server}.journal"


@asynccontextmanager
async def cast(folder: Path) -> AsyncIterator[Cast]:
    """Start the servers over HTTP and wait until they listen; at the end they are killed, whatever happened.

    Journals are written to `folder`. Raises TimeoutError or EndOfStream where a server does not start.
    """
    async with (
        faulty_http(journal=folder / "orders.journal") as orders,
        faulty_http() as first,
        faulty_http() as second,
    ):
        yield Cast(orders, (first, second), folder)
