"""Whatever a configuration contains, it loads or it is a ConfigError: nothing else comes out, and no secret does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config import Settings, load
from trunkline.config.document import Document, parse
from trunkline.config.loading import settings_from
from trunkline.errors import ConfigError

SECRET = "s3cr3t-0f-th3-0p3r4t0r"
ENVIRON = {"SECRET": SECRET, "EMPTY": ""}

WORDS = st.sampled_from(
    "mcpServers trunkline defaults servers tools domains cache gateway command args env cwd url headers type disabled "
    "timeout retry attempts breaker ratio era prefix pool health p95 error_ratio idempotent replicas s t".split()
)
KEYS = WORDS | st.text(max_size=6)
TEXTS = st.text(max_size=8) | st.sampled_from(
    [
        "${SECRET}",
        "a${SECRET}b",
        "${UNSET}",
        "${UNSET:-x}",
        "$${",
        "${",
        "http",
        "sse",
        "https://h/${SECRET}",
        "\0",
        "\n",
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))
ENTRIES = st.dictionaries(WORDS, VALUES, max_size=5)
SHAPED = st.fixed_dictionaries(
    {},
    optional={
        "mcpServers": st.dictionaries(st.sampled_from(["s", "t"]), ENTRIES, max_size=2) | VALUES,
        "trunkline": st.fixed_dictionaries(
            {},
            optional={
                "defaults": ENTRIES,
                "servers": st.dictionaries(st.sampled_from(["s", "t", "u"]), ENTRIES, max_size=2),
                "tools": st.dictionaries(KEYS, ENTRIES, max_size=2),
                "domains": st.dictionaries(KEYS, ENTRIES, max_size=2),
                "gateway": VALUES,
            },
        )
        | VALUES,
    },
)
MAPPINGS = SHAPED | st.dictionaries(KEYS, VALUES, max_size=4)


def outcome_of(document: Document) -> Settings | ConfigError:
    """What comes of a document: settings, or an error that is fit to be shown."""
    try:
        settings = settings_from(document, ENVIRON)
    except ConfigError as error:
        assert error.problems
        assert all(is_shown_well(problem, document.source) for problem in error.problems)
        return error
    assert all(is_shown_well(notice, document.source) for notice in settings.notices)
    assert SECRET not in repr(settings)
    return settings


def is_shown_well(line: str, source: str) -> bool:
    return line.startswith(source) and line.isprintable() and SECRET not in line


@given(MAPPINGS)
def test_any_mapping_loads_or_is_a_config_error(values: dict[str, Any]) -> None:
    outcome_of(Document("configuration", "mapping", values))


@given(MAPPINGS)
def test_a_json_file_is_judged_like_its_mapping_but_for_the_hosts_own_keys(values: dict[str, Any]) -> None:
    document = parse("mcp.json", json.dumps(values).encode())
    from_file = outcome_of(document)
    from_mapping = outcome_of(Document("mcp.json", "json", json.loads(json.dumps(values))))
    assert type(from_file) is type(from_mapping)


@given(
    st.sampled_from(["mcp.json", "trunkline.toml", "other"]),
    st.binary()
    | st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.lists(
        st.sampled_from(
            [
                "[mcpServers.s]\n",
                "[[trunkline]]\n",
                'url = "${SECRET}"\n',
                "timeout = 1\n",
                "{",
                "}",
                '"mcpServers"',
                ":",
                ",",
            ]
            + ["[", "]", "=", '"', "'''", "\\", "1e999", "//", "#", "\r\n", "trunkline", "."]
        )
    ).map(lambda parts: "".join(parts).encode()),
)
def test_any_bytes_load_or_are_a_config_error(name: str, data: bytes) -> None:
    try:
        document = parse(name, data)
    except ConfigError as error:
        assert all(is_shown_well(problem, name) for problem in error.problems)
    else:
        outcome_of(document)


@given(st.sampled_from(["Authorization", "X-Api-Key", "h"]), st.text(st.characters(codec="ascii"), min_size=8))
def test_no_header_or_environment_value_is_ever_told_even_where_it_is_wrong(name: str, secret: str) -> None:
    marked = f"{SECRET}{secret}\n"
    values = {
        "mcpServers": {
            "http": {"url": f"ftp://user:{SECRET}@host/", "headers": {name: marked}},
            "stdio": {"command": "run", "env": {name: [marked]}, "args": {name: marked}},
        },
        "trunkline": {"defaults": {"timeout": "${SECRET}", "era": "x-${SECRET}", "prefix": ["${SECRET}"]}},
    }
    outcome = outcome_of(Document("configuration", "mapping", values))
    assert isinstance(outcome, ConfigError)
    assert 'trunkline.defaults.timeout: found "${SECRET}" (a string), expected a number' in str(outcome)


@pytest.mark.parametrize("key", ["token", "api_key", "Password", "client_secret", "authorization"])
def test_a_value_under_a_key_that_looks_secret_is_hidden(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"trunkline": {"tools": {key: SECRET}}})
    assert caught.value.problems == (
        f"configuration: trunkline.tools.{key}: found <hidden> (a string), expected a table",
    )
