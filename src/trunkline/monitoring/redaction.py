"""Takes credentials out of text before anybody else sees it.

Errs on the side of taking too much: a log line that lost a word is read all the same, a leaked token is not taken back.
Every pattern is anchored and linear, since the text may be long and hostile.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from trunkline.secrets import REDACTED, TELLING, is_secret_name

__all__ = ["REDACTED", "is_secret_name", "redact", "redact_value"]

_DEPTH: Final = 6
"""Levels of nested values looked into; what lies deeper is replaced whole."""

# `name=value`, `name: value`, `"name": "value"`: from the giveaway on, since what stands before it is kept anyway.
_ASSIGNED: Final = re.compile(
    rf"(?P<name>{TELLING}[\w-]{{0,64}}[\"']?\s{{0,4}}[:=]\s{{0,4}})"
    r"(?!\[redacted\])(?:\"[^\"\n]*\"?|'[^'\n]*'?|(?:(?:bearer|basic|digest|negotiate|token)\s+)?[^\s\"'&,;)\]}]+)",
    re.IGNORECASE,
)
# A header's value goes on to the end of its line or quotes.
_HEADER: Final = re.compile(r"(?P<name>(?:authorization|cookie)[\"']?\s{0,4}:\s{0,4}[\"']?)[^\"'\n]+", re.IGNORECASE)
_SCHEME: Final = re.compile(
    r"\b(?P<scheme>(?i:bearer)|(?i:basic)(?=\s+[A-Za-z+/]*[A-Z0-9=]))\s+(?!\[redacted\])[\w.~+/=-]{6,}"
)
_USERINFO: Final = re.compile(r"(?<=://)[^/\s\"'<>]*@")
_TOKENS: Final = re.compile(
    r"(?<![\w-])(?:"
    r"eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"  # JSON web token
    r"|sk-[\w-]{16,}"
    r"|gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|xox[a-z]-[\w-]{10,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|AIza[\w-]{30,}"
    r"|hf_\w{16,}"
    r")"
)


_HINT: Final = re.compile(
    r"://|pass|pwd|secret|token|key|credential|authorization|cookie|signature|session|bearer|basic"
    r"|eyj|sk-|gh[pousr]_|github_pat_|glpat-|xox|akia|asia|aiza|hf_"
)
"""One of them is in every text, in small letters, that any of the patterns above fits. Most texts have none."""


def redact(text: str) -> str:
    """Return `text` with credentials replaced by `[redacted]`.

    Found are: values of Authorization and cookie headers, Bearer and Basic credentials, user information in addresses,
    well-known token shapes, and whatever is assigned to a name that speaks of a secret.
    """
    if _HINT.search(text.lower()) is None:
        return text
    text = _USERINFO.sub(f"{REDACTED}@", text)
    text = _HEADER.sub(rf"\g<name>{REDACTED}", text)
    text = _ASSIGNED.sub(rf"\g<name>{REDACTED}", text)
    text = _SCHEME.sub(rf"\g<scheme> {REDACTED}", text)
    return _TOKENS.sub(REDACTED, text)


def redact_value(value: Any, *, depth: int = _DEPTH) -> Any:
    """Return `value` as plain JSON-able data without credentials; objects of unknown kinds become redacted text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact(value)
    if depth and isinstance(value, Mapping):
        return {
            str(name): REDACTED if is_secret_name(str(name)) else redact_value(item, depth=depth - 1)
            for name, item in value.items()
        }
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [redact_value(item, depth=depth - 1) for item in value]
    return redact(str(value)) if depth else REDACTED
