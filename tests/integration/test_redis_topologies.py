"""The shared tier where it is a cluster, a sentinel's master, behind TLS, behind a password, on a unix socket."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSListener

from tests.servers.certificates import Certificates, certificates
from tests.servers.redis_servers import KINDS, RedisServer, cluster, redis_server, sentinels
from tests.servers.shared_tiers import NAMESPACE, Hearing, entry_of, key_of, patient, tier
from tests.servers.watching import Record, eventually, is_running
from trunkline.cache.keyspace import Keyspace
from trunkline.cache.redis_lease import RedisLease
from trunkline.cache.redis_tier import RedisTier
from trunkline.errors import TrunklineError
from trunkline.events import SharedCacheFound, SharedCacheLost
from trunkline.testing.processes import free_port

pytestmark = [pytest.mark.anyio, pytest.mark.integration]

NAMES = Keyspace(NAMESPACE)
SECRET = "hunter2-is-no-word"
PERMITTED = [
    *("+ping", "+time", "+client", "+get", "+mget", "+set", "+del", "+unlink", "+pexpire", "+eval"),
    *("+xadd", "+xread", "+xrange", "+xrevrange"),
]
"""What an account needs, over keys of `trunkline:*`."""
NEWER = tuple(kind for kind in KINDS if kind != "redis-6")
"""Those whose clusters can be told their ports."""


async def everything_works(one: RedisTier, other: RedisTier) -> None:
    """Entries, versions, leases and messages, from one process to the other."""
    there = Hearing(other)
    for number in range(30):
        key = key_of(number, (f"shard:{number}", "all"))
        found = await one.read(key)
        assert found is not None, one.statistics()
        one.write(key, entry_of(number, found, key.tags))
    await eventually(lambda: one.statistics().client.written >= 30, told=one.statistics)
    for number in range(30):
        key = key_of(number, (f"shard:{number}", "all"))
        found = await other.read(key)
        assert found is not None
        assert found.entry is not None
    one.bump({"shard:7": b"second"})
    await eventually(lambda: there.bumped == {"shard:7": b"second"})
    found = await other.read(key_of(7, ("shard:7", "all")))
    assert found is not None
    assert found.entry is None
    lease = await one.claim(key_of(1), 60.0)
    assert isinstance(lease, RedisLease)
    assert await other.claim(key_of(1), 60.0) is False
    await lease.release()
    assert isinstance(await other.claim(key_of(1), 60.0), RedisLease)
    await one.check()
    assert one.statistics().client.refused == {}
    assert there.gaps == 0


@pytest.mark.parametrize("kind", NEWER)
async def test_everything_works_in_a_cluster(kind: str) -> None:
    async with cluster(kind) as nodes:
        policy = patient(nodes[0].url, mode="cluster", nodes=(f"127.0.0.1:{nodes[2].port}",))
        async with tier(policy) as one, tier(policy) as other:
            await everything_works(one, other)
            assert all(node.ask("DBSIZE") > 0 for node in nodes)


async def test_a_cluster_is_found_by_any_of_its_nodes_and_lost_with_one_that_has_no_replica() -> None:
    record = Record()
    async with cluster() as nodes:
        policy = patient(nodes[0].url, mode="cluster", nodes=tuple(f"127.0.0.1:{node.port}" for node in nodes[1:]))
        async with tier(policy, record=record) as it:
            nodes[0].kill()
            for number in range(50):
                await it.read(key_of(number, (f"shard:{number}",)))
            await record.until(SharedCacheLost)
            assert await it.read(key_of(1)) is None
            with pytest.raises(TrunklineError):
                await it.check()


async def test_a_node_of_a_cluster_taken_for_a_single_server_says_what_is_wrong() -> None:
    record = Record()
    async with cluster() as nodes, tier(patient(nodes[0].url), record=record, found=False) as it:
        await record.until(SharedCacheFound)
        for number in range(20):
            await it.read(key_of(number, (f"shard:{number}",)))
        lost = await record.until(SharedCacheLost)
        assert 'the mode has to be "cluster"' in lost.reason


async def test_a_replica_takes_over_and_what_was_told_last_is_told_again() -> None:
    record = Record()
    async with sentinels() as (watchers, master, replica):
        addresses = tuple(f"127.0.0.1:{watcher.port}" for watcher in watchers[1:])
        policy = patient(watchers[0].url, mode="sentinel", sentinel_service="trunk", nodes=addresses)
        async with tier(policy, record=record) as one, tier(policy) as other:
            await everything_works(one, other)
            here, there = Hearing(one), Hearing(other)
            one.bump({"tool:s_t": b"before"})
            await eventually(lambda: there.bumped == {"tool:s_t": b"before"})
            master.kill()
            await record.until(SharedCacheLost)
            await record.until(SharedCacheFound, count=2)
            assert replica.ask("ROLE")[0] == b"master"
            # It may have been lost with the master, so it was told once more, and this process as well.
            await eventually(lambda: "tool:s_t" in here.bumped)
            again = here.bumped["tool:s_t"]
            assert again != b"before"
            await eventually(lambda: there.bumped["tool:s_t"] == again)
            found = await other.read(key_of(99, ("tool:s_t",)))
            assert found is not None
            assert found.versions == {"tool:s_t": again}


async def test_a_name_no_sentinel_knows_is_said_to_be_unknown() -> None:
    record = Record()
    async with sentinels() as (watchers, _, _):
        policy = patient(watchers[0].url, mode="sentinel", sentinel_service="nobody")
        async with tier(policy, record=record, found=False):
            lost = await record.until(SharedCacheLost)
    assert lost.reason == "no sentinel knows a master of that name"


async def test_a_sentinel_that_asks_for_a_password_is_told_its_own(tmp_path: Path) -> None:
    record = Record()
    async with redis_server() as master:
        watch = (f"sentinel monitor trunk 127.0.0.1 {master.port} 1", "requirepass watchword")
        watcher = RedisServer(master.kind, tmp_path, *watch, sentinel=True)
        try:
            await watcher.start()
            policy = patient(watcher.url, mode="sentinel", sentinel_service="trunk")
            async with tier(policy, record=record, found=False):
                lost = await record.until(SharedCacheLost)
            assert "watchword" not in lost.reason
            told = replace(policy, sentinel_password="watchword")
            async with tier(told) as one, tier(told) as other:
                await everything_works(one, other)
        finally:
            watcher.kill()


async def test_everything_works_over_a_unix_socket() -> None:
    async with redis_server() as server:
        policy = patient(f"unix://{server.socket}")
        async with tier(policy) as one, tier(policy) as other:
            await everything_works(one, other)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_account_with_few_permissions_is_enough(kind: str) -> None:
    async with redis_server(kind) as server:
        server.ask("ACL", "SETUSER", "trunk", "on", f">{SECRET}", "~trunkline:*", "-@all", *PERMITTED)
        policy = patient(f"redis://trunk:{SECRET}@127.0.0.1:{server.port}")
        async with tier(policy) as one, tier(policy) as other:
            await everything_works(one, other)
            assert SECRET not in repr(one)


@pytest.mark.parametrize("account", [f"trunk:wrong-{SECRET}", f"nobody:{SECRET}", ""], ids=["password", "user", "none"])
async def test_refused_credentials_are_said_to_be_refused_and_not_shown(account: str) -> None:
    record = Record()
    async with redis_server() as server:
        server.ask("ACL", "SETUSER", "trunk", "on", f">{SECRET}", "~trunkline:*", "+@all")
        server.ask("ACL", "SETUSER", "default", "-@all", "+ping")
        async with tier(patient(f"redis://{account}@127.0.0.1:{server.port}"), record=record, found=False) as it:
            lost = await record.until(SharedCacheLost)
            await eventually(lambda: it.statistics().client.faults["denied"] >= 2)
            with pytest.raises(TrunklineError) as caught:
                await it.check()
            shown = f"{it!r} {record.events} {caught.value} {it.statistics()}"
    assert lost.reason == "it refused the credentials, or a command that is needed"
    assert SECRET not in shown


async def test_an_account_that_may_not_read_the_stream_shares_entries_and_is_never_in_sync() -> None:
    async with redis_server() as server:
        some = [permission for permission in PERMITTED if permission != "+xread"]
        server.ask("ACL", "SETUSER", "trunk", "on", f">{SECRET}", "~trunkline:*", "-@all", *some)
        policy = patient(f"redis://trunk:{SECRET}@127.0.0.1:{server.port}")
        async with tier(policy, found=False) as it:
            await eventually(lambda: it.is_available)
            found = await it.read(key_of(1))
            assert found is not None
            assert await it.write_through(key_of(1), entry_of(1, found))
            await eventually(lambda: it.statistics().client.commands > 10)
            assert it.is_available


@asynccontextmanager
async def behind_tls(server: RedisServer, files: Certificates) -> AsyncGenerator[str]:
    """A server's address behind TLS: where its build has none, in front of it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = plain.extra(SocketAttribute.local_port)
    listener = TLSListener(plain, context, standard_compatible=False)

    async def join(near: anyio.abc.ByteStream) -> None:
        async def pump(source: anyio.abc.ByteStream, sink: anyio.abc.ByteStream) -> None:
            async for data in source:
                await sink.send(data)

        try:
            async with (
                near,
                await anyio.connect_tcp("127.0.0.1", server.port) as far,
                anyio.create_task_group() as both,
            ):
                both.start_soon(pump, near, far)
                both.start_soon(pump, far, near)
        except* (anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError, OSError):
            pass

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, join)
        yield f"rediss://127.0.0.1:{port}/0"
        tasks.cancel_scope.cancel()


