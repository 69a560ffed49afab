"""Secrets of a configuration: found by where they stand, masked wherever they turn up, and nothing else is."""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.secrets import REDACTED, Secrets, looks_ordinary, secrets_in

SECRET = 'hunter2-"ä"/do not show'
PLAIN = "hunter2-do-not-show"
BASIC = base64.b64encode(f"user:{PLAIN}".encode()).decode()


@pytest.mark.parametrize(
    "form",
    [SECRET, quote(SECRET, safe=""), json.dumps(SECRET), json.dumps(SECRET, ensure_ascii=False), repr(SECRET)],
)
def test_a_secret_is_masked_in_every_form_it_is_written_in(form: str) -> None:
    masked = Secrets([SECRET]).mask(f"before {form} after")
    assert "hunter2" not in masked
    assert REDACTED in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


@pytest.mark.parametrize(
    "table",
    [
        {"headers": {"Authorization": f"Bearer {PLAIN}"}},
        {"headers": {"authorization": PLAIN}},
        {"headers": {"X-Api-Key": PLAIN}},
        {"headers": {"X-Anything": f"{PLAIN}"}},
        {"headers": {"Cookie": f"theme=dark; sid={PLAIN}"}},
        {"headers": {"Authorization": f"Basic {BASIC}"}},
        {"env": {"SEARCH_TOKEN": PLAIN}},
        {"env": {"DATABASE_URL": f"postgres://user:{PLAIN}@host/db"}},
        {"args": ["--api-key", PLAIN]},
        {"args": [f"--token={PLAIN}"]},
        {"args": ["-H", f"Authorization: Bearer {PLAIN}"]},
        {"url": f"https://user:{PLAIN}@host/mcp"},
        {"url": f"https://{PLAIN}@host/mcp"},
        {"url": f"https://host/mcp?key={PLAIN}"},
        {"url": f"https://host/mcp?q=1&x={PLAIN}"},
        {"cache": {"redis": {"url": f"redis://:{quote(PLAIN)}@host/0", "sentinel_password": PLAIN}}},
        {"alerts": {"sinks": [{"url": f"https://host/hook?token={PLAIN}"}]}},
    ],
    ids=str,
)
def test_a_credential_is_found_wherever_one_can_stand(table: dict[str, Any]) -> None:
    assert Secrets(secrets_in(table)).mask(f"it said {PLAIN} to us") == f"it said {REDACTED} to us"


def test_a_key_in_the_path_of_an_address_is_a_secret_too() -> None:
    assert list(secrets_in({"url": "https://host/s/hunter2doNotShowThis00/mcp"})) == ["hunter2doNotShowThis00"]


def test_what_a_client_makes_of_a_user_in_an_address_is_a_secret_too() -> None:
    assert BASIC in set(secrets_in({"url": f"https://user:{PLAIN}@host/mcp"}))


@pytest.mark.parametrize(
    "table",
    [
        {"headers": {"Accept": "application/json, text/event-stream", "X-Tenant": "production"}},
        {"env": {"LOG_LEVEL": "warning", "TZ": "Europe/Berlin"}, "args": ["--model", "small", "-m", "server"]},
        {"url": "https://search.internal:8443/api/v1/mcp?page=2"},
        {"retry": {"attempts": 3}, "max_tokens": 512, "enabled": True, "nothing": None},
    ],
    ids=str,
)
def test_what_is_plainly_no_credential_is_left_alone(table: dict[str, Any]) -> None:
    assert list(secrets_in(table)) == []


@pytest.mark.parametrize(
    ("value", "is_ordinary"),
    [
        ("production", True),
        ("Europe/Berlin", True),
        ("127.0.0.1:8080", True),
        ("search.internal", True),
        ("/srv/data", True),
        ("https://host/mcp", True),
        ("https://user:word@host/mcp", False),
        ("hunter2", False),
        ("correct-horse-battery-staple", False),
        ("Zx9Kq27LmPw4", False),
    ],
)
def test_ordinary_words_addresses_and_numbers_are_told_from_secrets(value: str, is_ordinary: bool) -> None:
    assert looks_ordinary(value) is is_ordinary


def test_fields_of_data_are_masked_at_any_depth_with_their_names_and_numbers_stay() -> None:
    data = {"a": [PLAIN, 1, {"b": f"<{PLAIN}>"}], PLAIN: (True, None, 0.5)}
    assert Secrets([PLAIN]).mask_value(data) == {
        "a": [REDACTED, 1, {"b": f"<{REDACTED}>"}],
        REDACTED: [True, None, 0.5],
    }


def test_short_values_are_no_secrets_and_none_masks_nothing() -> None:
    assert Secrets(["", "abc"]).mask("abcdef") == "abcdef"
    assert not Secrets(["abc"])
    assert repr(Secrets([PLAIN])) == "<Secrets [1 values]>"


def test_several_are_joined_and_the_longest_that_fits_is_masked() -> None:
    both = Secrets.union((Secrets(["secret"]), Secrets(["secret-and-more"])))
    assert both.mask("it was secret-and-more, not secret") == f"it was {REDACTED}, not {REDACTED}"


@given(st.lists(st.text(min_size=6, max_size=20), min_size=1, max_size=5), st.text(max_size=20))
def test_no_secret_survives_whatever_it_is_made_of(values: list[str], between: str) -> None:
    secrets = Secrets(values)
    masked = secrets.mask(between.join(values))
    assert all(value not in masked or value in REDACTED + between + REDACTED for value in values)


def test_a_thousand_secrets_are_looked_for_in_a_megabyte_within_seconds() -> None:
    secrets = Secrets(f"{number:x}-planted-{number}" for number in range(1000))
    started = time.process_time()
    assert REDACTED not in secrets.mask("0123456789abcdef " * 60_000)
    # Linear work takes a tenth of a second; a look-up per character and secret would take minutes.
    assert time.process_time() - started < 30
