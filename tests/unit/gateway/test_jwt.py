"""Tokens of an identity provider: real keys, real signatures, keys from a file and from a real HTTP server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.unit.gateway.laboratory import gateway
from trunkline.gateway.jwt_keys import JwtKeys, KeysUnavailable
from trunkline.gateway.tokens import Tokens
from trunkline.policy import GatewaySettings, JwtPolicy, PrincipalPolicy

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("GATEWAY-JWT")]

ISSUER, AUDIENCE = "https://id.example", "https://gateway.example/mcp"
KEYS: dict[str, tuple[str, Any]] = {
    "rsa": ("RS256", rsa.generate_private_key(65537, 2048)),
    "ec": ("ES256", ec.generate_private_key(ec.SECP256R1())),
    "ed": ("EdDSA", ed25519.Ed25519PrivateKey.generate()),
}


def key_set(*names: str) -> str:
    """What an issuer publishes of these keys."""
    published = []
    for name in names:
        algorithm, key = KEYS[name]
        described = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key()))
        published.append(described | {"kid": name, "alg": algorithm, "use": "sig"})
    return json.dumps({"keys": published})


def signed(name: str = "rsa", *, kid: str | None = None, **changed: Any) -> str:
    """A token that holds, but for what is changed; None leaves a claim out."""
    claims: dict[str, object] = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": time.time() + 60, **changed}
    algorithm, key = KEYS[name]
    kept = {claim: value for claim, value in claims.items() if value is not None}
    return jwt.encode(kept, key, algorithm, headers={"kid": kid or name})


def accepting(jwks: object, **policies: PrincipalPolicy) -> GatewaySettings:
    policy = JwtPolicy(issuer=ISSUER, audience=AUDIENCE, jwks=str(jwks), leeway=5.0)
    return GatewaySettings(principals=policies, jwt=policy)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(key_set(*KEYS), "utf-8")
    return path


async def owner(tokens: Tokens, token: str) -> str | None:
    principal = await tokens.principal(token)
    return None if principal is None else principal.name


@pytest.mark.parametrize("name", KEYS)
async def test_a_token_that_the_issuer_signed_names_its_principal(name: str, published: Path) -> None:
    assert await owner(Tokens(accepting(published, alice=PrincipalPolicy())), signed(name)) == "alice"


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"iss": "https://evil.example"}, id="another issuer"),
        pytest.param({"aud": "https://other.example"}, id="meant for another service"),
        pytest.param({"exp": 1000}, id="expired"),
        pytest.param({"nbf": 32503680000}, id="not valid yet"),
        pytest.param({"exp": None}, id="without an end"),
        pytest.param({"aud": None}, id="meant for nobody"),
        pytest.param({"iss": None}, id="of nobody"),
        pytest.param({"sub": None}, id="names nobody"),
        pytest.param({"sub": ""}, id="an empty name"),
        pytest.param({"sub": "*"}, id="everybody"),
        pytest.param({"sub": "a\nb"}, id="a name that does not print"),
        pytest.param({"sub": "x" * 257}, id="a name too long"),
        pytest.param({"sub": "bob"}, id="a stranger"),
    ],
)
async def test_a_token_that_does_not_hold_is_nobodys(changed: dict[str, Any], published: Path) -> None:
    assert await owner(Tokens(accepting(published, alice=PrincipalPolicy())), signed(**changed)) is None


async def test_who_is_not_named_is_let_in_where_others_are_and_with_their_rights(published: Path) -> None:
    others = PrincipalPolicy(tools=("search_*",))
    principal = await Tokens(accepting(published, **{"*": others})).principal(signed(sub="bob"))
    assert principal is not None
    assert (principal.name, principal.policy) == ("bob", others)


async def test_the_algorithm_is_ours_to_choose_not_the_tokens(published: Path) -> None:
    tokens = Tokens(accepting(published, alice=PrincipalPolicy()))
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": time.time() + 60}
    public = json.loads(key_set("rsa"))["keys"][0]
    forged = [
        jwt.encode(claims, "", "none", headers={"kid": "rsa"}),
        jwt.encode(claims, public["n"].encode().ljust(64, b"x"), "HS256", headers={"kid": "rsa"}),
        signed("ec", kid="rsa"),
        signed("rsa")[:-4] + "AAAA",
        "a.b.c",
        "..",
        "eyJhbGciOiJSUzI1NiIsImtpZCI6WzFdfQ.e30.AA",
    ]
    assert [await owner(tokens, token) for token in forged] == [None] * len(forged)


class Issuer(BaseHTTPRequestHandler):
    """Publishes whatever its server holds, and counts how often it was asked."""

    def do_GET(self) -> None:
        self.server.asked += 1  # type: ignore[attr-defined]
        status, body, headers = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def issuer() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    server.asked = 0  # type: ignore[attr-defined]
    server.answer = (200, key_set("rsa"), {})  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def address(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}/keys"


async def test_keys_are_fetched_once_and_strangers_cannot_make_us_fetch_again(issuer: ThreadingHTTPServer) -> None:
    tokens = Tokens(accepting(address(issuer), alice=PrincipalPolicy()))
    assert await owner(tokens, signed()) == "alice"
    for number in range(20):
        assert await owner(tokens, signed(kid=f"unknown-{number}")) is None
    assert await owner(tokens, signed()) == "alice"
    assert issuer.asked == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param((503, "", {}), id="away"),
        pytest.param((200, "<html>", {}), id="no JSON"),
        pytest.param((200, "[]", {}), id="no key set"),
        pytest.param((200, '{"keys": []}', {}), id="empty"),
        pytest.param((200, "x" * 300_000, {}), id="too large"),
        pytest.param((302, "", {"Location": "http://169.254.169.254/latest/meta-data"}), id="leads elsewhere"),
    ],
)
async def test_without_keys_a_caller_is_told_that_nobody_can_be_recognised(
    answer: tuple[int, str, dict[str, str]], issuer: ThreadingHTTPServer
) -> None:
    issuer.answer = answer  # type: ignore[attr-defined]
    async with gateway("lab", settings=accepting(address(issuer), alice=PrincipalPolicy())) as (_, client):
        told = await client.get("/metrics", headers={"Authorization": f"Bearer {signed()}"})
        assert (told.status_code, told.json()["error"]["code"]) == (503, "keys_unavailable")
        assert told.headers["retry-after"] == "30"
        assert str(issuer.server_port) not in told.text
        assert (await client.get("/metrics")).status_code == 401
        probe = await client.get("/health/live", headers={"Authorization": f"Bearer {signed()}"})
        assert probe.status_code == 200, "nobody needs to be recognised to ask whether the gateway lives"


async def test_nobody_listens_where_the_keys_should_be(issuer: ThreadingHTTPServer) -> None:
    issuer.shutdown()
    issuer.server_close()
    with pytest.raises(KeysUnavailable, match="ConnectError"):
        await JwtKeys(address(issuer), refresh=300.0).key("rsa")


async def test_known_keys_go_on_counting_while_the_issuer_is_away_and_new_ones_come_in(
    issuer: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.gateway.jwt_keys.PAUSE", 0.0)
    keys = JwtKeys(address(issuer), refresh=1e-9)
    assert await keys.key("rsa") is not None
    issuer.answer = (503, "", {})  # type: ignore[attr-defined]
    assert await keys.key("rsa") is not None
    assert await keys.key("ec") is None
    issuer.answer = (200, key_set("ec"), {})  # type: ignore[attr-defined]
    assert await keys.key("ec") is not None
    assert await keys.key("rsa") is None, "a key that the issuer has withdrawn"
    assert await keys.key(None) is not None, "the only one it has"
