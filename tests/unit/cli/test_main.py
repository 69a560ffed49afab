"""What the command line answers without starting anything."""

from __future__ import annotations

import pytest

from trunkline.cli.config_file import USUAL, find
from trunkline.cli.exits import EXIT_CODES
from trunkline.cli.main import main
from trunkline.cli.output import cell


def test_help_lists_every_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {number:<4}{meaning}" in printed for number, meaning in EXIT_CODES)


def test_the_usual_files_are_looked_for_in_their_order(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("usual")
    monkeypatch.chdir(folder)
    assert find(None) is None
    for name in reversed(USUAL):
        (folder / name).touch()
        assert find(None) == name
    assert find("other.json") == "other.json"


def test_a_cell_is_one_short_line_without_control_characters() -> None:
    assert cell("one\ntwo\x1b[31m", 80) == "one two[31m"
    assert cell("x" * 100, 10) == f"{'x' * 9}…"


def test_an_unknown_option_is_one_line_that_names_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tools", "--jason"]) == 2
    assert capsys.readouterr().err == "trunkline: unrecognized arguments: --jason; see trunkline --help\n"
