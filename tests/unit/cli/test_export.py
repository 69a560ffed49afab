"""What `trunkline export` prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trunkline.cli.main import main
from trunkline.gateway.openapi import document


def test_openapi_prints_what_the_gateway_describes_itself_as(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "openapi"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == document("127.0.0.1", 8700)
    assert printed.err == ""


def test_a_named_file_gets_what_would_be_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "openapi"]) == 0
    printed = capsys.readouterr().out
    target = tmp_path / "openapi.json"
    assert main(["export", "openapi", "--out", str(target)]) == 0
    assert target.read_text(encoding="utf-8") == printed
    assert capsys.readouterr().out == ""


def test_a_file_that_cannot_be_written_is_one_line_and_status_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "no such folder" / "openapi.json"
    assert main(["export", "openapi", "--out", str(target)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"trunkline: cannot write {target}: ")
    assert line.endswith("name another file with --out")


def test_without_a_configuration_the_built_in_rules_are_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", "prometheus-rules"]) == 0
    printed = capsys.readouterr().out
    assert (
        'summary: "Domain {{ $labels.domain }}: {{ $value | humanizePercentage }} of requests fail (limit 5 %)."'
        in (printed)
    )
    assert printed.startswith("groups:\n  - name: trunkline\n    interval: 15s\n    rules:\n")


@pytest.mark.parametrize("arguments", [[], ["everything"]])
def test_what_cannot_be_exported_is_one_line_and_status_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("trunkline: ")
    assert line.endswith("see trunkline export --help")
