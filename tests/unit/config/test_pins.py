"""The pins file: read strictly, watched, written whole or not at all; and the settings that name it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config import Settings, load
from trunkline.config.difference import difference
from trunkline.config.pins import PinsSource, pins_path, read_pins, write_pins
from trunkline.errors import ConfigError
from trunkline.policy import PinPolicy, PinSettings
from trunkline.registry import PARTS, Pins

A, B = "a" * 64, "b" * 64
ACCEPTED = {"files": {"read": {"description": A, "inputSchema": B}, "list": {"inputSchema": A}}}


def configured(folder: Path, **pins: Any) -> Settings:
    """The settings of a file in `folder`."""
    path = folder / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {}, "trunkline": {"pins": pins}}), "utf-8")
    return load(path)


def problems(path: Path, text: str) -> list[str]:
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        read_pins(path)
    return [problem.removeprefix(str(path)) for problem in caught.value.problems]


def test_what_is_written_is_read_again_and_differs_by_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "trunkline.pins.json"
    write_pins(path, ACCEPTED)
    assert read_pins(path) == ACCEPTED
    lines = path.read_text("utf-8").splitlines(keepends=True)
    assert lines[1] == '  "format": 1,\n'
    assert [line.strip(' {":\n') for line in lines if line.endswith("{\n")] == ["", "servers", "files", "list", "read"]
    write_pins(path, {"files": {**ACCEPTED["files"], "read": {"description": B, "inputSchema": B}}})
    changed = set(path.read_text("utf-8").splitlines(keepends=True)) - set(lines)
    assert changed == {f'        "description": "{B}",\n'}
    assert [entry.name for entry in tmp_path.iterdir()] == ["trunkline.pins.json"]


NAMES = st.text(st.characters(codec=None, exclude_categories=()), max_size=6)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)
FILES = st.dictionaries(
    NAMES, st.dictionaries(NAMES, st.dictionaries(st.sampled_from(list(PARTS)), DIGESTS), max_size=3), max_size=3
)


@given(accepted=FILES)
def test_whatever_a_server_calls_its_tools_comes_back(accepted: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.pins.json"
    write_pins(path, accepted)
    assert read_pins(path) == accepted


def test_a_file_that_cannot_be_written_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trunkline.pins.json"
    write_pins(path, ACCEPTED)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_pins(path, {})
    assert read_pins(path) == ACCEPTED
    assert [entry.name for entry in tmp_path.iterdir()] == ["trunkline.pins.json"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    path = tmp_path / "trunkline.pins.json"
    path.symlink_to(tmp_path / "kept" / "pins.json")
    write_pins(path, ACCEPTED)
    assert path.is_symlink()
    assert read_pins(tmp_path / "kept" / "pins.json") == ACCEPTED


def test_a_file_that_is_not_there_accepts_nothing(tmp_path: Path) -> None:
    assert read_pins(tmp_path / "trunkline.pins.json") is None


def test_every_mistake_is_told_with_its_place_and_the_nearest_name(tmp_path: Path) -> None:
    text = (
        f'{{"format": 2, "sevrers": {{}},\n"servers": {{"files": {{"read": {{"descripton": "{A}",\n"title": "x"}}}}}}}}'
    )
    assert problems(tmp_path / "p.json", text) == [
        ':1: sevrers: unknown key; did you mean "servers"?',
        ":1: format: found 2 (a whole number), expected 1, the format this version of Trunkline writes",
        ':2: servers.files.read.descripton: unknown key; did you mean "description"?',
        ':3: servers.files.read.title: found "x" (a string), expected a SHA-256, 64 digits of 0-9 and a-f',
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"format": 1}', ": servers: found nothing, expected a table of tables of tools by server"),
        ('{"format": 1, "servers": []}', ":1: servers: found an array, expected a table of tables of tools by server"),
        (
            '{"format": 1, "servers": {"a": 1}}',
            ":1: servers.a: found 1 (a whole number), expected a table of tools by name",
        ),
        (
            '{"format": 1, "servers": {"a": {"b": 1}}}',
            ":1: servers.a.b: found 1 (a whole number), expected a table of fingerprints by part",
        ),
        (
            '{"format": 1, "servers": {"a": {}, "a": {}}}',
            ":1: servers.a: this key stands twice in one object; keep one of the two",
        ),
    ],
)
def test_another_shape_is_told_as_what_it_is(text: str, problem: str, tmp_path: Path) -> None:
    assert problems(tmp_path / "p.json", text) == [problem]


def test_a_file_that_is_no_json_is_told_where_it_breaks(tmp_path: Path) -> None:
    (told,) = problems(tmp_path / "p.json", '{"format": 1,,}')
    assert told.startswith(":1:14: not valid JSON")


def test_the_file_stands_beside_the_configuration_that_names_it(tmp_path: Path) -> None:
    settings = configured(tmp_path, file="trunkline.pins.json")
    assert pins_path(settings) == tmp_path / "trunkline.pins.json"
    assert pins_path(configured(tmp_path, file="trunkline.pins.json", enabled=False)) is None
    assert pins_path(configured(tmp_path)) is None
    assert pins_path(configured(tmp_path, file="/etc/pins.json")) == Path("/etc/pins.json")


def test_a_mistake_in_the_settings_is_told_with_what_was_meant() -> None:
    ours = {
        "pins": {"fil": "a.json", "file": "pins.txt"},
        "defaults": {"pins": {"changed": "warn"}},
        "servers": {"a": {"pins": {"nwe": "allow"}}},
    }
    with pytest.raises(ConfigError) as caught:
        load({"mcpServers": {"a": {"command": "a"}}, "trunkline": ours})
    assert caught.value.problems == (
        'configuration: trunkline.defaults.pins.changed: found "warn" (a string), expected "refuse" or "allow"',
        'configuration: trunkline.servers.a.pins.nwe: unknown key; did you mean "new"?',
        'configuration: trunkline.pins.fil: unknown key; did you mean "file"?',
        'configuration: trunkline.pins.file: found "pins.txt" (a string), expected the path of a .json file',
    )


def test_each_server_has_its_own_policy_over_that_of_the_defaults() -> None:
    ours = {"defaults": {"pins": {"new": "allow"}}, "servers": {"b": {"pins": {"changed": "allow"}}}}
    servers = {name: {"command": name} for name in "ab"}
    settings = load({"mcpServers": servers, "trunkline": ours})
    assert settings.servers["a"].policy.pins == PinPolicy(changed="refuse", new="allow")
    assert settings.servers["b"].policy.pins == PinPolicy(changed="allow", new="allow")


def test_another_file_is_a_difference(tmp_path: Path) -> None:
    before, after = configured(tmp_path, file="a.json"), configured(tmp_path, file="b.json")
    assert difference(before, after).pins_changed
    assert not difference(before, before).pins_changed


def test_a_source_tells_each_change_once_and_keeps_quiet_about_the_same_bytes(tmp_path: Path) -> None:
    settings, path = configured(tmp_path, file="p.json"), tmp_path / "p.json"
    write_pins(path, ACCEPTED)
    source = PinsSource(settings)
    command = f"trunkline pin {tmp_path / 'mcp.json'}"
    assert source.initial == Pins(ACCEPTED, "p.json", command=command)
    write_pins(path, ACCEPTED)
    assert source.poll() is None
    write_pins(path, {})
    assert source.poll() == Pins({}, "p.json", command=command)
    assert source.poll() is None


def test_a_source_whose_file_is_broken_or_gone_says_so_once_and_takes_its_repair(tmp_path: Path) -> None:
    settings, path = configured(tmp_path, file="p.json"), tmp_path / "p.json"
    write_pins(path, ACCEPTED)
    source = PinsSource(settings)
    path.write_text("{}")
    told = source.poll()
    assert isinstance(told, ConfigError)
    assert source.poll() is None
    path.unlink()
    told = source.poll()
    assert isinstance(told, ConfigError)
    assert told.problems == (f"{path}: the file has vanished; put it back",)
    write_pins(path, ACCEPTED)
    assert isinstance(source.poll(), Pins)


def test_a_source_whose_file_does_not_exist_accepts_nothing_until_it_does(tmp_path: Path) -> None:
    source = PinsSource(configured(tmp_path, file="p.json"))
    assert source.initial is not None
    assert (source.initial.tools, source.initial.exists, source.problem) == ({}, False, None)
    write_pins(tmp_path / "p.json", ACCEPTED)
    found = source.poll()
    assert isinstance(found, Pins)
    assert (found.tools, found.exists) == (ACCEPTED, True)


def test_a_source_whose_file_is_broken_from_the_start_accepts_nothing_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("{}")
    source = PinsSource(configured(tmp_path, file="p.json"))
    assert source.initial is not None
    assert source.initial.tools == {}
    assert source.problem is not None
    assert source.poll() is None


def test_without_a_file_there_is_nothing_to_compare_with() -> None:
    source = PinsSource(Settings("configuration", pins=PinSettings()))
    assert (source.initial, source.problem, source.source, repr(source)) == (None, None, "", "<PinsSource none>")
    assert source.poll() is None
