"""What `trunkline` offers is a list: nothing more, nothing less, all of it described, and importing it is quiet."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest

import trunkline

MEMBERS = [(name, getattr(trunkline, name)) for name in trunkline.__all__]


def said_by(program: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_what_is_offered_is_what_is_there() -> None:
    assert dir(trunkline) == list(trunkline.__all__)
    everything: dict[str, object] = {}
    exec("from trunkline import *", everything)
    assert everything.keys() - {"__builtins__"} == set(trunkline.__all__)


def test_type_checkers_and_programs_find_every_name_in_the_same_module() -> None:
    tree = ast.parse(Path(trunkline.__file__).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    checked = {
        alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert checked == trunkline._HOMES
    assert set(checked) == set(trunkline.__all__)


def test_a_name_that_is_not_offered_is_told_as_of_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'trunkline' has no attribute 'Trunk'"):
        trunkline.Trunk  # type: ignore[attr-defined]  # noqa: B018


def test_nothing_leaks_but_our_own_modules() -> None:
    # pytest rewrites what it loads as a plugin, and adds names that no code could write.
    names = [name for name in vars(trunkline) if not name.startswith("@")]
    modules = {name: found for name in names if isinstance(found := getattr(trunkline, name), ModuleType)}
    assert {found.__name__ for found in modules.values()} == {f"trunkline.{name}" for name in modules}


def test_the_list_is_sorted_and_names_nothing_twice() -> None:
    assert list(trunkline.__all__) == sorted(set(trunkline.__all__))


def test_the_names_of_the_contract_are_offered() -> None:
    promised = {
        "Infrastructure", "EnhancedMCPClient", "MetricsCollector", "ToolRegistry", "ToolResult",
        "TrunklineError", "CallRejected", "InvalidArguments", "ToolNotFound", "CircuitOpen", "BulkheadFull",
        "ServerUnavailable", "CallFailed", "AttemptTimeout", "ConnectionLost", "ServerError", "InvalidResult",
        "DeadlineExceeded", "ConfigError",
    }  # fmt: skip
    assert promised <= set(trunkline.__all__)


@pytest.mark.parametrize(("name", "member"), MEMBERS, ids=trunkline.__all__)
def test_everything_offered_is_described(name: str, member: object) -> None:
    assert callable(member)
    inherited: list[str | None] = [base.__doc__ for base in member.__mro__[1:]] if inspect.isclass(member) else []
    assert len((member.__doc__ or "").split()) >= 3, name
    assert member.__doc__ not in inherited, name


@pytest.mark.parametrize(("name", "member"), MEMBERS, ids=trunkline.__all__)
def test_every_public_method_and_property_is_described(name: str, member: object) -> None:
    own = vars(member).items() if inspect.isclass(member) else ()
    silent = [
        f"{name}.{attribute}"
        for attribute, found in own
        if not attribute.startswith("_")
        and (inspect.isfunction(found) or isinstance(found, property | classmethod))
        and not inspect.getdoc(found)
    ]
    assert silent == []


def test_neither_importing_nor_building_touches_anybodys_logging_but_for_one_null_handler_of_ours() -> None:
    program = """
import logging
import mcp

def handlers():
    named = logging.root.manager.loggerDict.items()
    return {
        name: [type(handler).__name__ for handler in logger.handlers]
        for name, logger in [("", logging.root), *named]
        if isinstance(logger, logging.Logger) and logger.handlers
    }

before = handlers(), logging.root.level, logging.root.manager.disable, logging.raiseExceptions
from trunkline import *
assert (handlers(), logging.root.level, logging.root.manager.disable, logging.raiseExceptions) == before
Infrastructure.from_config({}), Infrastructure.from_config({})
ours = handlers()
assert ours.pop("trunkline") == ["NullHandler"]
assert (ours, logging.root.level, logging.root.manager.disable, logging.raiseExceptions) == before
print(logging.getLogger("trunkline").propagate, logging.getLogger("trunkline").level)
"""
    assert said_by(program) == "True 0"


def test_importing_starts_no_thread_no_process_and_no_event_loop() -> None:
    program = """
import asyncio, os, pathlib, threading
from trunkline import *
children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children")
print(threading.active_count(), children.read_text() if children.exists() else "", asyncio._get_running_loop())
"""
    assert said_by(program).split() == ["1", "None"]


def test_the_package_is_typed() -> None:
    assert (files(trunkline) / "py.typed").is_file()


def test_optional_dependencies_are_not_imported() -> None:
    program = """
import sys
from trunkline import *
print(sorted({"redis", "prometheus_client", "structlog", "trio"} & set(sys.modules)))
"""
    assert said_by(program) == "[]"


def test_importing_the_package_alone_does_not_import_the_sdk() -> None:
    assert said_by("import sys, trunkline; print('mcp' in sys.modules)") == "False"
