"""`trunkline export`: what other programs read about the gateway, printed or written to a file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from trunkline.alerts.prometheus_rules import rule_file
from trunkline.alerts.rule import rules_of
from trunkline.alerts.rule_tests import promtool_tests
from trunkline.alerts.stories import stories_of
from trunkline.alerts.yaml_text import yaml_text
from trunkline.cli.config_file import find, read
from trunkline.cli.exits import FAILED, FINE, CommandError
from trunkline.gateway.openapi import document
from trunkline.monitoring.grafana import grafana_dashboard
from trunkline.policy import AlertSettings, DomainPolicy

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Print or write what was asked for; 0. Raises `CommandError` where it cannot be made or the file not written."""
    text = _WRITERS[options.what](options)
    if options.out is None:
        print(text, end="")
        return FINE
    try:
        Path(options.out).write_text(text, encoding="utf-8")
    except OSError as error:
        problem = f"cannot write {options.out}: {error.strerror or error}; name another file with --out"
        raise CommandError([problem], FAILED) from error
    return FINE


def _openapi(_options: argparse.Namespace) -> str:
    return _json(document("127.0.0.1", 8700))


def _grafana(_options: argparse.Namespace) -> str:
    return _json(grafana_dashboard())


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _prometheus_rules(options: argparse.Namespace) -> str:
    # Without any configuration, the built-in rules are in force.
    settings: tuple[AlertSettings, Mapping[str, DomainPolicy]] = (AlertSettings(), {})
    if find(options.config) is not None:
        found = read(options.config)
        settings = found.alerts, found.domains
    rules = rules_of(*settings)
    if options.tests is None:
        return yaml_text(rule_file(rules))
    return yaml_text(promtool_tests(stories_of(settings[0], rules), [options.tests]))


_WRITERS: Final[Mapping[str, Callable[[argparse.Namespace], str]]] = {
    "grafana": _grafana,
    "openapi": _openapi,
    "prometheus-rules": _prometheus_rules,
}
"""What can be exported, by its name on the command line; each returns the whole text, its last line ended."""
