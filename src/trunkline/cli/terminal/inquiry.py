"""Asks a gateway about the server whose page is open, now and then, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from trunkline.cli.exits import CommandError
from trunkline.cli.gateway_requests import GatewayAddress
from trunkline.cli.terminal.shown import About

__all__ = ["Inquiry"]

_EVERY: Final = 2.0
"""Seconds between two questions about the same server."""


class Inquiry:
    """Asks about one server, or none; `tell` is called in its thread with each answer."""

    def __init__(self, address: GatewayAddress, tell: Callable[[About], None]) -> None:
        self._address = address
        self._tell = tell
        self._server: str | None = None
        self._is_stopped = False
        self._changed = threading.Event()
        # A daemon: it may be waiting for a gateway that hangs, and nobody waits for it.
        self._thread = threading.Thread(target=self._ask, name="trunkline-top-inquiry", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask nothing any more."""
        self._is_stopped = True
        self._changed.set()

    def about(self, server: str | None) -> None:
        """Ask about this server from now on; at once where it is another one than before."""
        if server != self._server:
            self._server = server
            self._changed.set()

    def _ask(self) -> None:
        while not self._is_stopped:
            server = self._server
            if server is not None:
                try:
                    details = self._address.fetch(f"/api/v1/server?name={quote(server, safe='')}")
                except CommandError:
                    pass  # That the gateway is away is the feed's to tell; a server may have been removed.
                else:
                    self._tell(About(server, details))
            self._changed.wait(_EVERY)
            self._changed.clear()
