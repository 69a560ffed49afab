"""Arguments checked against a tool's input schema, and results against its output schema, in bounded work.

A schema is a stranger's text: one that is too large, broken, or refers to something outside itself is not enforced,
and says why; it never blocks a call. Read by `tool`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from trunkline.registry.document import Document, UnusableSchema, read_document
from trunkline.registry.flat import flat_check
from trunkline.registry.metered import Meter
from trunkline.registry.problems import ARGUMENTS, Subject, explain

__all__ = ["MAX_PROBLEMS", "SchemaValidator", "compile_schema"]

MAX_PROBLEMS: Final = 10
"""Lines in the answer to one call."""
_MAX_ERRORS: Final = 100
"""Errors of jsonschema looked at for them: several may come to the same line."""


class SchemaValidator:
    """Checks the arguments, or the results, of one tool; made by `compile_schema`."""

    __slots__ = ("_document", "_fits", "_subject", "_validator", "reason")

    def __init__(self, document: Document | None, reason: str | None = None, subject: Subject = ARGUMENTS) -> None:
        self.reason = reason
        """Why nothing is checked at all; None when it is."""
        self._subject = subject
        self._document = document
        self._fits: Callable[[dict[str, Any]], bool] | None = None
        self._validator: Any = None
        if document is not None:
            self._fits = flat_check(document.schema)
            self._validator = document.dialect(document.schema)

    def __repr__(self) -> str:
        state = f"unchecked: {self.reason}" if self.reason else "flat" if self._fits else "nested"
        return f"<SchemaValidator [{state}, {len(self.ignored)} patterns ignored]>"

    @property
    def ignored(self) -> tuple[str, ...]:
        """One line for each regular expression of the schema that is not enforced, with the reason."""
        return () if self._document is None else self._document.ignored

    def problems(self, value: Any) -> tuple[str, ...]:
        """What is wrong with `value`: at most ten lines, empty when nothing is, or when nothing can be said.

        Raises nothing. A check that would take too much work is given up; what it found until then counts.
        """
        if self._document is None or (self._fits is not None and isinstance(value, dict) and self._fits(value)):
            return ()
        errors: list[Any] = []
        checked = self._validator.evolve(format_checker=Meter(self._document.patterns))
        try:
            # One by one, so that what was found before an end without a verdict is kept.
            for error in islice(checked.iter_errors(value), _MAX_ERRORS):
                errors.append(error)  # noqa: PERF402
        except Exception:  # noqa: S110 # boundary: a stranger's schema (or OutOfBudget) must not block a call
            pass
        lines: dict[str, None] = {}
        for line in explain(errors, self._subject):
            lines[line] = None
            if len(lines) == MAX_PROBLEMS:
                break
        return tuple(lines)


def compile_schema(schema: object, subject: Subject = ARGUMENTS) -> SchemaValidator:
    """Prepare `schema`, a JSON Schema object, for checking what `subject` names. Raises nothing.

    Draft 2020-12 unless `$schema` names an older one (down to draft 4). At most 64 levels, 20,000 nodes and 256 KiB;
    references stay within the document. What cannot be used gives a validator that accepts everything, with `reason`.
    """
    try:
        return SchemaValidator(read_document(schema), subject=subject)
    except UnusableSchema as error:
        return SchemaValidator(None, str(error), subject)
