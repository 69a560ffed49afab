"""The only package that speaks through redis-py: connections to one server, a sentinel's master or a cluster.

redis-py retries, pools and cancels by itself where it is let; here it may do none of that. Its errors become kinds of
`LinkFault` in one table. RESP 2, so that nothing arrives that was not asked for.
"""

from __future__ import annotations

from typing import Any, Final

from redis import exceptions
from redis.asyncio import RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import ConnectionPool, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff

from trunkline.cache.link import Link
from trunkline.cache.redis_link.cluster import ClusterLink
from trunkline.cache.redis_link.direct import DirectLink
from trunkline.errors import ConfigError
from trunkline.policy import RedisPolicy

__all__ = ["connect"]

_SOCKET_TIMEOUT: Final = 0.5
"""Seconds; the deadline is much shorter and does not rest on it. It only ends what was abandoned."""
_CLIENT_NAME: Final = "trunkline"


def connect(policy: RedisPolicy, waits: float = 0.0) -> Link:
    """A link to what the policy names, not open yet; `waits` is how long a stream may keep it waiting.

    Raises ConfigError where the address makes no sense.
    """
    try:
        return _link(policy, waits)
    except (ValueError, exceptions.RedisError):
        msg = f'an address that works in mode "{policy.mode}" (and `nodes` as host:port) is needed for the shared cache'
        raise ConfigError([msg]) from None  # what was found may hold a password


def _link(policy: RedisPolicy, waits: float) -> Link:
    options: dict[str, Any] = dict(parse_url(policy.url or ""))
    # After those of the address: its query could set anything, the timeouts and the decoding of answers included.
    options.update(
        socket_timeout=_SOCKET_TIMEOUT + waits,
        socket_connect_timeout=_SOCKET_TIMEOUT,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        client_name=_CLIENT_NAME,
        driver_info=None,
        protocol=2,
        decode_responses=False,
        max_connections=8,
    )
    for ours in ("retry_on_timeout", "retry_on_error", "timeout"):
        options.pop(ours, None)
    is_tls = options.get("connection_class") is SSLConnection
    if is_tls and policy.ca_file is not None:
        options["ssl_ca_certs"] = policy.ca_file
    if policy.mode == "standalone":
        return DirectLink(ConnectionPool(**options))
    first = (options.pop("host", "localhost"), options.pop("port", 6379 if policy.mode == "cluster" else 26379))
    options.pop("connection_class", None)
    seeds = [first, *map(_address, policy.nodes)]
    if policy.mode == "cluster":
        options.pop("db", None)
        nodes = [ClusterNode(host, port) for host, port in seeds]
        return ClusterLink(RedisCluster(startup_nodes=nodes, ssl=is_tls, **options))
    # The address's user and password are the master's; a sentinel has its own.
    asking = {name: value for name, value in options.items() if name.startswith(("socket_", "ssl_", "retry"))}
    asking.update(ssl=is_tls, driver_info=None, protocol=2)
    asking.update(username=policy.sentinel_user, password=policy.sentinel_password)
    sentinel = Sentinel(seeds, sentinel_kwargs=asking)  # type: ignore[no-untyped-call] # redis-py's has no types
    pool = SentinelConnectionPool(policy.sentinel_service, sentinel, ssl=is_tls, **options)  # type: ignore[no-untyped-call]
    return DirectLink(pool, sentinel.aclose)


def _address(node: str) -> tuple[str, int]:
    host, _, port = node.rpartition(":")
    return host.strip("[]"), int(port)
