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
    [
        "mcpServers",
        "trunkline",
        "defaults",
        "servers",
        "tools",
        "domains",
        "cache",
        "gateway",
        "command",
        "args",
        "env",
        "cwd",
        "url",
        "headers",
        "type",
        "disabled",
        "timeout",
        "retry",
        "attempts",
        "breaker",
        "ratio",
        "era",
        "prefix",
        "pool",
        "health",
        "p95",
        "error_ratio",
        "idempotent",
        "replicas",
        "ttl",
        "stale_if_error",
        "tags",
        "copy",
        "listings",
        "min_ttl",
        "max_bytes",
        "partition",
        "redis",
        "mode",
        "sentinel_service",
        "nodes",
        "ca_file",
        "s",
        "t",
    ]
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
        "redis://:${SECRET}@h/0",
        "rediss://${SECRET}",
        "unix://x",
        "cluster",
        "sentinel",
        "h:1",
        "\0",
        "\n",
    ]
)
FRAGMENTS = st.sampled_from(
    [
        "[mcpServers.s]\n",
        "[[trunkline]]\n",
        'url = "${SECRET}"\n',
        "timeout = 1\n",
        '"mcpServers"',
        "trunkline",
        "1e999",
        "//",
        "#",
        "\r\n",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "=",
        ".",
        '"',
        "'''",
        "\\",
        "\ufeff",
        "\u2028",
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
                "cache": ENTRIES | st.fixed_dictionaries({"redis": ENTRIES}),
                "gateway": VALUES,
            },
        )
        | VALUES,
    },
)
MAPPINGS = SHAPED | st.dictionaries(KEYS, VALUES, max_size=4)


def outcome_of(source: str, said: bytes | dict[str, Any]) -> Settings | ConfigError:
    """What comes of a file's bytes or of a mapping: settings, or an error, both fit to be shown."""
    outcome = judged(source, said)
    lines = outcome.notices if isinstance(outcome, Settings) else outcome.problems
    assert lines or isinstance(outcome, Settings)
    for line in lines:
        assert line.startswith(source)
        assert line.isprintable()
        assert SECRET not in line
    assert SECRET not in repr(outcome)
    return outcome


def judged(source: str, said: bytes | dict[str, Any]) -> Settings | ConfigError:
    try:
        document = parse(source, said) if isinstance(said, bytes) else Document(source, "mapping", said)
        return settings_from(document, ENVIRON)
    except ConfigError as error:
        return error


@given(MAPPINGS)
def test_any_mapping_loads_or_is_a_config_error(values: dict[str, Any]) -> None:
    outcome_of("configuration", values)


@given(SHAPED)
def test_a_json_file_is_judged_like_the_mapping_it_spells_out(values: dict[str, Any]) -> None:
    from_file = outcome_of("mcp.json", json.dumps(values).encode())
    assert type(from_file) is type(outcome_of("configuration", values))


@given(
    st.sampled_from(["mcp.json", "trunkline.toml", "other"]),
    st.binary()
    | st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.lists(FRAGMENTS).map(lambda fragments: "".join(fragments).encode()),
)
def test_any_bytes_load_or_are_a_config_error(name: str, data: bytes) -> None:
    outcome_of(name, data)


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
    outcome = outcome_of("configuration", values)
    assert isinstance(outcome, ConfigError)
    assert 'trunkline.defaults.timeout: found "${SECRET}" (a string), expected a number' in str(outcome)


@given(
    st.sampled_from(["redis", "rediss", "unix", "http", ""]),
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.sampled_from(["host", "host:6379/0", "host:0", "host:x", "[::1", "", "h/0?db=3", "/path"]),
    st.sampled_from(["url", "nodes", "ca_file", "mode", "sentinel_service"]),
)
def test_no_password_of_a_redis_is_ever_told_wherever_its_address_stands(
    scheme: str, secret: str, place: str, key: str
) -> None:
    address = f"{scheme}://user:{SECRET}{secret}@{place}"
    given_as = [address] if key == "nodes" else address
    for redis in ({"url": address}, {"url": "redis://h", key: given_as}, {"mode": "cluster", "url": address}, address):
        outcome_of("configuration", {"trunkline": {"cache": {"redis": redis}}})


@pytest.mark.parametrize("key", ["token", "api_key", "Password", "client_secret", "authorization"])
def test_a_value_under_a_key_that_looks_secret_is_hidden(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"trunkline": {"tools": {key: SECRET}}})
    assert caught.value.problems == (
        f"configuration: trunkline.tools.{key}: found <hidden> (a string), expected a table",
    )
