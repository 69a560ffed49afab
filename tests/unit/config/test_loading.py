"""A whole configuration: the contract's own examples, and what is said about files that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trunkline.config import Settings, load
from trunkline.endpoint import HttpEndpoint, StdioEndpoint
from trunkline.errors import ConfigError
from trunkline.policy import (
    BreakerPolicy,
    CachePolicy,
    CacheSettings,
    DomainPolicy,
    RedisPolicy,
    RetryPolicy,
    ToolPolicy,
)

CONTRACT = """\
[mcpServers.search]                      # the same map as in any host's mcp.json
url = "https://search.internal/mcp"
headers = { Authorization = "Bearer ${SEARCH_TOKEN}" }
[mcpServers.stt]
command = "stt-server"
args = ["--model", "small"]

[trunkline.defaults]
timeout = 30.0                           # seconds, the whole call
retry = { attempts = 3 }
breaker = { enabled = true }             # every policy table has `enabled`
[trunkline.servers.search]
trust_annotations = true
replicas = ["https://search-b.internal/mcp"]
fallback = ["search-public"]
[trunkline.tools.search_web]             # the name as shown to callers
cache = { ttl = 300, stale = 300, stale_if_error = 3600 }
idempotent = true
[trunkline.domains.speech]
p95 = 1.0                                # seconds; thresholds become alerts
error_ratio = 0.05
[trunkline.cache]
max_bytes = 67108864
redis = { url = "rediss://cache.internal:6380/0" }
"""

CONTRACT_AS_MAPPING: dict[str, Any] = {
    "mcpServers": {
        "search": {"url": "https://search.internal/mcp", "headers": {"Authorization": "Bearer ${SEARCH_TOKEN}"}},
        "stt": {"command": "stt-server", "args": ["--model", "small"]},
    },
    "trunkline": {
        "defaults": {"timeout": 30.0, "retry": {"attempts": 3}, "breaker": {"enabled": True}},
        "servers": {
            "search": {
                "trust_annotations": True,
                "replicas": ["https://search-b.internal/mcp"],
                "fallback": ["search-public"],
            }
        },
        "tools": {"search_web": {"cache": {"ttl": 300, "stale": 300, "stale_if_error": 3600}, "idempotent": True}},
        "domains": {"speech": {"p95": 1.0, "error_ratio": 0.05}},
        "cache": {"max_bytes": 67108864, "redis": {"url": "rediss://cache.internal:6380/0"}},
    },
}

NOTICES = (
    (
        "trunkline.servers.search.fallback names 'search-public', which is no server under mcpServers, "
        'and passes over it; did you mean "search"?'
    ),
    (
        "trunkline.cache.redis shares only answers of calls that name a principal; name one for the others by "
        "trunkline.cache.partition"
    ),
)

ENVIRON = {"SEARCH_TOKEN": "hunter2"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems_of(name: str, data: str | bytes, **options: Any) -> list[str]:
    Path(name).write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(ConfigError) as caught:
        load(name, environ={}, **options)
    assert caught.value.source == name
    assert all("\n" not in problem for problem in caught.value.problems)
    return list(caught.value.problems)


def assert_is_the_contracts(settings: Settings) -> None:
    search, stt = settings.servers.values()
    assert (search.name, stt.name) == ("search", "stt")
    assert search.endpoint == HttpEndpoint("https://search.internal/mcp", {"Authorization": "Bearer hunter2"})
    assert search.replicas == (HttpEndpoint("https://search-b.internal/mcp", {"Authorization": "Bearer hunter2"}),)
    assert search.policy.fallback == ("search-public",)
    assert stt.endpoint == StdioEndpoint("stt-server", ("--model", "small"))
    assert (search.policy.trust_annotations, stt.policy.trust_annotations) == (True, False)
    assert (stt.policy.timeout, stt.policy.retry, stt.policy.breaker) == (30.0, RetryPolicy(), BreakerPolicy())
    cached = CachePolicy(ttl=300.0, stale=300.0, stale_if_error=3600.0)
    assert settings.tools == {"search_web": ToolPolicy(idempotent=True, cache=cached)}
    assert settings.cache == CacheSettings(redis=RedisPolicy(url="rediss://cache.internal:6380/0"))
    assert settings.domains == {"speech": DomainPolicy(p95=1.0, error_ratio=0.05)}
    assert not settings.is_fallback


def test_the_contracts_toml_example_loads_and_says_what_has_no_effect_yet(folder: Path) -> None:
    (folder / "trunkline.toml").write_text(CONTRACT)
    settings = load("trunkline.toml", environ=ENVIRON)
    assert_is_the_contracts(settings)
    assert settings.source == "trunkline.toml"
    lines = (15, 24)
    assert settings.notices == tuple(
        f"trunkline.toml:{line}: {notice}" for line, notice in zip(lines, NOTICES, strict=True)
    )


def test_the_contracts_example_as_json_and_as_a_mapping_is_the_same(folder: Path) -> None:
    path = folder / "mcp.json"
    path.write_text(json.dumps(CONTRACT_AS_MAPPING, indent=2))
    assert_is_the_contracts(load(path, environ=ENVIRON))
    mapped = load(CONTRACT_AS_MAPPING, environ=ENVIRON)
    assert_is_the_contracts(mapped)
    assert mapped.source == "configuration"
    assert sorted(mapped.notices) == sorted(f"configuration: {notice}" for notice in NOTICES)


def test_a_file_with_a_byte_order_mark_and_windows_line_ends_loads(folder: Path) -> None:
    for name, text in (("a.toml", '[mcpServers.s]\r\ncommand = "x"\r\n'), ("a.json", '{"mcpServers":\r\n{}}')):
        (folder / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert load(name).source == name


def test_every_problem_of_a_file_is_told_at_once_in_file_order_with_its_line(folder: Path) -> None:
    text = """\
