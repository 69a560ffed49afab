"""Commands whose replies have a shape, and that shape. Whatever has another one was not meant for us. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.cache.link import Command, LinkFault, Refused, Reply

__all__ = ["mget", "rows_of", "time_of", "xread"]


def mget(keys: Sequence[bytes]) -> bytes:
    """Read some values, as it goes over the wire: redis-py takes longer to write a long command than to send it."""
    return b"".join((b"*%d\r\n$4\r\nMGET\r\n" % (len(keys) + 1), *[b"$%d\r\n%b\r\n" % (len(key), key) for key in keys]))


def xread(stream: bytes, after: bytes, seconds: float, count: int) -> Command:
    """Read a stream beyond an id, waiting so long for the first entry."""
    # 0 would wait for ever.
    return ("XREAD", "COUNT", count, "BLOCK", max(1, round(1000 * seconds)), "STREAMS", stream, after)


def rows_of(reply: Reply) -> list[Reply]:
    """The entries in the answer to `xread`: `[id, [field, value, …]]` each."""
    if isinstance(reply, Refused):
        raise LinkFault("denied" if reply.kind == "denied" else "no_answer")
    if not reply:
        return []
    try:
        ((_, rows),) = reply
        return list(rows)
    except (TypeError, ValueError):
        raise LinkFault("mixed_up") from None


def time_of(reply: Reply) -> float:
    """Unix seconds in the answer to `TIME`."""
    try:
        seconds, microseconds = reply
        return int(seconds) + int(microseconds) / 1e6
    except (TypeError, ValueError):
        raise LinkFault("denied" if reply == Refused("denied") else "mixed_up") from None
