"""What is kept of answers: for how long, in what form, and what makes it invalid.

The contract behind the numbers stands in `docs/decisions/0010-the-cache.md`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from trunkline.policy.checks import not_negative, positive, require

__all__ = ["CachePolicy", "CacheSettings", "CopyMode", "ListingCachePolicy", "RedisMode", "RedisPolicy"]

CopyMode: TypeAlias = Literal["isolated", "shared"]
RedisMode: TypeAlias = Literal["standalone", "cluster", "sentinel"]


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How long the answers of one tool may be used again. A tool that says it is destructive is never cached.

    An answer is fresh for `ttl`, then stale for `stale` (served, while one call in the background refreshes it), then
    kept for `stale_if_error` (served only where the server has no answer), then gone. What was invalidated is gone.
    """

    enabled: bool = True
    ttl: float | None = None
    """Seconds an answer is fresh; None caches nothing."""
    stale: float | None = None
    """Seconds beyond `ttl` in which it is served and refreshed in the background; None takes as long as `ttl`."""
    stale_if_error: float = 0.0
    """Seconds beyond that in which it is served when neither the server nor a substitute has an answer."""
    jitter: float = 0.1
    """Share by which each entry's `ttl` is drawn shorter or longer, so that what came together does not go together."""
    early: float = 0.0
    """How eagerly a fresh answer is refreshed before it expires (the beta of XFetch: Vattani et al., PVLDB 8(8), 2015);
    1 is the paper's optimum, 0 never."""
    soft_timeout: float | None = None
    """Seconds to wait for the server while something older is still kept; that is then served, and the server's answer
    stored when it comes. None waits."""
    recheck: float = 30.0
    """Seconds after a failure in which a kept answer is served without asking the server again."""
    tags: tuple[str, ...] = ()
    """Names by which these answers can be invalidated together."""
    invalidates: tuple[str, ...] | None = None
    """Tags that a call of this tool makes invalid, after a success and after a failure by which it may have run. None
    takes, for a tool that is not known to only read, everything its server answered this principal."""
    copy: CopyMode = "isolated"
    """Whether each caller gets an object of its own, or all get the same one and must not change it."""
    lease: float | None = None
    """Seconds one process may keep others waiting while it asks the server for what all of them miss; None lets each
    process ask. Worth it where the server takes longer than 0.2 s."""
    max_item_bytes: int = 1024 * 1024
    """Bytes of JSON; a larger answer is passed on and not kept."""

    def __post_init__(self) -> None:
        positive(self, "ttl", "soft_timeout", "lease", "max_item_bytes")
        not_negative(self, "stale", "stale_if_error", "early", "recheck")
        require(0 <= self.jitter < 1, "jitter", self.jitter, "a share from 0, below 1")


@dataclass(frozen=True, slots=True)
class ListingCachePolicy:
    """How a server's own hints (`ttlMs`, `cacheScope`) about its listings and resources are taken."""

    enabled: bool = True
    min_ttl: float = 0.0
    """Seconds an answer is fresh at least; most servers send 0, which caches nothing."""
    max_ttl: float = 86400.0
    """Seconds an answer is fresh at most, whatever the server says."""
    stale: float = 0.0
    """Seconds beyond its time in which it is served and refreshed; the specification asks for a fresh one, hence 0."""
    stale_if_error: float = 0.0
    """Seconds beyond that in which it is served when the server has no answer."""
    share_public: bool = False
    """Whether what the server calls public may be given to every principal. That is its claim: trust is yours."""

    def __post_init__(self) -> None:
        positive(self, "max_ttl")
        not_negative(self, "min_ttl", "stale", "stale_if_error")
        require(self.min_ttl <= self.max_ttl, "min_ttl", self.min_ttl, "at most max_ttl")


@dataclass(frozen=True, slots=True)
class RedisPolicy:
    """The shared tier: a Redis or Valkey server that several processes use together. Any fault of it is a miss."""

    enabled: bool = True
    url: str | None = field(default=None, repr=False)
    """`redis://[user:password@]host[:port][/db]`, `rediss://` for TLS, `unix://path`; None for no shared tier."""
    mode: RedisMode = "standalone"
    """What the address belongs to: one server, any node of a cluster, or any sentinel of a set."""
    sentinel_service: str | None = None
    """The name the sentinels know the master by."""
    sentinel_user: str | None = None
    """Whom the sentinels know us as, where they ask; the address's user is the master's."""
    sentinel_password: str | None = field(default=None, repr=False)
    """What the sentinels want to hear, where they ask; the address's password is the master's."""
    nodes: tuple[str, ...] = ()
    """Further `host:port` of the cluster or the sentinel set, asked when the first is away."""
    ca_file: str | None = None
    """Certificate authority of a server whose certificate the system does not know."""
    deadline: float = 0.05
    """Seconds an operation may take; then it is abandoned and counts as a miss."""
    open_for: float = 0.25
    """Seconds the tier is first left alone after a fault; doubled each time a probe fails."""
    open_cap: float = 2.0
    """Seconds: the pause between probes is never longer."""
    pending_writes: int = 1024
    """Writes that may wait for their turn; one more is dropped and counted."""
    max_unsynced: float = 5.0
    """Seconds an entry in memory is served without word of invalidations by other processes."""

    def __post_init__(self) -> None:
        schemes = ("redis://", "rediss://", "unix://")
        # The address may hold a password: it is not shown.
        require(self.url is None or self.url.startswith(schemes), "url", "", f"an address with {', '.join(schemes)}")
        needs_service = self.mode == "sentinel"
        require(
            bool(self.sentinel_service) == needs_service,
            "sentinel_service",
            self.sentinel_service,
            'the name of the master in mode "sentinel", and in no other',
        )
        is_known = needs_service or (self.sentinel_user is None and self.sentinel_password is None)
        require(is_known, "sentinel_password", "", 'none but in mode "sentinel"')
        positive(self, "deadline", "open_for", "open_cap", "pending_writes", "max_unsynced")


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """The cache of one process, and the tier it shares with others."""

    enabled: bool = True
    max_bytes: int = 64 * 1024 * 1024
    """Bytes of memory that entries may take, what they cost beside their JSON included."""
    namespace: str = "default"
    """Processes share entries and invalidations only within the same namespace."""
    partition: str | None = None
    """Whom calls are made for that name no principal: entries of unknown principals stay in this process. Set it where
    all callers may see the same, as in an application with one account."""
    redis: RedisPolicy = field(default_factory=RedisPolicy)

    def __post_init__(self) -> None:
        positive(self, "max_bytes")
        require(bool(self.namespace), "namespace", self.namespace, "at least one character")
        require(self.partition != "", "partition", self.partition, "at least one character")
