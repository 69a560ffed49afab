"""An endpoint shows where a server is, and nothing that could be a credential."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.endpoint import Endpoint, HttpEndpoint, InProcessEndpoint, ServerSettings, StdioEndpoint, settings_of

SECRET = "hunter2-do-not-show"

CARRIERS: dict[str, Any] = {
    "argument": StdioEndpoint("/opt/bin/server", ("--token", SECRET)),
    "environment": StdioEndpoint("server", env={"TOKEN": SECRET}),
    "header": HttpEndpoint("https://host/mcp", {"Authorization": f"Bearer {SECRET}"}),
    "query": HttpEndpoint(f"https://host/mcp?key={SECRET}"),
    "fragment": HttpEndpoint(f"https://host/mcp#{SECRET}"),
    "password": HttpEndpoint(f"https://user:{SECRET}@host/mcp"),
    "user name": HttpEndpoint(f"https://{SECRET}@host/mcp"),
    "at sign in the password": HttpEndpoint(f"https://user:p@{SECRET}@host/mcp"),
    "server object": InProcessEndpoint(SECRET),
}


@pytest.mark.parametrize("endpoint", CARRIERS.values(), ids=CARRIERS)
def test_nothing_that_could_be_a_credential_is_shown(endpoint: Any) -> None:
    settings = ServerSettings("s", endpoint)
    for shown in (repr(endpoint), str(endpoint), endpoint.label, repr(settings), f"{settings}"):
        assert SECRET not in shown


@pytest.mark.parametrize(
    ("endpoint", "label"),
    [
        (StdioEndpoint("/opt/bin/server", ("--port", "1")), "stdio:server"),
        (StdioEndpoint("server"), "stdio:server"),
        (HttpEndpoint("https://user:word@host:8443/a/mcp?x=1#y"), "https://host:8443/a/mcp"),
        (HttpEndpoint("http://[::1]:9000/mcp"), "http://[::1]:9000/mcp"),
        (InProcessEndpoint(object()), "in-process"),
    ],
    ids=str,
)
def test_a_label_says_where_it_is(endpoint: Any, label: str) -> None:
    assert endpoint.label == label


def test_an_address_without_a_scheme_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="expected an http:// or https:// address"):
        HttpEndpoint("host/mcp")


def test_no_program_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="command = '': expected the program to start"):
        StdioEndpoint("")


def test_a_mistake_in_an_address_does_not_show_its_secrets() -> None:
    with pytest.raises(ValueError, match="url") as raised:
        HttpEndpoint(f"ftp://user:{SECRET}@host/mcp")
    assert SECRET not in str(raised.value)


def test_servers_may_be_given_as_users_write_them() -> None:
    endpoint = StdioEndpoint("server")
    whole = ServerSettings("kept", endpoint)
    written: dict[str, Endpoint | ServerSettings | str] = {"a": endpoint, "b": "http://127.0.0.1/mcp", "c": whole}
    assert settings_of(written) == [
        ServerSettings("a", endpoint),
        ServerSettings("b", HttpEndpoint("http://127.0.0.1/mcp")),
        whole,
    ]
    assert settings_of([whole]) == [whole]
    assert settings_of(()) == []


def test_equal_settings_are_equal_so_that_a_reload_leaves_them_alone() -> None:
    def made() -> ServerSettings:
        return ServerSettings("s", HttpEndpoint("http://127.0.0.1/mcp", {"a": "b"}))

    assert made() == made()
