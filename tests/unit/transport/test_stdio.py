"""What is said of a child's end; what needs a real child is in the integration tests."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, cast

from trunkline.transport.stdio import ChildProcess


@dataclass
class Exited:
    """As much of a process as is asked."""

    returncode: int = 3


def child(said: bytes) -> ChildProcess:
    return ChildProcess(cast("Any", Exited()), said)


def test_the_words_of_arguments_are_taken_out_of_what_it_said_last() -> None:
    told = child(b"starting\nno such user: Lovelace\n").last_words(["Lovelace"])
    assert told == "the server's process exited with status 3: no such user: [redacted]"


def test_an_argument_of_megabytes_is_not_looked_for_in_a_line() -> None:
    began = time.process_time()
    told = child(b"out of memory\n").last_words(["x" * 5_000_000, "memory"])
    assert time.process_time() - began < 1.0
    assert told.endswith(": out of [redacted]")


def test_a_child_that_said_nothing_is_told_by_how_it_ended() -> None:
    assert child(b"").last_words(["Lovelace"]) == "the server's process exited with status 3"
