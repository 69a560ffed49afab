"""A file that changes: each change is told once, and nothing bad in it is ever raised at a running system."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.config import ConfigSource, Settings
from trunkline.errors import ConfigError

GOOD = '[mcpServers.a]\ncommand = "a"\n'
OTHER = '[mcpServers.b]\ncommand = "${PROGRAM}"\n'
BAD = '[mcpServers.a]\ncomand = "a"\n'


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("trunkline.toml")


def servers(outcome: Settings | ConfigError | None) -> list[str]:
    assert isinstance(outcome, Settings)
    return list(outcome.servers)


def test_an_unchanged_file_tells_nothing_even_if_it_was_written_again(path: Path) -> None:
    path.write_text(GOOD)
    source = ConfigSource(path)
    assert servers(source.initial) == ["a"]
    assert source.poll() is None
    path.write_text(GOOD)
    assert source.poll() is None


def test_a_changed_file_is_told_once(path: Path) -> None:
    path.write_text(GOOD)
    source = ConfigSource(path, environ={"PROGRAM": "run"})
    path.write_text(OTHER)
    assert servers(source.poll()) == ["b"]
    assert source.poll() is None


def test_an_invalid_change_is_returned_once_and_its_repair_is_told(path: Path) -> None:
    path.write_text(GOOD)
    source = ConfigSource(path)
    path.write_text(BAD)
    outcome = source.poll()
    assert isinstance(outcome, ConfigError)
    assert outcome.problems == (
        "trunkline.toml:1: mcpServers.a: found neither command (a program) nor url (an address), expected one of them",
        'trunkline.toml:2: mcpServers.a.comand: unknown key; did you mean "command"?',
    )
    assert source.poll() is None
    path.write_text(GOOD)
    assert servers(source.poll()) == ["a"]
    assert repr(source) == "<ConfigSource trunkline.toml accepted=1 refused=1>"


def test_a_vanished_file_is_told_once_and_so_is_its_return(path: Path) -> None:
    path.write_text(GOOD)
    source = ConfigSource(path)
    path.unlink()
    outcome = source.poll()
    assert isinstance(outcome, ConfigError)
    assert outcome.problems == ("trunkline.toml: the file has vanished; put it back",)
    assert source.poll() is None
    path.write_text(GOOD)
    assert servers(source.poll()) == ["a"]


@pytest.mark.parametrize("text", ["", " \n\n"])
def test_an_emptied_file_is_no_configuration_without_servers(path: Path, text: str) -> None:
    path.write_text(GOOD)
    source = ConfigSource(path)
    path.write_text(text)
    outcome = source.poll()
    assert isinstance(outcome, ConfigError)
    assert outcome.problems == ("trunkline.toml: the file has been emptied; write it again",)


def test_a_file_that_turns_into_something_unreadable_is_told_once(path: Path) -> None:
    path.write_text(GOOD)
    source = ConfigSource(path)
    path.unlink()
    path.mkdir()
    outcome = source.poll()
    assert isinstance(outcome, ConfigError)
    assert outcome.problems == ("trunkline.toml: is a directory; give the path of a .toml or .json file",)
    assert source.poll() is None


def test_a_missing_file_starts_with_the_built_in_configuration_and_may_come_later(path: Path) -> None:
    source = ConfigSource(path)
    assert source.initial.is_fallback
    assert source.poll() is None
    path.write_text(GOOD)
    assert servers(source.poll()) == ["a"]


@pytest.mark.parametrize("text", [BAD, "not toml"])
def test_an_invalid_file_at_the_start_is_raised(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError):
        ConfigSource(path)


def test_an_unreadable_file_at_the_start_is_raised(path: Path) -> None:
    path.mkdir()
    with pytest.raises(ConfigError, match="is a directory"):
        ConfigSource(path)
