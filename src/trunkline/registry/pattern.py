"""How much work a regular expression can be: read from its text, before it is ever matched.

A backtracking engine tries every way a pattern can divide a text. The number of ways is bounded here by
`factor * (length + 1) ** degree`; a pattern for which no such bound is found (a repeat within a repeat, a choice
within a repeat, a back-reference) is refused. The reading is conservative: some harmless patterns are refused too.
Nested repeats as the cause of exponential matching: OWASP, "Regular expression Denial of Service".
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

__all__ = ["MAX_PATTERN", "PatternWork", "RefusedPattern", "measure"]

MAX_PATTERN = 1_000
"""Characters: a longer pattern is refused."""
_MAX_FACTOR = 10_000
_MAX_DEGREE = 4
_MAX_GROUPS = 20
"""Groups within groups."""
_COUNTED = 100
"""A repeat that may go on for longer is taken as endless."""
_LITERAL = 100
"""Characters of pattern that one way through it may cost to compare, per unit of work."""

_COUNT = re.compile(r"\{(\d{0,9})(,?)(\d{0,9})\}")
_GROUP = re.compile(r"\?(?::|=|!|<=|<!|>|P<\w+>)")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)


class RefusedPattern(ValueError):
    """A pattern that is not Python's, or whose work cannot be bounded; the message says which."""


@dataclass(frozen=True, slots=True)
class PatternWork:
    """An upper bound for the ways a pattern is tried on a text."""

    factor: int = 1
    degree: int = 0

    def steps(self, length: int) -> int:
        """Ways tried, at most, on a text of `length` characters."""
        ways: int = self.factor * (length + 1) ** self.degree
        return ways

    def then(self, other: PatternWork) -> PatternWork:
        """The work of one pattern after another. Raises `RefusedPattern` when it is too much."""
        return _bounded(self.factor * other.factor, self.degree + other.degree)

    def either(self, other: PatternWork) -> PatternWork:
        """The work of a choice between two patterns. Raises `RefusedPattern` when it is too much."""
        return _bounded(self.factor + other.factor, max(self.degree, other.degree))

    def repeated(self, low: int, high: int | None) -> PatternWork:
        """The work of `low` to `high` repeats, None for no end. Raises `RefusedPattern` when it is too much."""
        if low == high and self == _ONE_WAY:
            return self
        if high is None or high > _COUNTED:
            if self != _ONE_WAY:
                msg = "a repeat of something that can itself be matched in several ways"
                raise RefusedPattern(msg)
            return PatternWork(degree=1)
        return _bounded((high - low + 1) * self.factor**high, self.degree * high)


_ONE_WAY = PatternWork()


def _bounded(factor: int, degree: int) -> PatternWork:
    if factor > _MAX_FACTOR or degree > _MAX_DEGREE:
        msg = "too many ways to match it"
        raise RefusedPattern(msg)
    return PatternWork(factor, degree)


def measure(pattern: str) -> PatternWork:
    """Bound the work of searching for `pattern`.

    Raises `RefusedPattern` for one that is too long, does not compile, or whose work cannot be bounded.
    """
    if len(pattern) > MAX_PATTERN:
        msg = f"longer than {MAX_PATTERN} characters"
        raise RefusedPattern(msg)
    work = _Reader(pattern).whole().then(PatternWork(1 + len(pattern) // _LITERAL))
    try:
        with warnings.catch_warnings():
            # What Python warns about (nested sets) may mean something else in its next release.
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        msg = "not a regular expression of Python's"
        raise RefusedPattern(msg) from error
    anchored = pattern.startswith(("^", r"\A")) and "|" not in pattern
    return work if anchored else work.then(PatternWork(degree=1))


class _Reader:
    """Reads a pattern from left to right; what is not well-formed is left for the compiler to refuse."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> PatternWork:
        work = self._choice()
        if self._at < len(self._text):
            msg = "an unbalanced parenthesis"
            raise RefusedPattern(msg)
        return work

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _choice(self) -> PatternWork:
        work = self._sequence()
        while self._peek() == "|":
            self._at += 1
            work = work.either(self._sequence())
        return work

    def _sequence(self) -> PatternWork:
        work = _ONE_WAY
        while (head := self._peek()) and head not in "|)":
            work = work.then(self._quantified(self._atom(head)))
        return work

    def _atom(self, head: str) -> PatternWork:
        if head == "(":
            return self._group()
        if head == "[":
            found = _CLASS.match(self._text, self._at)
            if found is None:
                msg = "an unterminated character set"
                raise RefusedPattern(msg)
            self._at = found.end()
            return _ONE_WAY
        if head == "\\":
            self._at += 1
            if self._peek().isdigit() and self._peek() != "0":
                msg = "a back-reference"
                raise RefusedPattern(msg)
        self._at += 1
        return _ONE_WAY

    def _group(self) -> PatternWork:
        self._at += 1
        self._depth += 1
        if self._peek() == "?":
            opening = _GROUP.match(self._text, self._at)
            if opening is None:
                msg = "a group of a kind that is not supported"
                raise RefusedPattern(msg)
            self._at = opening.end()
        if self._depth > _MAX_GROUPS:
            msg = f"more than {_MAX_GROUPS} groups within each other"
            raise RefusedPattern(msg)
        work = self._choice()
        if self._peek() != ")":
            msg = "an unbalanced parenthesis"
            raise RefusedPattern(msg)
        self._at += 1
        self._depth -= 1
        return work

    def _quantified(self, work: PatternWork) -> PatternWork:
        head = self._peek()
        low, high = 0, None
        if head == "{":
            found = _COUNT.match(self._text, self._at)
            if found is None or found[0] == "{}":
                return work
            low = int(found[1] or 0)
            high = int(found[3]) if found[3] else None if found[2] else low
            self._at = found.end()
        elif head and head in "*+?":
            low, high = (1, None) if head == "+" else (0, 1 if head == "?" else None)
            self._at += 1
        else:
            return work
        if self._peek() and self._peek() in "?+":
            self._at += 1
        return work.repeated(low, high)
