"""The short way of a tool's call: past the SDK's dispatcher, which has tasks and queues for more than a call needs.

What a transport has to do for that is in `posted` (HTTP) and `piped` (stdio); why, in docs/decisions/0023.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from mcp import MCPError
from mcp.shared._otel import inject_trace_context
from mcp.shared.dispatcher import CallOptions
from mcp_types import PARSE_ERROR, JSONRPCError, JSONRPCMessage, JSONRPCResponse

from trunkline.transport.wire import CURRENT_WIRE, Wire
from trunkline.transport.wrapping import WrappingDispatcher

__all__ = ["ShortWay", "result_in"]


class ShortWay(WrappingDispatcher):
    """Makes calls of tools itself where it can, and leaves everything else to the SDK's dispatcher.

    A call whose progress or log somebody wants to hear of is left to it too: both come beside the answer.
    """

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Send one request; as the SDK's."""
        wire = CURRENT_WIRE.get() or Wire()
        if method == "tools/call" and params and opts and "on_progress" not in opts and wire.log is None:
            meta = dict(params.get("_meta", {}))
            inject_trace_context(meta)
            sent = {**params, "_meta": meta} if meta else params
            message = {"jsonrpc": "2.0", "id": opts["request_id"], "method": method, "params": sent}
            result = await self._call(message, opts, wire)
            if result is not None:
                return result
        return await super().send_raw_request(method, params, opts)

    @abstractmethod
    async def _call(self, message: Mapping[str, Any], opts: CallOptions, wire: Wire) -> dict[str, Any] | None:
        """The result of a call; None where it has not been made, and has to go the other way.

        Raises:
            MCPError: As the SDK's dispatcher and transport do, with the codes and words that `faults` knows.
        """


def result_in(answer: JSONRPCMessage | None) -> dict[str, Any]:
    """What a call gets; raises the error that the answer is, or that there is none."""
    if isinstance(answer, JSONRPCResponse):
        return answer.result
    if isinstance(answer, JSONRPCError):
        raise MCPError(answer.error.code, answer.error.message, answer.error.data)
    raise MCPError(PARSE_ERROR, "that is no answer in JSON-RPC")
