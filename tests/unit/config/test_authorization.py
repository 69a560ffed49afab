"""The table `auth` of a server: which credentials its tokens are got by, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.config import load
from trunkline.config.difference import difference
from trunkline.config.settings import Settings
from trunkline.endpoint import HttpEndpoint
from trunkline.errors import ConfigError
from trunkline.policy import ClientCredentials

SECRET = "hunter2-hunter2"
AUTH = {"client_id": "trunkline", "client_secret": "${CLIENT_SECRET}"}
SEARCH = {"url": "https://search.internal/mcp"}


def loaded(auth: Any, server: dict[str, Any] = SEARCH, **table: Any) -> Settings:
    document = {"mcpServers": {"search": server}, "trunkline": {"servers": {"search": {"auth": auth, **table}}}}
    return load(document, environ={"CLIENT_SECRET": SECRET})


def problems(auth: Any, server: dict[str, Any] = SEARCH) -> str:
    with pytest.raises(ConfigError) as refused:
        loaded(auth, server)
    return "\n".join(refused.value.problems)


def test_credentials_are_read_and_their_secret_comes_from_the_environment() -> None:
    endpoint = loaded({**AUTH, "issuer": "https://id.internal", "scopes": ["search:read"]}).servers["search"].endpoint
    assert isinstance(endpoint, HttpEndpoint)
    assert endpoint.auth == ClientCredentials(
        client_id="trunkline", client_secret=SECRET, issuer="https://id.internal", scopes=("search:read",)
    )


def test_the_secret_is_shown_nowhere_in_no_form() -> None:
    settings = loaded(AUTH)
    endpoint = settings.servers["search"].endpoint
    assert isinstance(endpoint, HttpEndpoint)
    assert isinstance(endpoint.auth, ClientCredentials)
    assert SECRET not in f"{settings!r} {endpoint!r} {endpoint.auth!r} {settings.notices}"
    for secrets in (endpoint.secrets, settings.secrets):
        assert secrets.mask(f"{SECRET}, {endpoint.auth.basic}") == "[redacted], [redacted]"


def test_replicas_are_sent_tokens_by_the_same_credentials_unless_they_have_their_own_header() -> None:
    own = {"url": "https://search-c.internal/mcp", "headers": {"authorization": "Bearer other-token"}}
    settings = loaded(AUTH, replicas=["https://search-b.internal/mcp", own])
    first, second = settings.servers["search"].replicas
    assert isinstance(first, HttpEndpoint)
    assert isinstance(second, HttpEndpoint)
    assert isinstance(first.auth, ClientCredentials)
    assert first.auth.client_id == "trunkline"
    assert second.auth is None


def test_other_credentials_make_other_connections() -> None:
    before, after = loaded(AUTH), loaded({**AUTH, "scopes": ["more"]})
    assert difference(before, after).changed_endpoint == ("search",)
    assert difference(before, loaded(AUTH)).changed_endpoint == ()


@pytest.mark.parametrize(
    ("auth", "told"),
    [
        ("secret", "auth: found <hidden> (a string), expected a table"),
        ({}, "auth.client_id: found nothing, expected a text"),
        ({**AUTH, "client_id": ""}, "auth.client_id: found <hidden> (a string), expected a text"),
        ({"client_id": "a"}, "auth: client_secret does not fit the rest, expected either it or a private_key"),
        ({**AUTH, "client_secrt": "b"}, 'client_secrt: unknown key; did you mean "client_secret"?'),
        ({**AUTH, "private_key": "/key.pem"}, "either it or a private_key"),
        ({**AUTH, "issuer": "http://id.internal"}, "auth.issuer: found <hidden> (a string), expected an https"),
        ({**AUTH, "issuer": "https://user@id.internal"}, "without a user"),
        ({**AUTH, "token_endpoint": "http://169.254.169.254/token"}, "auth.token_endpoint"),
        ({**AUTH, "token_endpoint": "https://["}, "auth.token_endpoint"),
        ({**AUTH, "proof": "private_key_jwt"}, "auth.proof"),
        ({**AUTH, "proof": "none"}, "auth.proof"),
        ({"client_id": "a", "private_key": "/key.pem", "proof": "client_secret_post"}, "auth.proof"),
        ({**AUTH, "algorithm": "HS256"}, "auth.algorithm"),
        ({**AUTH, "scopes": ["two words"]}, "auth.scopes"),
        ({**AUTH, "scopes": "one"}, "auth.scopes"),
        ({**AUTH, "client_secret": "${UNSET}"}, "the environment variable UNSET is not set"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands_and_without_the_secret(auth: Any, told: str) -> None:
    said = problems(auth)
    assert told in said
    assert "trunkline.servers.search.auth" in said
    assert SECRET not in said


def test_a_program_is_sent_no_tokens() -> None:
    assert "give a program what it needs in its env" in problems(AUTH, {"command": "search-server"})


def test_a_header_and_tokens_are_one_too_many() -> None:
    assert "keep one of both" in problems(AUTH, {**SEARCH, "headers": {"authorization": "Bearer x"}})


@pytest.mark.parametrize("issuer", ["https://id.internal/tenant", "http://localhost:8080", "http://127.0.0.1:1"])
def test_issuers_are_where_nobody_listens_in(issuer: str) -> None:
    endpoint = loaded({**AUTH, "issuer": issuer}).servers["search"].endpoint
    assert isinstance(endpoint, HttpEndpoint)
    assert isinstance(endpoint.auth, ClientCredentials)
    assert endpoint.auth.issuer == issuer


def test_credentials_without_a_client_are_refused_where_they_are_used() -> None:
    with pytest.raises(ValueError, match="auth"):
        HttpEndpoint("https://search.internal/mcp", auth=ClientCredentials())
    with pytest.raises(ValueError, match="auth"):
        HttpEndpoint("https://s/mcp", {"Authorization": "x"}, auth=ClientCredentials(client_id="a", client_secret="b"))
