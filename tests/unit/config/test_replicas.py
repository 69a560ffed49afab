"""Replicas and fallback servers as a configuration names them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from trunkline import HttpEndpoint, StdioEndpoint
from trunkline.config import Settings, load
from trunkline.errors import ConfigError

HEADERS = {"Authorization": "Bearer hunter2"}
SERVERS = {
    "search": {"url": "https://a.internal/mcp", "headers": HEADERS},
    "stt": {"command": "stt-server", "args": ["--model", "small"]},
}


def loaded(**servers: Any) -> Settings:
    return load({"mcpServers": SERVERS, "trunkline": {"servers": servers}}, environ={"TOKEN": "t0k3n"})


def problems_of(**servers: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(**servers)
    return [problem.removeprefix("configuration: trunkline.servers.") for problem in caught.value.problems]


def test_an_address_is_sent_the_same_headers_as_the_first() -> None:
    search = loaded(search={"replicas": ["https://b.internal/mcp"]}).servers["search"]
    assert search.replicas == (HttpEndpoint("https://b.internal/mcp", HEADERS),)
    assert list(search.places) == ["https://a.internal/mcp", "https://b.internal/mcp"]


def test_a_table_may_have_headers_of_its_own_or_start_a_program() -> None:
    entries = [
        {"url": "https://b.internal/mcp", "headers": {"X-Key": "${TOKEN}"}},
        {"command": "search-server", "env": {"PORT": "1"}},
    ]
    assert loaded(search={"replicas": entries}).servers["search"].replicas == (
        HttpEndpoint("https://b.internal/mcp", {"X-Key": "t0k3n"}),
        StdioEndpoint("search-server", (), {"PORT": "1"}),
    )


def test_programs_of_the_same_name_are_told_apart_by_number() -> None:
    stt = loaded(stt={"replicas": [{"command": "stt-server"}, {"command": "stt-server", "args": ["-v"]}]}).servers[
        "stt"
    ]
    assert list(stt.places) == ["stdio:stt-server", "stdio:stt-server#2", "stdio:stt-server#3"]


@pytest.mark.parametrize(
    ("replicas", "problems"),
    [
        ("x", ["search.replicas: found <hidden>, expected an array of addresses, or of tables as under mcpServers"]),
        (
            [3],
            ["search.replicas[0]: found <hidden>, expected an address, or a table as under mcpServers"],
        ),
        (
            ["ftp://b.internal"],
            ["search.replicas[0]: found <hidden>, expected an http:// or https:// address with a host"],
        ),
        (["https://a.internal/mcp"], ["search.replicas[0]: this place is named already; name each once"]),
        (["https://b.internal/mcp"] * 2, ["search.replicas[1]: this place is named already; name each once"]),
        (
            [{"urll": "https://b.internal/mcp"}],
            [
                "search.replicas[0]: found neither command (a program) nor url (an address), expected one of them",
                'search.replicas[0].urll: unknown key; did you mean "url"?',
            ],
        ),
    ],
)
def test_what_is_no_place_is_told_where_it_stands(replicas: Any, problems: list[str]) -> None:
    assert [
        re.sub(r" \(a (string|whole number)\)", "", told) for told in problems_of(search={"replicas": replicas})
    ] == problems


def test_a_server_cannot_stand_in_for_itself() -> None:
    assert problems_of(search={"fallback": ["search"]}) == [
        "search.fallback: a server cannot stand in for itself; name another"
    ]


def test_a_fallback_that_is_no_server_is_passed_over_with_a_notice() -> None:
    settings = loaded(search={"fallback": ["sttt"]})
    assert settings.servers["search"].policy.fallback == ("sttt",)
    (notice,) = settings.notices
    assert 'did you mean "stt"?' in notice


def test_a_tools_fallback_is_read_with_its_arguments_and_answer() -> None:
    tools = {"search_web": {"fallback": {"tool": "stt_x", "arguments": {"q": "$query"}, "answer": {"hits": []}}}}
    settings = load({"mcpServers": SERVERS, "trunkline": {"tools": tools}})
    fallback = settings.tools["search_web"].fallback
    assert (fallback.tool, fallback.arguments, fallback.answer) == ("stt_x", {"q": "$query"}, {"hits": []})


@pytest.mark.parametrize(
    ("fallback", "problem"),
    [
        ({"arguments": {"q": "$query"}}, "arguments"),
        ({"tool": ""}, "tool"),
        ({"answer": 3}, "answer"),
        ({"tol": "x"}, "tol"),
    ],
)
def test_a_mistaken_fallback_is_told(fallback: Any, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"mcpServers": SERVERS, "trunkline": {"tools": {"search_web": {"fallback": fallback}}}})
    assert f"tools.search_web.fallback.{problem}" in caught.value.problems[0]
