"""The journal is the truth that reliability tests compare with, so it must not lie."""

from __future__ import annotations

import json
import os
from pathlib import Path

from trunkline.testing.journal import Journal, executions, read


def test_what_was_recorded_is_read_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.record("a", "append", "before")
    journal.record("a", "append", "after")

    entries = read(tmp_path / "journal")

    assert [(entry.op, entry.tool, entry.phase, entry.pid) for entry in entries] == [
        ("a", "append", "before", os.getpid()),
        ("a", "append", "after", os.getpid()),
    ]
    assert entries[0].time <= entries[1].time


def test_an_execution_without_its_after_line_does_not_count_as_one_that_happened(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    for op in ("a", "a", "b"):
        journal.record(op, "append", "before")
    journal.record("a", "append", "after")

    assert executions(path) == {"a": 1}
    assert executions(path, "before") == {"a": 2, "b": 1}


def test_a_journal_nobody_has_written_yet_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == []
    assert executions(tmp_path / "none") == {}


def test_a_restarted_server_goes_on_counting_where_the_last_one_stopped(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).record("a", "append", "before")

    again = Journal(path)
    again.record("a", "append", "before")

    assert again.begun == {"a": 2}
    assert repr(again) == "<Journal [2 begun]>"


def test_two_writers_never_overwrite_each_other(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first, second = Journal(path), Journal(path)
    for _ in range(10):
        first.record("a", "append", "after")
        second.record("b", "append", "after")

    assert executions(path) == {"a": 10, "b": 10}


def test_each_line_is_json_that_other_programs_can_read(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).record("ä\n", "grandchild", "spawned", pid=7)

    (line,) = path.read_text().splitlines()

    assert json.loads(line).keys() == {"op", "tool", "phase", "pid", "time"}
    assert read(path)[0].op == "ä\n"
    assert read(path)[0].pid == 7


def test_without_a_file_it_only_counts() -> None:
    journal = Journal()
    journal.record("a", "append", "before")

    assert journal.begun == {"a": 1}
