"""The person behind the conformance client: logs in wherever asked to, and fills in what a server wants to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import mcp_types as types
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

__all__ = ["Answers", "logging_in"]

_CALLBACK = "http://localhost:3000/callback"
_METADATA = "https://conformance-test.local/client-metadata.json"
"""Where the suites say that a client describes itself."""


class _Memory:
    """Keeps tokens and registrations for as long as the process runs."""

    def __init__(self, client: OAuthClientInformationFull | None) -> None:
        self._tokens: OAuthToken | None = None
        self._client = client

    async def get_tokens(self) -> OAuthToken | None:
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._client = client_info


def logging_in(url: str, context: Mapping[str, Any]) -> httpx2.Auth:
    """The SDK's flow for a person, who consents at once; with the client of the `context`, if it has one."""
    answers: list[AuthorizationCodeResult] = []
    registered = None
    if "client_id" in context:
        registered = OAuthClientInformationFull(
            client_id=context["client_id"],
            client_secret=context.get("client_secret"),
            redirect_uris=[AnyUrl(_CALLBACK)],
            token_endpoint_auth_method="client_secret_basic",
            issuer=context.get("issuer"),
        )

    async def consent(address: str) -> None:
        async with httpx2.AsyncClient(timeout=30.0) as browser:
            answer = await browser.get(address)
        said = parse_qs(urlsplit(answer.headers["location"]).query)
        answers.append(
            AuthorizationCodeResult(code=said["code"][0], state=_first(said, "state"), iss=_first(said, "iss"))
        )

    async def returned() -> AuthorizationCodeResult:
        return answers.pop()

    return OAuthClientProvider(
        url,
        OAuthClientMetadata(client_name="trunkline", redirect_uris=[AnyUrl(_CALLBACK)]),
        _Memory(registered),
        redirect_handler=consent,
        callback_handler=returned,
        client_metadata_url=_METADATA,
    )


def _first(said: Mapping[str, list[str]], name: str) -> str | None:
    return said[name][0] if name in said else None


class Answers:
    """Whom servers reach when they want to know something: takes every default, and invents what has none."""

    key = "person"
    capabilities: Mapping[str, Any] = {"elicitation": {"form": {}}, "sampling": {}, "roots": {}}
    log_level = None

    async def ask(self, request: types.InputRequest) -> types.InputResponse:
        """Answer at once."""
        match request:
            case types.ElicitRequest(params=types.ElicitRequestFormParams() as params):
                return types.ElicitResult(action="accept", content=_filled_in(params.requested_schema))
            case types.ElicitRequest():
                return types.ElicitResult(action="decline")
            case types.CreateMessageRequest():
                text = types.TextContent(text="Four.")
                return types.CreateMessageResult(role="assistant", content=text, model="none")
            case types.ListRootsRequest():
                return types.ListRootsResult(roots=[])
        raise AssertionError(request)

    async def log(self, entry: types.LoggingMessageNotificationParams) -> None:
        """Nobody reads it."""


def _filled_in(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What a form holds when nothing was changed in it, and what it takes where it has to be changed."""
    required = schema.get("required", [])
    return {
        name: field["default"] if "default" in field else sample(field)
        for name, field in schema.get("properties", {}).items()
        if "default" in field or name in required
    }


def sample(schema: Mapping[str, Any]) -> Any:
    """A value that a schema takes, as far as the suites' schemas go."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            required = schema.get("required", [])
            return {name: sample(field) for name, field in schema.get("properties", {}).items() if name in required}
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "array":
            return []
        case _:
            return "text"
