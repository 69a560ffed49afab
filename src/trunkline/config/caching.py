"""The table `trunkline.cache`: settings of the cache, and what can be said about its Redis without asking it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from trunkline.config.lines import KeyPath
from trunkline.config.policies import overlay
from trunkline.config.report import Report
from trunkline.policy import CachePolicy, CacheSettings, RedisPolicy

__all__ = ["REDIS_EXTRA", "read_cache"]

REDIS_EXTRA: Final = 'the package redis is not installed: pip install "trunkline[redis]"'

_PATH: Final[KeyPath] = ("trunkline", "cache")
_ADDRESS: Final = (
    "redis://host:port/db, rediss:// for TLS, or unix:///path; in a password, what is no letter or digit is "
    "written as % and its code"
)


def read_cache(table: object, report: Report) -> CacheSettings:
    """Return the settings that the table `trunkline.cache` gives; what does not fit is reported, and never an address.

    An empty `redis.url`, as of `${REDIS_URL:-}`, asks for no shared tier.
    """
    if isinstance(table, Mapping):
        table = _without_misplaced(_without_empty_address(table), report)
    settings = overlay(CacheSettings(), table, _PATH, report)
    redis = settings.redis
    if redis.url is not None:
        _check(redis, redis.url, report)
        if find_spec("redis") is None:
            report.notice((*_PATH, "redis"), f"shares nothing: {REDIS_EXTRA}")
        elif settings.partition is None and redis.enabled:
            advice = "name one for the others by trunkline.cache.partition"
            report.notice((*_PATH, "redis"), f"shares only answers of calls that name a principal; {advice}")
    elif settings.redis != RedisPolicy():
        report.notice((*_PATH, "redis"), "has no effect without a url")
    return settings


def _without_empty_address(table: Mapping[str, Any]) -> Mapping[str, Any]:
    redis = table.get("redis")
    if isinstance(redis, Mapping) and redis.get("url") == "":
        return {**table, "redis": {key: value for key, value in redis.items() if key != "url"}}
    return table


def _without_misplaced(table: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
    """The table without what belongs to a policy; where that stands is said instead of a list of known keys."""
    known = {field.name for field in fields(CacheSettings)}
    misplaced = {field.name for field in fields(CachePolicy)} - known
    for key in table:
        if key in misplaced:
            places = "trunkline.defaults.cache, trunkline.servers.<name>.cache or trunkline.tools.<name>.cache"
            report.problem((*_PATH, key), f"this is said of tools, under {places}")
    return {key: value for key, value in table.items() if key not in misplaced}


def _check(redis: RedisPolicy, url: str, report: Report) -> None:
    at: KeyPath = (*_PATH, "redis")
    try:
        parts = urlsplit(url)
        has_place = bool(parts.path if parts.scheme == "unix" else parts.hostname)
        fits = has_place and (parts.port is None or parts.port > 0) and _is_database(parts.scheme, parts.path)
    except ValueError:
        fits = False
    if not fits:
        report.mismatch((*at, "url"), _ADDRESS)
        return
    if redis.mode == "cluster" and _database(parts.scheme, parts.path, parts.query) not in ("", "0"):
        report.problem((*at, "url"), "names a database, and a cluster has only database 0; leave it out")
    if redis.mode == "standalone" and redis.nodes:
        report.notice((*at, "nodes"), 'has no effect in mode "standalone"')
    if redis.ca_file is not None and parts.scheme != "rediss":
        report.notice((*at, "ca_file"), "has no effect without TLS: the address begins with rediss:// for that")
    for index, node in enumerate(redis.nodes):
        if not _is_place(node):
            report.mismatch((*at, "nodes", index), "host:port")


def _is_database(scheme: str, path: str) -> bool:
    return scheme == "unix" or path in ("", "/") or path.removeprefix("/").isdecimal()


def _database(scheme: str, path: str, query: str) -> str:
    named = "" if scheme == "unix" else path.removeprefix("/")
    return named or parse_qs(query).get("db", [""])[0]


def _is_place(node: str) -> bool:
    host, colon, port = node.rpartition(":")
    return bool(colon and host and "/" not in host and "@" not in host) and port.isdecimal() and 0 < int(port) < 65536
