"""Puts the environment's values where a configuration says `${NAME}`.

`${NAME:-default}` takes the default where the variable is unset or empty, as a shell does; `${env:NAME}`, which some
hosts write, is the same as `${NAME}`; `$$` is a `$`. Keys are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trunkline.config.lines import KeyPath
from trunkline.config.report import Report

__all__ = ["expand"]

_DEEPEST = 32
_MARK = re.compile(r"\$\$|\$\{(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\}|(?P<odd>\$\{)")


def expand(value: object, path: KeyPath, environ: Mapping[str, str], report: Report) -> Any:
    """Return a copy of `value`, which stands at `path`, with every variable replaced.

    Reported, and left out or left as it is: an unset variable, a `${` that names none, a key that is not text, text
    that is not Unicode, and anything nested more than 32 deep.
    """
    if len(path) > _DEEPEST:
        report.problem(path, f"nested too deeply, expected at most {_DEEPEST} levels")
        return None
    if isinstance(value, str):
        return _substituted(value, path, environ, report)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or not _is_unicode(key):
                report.problem(path, "a key in it is not text, expected keys that are Unicode strings")
        keys = [key for key in value if isinstance(key, str) and _is_unicode(key)]
        return {key: expand(value[key], (*path, key), environ, report) for key in keys}
    if isinstance(value, list | tuple):
        return [expand(item, (*path, index), environ, report) for index, item in enumerate(value)]
    return value


def _substituted(text: str, path: KeyPath, environ: Mapping[str, str], report: Report) -> str:
    def replacement(mark: re.Match[str]) -> str:
        name, default = mark["name"], mark["default"]
        if mark[0] == "$$":
            return "$"
        if mark["odd"]:
            report.unresolved(path, "it has a ${ that names no variable; write ${NAME}, or $${ for a plain ${")
            return ""
        found = environ.get(name)
        if found:
            report.substituted(name, found)
        if default is not None:
            return found or str(default).removeprefix(":-")
        if found is None:
            advice = f"set it, or give a default with ${{{name}:-default}}"
            report.unresolved(path, f"the environment variable {name} is not set; {advice}")
            return ""
        return found

    if not _is_unicode(text):
        report.unresolved(path, "it is not valid Unicode text (half a surrogate pair)")
        return ""
    return _MARK.sub(replacement, text)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)
