"""The web server's protocol, past h11 where a request is a plain one: see `plain_exchange`."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from trunkline.gateway.plain_exchange import WHOLE, PlainCycle, PlainRequest, plain_request
from trunkline.gateway.writes import JoinedWrites

__all__ = ["PlainProtocol"]

_LATE: Final = 0.05
"""Seconds in which the rest of a small body comes, where nothing is wrong: clients send head and body apart."""


class PlainProtocol(H11Protocol):
    """One connection."""

    largest = 65536
    """Bytes of a body that is waited for here; of larger ones the application is to hear while they come."""

    transport: JoinedWrites

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held = b""
        """What has come, and is nobody's so far."""
        self._begun: PlainRequest | None = None
        """The request that it begins with, while the rest of its body is awaited."""
        self._late_at = 0.0
        """When that is h11's to wait for, by the loop's clock."""
        self._lateness: asyncio.TimerHandle | None = None
        """Looks whether it is late; goes on running for the next one, which costs less than a timer for each."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection."""
        super().connection_made(JoinedWrites(transport, self.loop))

    def data_received(self, data: bytes) -> None:
        """Take in a piece of a request."""
        data, self._held = self._held + data, b""
        if isinstance(self.cycle, PlainCycle) and not self.cycle.response_complete:
            # The next request, which has to wait.
            self._held = data
            self.flow.pause_reading()
        elif not (self._is_between_requests and self._take(data)):
            self._begun = None
            super().data_received(data)

    @property
    def is_holding(self) -> bool:
        """Whether the rest of a body is awaited."""
        return self._begun is not None

    @property
    def _is_between_requests(self) -> bool:
        is_idle = self.conn.our_state is h11.IDLE and self.conn.their_state is h11.IDLE
        return is_idle and not self.conn.trailing_data[0]

    def _take(self, data: bytes) -> bool:
        """Whether this is one plain request; or will be, once all of it has come."""
        request = self._begun or plain_request(data)
        if request is None or request.length > self.largest:
            return False
        missing = request.begins + request.length - len(data)
        if missing < 0:
            return False
        self._unset_keepalive_if_required()
        if missing == 0:
            self._begun = None
            self._serve(request, data[request.begins :])
            return True
        if self._begun is None:
            self._late_at = self.loop.time() + _LATE
            if self._lateness is None:
                self._lateness = self.loop.call_at(self._late_at, self._look_for_rest)
        self._held, self._begun = data, request
        return True

    def _look_for_rest(self) -> None:
        self._lateness = None
        if self._begun is None:
            return
        if self.loop.time() < self._late_at:
            self._lateness = self.loop.call_at(self._late_at, self._look_for_rest)
        else:
            self._leave_to_h11()

    def _leave_to_h11(self) -> None:
        data, self._held, self._begun = self._held, b"", None
        if not self.transport.is_closing():
            super().data_received(data)

    def shutdown(self) -> None:
        """End the connection, after the answer to what has come."""
        if self.is_holding:
            self._leave_to_h11()
        super().shutdown()

    def _serve(self, request: PlainRequest, body: bytes) -> None:
        path = self.root_path + request.target.decode("ascii")
        scope: Any = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "method": "POST",
            "root_path": self.root_path,
            "path": path,
            "raw_path": path.encode("ascii"),
            "query_string": b"",
            "headers": request.headers,
            "state": self.app_state.copy(),
            WHOLE: True,
        }
        self.scope = scope
        self.cycle = PlainCycle(
            scope=self.scope,
            conn=self.conn,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            on_response=self.on_response_complete,
        )
        self.cycle.body += body
        self.cycle.more_body = False
        self.cycle.message_event.set()
        task = self.loop.create_task(self.cycle.run_asgi(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_response_complete(self) -> None:
        """Send the answer off, and go on with what came after the request."""
        self.transport.flush()
        super().on_response_complete()
        if self._held:
            data, self._held = self._held, b""
            self.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._lateness is not None:
            self._lateness.cancel()
        super().connection_lost(exc)
