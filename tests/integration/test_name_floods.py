"""A flood of made-up names adds little, and all of it is counted. Measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FLOOD = Path(__file__).with_name("flood_of_names.py")


@pytest.mark.requirement("CARDINALITY")
def test_a_million_random_tool_names_add_the_cap_and_twenty_mebibytes_at_most_and_none_is_lost() -> None:
    done = subprocess.run([sys.executable, str(FLOOD)], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    # Three series (ok, cancelled, error) take in what is beyond the cap.
    assert told["series"] <= 2000 + 3
    assert told["tools"] <= 250 + 1
    assert (told["recorded"], told["overflowed"]) == (1_000_000, 1_000_000 - 2000)
    assert told["mebibytes"] <= 20
    assert told["speech"] == 1
