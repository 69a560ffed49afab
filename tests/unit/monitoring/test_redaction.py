from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.monitoring.redaction import REDACTED, redact, redact_value

SECRET = "Zx9Kq27LmPw4Tt81Bn55"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"Authorization: Basic {SECRET}==",
        f"'authorization': 'Bearer {SECRET}'",
        f"sent bearer {SECRET} along",
        f"Proxy-Authorization: token {SECRET}",
        f"Cookie: a={SECRET}; b={SECRET}",
        f"https://user:{SECRET}@host:8080/path",
        f"redis://:{SECRET}@cache/0",
        f"rediss://user:p@ss{SECRET}@cache/0",
        f"GET /mcp?api_key={SECRET}&q=1",
        f"X-Api-Key: {SECRET}",
        f"SEARCH_TOKEN={SECRET}",
        f'{{"client_secret": "{SECRET} with words"}}',
        f"password = '{SECRET}",
        f"key sk-{SECRET} in use",
        f"ghp_{SECRET}",
        f"github_pat_{SECRET}",
        f"eyJhbGciOiJIUzI1NiJ9.{SECRET}.{SECRET}",
        f"AKIA{'Q' * 16} {SECRET}".split(maxsplit=1)[0],
    ],
)
def test_no_credential_survives(text: str) -> None:
    cleaned = redact(text)
    assert SECRET not in cleaned
    assert "Q" * 16 not in cleaned
    assert REDACTED in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "circuit_changed server=search old=closed new=open",
        "max_tokens=512, basic understanding, a passing test",
        "https://search.internal/mcp took 0.2 s",
        "skip-this ghost tokens: 3",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@given(st.text(max_size=200))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact(f"password={text} Authorization: Bearer {text}")
    assert redact(once) == once


def test_nested_values_lose_what_their_names_give_away() -> None:
    value = {"headers": [{"Authorization": SECRET, "accept": "json"}], "api_key": {"a": SECRET}, "retries": 3}
    assert redact_value(value) == {
        "headers": [{"Authorization": REDACTED, "accept": "json"}],
        "api_key": REDACTED,
        "retries": 3,
    }


def test_objects_become_redacted_text_and_endless_nesting_ends() -> None:
    class Holder:
        def __repr__(self) -> str:
            return f"<Holder token={SECRET}>"

    assert SECRET not in str(redact_value({"it": Holder()}))
    loop: list[object] = []
    loop.append(loop)
    assert REDACTED in str(redact_value(loop))


@pytest.mark.parametrize("unit", ["token", "a", "bearer ", "://", "x@", "password ", "eyJ", "cookie:"])
def test_hostile_text_takes_linear_time(unit: str) -> None:
    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        started = time.process_time()
        redact(text)
        return time.process_time() - started

    # Quadratic work on half a megabyte would take hours, linear work takes a second or so on the slowest machine.
    assert seconds(500_000) < 30
