"""Reasons are one short line in words, without a secret in it."""

from __future__ import annotations

import random

import httpx2
import pytest
from mcp import MCPError

from trunkline import HttpEndpoint, InProcessEndpoint, StdioEndpoint
from trunkline.endpoint import Endpoint
from trunkline.secrets import Secrets
from trunkline.transport.authorization.authorizing import Authorization
from trunkline.transport.reasons import Blots, SessionFailed, presentable, reason_for, words_in
from trunkline.transport.wire import Wire


def blots(endpoint: Endpoint) -> Blots:
    return Blots(endpoint, Authorization(endpoint, random.Random(1)))


@pytest.mark.parametrize(
    ("error", "wire", "reason"),
    [
        (MCPError(-32000, "busy"), Wire(), "busy"),
        (MCPError(-1, "x"), Wire(fault=httpx2.ConnectError("refused")), "ConnectError: refused"),
        (MCPError(-1, "x"), Wire(fault=httpx2.ReadError("")), "ReadError"),
        (MCPError(-1, "x"), Wire(fault=httpx2.ConnectError("no http://user:pw@host")), "ConnectError"),
        (MCPError(-1, "x"), Wire(status=401), "HTTP 401, check the configured headers or auth"),
        (MCPError(-1, "x"), Wire(status=403), "HTTP 403, check the configured headers or auth"),
        (MCPError(-1, "x"), Wire(status=503), "HTTP 503"),
        (MCPError(-1, "said so"), Wire(status=200), "said so"),
        (FileNotFoundError(2, "No such file", "srv"), Wire(), "program or folder not found: srv"),
        (PermissionError(13, "Permission denied", "srv"), Wire(), "not permitted to start srv"),
        (ValueError(), Wire(), "ValueError"),
        (ExceptionGroup("all", [ExceptionGroup("some", [OSError("no route")]), ValueError("x")]), Wire(), "no route"),
    ],
)
def test_the_lowest_cause_that_is_known_is_told(error: Exception, wire: Wire, reason: str) -> None:
    assert reason_for(error, wire) == reason


HTTP = HttpEndpoint("http://user:hunter22@host/mcp?key=topsecret", {"Authorization": "Bearer abcdef123456", "X": "ab"})


@pytest.mark.parametrize(
    ("endpoint", "text", "shown"),
    [
        (HTTP, "refused Bearer abcdef123456", "refused [redacted]"),
        (HTTP, "token abcdef123456 expired", "token [redacted] expired"),
        (HTTP, "cannot reach http://user:hunter22@host/mcp?key=topsecret", "cannot reach [redacted]"),
        (HTTP, "ab is too short to be a secret", "ab is too short to be a secret"),
        (HttpEndpoint("http://host/mcp"), "at http://host/mcp", "at http://host/mcp"),
        (
            StdioEndpoint("srv", env={"KEY": "sesame-open", "LANG": "C"}),
            "KEY=sesame-open LANG=C",
            "KEY=[redacted] LANG=C",
        ),
        (InProcessEndpoint(None), "as it is", "as it is"),
        (InProcessEndpoint(None), " two\nlines\x1b[31m\x00 ", "two lines [31m"),
    ],
)
def test_what_is_shown_is_one_line_without_secrets(endpoint: Endpoint, text: str, shown: str) -> None:
    assert presentable(text, blots(endpoint).now) == shown


def test_what_is_shown_is_short() -> None:
    shown = presentable("x" * 1000, Secrets())

    assert len(shown) == 300
    assert shown.endswith("…")


def test_a_secret_within_a_longer_one_is_blotted_out_with_it() -> None:
    endpoint = StdioEndpoint("srv", env={"A": "secret", "B": "secret-and-more"})

    assert presentable("it was secret-and-more", blots(endpoint).now) == "it was [redacted]"


def test_a_failed_session_says_whether_waiting_can_help() -> None:
    assert SessionFailed("gone").hopeless is False
    assert SessionFailed("no such program", hopeless=True).hopeless is True


def test_arguments_are_told_by_their_texts_their_words_and_their_numbers() -> None:
    arguments = {"text": "call Ada, please", "deep": [{"n": 4111, "yes": True}, 0.5], "none": None}
    assert list(words_in(arguments)) == ["call Ada, please", "call", "Ada", "please", "4111", "0.5"]
    assert len(list(words_in("word " * 100_000))) == 501


def test_ordinary_words_that_a_server_was_given_are_no_secret_of_its_listings() -> None:
    found = blots(HttpEndpoint("http://host/mcp", {"x-tenant": "production", "Authorization": "Bearer abcdef123456"}))
    said = "for production: abcdef123456"

    assert found.listed.mask(said) == "for production: [redacted]"
    assert found.now.mask("for production") == "for [redacted]"
    assert repr(found) == f"<Blots [{len(found.now)} values]>"
