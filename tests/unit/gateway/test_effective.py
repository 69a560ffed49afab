"""The configuration is shown with every value that counts, and with nothing that may be a credential."""

from __future__ import annotations

import json

from trunkline.config import load
from trunkline.gateway.effective import effective

SECRETS = ("s3cret-header", "s3cret-env", "s3cret-arg", "s3cret-query", "s3cret-user", "s3cret-answer")


def test_values_in_force_are_shown_and_credentials_are_not() -> None:
    settings = load(
        {
            "mcpServers": {
                "http": {
                    "url": "https://s3cret-user@example.org/mcp?key=s3cret-query",
                    "headers": {"Authorization": "Bearer s3cret-header"},
                },
                "stdio": {"command": "server", "args": ["--key", "s3cret-arg"], "env": {"X": "s3cret-env"}},
            },
            "trunkline": {
                "servers": {"http": {"retry": {"attempts": 7}}},
                "tools": {"http_get": {"fallback": {"answer": "s3cret-answer"}}},
                "cache": {"redis": {"url": "redis://:s3cret-user@example.org:6380/3"}},
            },
        }
    )
    told = effective(settings)
    text = json.dumps(told, allow_nan=False)
    assert [secret for secret in SECRETS if secret in text] == []
    assert told["servers"]["http"]["places"] == ["https://example.org/mcp"]
    assert told["servers"]["http"]["retry"]["attempts"] == 7
    assert told["tools"]["http_get"]["fallback"]["answer"] == "[redacted]"
    assert told["cache"]["redis"]["url"] == "redis://example.org:6380/…"
    assert told["domains"] == {}


def test_how_a_server_is_authorised_is_shown_without_the_secret() -> None:
    auth = {"client_id": "trunkline", "client_secret": "s3cret-client", "issuer": "https://id.example/tenant"}
    servers = {"http": {"url": "https://example.org/mcp"}, "open": {"url": "https://open.example/mcp"}}
    told = effective(load({"mcpServers": servers, "trunkline": {"servers": {"http": {"auth": auth}}}}))
    shown = told["servers"]["http"]["auth"]
    assert (shown["client_id"], shown["client_secret"]) == ("trunkline", "[redacted]")
    assert shown["issuer"] == "https://id.example/…"
    assert told["servers"]["open"]["auth"] is None
    assert "s3cret" not in json.dumps(told)
