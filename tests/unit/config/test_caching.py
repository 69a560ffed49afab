"""The cache's part of a configuration: what is accepted, what is refused, and what is said to have no effect."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from trunkline.config import Settings, load
from trunkline.errors import ConfigError
from trunkline.policy import CachePolicy, CacheSettings, ListingCachePolicy, RedisPolicy

SERVERS = {"search": {"url": "https://search.internal/mcp"}, "stt": {"command": "stt-server"}}


def loaded(trunkline: Mapping[str, Any], **environ: str) -> Settings:
    return load({"mcpServers": SERVERS, "trunkline": trunkline}, environ=environ)


def problem_of(cache: object, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded({"cache": cache}, **environ)
    (problem,) = caught.value.problems
    return problem.removeprefix("configuration: trunkline.cache")


def notices_of(trunkline: Mapping[str, Any], **environ: str) -> list[str]:
    return [notice.removeprefix("configuration: trunkline.") for notice in loaded(trunkline, **environ).notices]


def test_without_a_table_the_cache_has_its_built_in_settings() -> None:
    assert loaded({}).cache == CacheSettings()


def test_a_whole_table_becomes_settings_and_a_variable_its_value() -> None:
    redis = {"url": "rediss://:${PASSWORD}@cache.internal:6380/2", "deadline": 0.1, "ca_file": "ca.pem"}
    cache = {"max_bytes": 1000, "namespace": "shop", "partition": "all", "redis": redis}
    found = loaded({"cache": cache}, PASSWORD="hunter2")
    assert found.cache == CacheSettings(
        max_bytes=1000,
        namespace="shop",
        partition="all",
        redis=RedisPolicy(url="rediss://:hunter2@cache.internal:6380/2", deadline=0.1, ca_file="ca.pem"),
    )
    assert "hunter2" not in repr(found.cache) + repr(found) + str(found.notices)


def test_policies_of_servers_tools_and_defaults_take_effect_over_one_another() -> None:
    found = loaded(
        {
            "defaults": {"cache": {"ttl": 60, "jitter": 0}, "listings": {"min_ttl": 5}},
            "servers": {"search": {"trust_annotations": True, "cache": {"ttl": 30}, "listings": {"stale": 1}}},
            "tools": {"search_*": {"cache": {"ttl": 300, "tags": ["web"], "invalidates": []}}},
        }
    )
    assert found.servers["stt"].policy.cache == CachePolicy(ttl=60.0, jitter=0.0)
    assert found.servers["search"].policy.cache == CachePolicy(ttl=30.0, jitter=0.0)
    assert found.servers["search"].policy.listings == ListingCachePolicy(min_ttl=5.0, stale=1.0)
    assert found.tools["search_*"].cache == CachePolicy(ttl=300.0, tags=("web",), invalidates=())
    assert found.notices == ()


@pytest.mark.parametrize(
    ("cache", "problem"),
    [
        (3, ": found 3 (a whole number), expected a table"),
        ({"max_byts": 1}, '.max_byts: unknown key; did you mean "max_bytes"?'),
        ({"max_bytes": 0}, ".max_bytes: found 0 (a whole number), expected a number greater than 0"),
        ({"max_bytes": "64MB"}, '.max_bytes: found "64MB" (a string), expected a whole number'),
        ({"namespace": ""}, '.namespace: found "" (a string), expected at least one character'),
        (
            {"ttl": 60},
            (
                ".ttl: this is said of tools, under trunkline.defaults.cache, trunkline.servers.<name>.cache or "
                "trunkline.tools.<name>.cache"
            ),
        ),
        ({"redis": "redis://:hunter2@h"}, ".redis: found <hidden> (a string), expected a table"),
        ({"redis": {"ulr": "redis://:hunter2@h"}}, '.redis.ulr: unknown key; did you mean "url"?'),
        (
            {"redis": {"url": "http://:hunter2@h"}},
            ".redis.url: found <hidden> (a string), expected an address with redis://, rediss://, unix://",
        ),
        (
            {"redis": {"url": "redis://h", "mode": "clustr"}},
            '.redis.mode: found "clustr" (a string), expected "standalone" or "cluster" or "sentinel"',
        ),
        (
            {"redis": {"url": "redis://h", "mode": "sentinel"}},
            (
                ".redis: sentinel_service does not fit the rest, expected the name of the master in mode "
                '"sentinel", and in no other'
            ),
        ),
        (
            {"redis": {"url": "redis://h/1", "mode": "cluster"}},
            ".redis.url: names a database, and a cluster has only database 0; leave it out",
        ),
        (
            {"redis": {"url": "redis://h", "mode": "cluster", "nodes": ["h2"]}},
            '.redis.nodes[0]: found "h2" (a string), expected host:port',
        ),
        (
            {"redis": {"url": "redis://h", "deadline": 0}},
            ".redis.deadline: found 0 (a whole number), expected a number",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_what_was_found_and_expected(cache: object, problem: str) -> None:
    assert problem_of(cache).startswith(problem)


@pytest.mark.parametrize(
    "url", ["redis://", "redis://:hunter2@", "redis://:hun/ter2@h", "redis://h:hunter2", "redis://h/hunter2", "unix://"]
)
def test_an_address_that_leads_nowhere_is_refused_without_being_shown(url: str) -> None:
    problem = problem_of({"redis": {"url": url}})
    assert problem.startswith(".redis.url: found <hidden> (a string), expected redis://host:port/db, rediss:// for TLS")
    assert "ter2" not in problem


@pytest.mark.parametrize(
    "url", ["redis://h", "rediss://u:p%40@h:6380/3?x=1", "unix:///run/redis.sock", "redis://[::1]:6379"]
)
def test_an_address_that_leads_somewhere_is_taken_as_it_is(url: str) -> None:
    assert loaded({"cache": {"redis": {"url": url}}}).cache.redis.url == url


def test_a_mistake_in_a_file_is_told_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = '[trunkline.cache]\nmax_bytes = 5\n[trunkline.cache.redis]\nurl = "reddis://:hunter2@h"\n'
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load("a.toml")
    assert caught.value.problems == (
        (
            "a.toml:4: trunkline.cache.redis.url: found <hidden> (a string), expected an address with redis://, "
            "rediss://, unix://"
        ),
    )


def test_an_empty_address_as_of_an_unset_variable_asks_for_no_shared_tier() -> None:
    table = {"cache": {"redis": {"url": "${REDIS_URL:-}"}}}
    assert loaded(table).cache == CacheSettings()
    assert loaded(table, REDIS_URL="redis://h").cache.redis.url == "redis://h"


@pytest.mark.parametrize(
    ("trunkline", "notice"),
    [
        ({"cache": {"redis": {"deadline": 1}}}, "cache.redis has no effect without a url"),
        (
            {"cache": {"partition": "all", "redis": {"url": "redis://h", "nodes": ["h2:1"]}}},
            'cache.redis.nodes has no effect in mode "standalone"',
        ),
        (
            {"cache": {"partition": "all", "redis": {"url": "redis://h", "ca_file": "ca.pem"}}},
            "cache.redis.ca_file has no effect without TLS: the address begins with rediss:// for that",
        ),
        (
            {"cache": {"redis": {"url": "redis://h"}}},
            (
                "cache.redis shares only answers of calls that name a principal; name one for the others by "
                "trunkline.cache.partition"
            ),
        ),
        (
            {"servers": {"search": {"cache": {"ttl": 60}}}},
            (
                "servers.search.cache caches nothing, since what the server says of its tools is not believed; set "
                "trust_annotations = true, or name its tools under trunkline.tools"
            ),
        ),
        (
            {"tools": {"search/web": {}}},
            (
                'tools."search/web" fits no tool: shown names are made of letters, digits, dots, dashes and '
                "underscores, and * stands for any"
            ),
        ),
    ],
)
def test_what_is_accepted_and_does_nothing_is_told(trunkline: dict[str, Any], notice: str) -> None:
    assert notices_of(trunkline) == [notice]


def test_circuits_that_are_to_be_shared_through_no_redis_are_told() -> None:
    table = {"defaults": {"breaker": {"shared": True}}}
    told = "configuration: trunkline breaker.shared has no effect without trunkline.cache.redis.url"
    assert loaded(table).notices == (told,)
    redis = {"url": "redis://h"}
    assert loaded({**table, "cache": {"partition": "all", "redis": redis}}).notices == ()
    assert loaded({**table, "cache": {"redis": {**redis, "enabled": False}}}).notices == (told,)


def test_a_redis_without_the_package_for_it_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    assert notices_of({"cache": {"redis": {"url": "redis://:hunter2@h"}}}) == [
        'cache.redis shares nothing: the package redis is not installed: pip install "trunkline[redis]"'
    ]
