"""What changed from one configuration to the next: which servers to open, to close and to rebuild.

Pure; the order of names is that of the settings they are in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from trunkline.config.settings import Settings
from trunkline.policy import CacheSettings, RedisPolicy

__all__ = ["Difference", "difference"]


@dataclass(frozen=True, slots=True)
class Difference:
    """The names of servers that are not the same in two settings. A server may have changed in both ways."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed_endpoint: tuple[str, ...] = ()
    """Their connections lead elsewhere now."""
    changed_policy: tuple[str, ...] = ()
    """They obey other numbers now."""
    tools_changed: bool = False
    domains_changed: bool = False
    alerts_changed: bool = False
    cache_resized: bool = False
    """Another limit of memory, which can be put in force at once."""
    logging_changed: bool = False
    pins_changed: bool = False
    """Another file of accepted tools."""
    cache_rebuilt: tuple[str, ...] = ()
    """Keys of `trunkline.cache` by which entries would be others or stand elsewhere: they take a restart."""
    telemetry_changed: bool = False
    """Something else is to be told, or to somebody else: that takes a restart."""

    sessions_changed: tuple[str, ...] = ()
    """Keys of `trunkline.gateway.limits` about sessions that are open already: they take a restart."""

    @property
    def waiting(self) -> tuple[str, ...]:
        """The keys whose new values take a restart."""
        telemetry = ("trunkline.telemetry",) if self.telemetry_changed else ()
        cache = (f"trunkline.cache.{key}" for key in self.cache_rebuilt)
        return (*cache, *telemetry, *(f"trunkline.gateway.limits.{key}" for key in self.sessions_changed))


def difference(old: Settings, new: Settings) -> Difference:
    """Return what has to change where `old` is in force to make it `new`."""
    kept = [(server, old.servers[name]) for name, server in new.servers.items() if name in old.servers]
    return Difference(
        added=tuple(name for name in new.servers if name not in old.servers),
        removed=tuple(name for name in old.servers if name not in new.servers),
        changed_endpoint=tuple(now.name for now, before in kept if now.places != before.places),
        changed_policy=tuple(now.name for now, before in kept if now.policy != before.policy),
        tools_changed=old.tools != new.tools,
        domains_changed=old.domains != new.domains,
        alerts_changed=old.alerts != new.alerts,
        cache_resized=old.cache.max_bytes != new.cache.max_bytes,
        logging_changed=old.logging != new.logging,
        pins_changed=(old.pins, old.source) != (new.pins, new.source),
        cache_rebuilt=tuple(_rebuilt(old.cache, new.cache)),
        telemetry_changed=old.telemetry != new.telemetry,
        sessions_changed=tuple(
            key
            for key in ("sessions", "session_idle")
            if getattr(old.gateway.limits, key) != getattr(new.gateway.limits, key)
        ),
    )


def _rebuilt(old: CacheSettings, new: CacheSettings) -> Iterator[str]:
    for name in ("enabled", "namespace", "partition"):
        if getattr(old, name) != getattr(new, name):
            yield name
    for entry in fields(RedisPolicy):
        if getattr(old.redis, entry.name) != getattr(new.redis, entry.name):
            yield f"redis.{entry.name}"
