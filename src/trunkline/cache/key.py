"""What makes two calls the same question: a hash over everything that makes a difference to the answer. Pure.

The hash is BLAKE2b-128 over one JSON text. JSON as written here is injective: keys are sorted, 1, 1.0 and true differ,
and what has no exact form (NaN, a lone surrogate, a key that is no text) is refused, never written as something else.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any
from zlib import crc32

from trunkline.cache.entry import CacheKey
from trunkline.cache.tags import shard_tag

__all__ = ["FORMAT", "KeySpace", "Keys", "NotCanonical", "canonical", "shard_of"]

FORMAT = 1
"""Changes whenever the same call would be written differently, so that no version reads the keys of another."""

_WRITER = json.JSONEncoder(sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


_SHORT = 512
"""Bytes: longer arguments are not remembered."""


class NotCanonical(ValueError):
    """The value has no exact JSON form, so nothing can be said about what equals it."""


class KeySpace:
    """The keys of all calls that differ in their arguments alone."""

    __slots__ = ("_hash", "_seed", "_tags", "is_shareable")

    def __init__(self, parts: Sequence[Any], *, tags: tuple[str, ...], name: str, is_shareable: bool) -> None:
        """Describe what the calls have in common.

        Args:
            parts: Everything but the arguments that makes a difference.
            tags: Names by which the answers can be invalidated together.
            name: What they are called when one of them is invalidated by its arguments.
            is_shareable: Whether the answers may leave this process.
        """
        # The list goes on with the arguments: one JSON text in the end.
        self._hash = blake2b(canonical([FORMAT, *parts])[:-1] + b",", digest_size=16)
        self._seed = crc32(name.encode("utf-8", "surrogatepass"))
        self._tags = tags
        self.is_shareable = is_shareable

    def key(self, arguments: Mapping[str, Any]) -> CacheKey:
        """The key of the call with these arguments; raises `NotCanonical`."""
        written = canonical(arguments)
        state = self._hash.copy()
        state.update(written + b"]")
        shard = shard_tag(crc32(written, self._seed))
        return CacheKey(state.digest(), (*self._tags, shard), self.is_shareable)


class Keys:
    """Keys made lately, for calls that come again with the same arguments: most of a key's cost is writing them.

    They are found by the arguments as `marshal` writes them (version 2), which tells everything apart that JSON does.
    What it writes differently although it is equal, such as another order of keys, is only made again.
    """

    def __init__(self, limit: int = 2048) -> None:
        self._limit = limit
        self._known: dict[tuple[KeySpace, bytes], CacheKey] = {}

    def key(self, space: KeySpace, arguments: Mapping[str, Any]) -> CacheKey:
        """The key of the call with these arguments; raises `NotCanonical`."""
        try:
            written = marshal.dumps(arguments, 2)  # type: ignore[arg-type] # it says so itself what it cannot write
        except ValueError:  # of a type that it does not know; JSON may
            return space.key(arguments)
        known = self._known.get((space, written))
        if known is None:
            known = space.key(arguments)
            if len(self._known) >= self._limit:
                self._known.clear()
            if len(written) <= _SHORT:
                self._known[space, written] = known
        return known


def shard_of(name: str, arguments: Mapping[str, Any]) -> str:
    """The tag of all answers to a call of that name with these arguments, whoever made it."""
    return shard_tag(crc32(canonical(arguments), crc32(name.encode("utf-8", "surrogatepass"))))


def canonical(value: Any) -> bytes:
    """The one JSON text of a value; raises `NotCanonical` for what has none."""
    try:
        _require_texts_as_keys(value)
        return _WRITER.encode(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"no exact JSON form ({type(error).__name__})"
        raise NotCanonical(msg) from error


def _require_texts_as_keys(value: Any) -> None:
    """Refuse keys that are no texts, which the writer would turn into texts: 1 and "1" would be the same."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                msg = "a key is no text"
                raise TypeError(msg)
            if isinstance(inner, (dict, list, tuple)):
                _require_texts_as_keys(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            if isinstance(inner, (dict, list, tuple)):
                _require_texts_as_keys(inner)
