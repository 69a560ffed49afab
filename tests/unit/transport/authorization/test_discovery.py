"""Who is found to give out the tokens for a server, by what is said where; whom a secret never goes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from trunkline.policy import ClientCredentials
from trunkline.transport.authorization.challenge import Challenge
from trunkline.transport.authorization.discovery import Issuer, discover
from trunkline.transport.authorization.failure import AuthorizationFailed
from trunkline.transport.authorization.fetching import Answer, Fetcher

pytestmark = pytest.mark.anyio

SERVER = "https://host.example/tools/mcp"
RESOURCE = "https://host.example/.well-known/oauth-protected-resource/tools/mcp"
OAUTH = "https://host.example/.well-known/oauth-authorization-server"
OPENID = "https://host.example/.well-known/openid-configuration"
OF_SERVER = {"resource": SERVER, "authorization_servers": ["https://host.example"]}
OF_ISSUER = {"issuer": "https://host.example", "token_endpoint": "https://host.example/token"}
MINE = ClientCredentials("id", "secret")


class Web:
    """What is found where; nothing anywhere else."""

    def __init__(self, pages: Mapping[str, Any], status: int = 404, challenge: str = "") -> None:
        self._pages = pages
        self._status = status
        self._challenge = challenge
        self.asked: list[str] = []

    async def get(self, url: str, *, accept: str = "application/json") -> Answer:
        self.asked.append(url)
        if url == SERVER:
            return Answer(401, (self._challenge,), None, None)
        if url in self._pages:
            return Answer(200, (), None, self._pages[url])
        return Answer(self._status, (), None, None)

    async def found(self, credentials: ClientCredentials = MINE, challenge: Challenge = Challenge()) -> Issuer:  # noqa: B008 - it cannot change
        return await discover(SERVER, credentials, cast("Fetcher", self), challenge)


async def test_the_server_says_whose_tokens_it_takes_and_that_issuer_where_they_are_given_out() -> None:
    web = Web({RESOURCE: OF_SERVER, OAUTH: OF_ISSUER})

    assert await web.found() == Issuer(
        "https://host.example/token", SERVER, "https://host.example", ("client_secret_basic",)
    )


async def test_the_challenge_says_where_the_servers_metadata_is() -> None:
    elsewhere = "https://host.example/about"
    web = Web({elsewhere: OF_SERVER, OAUTH: OF_ISSUER}, challenge=f'Bearer resource_metadata="{elsewhere}"')

    await web.found()
    assert web.asked == [SERVER, elsewhere, OAUTH]


@pytest.mark.parametrize(
    ("issuer", "where"),
    [
        ("https://host.example", OPENID),
        ("https://host.example/a", f"{OAUTH}/a"),
        ("https://host.example/a", f"{OPENID}/a"),
        ("https://host.example/a", "https://host.example/a/.well-known/openid-configuration"),
    ],
    ids=["OpenID", "OAuth with a path", "OpenID with a path", "OpenID below the path"],
)
async def test_an_issuers_metadata_is_looked_for_wherever_the_standards_put_it(issuer: str, where: str) -> None:
    web = Web({RESOURCE: OF_SERVER | {"authorization_servers": [issuer]}, where: OF_ISSUER | {"issuer": issuer}})

    assert (await web.found()).name == issuer
    assert web.asked[-1] == where


async def test_a_server_that_says_nothing_is_its_own_issuer_as_it_was_once() -> None:
    web = Web({OAUTH: OF_ISSUER | {"issuer": "https://host.example/"}})

    assert (await web.found()).name == "https://host.example"


@pytest.mark.parametrize(
    ("credentials", "challenged", "scopes"),
    [
        (MINE, (), ("listed",)),
        (MINE, ("wanted",), ("wanted",)),
        (ClientCredentials("id", "secret", scopes=("mine",)), ("wanted",), ("mine",)),
    ],
    ids=["what it lists", "what it wants now", "what is configured"],
)
async def test_what_a_token_shall_allow_is_said_by_whoever_is_nearest(
    credentials: ClientCredentials, challenged: tuple[str, ...], scopes: tuple[str, ...]
) -> None:
    web = Web({RESOURCE: OF_SERVER | {"scopes_supported": ["listed", 7]}, OAUTH: OF_ISSUER})

    assert (await web.found(credentials, Challenge(scopes=challenged))).scopes == scopes


async def test_an_issuer_that_is_configured_may_be_anywhere_and_is_asked_whatever_the_server_says() -> None:
    issuer = {"issuer": "https://id.example", "token_endpoint": "https://id.example/token"}
    web = Web({RESOURCE: OF_SERVER, "https://id.example/.well-known/oauth-authorization-server": issuer})

    found = await web.found(ClientCredentials("id", "secret", issuer="https://id.example"))
    assert (found.name, found.token_endpoint) == ("https://id.example", "https://id.example/token")


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ({RESOURCE: OF_SERVER | {"resource": "https://other.example/"}, OAUTH: OF_ISSUER}, "of another resource"),
        ({RESOURCE: OF_SERVER | {"resource": "https://host.example/too"}, OAUTH: OF_ISSUER}, "of another resource"),
        ({RESOURCE: {"resource": SERVER}, OAUTH: OF_ISSUER}, "names no authorization server"),
        ({RESOURCE: OF_SERVER | {"authorization_servers": ["https://id.example"]}}, "on another host"),
        ({RESOURCE: OF_SERVER}, "the issuer has no metadata"),
        ({RESOURCE: OF_SERVER, OAUTH: OF_ISSUER | {"issuer": "https://id.example"}}, "of another issuer"),
        ({RESOURCE: OF_SERVER, OAUTH: {"issuer": "https://host.example"}}, "no token_endpoint"),
        ({RESOURCE: OF_SERVER, OAUTH: OF_ISSUER | {"token_endpoint": "nowhere"}}, "no token_endpoint"),
        ({RESOURCE: OF_SERVER, OAUTH: ["a list"]}, "the issuer has no metadata"),
    ],
    ids=[
        *("another resource", "another path", "no issuer", "an issuer elsewhere", "no metadata", "another issuer"),
        *("no endpoint", "an endpoint that is none", "a list"),
    ],
)
async def test_what_does_not_hold_is_refused_and_said(pages: Mapping[str, Any], words: str) -> None:
    with pytest.raises(AuthorizationFailed, match=words) as caught:
        await Web(pages).found()

    assert not caught.value.may_pass


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_issuer_that_has_too_much_to_do_may_be_asked_again(status: int) -> None:
    with pytest.raises(AuthorizationFailed, match=f"HTTP {status}") as caught:
        await Web({RESOURCE: OF_SERVER}, status=status).found()

    assert caught.value.may_pass
