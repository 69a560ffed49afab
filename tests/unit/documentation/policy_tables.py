"""The tables of a guide: one row for each field of a policy, with the words of its docstring."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def table_of(policy: type[Any]) -> str:
    """The table of a policy, as it has to stand below `<!-- policy: Name -->`."""
    words = _docstrings(policy)
    made = policy()
    rows = [
        f"| `{field.name.removesuffix('_')}` | {_written(getattr(made, field.name))} | {words[field.name]} |"
        for field in fields(policy)
    ]
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *rows])


def _docstrings(policy: type[Any]) -> dict[str, str]:
    source = inspect.getsource(sys.modules[policy.__module__])
    tree = next(
        node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == policy.__name__
    )
    found: dict[str, str] = {}
    for statement, following in zip(tree.body, [*tree.body[1:], ast.Pass()], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            is_told = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            text = str(following.value.value) if is_told else _UNTOLD[statement.target.id]  # type: ignore[attr-defined]
            found[statement.target.id] = " ".join(text.split())
    return found


_UNTOLD = {"enabled": "Whether it is in force.", "redis": "The shared tier, see below."}
"""Fields that say what they are by their name."""


def _written(value: object) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return str(value).lower()
        case str():
            return f'`"{value}"`'
        case tuple():
            return f"`{json.dumps(value)}`"
        case _ if is_dataclass(value) or isinstance(value, Mapping):
            return "–"
        case _:
            return f"{value:g}" if isinstance(value, float) else str(value)
