from __future__ import annotations

import hashlib
import tomllib

import pytest

from trunkline.cli.main import main
from trunkline.config import load


@pytest.mark.parametrize("name", ["alice", "alice@example.org", 'a "quoted" one'])
def test_the_lines_it_prints_let_in_the_token_it_shows(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", name]) == 0
    printed = capsys.readouterr()
    token = printed.err.splitlines()[-1]
    settings = load(tomllib.loads("[mcpServers]\n" + printed.out), environ={})
    assert settings.gateway.principals[name].token_sha256 == (hashlib.sha256(token.encode()).hexdigest(),)
    assert token not in printed.out


def test_no_token_is_made_twice(capsys: pytest.CaptureFixture[str]) -> None:
    tokens = {main(["token", "alice"]) or capsys.readouterr().err.splitlines()[-1] for _ in range(5)}
    assert len(tokens) == 5


@pytest.mark.parametrize("name", ["", " ", "*", "a\nb"])
def test_a_name_that_is_none_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", name]) == 2
    assert "the name of a principal" in capsys.readouterr().err
