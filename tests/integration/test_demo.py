"""The tour as it is given to people: real servers, a real kill, and the journals counted once more by the test."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trunkline.testing.journal import executions, read

pytestmark = pytest.mark.integration


@contextmanager
def demo(*options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "trunkline", "demo", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def pids(text: str) -> set[int]:
    return {int(pid) for pid in re.findall(r"pid (\d+)", text)} | {int(pid) for pid in re.findall(r"and (\d+)\)", text)}


def is_running(pid: int) -> bool:
    """Whether there is such a process and it is one of the tour's: numbers are used again."""
    try:
        return b"faulty_http" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.requirement("CLI-DEMO-1")
def test_the_tour_is_told_to_its_end_and_no_write_ran_twice(tmp_path: Path) -> None:
    folder = tmp_path / "journals"
    with demo("--seconds", "5", "--journals", str(folder)) as process:
        said, complained = process.communicate(timeout=100)
    assert (process.returncode, complained) == (0, "")
    chapters = [f"[{number}/5]" for number in range(1, 6)]
    assert [chapter for chapter in chapters if chapter not in said] == []
    assert "No write ran twice." in said
    # The same count, by another hand: what was begun, of the tools that must not run twice.
    writes = {entry.op for name in ("orders", "notes") for entry in read(folder / f"{name}.journal")
              if entry.tool != "lookup"}  # fmt: skip
    begun = executions(folder / "orders.journal", "before") + executions(folder / "notes.journal", "before")
    assert len(writes) > 20
    assert {op: begun[op] for op in writes if begun[op] != 1} == {}
    assert f"{len(writes)} writes ran once, 0 ran twice" in said
    assert re.search(r"refused \d+ times before anything was sent", said)
    assert "took orders again" in said
    assert len(pids(said)) == 3
    assert [pid for pid in pids(said) if is_running(pid)] == []


def test_an_interrupted_tour_tells_what_it_knows_and_leaves_nothing_running() -> None:
    with demo("--seconds", "60") as process:
        assert process.stdout is not None
        said = ""
        while "[1/5]" not in said:
            line = process.stdout.readline()
            assert line, process.communicate(timeout=30)
            said += line
        process.send_signal(signal.SIGINT)
        rest, complained = process.communicate(timeout=60)
    assert (process.returncode, complained) == (130, "")
    assert "Interrupted. What was measured until then" in rest
    assert "0 ran twice" in rest
    assert len(pids(said)) == 3
    assert [pid for pid in pids(said) if is_running(pid)] == []
