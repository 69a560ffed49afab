"""The cache is never wrong: many thousand operations on caches that share a tier which fails in every way there is.

Most of it runs in virtual time against a Redis in this process, one step above the wire, where every run of a seed is
the same and one that goes wrong is made short. A share of it runs against a real server, with a proxy in front of each
process.
CACHE_OPERATIONS says how many operations.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest

from tests.resilience.cache_operations import PROCESSES, Operation, drawn, shortest
from tests.resilience.cache_surroundings import PretendSurroundings, RealSurroundings
from tests.resilience.cache_world import World, Wrong
from tests.resilience.conftest import Report
from tests.servers.redis_servers import KINDS, redis_server
from tests.servers.virtual_time import run_virtually
from trunkline.cache import backplane, envelope, key, outbox, plan, question, shared_entries, tags, tiers
from trunkline.cache.landing import Landing
from trunkline.caching import Caching
from trunkline.testing import FaultProxy

pytestmark = [pytest.mark.resilience, pytest.mark.requirement("CACHE-INVALID", "CACHE-PRINCIPAL")]

OPERATIONS: Final = int(os.environ.get("CACHE_OPERATIONS", "100000"))
_EACH: Final = 500
"""Operations in one world."""
_SEED: Final = int(os.environ.get("CACHE_SEED", "0"))


def _played(seed: int, operations: Sequence[Operation]) -> Counter[str]:
    partition = "team" if seed % 4 else None

    async def main() -> Counter[str]:
        return await World(seed, PretendSurroundings(seed), partition=partition).play(operations)

    return run_virtually(main)


def _goes_wrong(seed: int) -> Callable[[Sequence[Operation]], bool]:
    def fails(operations: Sequence[Operation]) -> bool:
        try:
            _played(seed, operations)
        except Wrong:
            return True
        return False

    return fails


@pytest.mark.timeout(3600)
def test_nobody_is_given_another_answer_than_the_servers_own_whatever_happens_to_the_shared_tier(
    report: Report,
) -> None:
    began, tally = time.perf_counter(), Counter[str]()
    for seed in range(_SEED, _SEED + -(-OPERATIONS // _EACH)):
        operations = drawn(seed, _EACH)
        try:
            tally += _played(seed, operations)
        except Wrong as wrong:
            few = shortest(operations, _goes_wrong(seed))
            pytest.fail("\n  ".join((f"seed {seed}: {wrong}; already after", *map(repr, few))))
    done = sum(tally[kind] for kind in ("Ask", "Pass", "Invalidate", "News", "Fault"))
    report(
        "CACHE-INVALID",
        "cache machine",
        f"{_figures(done, tally)} in {time.perf_counter() - began:.0f} s, in virtual time",
    )
    assert done >= OPERATIONS
    assert tally["cache: flights left"] == 0
    assert tally["cache: faults"] <= tally["Fault"]
    # It was of use all the while, and nothing was spared it.
    assert tally["hit"] + tally["stale"] > 0.2 * tally["Ask"]
    for kind in ("from another process", "coalesced", "kept", "not heard of yet", "tier: outdated", "tier: gaps"):
        assert tally[kind] > done / 2000, kind
    for kind in ("checksum", "foreign", "format", "version"):
        assert tally[f"tier: damaged {kind}"] > done / 10_000, kind


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS[:1])
async def test_a_real_server_behind_cut_delayed_and_garbled_connections_leads_to_no_wrong_answer(
    kind: str, report: Report
) -> None:
    tally, seed, wanted = Counter[str](), _SEED, max(10_000, OPERATIONS // 20)
    began = time.perf_counter()
    async with redis_server(kind) as server, AsyncExitStack() as stack:
        proxies = [
            await stack.enter_async_context(FaultProxy("127.0.0.1", server.port, rng=random.Random(number)))
            for number in range(PROCESSES)
        ]
        while (done := sum(tally[kind] for kind in ("Ask", "Pass", "Invalidate", "News", "Fault"))) < wanted:
            surroundings = RealSurroundings(seed, server, proxies)
            world = World(seed, surroundings, pace=0.01, partition="team" if seed % 4 else None)
            tally += await world.play(drawn(seed, 2 * _EACH))
            server.ask("FLUSHALL")
            seed += 1
    report("CACHE-INVALID", f"cache machine, {kind}", f"{_figures(done, tally)} in {time.perf_counter() - began:.0f} s")
    assert tally["cache: flights left"] == 0
    assert tally["from another process"] > done / 1000


def _figures(done: int, tally: Counter[str]) -> str:
    faults, shared = tally["Fault"], tally["from another process"]
    damaged = sum(count for kind, count in tally.items() if kind.startswith("tier: damaged"))
    return (
        f"0 wrong in {done} operations ({tally['Ask']} calls, {tally['Invalidate']} invalidations, {faults} faults): "
        f"{tally['hit']} hits, {tally['stale']} stale, {tally['coalesced']} joined, {tally['kept']} kept, {shared} of "
        f"them from another process; {damaged} damaged values and {tally['tier: gaps']} gaps noticed"
    )


# ------------------------------------------------------------------- whether it would notice: mistakes on purpose


def _no_principal(patch: pytest.MonkeyPatch) -> None:
    space = plan.Plan.space

    def same(self: plan.Plan, principal: str | None, *, is_public: bool = False) -> key.KeySpace:
        return space(self, principal and "anybody", is_public=is_public)

    patch.setattr(plan.Plan, "space", same)


def _nobody_shared(patch: pytest.MonkeyPatch) -> None:
    def shared(parts: Sequence[Any], *, tags: tuple[str, ...], name: str, is_shareable: bool) -> key.KeySpace:
        return key.KeySpace(parts, tags=tags, name=name, is_shareable=is_shareable or True)

    patch.setattr(plan, "KeySpace", shared)


def _without_parts(first: int, last: int) -> Callable[[pytest.MonkeyPatch], None]:
    def mistake(patch: pytest.MonkeyPatch) -> None:
        made = Caching._tool_plan

        def less(self: Caching, *arguments: Any, **others: Any) -> plan.Plan:
            whole = made(self, *arguments, **others)
            whole.parts = whole.parts[:first] + whole.parts[last + 1 :]
            return whole

        patch.setattr(Caching, "_tool_plan", less)

    return mistake


def _equal_arguments(patch: pytest.MonkeyPatch) -> None:
    exact = key.canonical
    patch.setattr(key, "canonical", lambda value: exact(value).replace(b"true", b"1").replace(b"1.0", b"1"))


def _no_versions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tags.Versions, "match", lambda *_: True)


def _absent_is_valid(patch: pytest.MonkeyPatch) -> None:
    async def seeded(_self: object, absent: Sequence[str], _asked: float) -> dict[str, bytes]:
        return dict.fromkeys(absent, b"nothing")

    retire = tags.Versions._retire

    def forgotten(self: tags.Versions, tag: str) -> None:
        retire(self, tag)
        self._retired.clear()

    patch.setattr(shared_entries.SharedEntries, "_seed", seeded)
    # Remembering what was replaced would hide it.
    patch.setattr(tags.Versions, "_retire", forgotten)


def _no_digest(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shared_entries, "unpack", lambda data, _digest: envelope.unpack(data, data[12:28]))


def _no_checksum(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(envelope, "_checksum", lambda _content: b"checksum")


def _reads_untold(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outbox.Outbox, "__contains__", lambda *_: False)


def _hides_gaps(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(backplane.Backplane, "_tell_gap", lambda _self: None)


def _joins_everything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(question.Question, "is_overtaken", lambda _self: False)


def _always_in_touch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tiers.Tiers, "is_in_touch", lambda *_: True)


def _keeps_errors(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(question, "may_be_kept", lambda _result: "")


def _one_object(patch: pytest.MonkeyPatch) -> None:
    def take(self: Landing, *, is_only: bool) -> Any:
        return self.result if self.result is not None else given(self, is_only=is_only)

    given = Landing.take
    patch.setattr(Landing, "take", take)


MISTAKES: Final[dict[str, tuple[Callable[[pytest.MonkeyPatch], None], int]]] = {
    "the principal is not in the key": (_no_principal, 0),
    "answers to nobody in particular are shared": (_nobody_shared, 12),
    "the server and its address are not in the key": (_without_parts(0, 1), 0),
    "its address is not in the key": (_without_parts(1, 1), 4),
    "the era is not in the key": (_without_parts(2, 2), 1),
    "the schema is not in the key": (_without_parts(5, 5), 4),
    "arguments that Python finds equal are the same": (_equal_arguments, 2),
    "versions are not compared": (_no_versions, 0),
    "a tag without a version is valid": (_absent_is_valid, 104),
    "the digest in the envelope is not checked": (_no_digest, 90),
    "the checksum of the envelope is not checked": (_no_checksum, 37),
    "what the shared tier has not heard yet is read from it": (_reads_untold, 26),
    "nobody is told that messages may be missing": (_hides_gaps, 90),
    "a call joins one that was made before an invalidation": (_joins_everything, 0),
    "memory is trusted however long nothing was heard": (_always_in_touch, 214),
    "errors are kept": (_keeps_errors, 0),
    "callers that waited together share one object": (_one_object, 0),
}
"""Each with a seed that is known to show it, so that nobody waits for those that do not; others follow."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_made_on_purpose_is_found(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, first = MISTAKES[mistake]
    make(monkeypatch)
    for seed in range(first, first + 200):
        if _goes_wrong(seed)(drawn(seed, _EACH)):
            return
    pytest.fail(f"100,000 operations, and nobody noticed that {mistake}")
