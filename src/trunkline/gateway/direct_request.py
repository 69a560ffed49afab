"""A request that is answered by the task that took it in, over whatever transport it came: see docs/decisions/0023."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import anyio
from mcp.server import Server
from mcp.server.connection import Connection
from mcp.server.runner import ServerRunner, modern_error_data
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.jsonrpc_dispatcher import progress_token_from_params
from mcp.shared.message import MessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp_types import RequestId
from pydantic_core import to_json

__all__ = ["DirectRequest", "as_json"]


class DirectRequest(ABC):
    """To the SDK's server a dispatch context, through which nobody can be asked."""

    def __init__(
        self,
        request_id: RequestId,
        params: Mapping[str, Any],
        transport: TransportContext,
        metadata: MessageMetadata,
    ) -> None:
        """Stand for a request that came over `transport`, which says whether its client may be asked."""
        self.request_id = request_id
        self.transport = transport
        self.message_metadata = metadata
        self.scope = anyio.CancelScope()
        """Cancelled when the client wants no answer any more."""
        self._params = params
        self._progress_token = progress_token_from_params(params)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.request_id!r}>"

    @property
    def can_send_request(self) -> bool:
        """Who is of the handshake era is asked in vain; who is not must not be asked, and is answered otherwise."""
        return self.transport.can_send_request

    @property
    def cancel_requested(self) -> anyio.Event:
        """Never set: what is cancelled ends at once."""
        return anyio.Event()

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Refuse to ask the client anything."""
        raise NoBackChannelError(method)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        """Tell the client something before its answer."""
        await self._tell({"jsonrpc": "2.0", "method": method} | ({} if params is None else {"params": dict(params)}))

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tell how far the request has got, if the client wants to know."""
        if self._progress_token is not None:
            told = {"progressToken": self._progress_token, "progress": progress, "total": total, "message": message}
            known = {name: value for name, value in told.items() if value is not None}
            await self.notify("notifications/progress", known)

    async def answer(self, server: Server[None], connection: Connection) -> dict[str, Any]:
        """What `server` answers this call of a tool, as a message in JSON-RPC has it: a result or an error."""
        try:
            # Not the SDK's `serve_one`: what that takes down afterwards is not set up by any of our handlers.
            result = await ServerRunner(server, connection, None).on_request(self, "tools/call", self._params)
        except Exception as error:  # boundary: as in the SDK's endpoint, an error of JSON-RPC
            return {"error": modern_error_data(error).model_dump(mode="json", exclude_none=True)}
        return {"result": result}

    @abstractmethod
    async def _tell(self, message: Mapping[str, Any]) -> None:
        """Send the client a message, before the answer."""


def as_json(message: Mapping[str, Any]) -> bytes:
    """A message as it goes out."""
    return to_json(message)
