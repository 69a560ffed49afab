"""Names that a pattern stands for: `*` is any characters, none included; everything else stands for itself."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["NamePatterns", "fits"]


def fits(name: str, parts: list[str]) -> bool:
    """Whether `parts`, a pattern split at its stars, stand in `name` in their order, from its beginning to its end.

    Taking each part where it first stands is enough, so this is linear, whatever a server calls its tools.
    """
    first, *between = parts
    if not between:
        return name == first
    *between, last = between
    if not name.startswith(first) or not name.endswith(last) or len(name) < len(first) + len(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in between:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


class NamePatterns:
    """Several patterns, of which one has to fit."""

    __slots__ = ("_all", "_parts")

    def __init__(self, patterns: Iterable[str]) -> None:
        self._parts = [pattern.split("*") for pattern in patterns]
        self._all = ["", ""] in self._parts

    def __repr__(self) -> str:
        return f"<NamePatterns [{', '.join('*'.join(parts) for parts in self._parts) or 'none'}]>"

    @property
    def fit_all(self) -> bool:
        """Whether every name fits."""
        return self._all

    def fit(self, name: str) -> bool:
        """Whether `name` fits one of them."""
        return self._all or any(fits(name, parts) for parts in self._parts)
