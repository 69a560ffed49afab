"""How credentials get on a request, and what of a flow reaches whoever made the request."""

from __future__ import annotations

import gzip
import random
from collections.abc import AsyncGenerator

import httpx2
import pytest

from trunkline.call import Delivery
from trunkline.endpoint import HttpEndpoint, InProcessEndpoint
from trunkline.policy import ClientCredentials
from trunkline.transport.authorization.authorizing import Authorization, BearerAuth
from trunkline.transport.authorization.challenge import Challenge
from trunkline.transport.authorization.failure import AuthorizationFailed
from trunkline.transport.authorization.tokens import AccessTokens, Grant
from trunkline.transport.wire import WIRE_EXTENSION, Wire

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("UPSTREAM-AUTH")]

URL = "http://server/mcp"


class Server:
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self, *answers: httpx2.Response) -> None:
        self.answers = list(answers)
        self.asked: list[httpx2.Request] = []
        self.sent: list[str | None] = []

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        self.sent.append(request.headers.get("authorization"))
        return self.answers.pop(0) if self.answers else httpx2.Response(200, text="answer")


class Tokens:
    """Gives out t1, then t2, then t3."""

    def __init__(self) -> None:
        self.challenges: list[Challenge | None] = []

    async def fetch(self, challenge: Challenge | None) -> Grant:
        self.challenges.append(challenge)
        return Grant(f"t{len(self.challenges)}", 3600.0)


async def ask(server: Server, auth: httpx2.Auth, url: str = URL) -> tuple[httpx2.Response, Wire]:
    """Make one request as the session's client does, with a body that can be sent twice."""
    authorization = Authorization(HttpEndpoint(URL, auth=auth), random.Random(1))
    wire = Wire()
    async with httpx2.AsyncClient(transport=authorization.over(httpx2.MockTransport(server))) as client:
        wire.sent()
        response = await client.post(url, content=b"question", extensions={WIRE_EXTENSION: wire})
        return response, wire


async def ask_bearer(
    server: Server, url: str = URL, *, may_widen: bool = True
) -> tuple[httpx2.Response, Wire, list[Challenge | None]]:
    given = Tokens()
    tokens = AccessTokens(given.fetch, random.Random(1))
    async with tokens.running():
        response, wire = await ask(server, BearerAuth(tokens, URL, may_widen=may_widen), url)
    return response, wire, given.challenges


def refusal(status: int = 401, challenge: str = "Bearer") -> httpx2.Response:
    return httpx2.Response(status, headers={"www-authenticate": challenge})


async def test_a_request_is_sent_with_the_token_and_once_more_with_another_where_it_is_refused() -> None:
    server = Server(refusal(challenge='Bearer resource_metadata="http://server/m"'))
    response, wire, challenges = await ask_bearer(server)
    assert response.text == "answer"
    assert server.sent == ["Bearer t1", "Bearer t2"]
    assert [request.content for request in server.asked] == [b"question"] * 2
    assert challenges == [None, Challenge("http://server/m")]
    assert wire.delivery is Delivery.NOT_SENT, "what was refused counts as not sent until it is sent again"


async def test_a_second_refusal_is_the_answer() -> None:
    server = Server(refusal(), refusal())
    response, _, challenges = await ask_bearer(server)
    assert response.status_code == 401
    assert len(server.asked) == len(challenges) == 2


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
async def test_nothing_but_a_refusal_of_the_token_is_sent_again(status: int) -> None:
    server = Server(httpx2.Response(status))
    response, _, challenges = await ask_bearer(server)
    assert response.status_code == status
    assert len(server.asked) == len(challenges) == 1


@pytest.mark.parametrize(("may_widen", "times"), [(True, 2), (False, 1)])
async def test_more_scopes_are_asked_for_where_the_configuration_leaves_it_open(may_widen: bool, times: int) -> None:
    server = Server(refusal(403, 'Bearer error="insufficient_scope", scope="a b"'))
    _, _, challenges = await ask_bearer(server, may_widen=may_widen)
    assert challenges == [None, Challenge(None, ("a", "b"), "insufficient_scope")][:times]


@pytest.mark.parametrize("url", ["http://elsewhere/mcp", "https://server/mcp", "http://server:81/mcp"])
async def test_no_token_goes_to_another_origin(url: str) -> None:
    server = Server()
    _, _, challenges = await ask_bearer(server, url)
    assert server.sent == [None]
    assert challenges == []


class Reading(httpx2.Auth):
    """A flow that makes a request of its own, and reads every answer."""

    requires_response_body = True

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        own = yield httpx2.Request("GET", "http://issuer/token")
        request.headers["authorization"] = f"Token {(await own.aread()).decode()}"
        answer = yield request
        await answer.aread()


async def test_an_answer_that_a_flow_has_read_is_there_for_who_asked() -> None:
    body = gzip.compress(b"a long answer")
    packed = httpx2.Response(200, headers={"content-encoding": "gzip", "x-mark": "1"}, content=body)
    server = Server(httpx2.Response(200, text="t"), packed)
    response, _ = await ask(server, Reading())
    assert (response.text, response.headers["x-mark"]) == ("a long answer", "1")
    assert server.sent == [None, "Token t"]
    assert server.asked[0].extensions["timeout"]["read"] == 30.0, "what a flow asks by itself has no limit"


async def test_what_a_flow_raises_is_told_without_its_words() -> None:
    class Broken(httpx2.Auth):
        async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
            raise KeyError("a-secret")
            yield request

    with pytest.raises(AuthorizationFailed, match=r"not authorised: its httpx2\.Auth failed with KeyError") as raised:
        await ask(Server(), Broken())
    assert "a-secret" not in f"{raised.value!r}{raised.value.__cause__!r}"


async def test_network_faults_pass_through_a_flow_as_they_are() -> None:
    async def reset(_request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadError("reset")

    authorization = Authorization(HttpEndpoint(URL, auth=Reading()), random.Random(1))
    async with httpx2.AsyncClient(transport=authorization.over(httpx2.MockTransport(reset))) as client:
        with pytest.raises(httpx2.ReadError):
            await client.get(URL)


def test_it_says_what_it_does_and_holds() -> None:
    rng = random.Random(1)
    credentials = ClientCredentials("us", "hunter2-hunter2")
    assert repr(Authorization(InProcessEndpoint(None), rng)) == "<Authorization none>"
    assert repr(Authorization(HttpEndpoint(URL, auth=Reading()), rng)) == "<Authorization Reading>"
    held = repr(Authorization(HttpEndpoint(URL, auth=credentials), rng))
    assert held == "<Authorization <AccessTokens [none in use, <Renewal [0 failures, 0 refusals in a row]>]>>"
