"""One token for everybody, in virtual time: who fetches it, who waits for it, and who does not."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import trio.testing

from trunkline.transport.authorization.challenge import Challenge
from trunkline.transport.authorization.failure import AuthorizationFailed
from trunkline.transport.authorization.tokens import AccessTokens, Grant

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("UPSTREAM-AUTH")]

NO_CHALLENGE = Challenge()


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


class Endpoint:
    """Gives out t1, t2, … as it is told."""

    def __init__(self) -> None:
        self.lifetime: float | None = 3600.0
        self.takes = 0.0
        """Seconds for each answer."""
        self.failing: AuthorizationFailed | Exception | None = None
        self.asked: list[tuple[float, Challenge | None]] = []

    async def fetch(self, challenge: Challenge | None) -> Grant:
        self.asked.append((anyio.current_time(), challenge))
        given = f"t{len(self.asked)}"
        await anyio.sleep(self.takes)
        if self.failing is not None:
            raise self.failing
        return Grant(given, self.lifetime)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AccessTokens]:
        tokens = AccessTokens(self.fetch, random.Random(7))
        async with tokens.running():
            yield tokens


async def test_the_first_token_is_fetched_once_for_all_who_need_it() -> None:
    endpoint, got = Endpoint(), []
    endpoint.takes = 1.0

    async def need() -> None:
        got.append((await tokens.token(), anyio.current_time()))

    async with endpoint.running() as tokens:
        started = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(need)
    assert got == [("t1", started + 1.0)] * 50
    assert len(endpoint.asked) == 1


async def test_nothing_is_fetched_that_nobody_needs() -> None:
    endpoint = Endpoint()
    async with endpoint.running():
        await anyio.sleep(80_000.0)
    assert endpoint.asked == []


async def test_who_stops_waiting_does_not_stop_the_fetch() -> None:
    endpoint = Endpoint()
    endpoint.takes = 2.0
    async with endpoint.running() as tokens:
        with anyio.move_on_after(1.0) as scope:
            await tokens.token()
        assert scope.cancelled_caught
        started = anyio.current_time()
        assert await tokens.token() == "t1"
        assert anyio.current_time() - started == pytest.approx(1.0)
    assert len(endpoint.asked) == 1


async def test_requests_go_on_with_the_old_token_while_the_next_is_fetched() -> None:
    endpoint = Endpoint()
    async with endpoint.running() as tokens:
        assert await tokens.token() == "t1"
        endpoint.takes = 25.0
        waited, seen = 0.0, set()
        until = anyio.current_time() + 10 * 3600
        while anyio.current_time() < until:
            before = anyio.current_time()
            seen.add(await tokens.token())
            waited += anyio.current_time() - before
            await anyio.sleep(10.0)
    assert waited == 0.0
    assert len(seen) == len(endpoint.asked)
    assert 12 <= len(seen) <= 15  # every 42 to 51 minutes in ten hours


async def test_an_outage_shorter_than_what_is_left_of_a_token_is_not_noticed() -> None:
    endpoint = Endpoint()
    async with endpoint.running() as tokens:
        await tokens.token()
        endpoint.failing = AuthorizationFailed("token", "down", may_pass=True)
        for _ in range(3300):  # it is good for 3,590 s, and the refresh begins after 3,060 s at the latest
            assert await tokens.token() == "t1"
            await anyio.sleep(1.0)
        tries = len(endpoint.asked) - 1
        endpoint.failing = None
        await anyio.sleep(70.0)
        assert await tokens.token() == f"t{len(endpoint.asked)}"
    assert 5 <= tries <= 25


async def test_without_a_token_a_failure_is_told_at_once_until_the_pause_is_over() -> None:
    endpoint = Endpoint()
    endpoint.failing = AuthorizationFailed("token", "refused", retry_after=20.0)
    async with endpoint.running() as tokens:
        for _ in range(100):
            with pytest.raises(AuthorizationFailed, match=r"no access token \(token\): refused") as raised:
                await tokens.token()
            assert raised.value.retry_after is not None
            assert 0 < raised.value.retry_after <= 20.0
        assert len(endpoint.asked) == 1
        endpoint.failing = None
        await anyio.sleep(20.0)
        assert await tokens.token() == "t2"


async def test_a_token_endpoint_that_hangs_is_given_up() -> None:
    endpoint = Endpoint()
    endpoint.takes = 1e6
    async with endpoint.running() as tokens:
        with pytest.raises(AuthorizationFailed, match="none within 30 s"):
            await tokens.token()


async def test_an_answer_that_nobody_understands_ends_that_try_only() -> None:
    endpoint = Endpoint()
    endpoint.failing = KeyError("what a stranger's metadata made of us")
    async with endpoint.running() as tokens:
        with pytest.raises(AuthorizationFailed, match="cannot be understood") as raised:
            await tokens.token()
        assert "stranger" not in str(raised.value)
        endpoint.failing = None
        await anyio.sleep(60.0)
        assert await tokens.token() == "t2"


async def test_a_refused_token_is_replaced_once_for_all_whom_it_was_refused_to() -> None:
    endpoint = Endpoint()
    challenge = Challenge("https://server/metadata")
    async with endpoint.running() as tokens:
        assert await tokens.token() == "t1"
        tokens.accepted("t1")
        endpoint.takes = 1.0
        others: list[str | None] = []

        async def refused() -> None:
            others.append(await tokens.instead_of("t1", challenge))

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(refused)
        assert others == ["t2"] * 50
        assert await tokens.instead_of("t1", NO_CHALLENGE) == "t2", "a late refusal of the old one fetched again"
    assert [asked for _, asked in endpoint.asked] == [None, challenge]


async def test_tokens_that_are_refused_at_once_are_not_fetched_again_and_again() -> None:
    endpoint = Endpoint()
    async with endpoint.running() as tokens:
        token: str | None = await tokens.token()
        answers = []
        for _ in range(20):
            token = await tokens.instead_of(await tokens.token(), NO_CHALLENGE)
            answers.append(token)
        assert answers == ["t2"] + [None] * 19
        tokens.accepted("t1")
        assert await tokens.instead_of("t2", NO_CHALLENGE) is None, "another token's worth was taken for this one's"
        await anyio.sleep(2.0)
        assert await tokens.instead_of("t2", NO_CHALLENGE) == "t3"


async def test_a_refused_token_whose_successor_cannot_be_had_is_an_error_that_says_so() -> None:
    endpoint = Endpoint()
    async with endpoint.running() as tokens:
        await tokens.token()
        endpoint.failing = AuthorizationFailed("token", "down")
        with pytest.raises(AuthorizationFailed, match="down"):
            await tokens.instead_of("t1", NO_CHALLENGE)
        with pytest.raises(AuthorizationFailed, match="down"):
            await tokens.token()


async def test_the_tokens_in_use_are_known_as_secrets_and_shown_nowhere() -> None:
    endpoint = Endpoint()
    secret: Callable[[int], str] = "ey-very-secret-token-{}".format

    async def fetch(challenge: Challenge | None) -> Grant:
        await endpoint.fetch(challenge)
        return Grant(secret(len(endpoint.asked)), 100.0)

    tokens = AccessTokens(fetch, random.Random(7))
    async with tokens.running():
        await tokens.token()
        await anyio.sleep(90.0)
        assert await tokens.token() == secret(2)
        assert tokens.secrets.values == {secret(1), secret(2)}
        assert tokens.secrets.mask(f"Bearer {secret(1)}, {secret(2)}") == "Bearer [redacted], [redacted]"
        assert "secret" not in repr(tokens) + repr(Grant(secret(1), 1.0))
        assert repr(tokens) == "<AccessTokens [one in use, <Renewal [0 failures, 0 refusals in a row]>]>"
