"""Brings views from a gateway: whole ones and the patches to them, as they come, in a thread of its own.

It never gives up: where the gateway does not answer, that is what it tells, and it tries again.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, Final, TypeAlias

from trunkline.cli.gateway_requests import TOKEN, GatewayAddress
from trunkline.cli.terminal.shown import Away
from trunkline.gateway.merge_patch import patched

__all__ = ["Feed", "News"]

News: TypeAlias = Mapping[str, Any] | Away

_SILENCE: Final = 25.0
"""Seconds without a word after which the gateway is away: it sends something every ten."""
_GRACE: Final = 1.0
"""Seconds the thread may take to end."""
_PAUSES: Final = (0.5, 1.0, 2.0)
"""Seconds before each further try; the last one is kept to."""
_LONGEST: Final = 64 * 1024 * 1024
"""Bytes of one line: far more than any view has."""
_PARTS: Final = frozenset({"version", "at", "started", "overall", "totals", "circuits", "cache", "history", "domains"})
"""Without them it is no view."""


class _NotAView(ValueError):
    """Something else answers."""

    def __str__(self) -> str:
        return "what answers is no gateway of this version"


class Feed:
    """Follows one gateway; `tell` is called in its thread with each view, and with what is wrong when there is none."""

    def __init__(self, address: GatewayAddress, tell: Callable[[News], None]) -> None:
        self._address = address
        self._tell = tell
        self._stopped = threading.Event()
        self._connection: HTTPConnection | None = None
        # A daemon: it may be looking up a name, and nobody waits for that.
        self._thread = threading.Thread(target=self._follow, name="trunkline-top-feed", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Tell nothing any more; what is being waited for is cut off."""
        self._stopped.set()
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(_GRACE)

    def _follow(self) -> None:
        failures, since = 0, time.time()
        while not self._stopped.is_set():
            try:
                for view in self._views():
                    failures = 0
                    self._tell(view)
                    if self._stopped.is_set():
                        return
                reason = "it has ended the stream"
            except (OSError, HTTPException, ValueError, RecursionError) as error:
                reason = _reason(error)
            if self._stopped.is_set():
                return
            if not failures:
                since = time.time()
            failures += 1
            self._tell(Away(since, reason))
            self._stopped.wait(_PAUSES[min(failures, len(_PAUSES)) - 1])

    def _views(self) -> Iterator[Mapping[str, Any]]:
        """Each view, until the stream ends. Raises OSError, HTTPException or ValueError."""
        connection = self._connection = self._address.connection(timeout=_SILENCE)
        try:
            headers = self._address.headers() | {"Accept": "text/event-stream"}
            connection.request("GET", self._address.path("/api/v1/events"), headers=headers)
            answer = connection.getresponse()
            if answer.status in (401, 403):
                message = f"it lets in who may watch: set {TOKEN} to the token of such a principal"
                raise ValueError(message)
            if answer.status != 200:
                message = f"it answers with status {answer.status}: no gateway of this version, or too many viewers"
                raise ValueError(message)
            view: Mapping[str, Any] = {}
            for kind, data in _events(answer):
                view = patched(view, data) if kind == "patch" else data
                if not view.keys() >= _PARTS:
                    raise _NotAView
                yield view
        finally:
            self._connection = None
            connection.close()


def _reason(error: Exception) -> str:
    """In words, without the system's number."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _events(answer: HTTPResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    """Kind and data of each server-sent event. Raises ValueError for data that is no JSON object."""
    kind, data = "", ""
    while line := answer.readline(_LONGEST):
        name, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(":")
        match name:
            case "event":
                kind = value.strip()
            case "data":
                data += value
            case "" if data and not value:
                found = json.loads(data)
                if not isinstance(found, dict):
                    raise _NotAView
                yield kind, found
                kind, data = "", ""
