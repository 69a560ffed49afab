"""docs/terminal.md: its screen is what is shown of that view, its commands and keys exist."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.unit.cli.views import view
from tests.unit.documentation.guide import Guide
from trunkline.cli.main import main
from trunkline.cli.terminal.lines import painted
from trunkline.cli.terminal.overview import overview
from trunkline.cli.terminal.shown import Shown
from trunkline.cli.tour.cast import Cast
from trunkline.testing.processes import FaultyHttp

TEXT = Guide("terminal").text


def test_the_screen_in_the_guide_is_what_top_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        told = view(down=True)
        shown = Shown("http://127.0.0.1:8700", view=told, now=told["at"])
        screen = "\n".join(painted(line, 100, "bare").rstrip() for line in overview(shown, 100, None))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert f"```text\n{screen}\n```\n" in TEXT, screen


@pytest.mark.parametrize("command", re.findall(r"^\$ trunkline (.*)$", TEXT, re.MULTILINE))
def test_every_command_in_the_guide_is_understood(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    # What they do is shown with real servers, in tests/integration/test_top.py and test_demo.py.
    assert main([*command.split(), "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: trunkline {command.partition(' ')[0]}")


def test_what_the_guide_says_of_the_tours_configuration_is_so(tmp_path: Path) -> None:
    servers = [FaultyHttp(port, [], listens=False) for port in (1, 2, 3)]
    defaults = Cast(servers[0], (servers[1], servers[2]), tmp_path).configuration()["trunkline"]["defaults"]
    told = re.findall(r"`(\w+)\.(\w+)` to 1 s", TEXT)
    assert told == [("pool", "patience"), ("pool", "cap"), ("health", "interval")]
    assert [defaults[section][key] for section, key in told] == [1.0, 1.0, 1.0]
