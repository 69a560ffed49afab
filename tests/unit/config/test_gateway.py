from __future__ import annotations

from typing import Any

import pytest

from trunkline.config import load
from trunkline.errors import ConfigError
from trunkline.policy import PrincipalPolicy

HASH = "ab" * 32


def gateway(**table: Any) -> dict[str, Any]:
    return {"mcpServers": {}, "trunkline": {"gateway": table}}


def problems(**table: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        load(gateway(**table), environ={})
    return "\n".join(refused.value.problems)


def test_principals_are_read_by_name_with_all_that_they_may() -> None:
    alice = {"token_sha256": [HASH], "tools": ["search_*"], "rate": 5, "watch": True}
    settings = load(gateway(principals={"alice": alice}, hosts=["gateway.internal"]), environ={}).gateway
    assert settings.principals == {
        "alice": PrincipalPolicy(token_sha256=(HASH,), tools=("search_*",), rate=5.0, watch=True)
    }
    assert settings.hosts == ("gateway.internal",)
    assert settings.authenticates


def test_without_the_table_nobody_is_asked() -> None:
    assert not load({"mcpServers": {}}, environ={}).gateway.authenticates


def test_a_token_written_down_in_clear_is_refused_and_not_repeated() -> None:
    told = problems(principals={"alice": {"token_sha256": ["hunter2-hunter2"]}})
    assert "trunkline.gateway.principals.alice.token_sha256" in told
    assert "SHA-256 hashes" in told
    assert "hunter2" not in told


def test_one_token_cannot_be_two_principals() -> None:
    told = problems(principals={"alice": {"token_sha256": [HASH]}, "bob": {"token_sha256": [HASH]}})
    assert "bob.token_sha256[0]: is also the token of 'alice'" in told


def test_who_can_never_come_in_is_said() -> None:
    assert any("cannot come in" in notice for notice in load(gateway(principals={"alice": {}}), environ={}).notices)


def test_those_whom_a_jwt_names_have_no_token() -> None:
    assert "give the token a name" in problems(principals={"*": {"token_sha256": [HASH]}})


@pytest.mark.parametrize(
    ("jwt", "told"),
    [
        ({"audience": "a", "jwks": "/keys"}, "there is no issuer"),
        ({"issuer": "i", "jwks": "/keys"}, "audience does not fit the rest"),
        ({"issuer": "i", "audience": "a"}, "jwks does not fit the rest"),
        ({"issuer": "i", "audience": "a", "jwks": "http://id.example/keys"}, "an https address"),
        ({"issuer": "i", "audience": "a", "jwks": "https://"}, "an https address"),
        ({"issuer": "i", "audience": "a", "jwks": "/keys", "algorithms": ["HS256"]}, "algorithms"),
        ({"issuer": "i", "audience": "a", "jwks": "/keys", "algorithms": ["none"]}, "algorithms"),
        ({"issuer": "i", "audience": "a", "jwks": "/keys", "leeway": -1}, "leeway"),
        ({"issuer": "i", "audience": "a", "jwks": "/keys", "clam": "sub"}, 'did you mean "claim"'),
    ],
)
def test_what_is_wrong_with_jwt_is_said(jwt: dict[str, Any], told: str) -> None:
    assert told in problems(jwt=jwt)


@pytest.mark.parametrize("jwks", ["https://id.example/keys", "http://127.0.0.1:1/keys", "http://localhost/k", "/keys"])
def test_keys_are_where_nobody_can_change_them_on_the_way(jwks: str) -> None:
    settings = load(gateway(jwt={"issuer": "i", "audience": "a", "jwks": jwks}), environ={}).gateway
    assert settings.jwt.jwks == jwks
    assert settings.authenticates


@pytest.mark.parametrize("host", ["http://gateway", "gateway:8700", "", "a b"])
def test_a_host_is_a_name_alone(host: str) -> None:
    assert "without scheme and port" in problems(hosts=[host])


def test_principals_are_tables_by_name() -> None:
    assert "expected a table of tables by name" in problems(principals=["alice"])
    assert "a name is empty" in problems(principals={"": {}})
    assert 'did you mean "tools"' in problems(principals={"alice": {"tool": ["x"]}})


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"boddy": 1}, "did you mean 'body'"),
        ({"head_time": 0}, "expected a number greater than 0"),
        ({"sessions": -1}, "expected a number greater than 0"),
    ],
)
def test_a_limit_that_makes_no_sense_is_explained(limits: dict[str, Any], told: str) -> None:
    found = problems(limits=limits)
    assert "trunkline.gateway.limits" in found
    assert told.replace("'", "").replace('"', "") in found.replace("'", "").replace('"', "")
