"""What the command line answers without starting anything."""

from __future__ import annotations

import http.server
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import pytest

import trunkline.cli
from trunkline.call import CacheMode
from trunkline.cli.config_file import USUAL, find
from trunkline.cli.exits import EXIT_CODES
from trunkline.cli.main import CACHE_MODES, main
from trunkline.cli.output import cell
from trunkline.cli.progress import progress
from trunkline.testing.processes import free_port


def test_help_lists_every_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {number:<4}{meaning}" in printed for number, meaning in EXIT_CODES)


def test_help_lists_every_command_in_one_line_and_with_an_example(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    told, _, examples = capsys.readouterr().out.partition("examples:\n")
    commands = {
        path.stem for path in Path(trunkline.cli.__file__).parent.glob("*.py") if "\ndef run(" in path.read_text()
    }
    lines = {line.split()[0]: line.split()[1:] for line in told.splitlines() if line.startswith("    ")}
    assert {"serve", "top", "demo"} < commands
    assert lines.keys() == commands
    assert all(lines.values())
    for command in commands:
        assert f"\n  trunkline {command} " in f"\n{examples}"


class Terminal(io.StringIO):
    """Says that it is one, and when it was written to."""

    def __init__(self) -> None:
        super().__init__()
        self.was_written = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.was_written.set()
        return super().write(text)


def test_who_waits_at_a_terminal_is_told_what_for_and_a_program_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, pipe = Terminal(), io.StringIO()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress("waiting for Godot ...", after=0.0):
        assert terminal.was_written.wait(10)
    assert terminal.getvalue() == "waiting for Godot ...\n"
    monkeypatch.setattr("sys.stderr", pipe)
    running = threading.active_count()
    with progress("waiting for Godot ...", after=0.0):
        assert threading.active_count() == running
    assert pipe.getvalue() == ""


def test_what_is_quick_is_not_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress("waiting for Godot ...", after=60.0):
        pass
    assert terminal.getvalue() == ""


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


def test_the_cache_modes_of_the_command_line_are_those_of_a_call() -> None:
    assert get_args(CacheMode) == CACHE_MODES


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["clear", "--tool", "a"], "--tool goes with invalidate, not with clear"),
        (["stats", "--principal", "a"], "--principal goes with invalidate, not with stats"),
        (["invalidate"], "nothing to invalidate: give --tool, --server, --tag or --principal, or use clear"),
        (["invalidate", "--tool", "a", "--arguments", "{"], "--arguments is not JSON; give an object such as"),
        (["invalidate", "--tool", "a", "--arguments", "[1]"], "--arguments must be a JSON object such as"),
        (["stats", "ftp://h"], "'ftp://h' is no address of a gateway; give one such as http://127.0.0.1:8700"),
        (["stats", "http://h:x"], "'http://h:x' is no address of a gateway"),
        (["forget"], "argument action: invalid choice: 'forget'"),
    ],
)
def test_a_mistake_in_a_command_for_the_cache_is_one_line_and_status_two(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"trunkline: {problem}")


def test_a_gateway_that_is_not_there_is_one_line_and_status_one(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert main(["cache", "stats", url]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"trunkline: no gateway answers at {url}: ")
    assert line.endswith("is trunkline serve running there?")


def test_what_answers_and_is_no_gateway_is_one_line_and_status_one(capsys: pytest.CaptureFixture[str]) -> None:
    page = http.server.SimpleHTTPRequestHandler
    with http.server.HTTPServer(("127.0.0.1", 0), page) as other, ThreadPoolExecutor(1) as threads:
        url = f"http://127.0.0.1:{other.server_address[1]}"
        threads.submit(other.handle_request)
        assert main(["cache", "stats", url]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"trunkline: what answers at {url} is no gateway of this version"
