"""Our calls as the SDK's requests: everything but tools, whose answers the session looks at more closely."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import mcp_types as types
from mcp import ClientSession

from trunkline.call import Call, ToolResult
from trunkline.transport.listing import every_page, hints_of

__all__ = ["meta_of", "requested", "require_fit", "subscribe"]


async def requested(client: ClientSession, call: Call) -> types.Result:
    """The server's answer, of a listing all pages; raises as the SDK does."""
    match call.method:
        case "resources/list":
            pages = await every_page(lambda page: client.list_resources(params=page))
            resources = [item for page in pages for item in page.resources]
            return types.ListResourcesResult(resources=resources, **hints_of(pages))
        case "resources/templates/list":
            found = await every_page(lambda page: client.list_resource_templates(params=page))
            templates = [item for page in found for item in page.resource_templates]
            return types.ListResourceTemplatesResult(resource_templates=templates, **hints_of(found))
        case "prompts/list":
            listed = await every_page(lambda page: client.list_prompts(params=page))
            prompts = [item for page in listed for item in page.prompts]
            return types.ListPromptsResult(prompts=prompts, **hints_of(listed))
        case "completion/complete":
            return await client.complete(**call.arguments)
        case "resources/read":
            return cast("types.Result", await client.read_resource(call.target, meta=meta_of(call), **_round_of(call)))
        case "prompts/get":
            found = await client.get_prompt(call.target, call.arguments, meta=meta_of(call), **_round_of(call))
            return cast("types.Result", found)
        case "tools/call":
            msg = "tools are called by the session itself"
            raise TypeError(msg)


def _round_of(call: Call) -> dict[str, Any]:
    """What makes a request one of several rounds, of whom is with somebody who can be asked."""
    exchange = call.exchange
    if exchange is None:
        return {}
    return {"input_responses": exchange.responses, "request_state": exchange.state, "allow_input_required": True}


async def subscribe(client: ClientSession, uri: str, *, wanted: bool) -> None:
    """Subscribe to a resource in the handshake era's way, or no longer; raises as the SDK does."""
    # Not the SDK's own methods, which warn that later revisions have no such request.
    if wanted:
        request = types.SubscribeRequest(params=types.SubscribeRequestParams(uri=uri))
        await client.send_request(request, types.EmptyResult)
    else:
        end = types.UnsubscribeRequest(params=types.UnsubscribeRequestParams(uri=uri))
        await client.send_request(end, types.EmptyResult)


def meta_of(call: Call) -> types.RequestParamsMeta | None:
    """The call's `_meta`, open to any key: the SDK's typed dictionary names only its own."""
    return None if call.meta is None else cast("types.RequestParamsMeta", dict(call.meta))


def require_fit(result: ToolResult, problems: Callable[[Any], tuple[str, ...]]) -> None:
    """Hold a result's structured content against its output schema, by `problems`; raises RuntimeError.

    Not by the SDK's `validate_tool_result`: the schema is the server's too, and with a pattern or references made for
    it that one never comes to an end, and everybody waits.
    """
    if "structured_content" not in result.model_fields_set:
        msg = "it has an output schema, and the result has no structured content"
        raise RuntimeError(msg)
    if found := problems(result.structured_content):
        raise RuntimeError("; ".join(found))
