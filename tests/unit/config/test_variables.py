"""Environment variables in strings: replaced, or reported by name, never by value."""

from __future__ import annotations

import pytest

from trunkline.config import load
from trunkline.endpoint import StdioEndpoint
from trunkline.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${USER_NAME}", "ada"),
        ("<${USER_NAME}${USER_NAME}>", "<adaada>"),
        ("${env:USER_NAME}", "ada"),
        ("${ABSENT:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ("${USER_NAME:-other}", "ada"),
        ("${ABSENT:-}", ""),
        ("$USER_NAME costs $5", "$USER_NAME costs $5"),
        ("$$", "$"),
        ("$${USER_NAME}", "${USER_NAME}"),
        ("$$${USER_NAME}", "$ada"),
        ("${NESTED}", "${USER_NAME}"),
    ],
)
def test_a_variable_is_replaced_by_its_value(text: str, expected: str) -> None:
    environ = {"USER_NAME": "ada", "EMPTY": "", "NESTED": "${USER_NAME}"}
    settings = load({"mcpServers": {"s": {"command": "run", "args": [text]}}}, environ=environ)
    assert settings.servers["s"].endpoint == StdioEndpoint("run", (expected,))


def test_the_process_environment_is_used_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_TEST_PROGRAM", "the-program")
    settings = load({"mcpServers": {"s": {"command": "${TRUNKLINE_TEST_PROGRAM}"}}})
    assert settings.servers["s"].endpoint == StdioEndpoint("the-program")


def test_every_unset_variable_is_a_problem_that_names_it_and_its_key() -> None:
    values = {
        "mcpServers": {"s": {"url": "${HOST}", "headers": {"Authorization": "Bearer ${TOKEN}"}}},
        "trunkline": {"gateway": {"hosts": ["${FIRST}-${SECOND}"]}},
    }
    with pytest.raises(ConfigError) as caught:
        load(values, environ={})
    assert [problem.partition(";")[0] for problem in caught.value.problems] == [
        "configuration: mcpServers.s.url: the environment variable HOST is not set",
        "configuration: mcpServers.s.headers.Authorization: the environment variable TOKEN is not set",
        "configuration: trunkline.gateway.hosts[0]: the environment variable FIRST is not set",
        "configuration: trunkline.gateway.hosts[0]: the environment variable SECOND is not set",
    ]


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${input:key}", "${A-B}", "${OPEN"])
def test_braces_that_name_no_variable_are_a_problem(text: str) -> None:
    with pytest.raises(ConfigError, match=r"args\[0\]: it has a \$\{ that names no variable"):
        load({"mcpServers": {"s": {"command": "run", "args": [text]}}}, environ={})


def test_variables_of_a_disabled_server_need_not_be_set() -> None:
    settings = load({"mcpServers": {"s": {"command": "${UNSET}", "disabled": True}}}, environ={})
    assert dict(settings.servers) == {}


def test_half_a_surrogate_pair_is_a_problem_not_a_crash_at_start() -> None:
    with pytest.raises(ConfigError, match=r"mcpServers\.s\.command: it is not valid Unicode text"):
        load({"mcpServers": {"s": {"command": "\ud800"}}})


def test_a_key_that_is_not_text_is_a_problem() -> None:
    with pytest.raises(ConfigError) as caught:
        load({"mcpServers": {"s": {"command": "run", "env": {1: "x"}}}, "trunkline": {"tools": {"\udc80": {}}}})
    assert caught.value.problems == (
        "configuration: mcpServers.s.env: a key in it is not text, expected keys that are Unicode strings",
        "configuration: trunkline.tools: a key in it is not text, expected keys that are Unicode strings",
    )


def test_a_mapping_that_contains_itself_is_a_problem() -> None:
    endless: dict[str, object] = {}
    endless["x"] = endless
    with pytest.raises(ConfigError, match="nested too deeply, expected at most 32 levels"):
        load({"trunkline": {"gateway": endless}})
