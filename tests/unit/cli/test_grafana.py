"""The dashboard for Grafana, as far as it can be looked at without one."""

from __future__ import annotations

import json

import pytest

from trunkline.cli.main import main
from trunkline.monitoring.catalogue import COUNTERS, HISTOGRAMS
from trunkline.monitoring.grafana import grafana_dashboard


def test_what_is_printed_is_the_dashboard(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "grafana"]) == 0
    assert json.loads(capsys.readouterr().out) == grafana_dashboard()


def test_panels_are_numbered_and_lie_beside_one_another() -> None:
    panels = grafana_dashboard()["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_standard_histograms_and_most_counters_are_shown() -> None:
    queries = json.dumps(grafana_dashboard())
    shown = [spec.name for spec in HISTOGRAMS if spec.name in queries]
    assert len(shown) >= len(HISTOGRAMS) - 2
    assert sum(f"{name}_total" in queries for name, *_ in COUNTERS) >= 6