async def test_everything_works_over_tls_where_the_authority_is_known_and_nothing_where_it_is_not(
    tmp_path: Path,
) -> None:
    files, record = certificates(tmp_path), Record()
    async with redis_server() as server, behind_tls(server, files) as url:
        policy = patient(url, ca_file=str(files.authority))
        async with tier(policy) as one, tier(policy) as other:
            await everything_works(one, other)
        async with tier(replace(policy, ca_file=None), record=record, found=False):
            lost = await record.until(SharedCacheLost)
    assert lost.reason == "its certificate is not trusted"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind == "redis-debian"])
async def test_everything_works_over_the_servers_own_tls(kind: str, tmp_path: Path) -> None:
    files = certificates(tmp_path)
    tls = ("--tls-cert-file", files.certificate, "--tls-key-file", files.key, "--tls-ca-cert-file", files.authority)
    port = free_port()
    async with redis_server(kind, "--tls-port", str(port), *map(str, tls), "--tls-auth-clients", "no"):
        policy = patient(f"rediss://127.0.0.1:{port}", ca_file=str(files.authority))
        async with tier(policy) as one, tier(policy) as other:
            await everything_works(one, other)


async def test_options_of_the_address_cannot_weaken_what_is_promised() -> None:
    async with redis_server() as server:
        policy = patient(f"{server.url}?socket_timeout=60&retry_on_timeout=yes&decode_responses=yes&protocol=3")
        async with tier(policy) as one, tier(policy) as other:
            await everything_works(one, other)


def test_a_server_is_gone_with_the_process_that_started_it() -> None:
    program = """
import anyio, os, signal
from tests.servers.redis_servers import redis_server

async def main():
    async with redis_server() as server:
        print(server.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

anyio.run(main)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    pid = int(done.stdout)

    async def is_gone() -> None:
        await eventually(lambda: not is_running(pid))

    anyio.run(is_gone)
