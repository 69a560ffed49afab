"""The `mcpServers` map as hosts write it: what is read, what is left alone, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trunkline.config import load
from trunkline.endpoint import Endpoint, HttpEndpoint, StdioEndpoint
from trunkline.errors import ConfigError


def load_entry(entry: Any) -> tuple[Endpoint, list[str]]:
    settings = load({"mcpServers": {"s": entry}}, environ={})
    notices = [notice.removeprefix("configuration: mcpServers.s.") for notice in settings.notices]
    return settings.servers["s"].endpoint, notices


def problems_of(entry: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load({"mcpServers": {"s": entry}}, environ={})
    return [problem.removeprefix("configuration: mcpServers.s") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("entry", "endpoint"),
    [
        ({"command": "run"}, StdioEndpoint("run")),
        ({"command": "run", "type": "stdio"}, StdioEndpoint("run")),
        ({"command": "run", "args": None, "env": None, "url": None}, StdioEndpoint("run")),
        (
            {"command": "./bin/run", "args": ["-v"], "env": {"A": "1", "B": ""}, "cwd": "data"},
            StdioEndpoint("./bin/run", ("-v",), {"A": "1", "B": ""}, "data"),
        ),
        ({"url": "http://localhost:8000/mcp"}, HttpEndpoint("http://localhost:8000/mcp")),
        ({"url": "https://h/mcp", "type": "http"}, HttpEndpoint("https://h/mcp")),
        ({"url": "https://h/mcp", "type": "streamable-http"}, HttpEndpoint("https://h/mcp")),
        ({"url": "https://h/mcp", "type": "streamableHttp"}, HttpEndpoint("https://h/mcp")),
        ({"url": "https://h/mcp", "transport": "streamable_http"}, HttpEndpoint("https://h/mcp")),
        ({"httpUrl": "https://h/mcp"}, HttpEndpoint("https://h/mcp")),
        ({"serverUrl": "https://h/mcp"}, HttpEndpoint("https://h/mcp")),
        (
            {"url": "https://[::1]:8000/", "headers": {"X-A": "b c"}},
            HttpEndpoint("https://[::1]:8000/", {"X-A": "b c"}),
        ),
    ],
)
def test_an_entry_means_what_it_means_to_any_host(entry: dict[str, Any], endpoint: Endpoint) -> None:
    assert load_entry(entry) == (endpoint, [])


def test_a_tilde_is_the_home_folder_and_a_relative_command_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    endpoint, _ = load_entry({"command": "~/bin/run", "cwd": "~", "args": ["~"]})
    assert endpoint == StdioEndpoint(f"{tmp_path}/bin/run", ("~",), {}, str(tmp_path))
    assert load_entry({"command": "./run", "cwd": "../x"})[0] == StdioEndpoint("./run", (), {}, "../x")


@pytest.mark.parametrize(
    "key", ["autoApprove", "alwaysAllow", "description", "timeout", "disabledTools", "envFile", "x"]
)
def test_a_key_of_the_hosts_own_is_left_alone_with_a_notice(key: str) -> None:
    endpoint, (notice,) = load_entry({"command": "run", key: ["anything"]})
    assert endpoint == StdioEndpoint("run")
    assert notice == f"{key} is not used here; see trunkline.servers.s for what can be set"


@pytest.mark.parametrize(
    ("entry", "unused"),
    [({"command": "run", "headers": {}}, "headers"), ({"url": "http://h", "args": [], "cwd": "/"}, "args cwd")],
)
def test_a_key_of_the_other_kind_of_server_is_not_used_and_said_so(entry: dict[str, Any], unused: str) -> None:
    assert [notice.partition(" ")[0] for notice in load_entry(entry)[1]] == unused.split()


@pytest.mark.parametrize(
    ("key", "near"), [("arg", "args"), ("comand", "command"), ("header", "headers"), ("Env", "env")]
)
def test_a_slip_of_the_pen_is_a_problem_that_names_the_key_meant(key: str, near: str) -> None:
    assert problems_of({"command": "run", key: []}) == [f'.{key}: unknown key; did you mean "{near}"?']


@pytest.mark.parametrize("switch", [{"disabled": True}, {"enabled": False}])
def test_a_disabled_server_is_left_out_with_a_notice_and_may_still_have_a_policy(switch: dict[str, bool]) -> None:
    values = {"mcpServers": {"s": {"command": "run", **switch}}, "trunkline": {"servers": {"s": {"timeout": 1}}}}
    settings = load(values)
    assert dict(settings.servers) == {}
    assert settings.notices == ("configuration: mcpServers.s is disabled and left out",)


@pytest.mark.parametrize("switch", [{"disabled": False}, {"enabled": True}, {"disabled": None}])
def test_an_enabled_server_is_there(switch: dict[str, Any]) -> None:
    assert load_entry({"command": "run", **switch}) == (StdioEndpoint("run"), [])


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("run", [': found "run" (a string), expected a table']),
        ({}, [": found neither command (a program) nor url (an address), expected one of them"]),
        ({"type": "http"}, [": found no url, expected one for its type"]),
        ({"type": "stdio", "url": "http://h"}, [": found no command, expected one"]),
        ({"type": "http", "command": "run"}, [": found no url, expected one"]),
        ({"command": "run", "url": "http://h"}, [": found both command and url, expected one of them"]),
        ({"command": ""}, ['.command: found "" (a string), expected the program to start']),
        ({"command": ["run"]}, [".command: found an array, expected the program to start, a string without a NUL"]),
        ({"command": "a\0"}, ['.command: found "a\\u0000" (a string), expected the program to start, a string with']),
        ({"command": "r", "args": "-v"}, [".args: found <hidden> (a string), expected an array of strings"]),
        (
            {"command": "r", "args": ["a", 1, "\0"], "cwd": 3},
            [
                ".args[1]: found <hidden> (a whole number), expected a string",
                ".args[2]: found <hidden> (a string), expected a string without a NUL",
                ".cwd: found 3 (a whole number), expected a folder",
            ],
        ),
        ({"command": "r", "env": {"A": 1}}, [".env.A: found <hidden> (a whole number), expected a string"]),
        ({"command": "r", "env": {"A=B": "1"}}, ['.env."A=B": found <hidden> (a string), expected a string without']),
        ({"command": "r", "env": []}, [".env: found an array, expected a table of strings"]),
        ({"url": "h:80/mcp"}, [".url: found <hidden> (a string), expected an http:// or https:// address"]),
        ({"url": "https://"}, [".url: found <hidden> (a string), expected an http:// or https:// address with a host"]),
        ({"url": "http://h:99999"}, [".url: found <hidden> (a string), expected an http:// or https:// address"]),
        ({"url": "http://[h"}, [".url: found <hidden> (a string), expected an http:// or https:// address"]),
        ({"url": "http://h/a b"}, [".url: found <hidden> (a string), expected an http:// or https:// address"]),
        ({"httpUrl": "ftp://h"}, [".httpUrl: found <hidden> (a string), expected an http:// or https:// address"]),
        (
            {"url": "http://h", "headers": {"A B": "x", "C": "x\n", "D": "é", "E": None}},
            [f".headers.{name}: found " for name in ('"A B"', "C", "D", "E")],
        ),
        (
            {"url": "http://h", "type": "sse"},
            [".type: the SSE transport is no longer part of MCP; give the Streamable"],
        ),
        ({"url": "http://h", "type": "ws"}, ['.type: found "ws" (a string), expected "stdio", "http" or "streamable']),
        ({"url": "http://h", "type": 1}, ['.type: found 1 (a whole number), expected "stdio", "http" or "streamable']),
        ({"command": "r", "disabled": "yes"}, ['.disabled: found "yes" (a string), expected true or false']),
    ],
)
def test_a_faulty_entry_is_told_key_by_key(entry: Any, expected: list[str]) -> None:
    problems = problems_of(entry)
    assert len(problems) == len(expected)
    for problem, start in zip(problems, expected, strict=True):
        assert problem.startswith(start)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "a\n"])
def test_a_server_name_that_no_host_could_show_is_a_problem(name: str) -> None:
    with pytest.raises(ConfigError, match="a server's name is made of letters, digits, dots, dashes and underscores"):
        load({"mcpServers": {name: {"command": "run"}}})


def test_a_server_map_that_is_no_table_is_a_problem() -> None:
    with pytest.raises(ConfigError, match="mcpServers: found an array, expected a table of servers by name"):
        load({"mcpServers": []})


def test_neither_settings_nor_their_servers_show_secrets_in_their_repr() -> None:
    entry = {"url": "https://user:hunter2@h/mcp?t=hunter2", "headers": {"Authorization": "hunter2"}}
    settings = load({"mcpServers": {"a": entry, "b": {"command": "run", "args": ["hunter2"]}}})
    assert repr(settings) == "<Settings configuration servers=2 tools=0 domains=0 notices=0>"
    assert "hunter2" not in repr(dict(settings.servers))


def test_settings_cannot_be_changed_and_do_not_follow_their_source() -> None:
    entry: dict[str, Any] = {"command": "run", "env": {"A": "1"}}
    values = {"mcpServers": {"s": entry}}
    settings = load(values)
    entry["env"]["A"] = "2"
    endpoint = settings.servers["s"].endpoint
    assert isinstance(endpoint, StdioEndpoint)
    assert endpoint.env == {"A": "1"}
    with pytest.raises(TypeError, match="does not support item deletion"):
        del settings.servers["s"]  # type: ignore[attr-defined]