[trunkline.servers.search]
retyr = 3
timeout = "3"
[trunkline.servers.serch]
[trunkline]
cach = {}
[mcpServers.search]
url = "https://search.internal/mcp"
headers = { Authorization = "${SEARCH_TOKEN}" }
"""
    assert problems_of("trunkline.toml", text) == [
        'trunkline.toml:2: trunkline.servers.search.retyr: unknown key; did you mean "retry"?',
        'trunkline.toml:3: trunkline.servers.search.timeout: found "3" (a string), expected a number',
        'trunkline.toml:4: trunkline.servers.serch: no server of that name under mcpServers; did you mean "search"?',
        'trunkline.toml:6: trunkline.cach: unknown key; did you mean "cache"?',
        (
            "trunkline.toml:9: mcpServers.search.headers.Authorization: the environment variable SEARCH_TOKEN is not "
            "set; set it, or give a default with ${SEARCH_TOKEN:-default}"
        ),
    ]


def test_a_configuration_without_servers_loads_with_a_notice() -> None:
    assert load({}).notices == ("configuration: no server is configured: name one under mcpServers",)


@pytest.mark.parametrize("name", ["trunkline.toml", "no.extension"])
def test_a_missing_file_gives_the_built_in_configuration_and_says_so(folder: Path, name: str) -> None:
    settings = load(name)
    assert settings.is_fallback
    assert (dict(settings.servers), dict(settings.tools), dict(settings.domains)) == ({}, {}, {})
    (notice,) = settings.notices
    assert notice == (
        f"{name}: no such file; the built-in configuration is in force, without any server: "
        "create the file or give another path"
    )
    assert repr(settings) == f"<Settings {name} fallback servers=0 tools=0 domains=0 notices=1>"


def test_a_missing_file_that_must_exist_is_a_problem(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"^a\.toml: no such file; create it or give another path$"):
        load("a.toml", must_exist=True)


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.yaml", "", 'a.yaml: has the extension ".yaml", expected .toml or .json'),
        ("a.toml", b"a = 1\nb = '\xff'", "a.toml:2: is not UTF-8 text; save the file as UTF-8"),
        ("a.json", '{"a": 1}'.encode("utf-16"), "a.json:1: is not UTF-8 text; save the file as UTF-8"),
        ("a.toml", "a = 1\nb = yes", "a.toml:2:5: not valid TOML: Invalid value; text needs quotes"),
        ("a.toml", "a = [1", "a.toml:1:7: not valid TOML: Unclosed array; write key = value or [table], and close"),
        ("a.toml", "[a]\n[a]", "a.toml:2:3: not valid TOML: Cannot declare ('a',) twice; a key or table stands twice"),
        ("a.toml", 'a = "\x01"', "a.toml:1:6: not valid TOML: Illegal character '\\x01'; correct the file there"),
        ("a.toml", "a = " + "9" * 5000, "a.toml: not valid TOML: a number in it has too many digits"),
        ("a.toml", "a = " + "[" * 50_000, "a.toml: is nested too deeply; flatten it"),
        ("a.json", "", 'a.json:1:1: not valid JSON: Expecting value; the file is empty: write {"mcpServers": {}}'),
        (
            "a.json",
            "{ // no\n}",
            "a.json:1:3: not valid JSON: Expecting property name enclosed in double quotes; JSON has",
        ),
        (
            "a.json",
            '{"a": "b" "c": 1}',
            "a.json:1:11: not valid JSON: Expecting ',' delimiter; put a comma, or a colon",
        ),
        ("a.json", '{"a":', "a.json:1:6: not valid JSON: Expecting value; the file ends too early: close every brace"),
        ("a.json", '{"a": True}', "a.json:1:7: not valid JSON: Expecting value; correct the file there"),
        ("a.json", '{"a": ' + "9" * 5000 + "}", "a.json: a number in it has too many digits; shorten it"),
        ("a.json", "[" * 50_000, "a.json: is nested too deeply; flatten it"),
        ("a.json", "[]", 'a.json: expected an object at the top, as in {"mcpServers": {}}'),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "bytes",
)
def test_a_file_that_cannot_be_parsed_says_where_and_what_to_do(
    folder: Path, name: str, data: str | bytes, problem: str
) -> None:
    (found,) = problems_of(name, data)
    assert found.startswith(problem)


@pytest.mark.parametrize("text", ['{"a": 1,}', '{"a": [1,\n]}', '{"a": [,]}', '{"a": [1,,2]}'])
def test_a_superfluous_comma_in_json_is_named(folder: Path, text: str) -> None:
    (problem,) = problems_of("a.json", text)
    assert problem.endswith("; remove the superfluous comma")


@pytest.mark.parametrize("text", ["{'a': 1}", "{\"a\": 'b'}", '{"a": 1, b: 2}', "{a: 1}"])
def test_missing_double_quotes_in_json_are_named(folder: Path, text: str) -> None:
    (problem,) = problems_of("a.json", text)
    assert problem.endswith("; put keys and text between double quotes")


@pytest.mark.parametrize("comment", ["// x", "/* x */", "# x"])
def test_any_comment_in_json_is_named(folder: Path, comment: str) -> None:
    (problem,) = problems_of("a.json", f'{{"mcpServers": {{\n  {comment}\n  "s": {{}}}}}}')
    assert problem.startswith("a.json:2:3: ")
    assert problem.endswith(
        f'JSON has no comments: remove "{comment[:2].strip()}" and what follows, or use a .toml file'
    )


def test_a_key_that_stands_twice_in_a_json_object_is_a_problem_at_its_second_line(folder: Path) -> None:
    text = '{"mcpServers": {\n"s": {"command": "x"},\n"s": {"command": "y"}}}'
    assert problems_of("a.json", text) == [
        "a.json:3: mcpServers.s: this key stands twice in one object; keep one of the two"
    ]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (".", ".: is a directory; give the path of a .toml or .json file"),
        ("a\0.toml", "a\\u0000.toml: cannot be read (embedded null byte); check the path and its permissions"),
        ("file/a.toml", "file/a.toml: cannot be read (Not a directory); check the path and its permissions"),
        ("/dev/null", "/dev/null: is not a regular file; give the path of a .toml or .json file"),
    ],
)
def test_a_path_that_is_no_readable_file_is_a_problem(folder: Path, path: str, problem: str) -> None:
    (folder / "file").write_text("")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.problems == (problem,)


@pytest.mark.parametrize(
    ("key", "near"), [("mcpServer", "mcpServers"), ("mcp_servers", "mcpServers"), ("trunklin", "trunkline")]
)
def test_a_misspelt_key_at_the_top_is_a_problem_in_every_form(folder: Path, key: str, near: str) -> None:
    advice = f'unknown key; did you mean "{near}"?'
    assert problems_of("a.json", json.dumps({key: {}})) == [f"a.json:1: {key}: {advice}"]
    assert problems_of("a.toml", f"[{key}]") == [f"a.toml:1: {key}: {advice}"]
    with pytest.raises(ConfigError, match=f"^configuration: {key}: unknown key"):
        load({key: {}})


def test_other_keys_at_the_top_are_the_hosts_own_in_json_and_unknown_elsewhere(folder: Path) -> None:
    (folder / "mcp.json").write_text(
        '{"$schema": "x",\n"inputs": [],\n"servers": {},\n"mcpServers": {"s": {"command": "x"}}}'
    )
    assert load("mcp.json").notices == (
        'mcp.json:1: "$schema" is not used',
        "mcp.json:2: inputs is not used",
        "mcp.json:3: servers is not used: servers stand under mcpServers",
    )
    assert problems_of("a.toml", "inputs = []") == ["a.toml:1: inputs: unknown key; known keys: mcpServers, trunkline"]
    with pytest.raises(ConfigError, match="a key at the top is not text, expected mcpServers or trunkline"):
        load({3: {}})  # type: ignore[dict-item]


def test_a_json_file_with_only_a_servers_map_says_to_rename_it(folder: Path) -> None:
    assert problems_of("mcp.json", '{"servers": {"s": {"command": "x"}}}') == [
        'mcp.json:1: servers: this map is called "mcpServers" here: rename it'
    ]


def test_a_trunkline_key_that_is_no_table_is_a_problem() -> None:
    with pytest.raises(ConfigError, match=r"^configuration: trunkline: found 3 \(a whole number\), expected a table$"):
        load({"trunkline": 3})


def test_keys_are_shown_on_one_line_whatever_is_in_them(folder: Path) -> None:
    (problem,) = problems_of("a.toml", '[trunkline.tools."a\\nb\u2028"]\n"\\u0007" = 1\n"' + "x" * 99 + '" = {}\n')[:1]
    assert problem.startswith('a.toml:2: trunkline.tools."a\\nb\\u2028"."\\u0007": unknown key; known keys: idempotent')
