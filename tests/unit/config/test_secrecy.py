"""What a configuration holds that must not be shown: values of variables, and credentials by where they stand."""

from __future__ import annotations

from typing import Any

from trunkline.config import load
from trunkline.config.difference import difference

ENVIRON = {
    "SEARCH_KEY": "planted-search-key-1",
    "ODDLY_NAMED": "planted-oddly-named-2",
    "REGION": "europe",
    "SHORT_TOKEN": "abcdef",
}


def configuration(**ours: Any) -> dict[str, Any]:
    server = {
        "url": "https://host/${ODDLY_NAMED}/mcp",
        "headers": {"Authorization": "Bearer ${SEARCH_KEY}", "X-Region": "${REGION}"},
    }
    program = {"command": "run", "args": ["--token", "planted-in-args-3"], "env": {"T": "${SHORT_TOKEN}"}}
    return {"mcpServers": {"search": server, "stt": program}, "trunkline": ours}


def test_values_of_variables_and_credentials_are_masked_and_ordinary_words_are_not() -> None:
    ours = {"cache": {"redis": {"url": "redis://:planted-password-4@127.0.0.1/0"}, "partition": "all"}}
    secrets = load(configuration(**ours), environ=ENVIRON).secrets
    said = (
        "planted-search-key-1 planted-oddly-named-2 planted-in-args-3 abcdef planted-password-4 europe run search "
        "https://host/x/mcp"
    )
    assert secrets.mask(said) == f"{'[redacted] ' * 5}europe run search https://host/x/mcp"


def test_a_key_that_a_variable_put_into_an_address_is_in_no_label() -> None:
    places = load(configuration(), environ=ENVIRON).servers["search"].places
    assert [endpoint.label for endpoint in places.values()] == ["https://host/[redacted]/mcp"]


def test_replicas_hide_what_their_server_hides() -> None:
    ours = {"servers": {"search": {"replicas": ["https://b/${ODDLY_NAMED}/mcp"]}}}
    settings = load(configuration(**ours), environ=ENVIRON)
    assert list(settings.servers["search"].places) == ["https://host/[redacted]/mcp", "https://b/[redacted]/mcp"]


def test_the_name_of_a_server_is_no_secret_whatever_variable_has_it_too() -> None:
    values = {"mcpServers": {"search-2b": {"url": "https://host/${NAME}/mcp"}}}
    settings = load(values, environ={"NAME": "search-2b"})
    assert settings.secrets.mask("server search-2b") == "server search-2b"


def test_another_value_elsewhere_leaves_a_server_as_it_is() -> None:
    before = load(configuration(), environ=ENVIRON)
    after = load(configuration(), environ={**ENVIRON, "SHORT_TOKEN": "another-token"})
    assert difference(before, after).changed_endpoint == ("stt",)
