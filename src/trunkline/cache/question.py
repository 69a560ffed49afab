"""One call as a question to the cache: its keys, what is held for them, and what is kept of the answer."""

from __future__ import annotations

import json

from mcp_types import Result

from trunkline import clock
from trunkline.cache.bodies import body_of, may_be_kept, parsed
from trunkline.cache.cache_manager import CacheManager
from trunkline.cache.entry import CacheKey
from trunkline.cache.freshness import entry_of
from trunkline.cache.key import NotCanonical
from trunkline.cache.landing import given
from trunkline.cache.plan import Plan, unusual_meta
from trunkline.cache.tiers import Held
from trunkline.call import Call
from trunkline.policy import CachePolicy

__all__ = ["Question", "question_of"]


class Question:
    """What one call asks, of whom and for whom. Made for each look-up."""

    __slots__ = ("_asked", "_captured", "_is_over", "cache", "key", "plan", "policy", "public")

    def __init__(
        self, cache: CacheManager, plan: Plan, policy: CachePolicy, key: CacheKey, public: CacheKey | None
    ) -> None:
        self.cache = cache
        self.plan = plan
        self.policy = policy
        self.key = key
        self.public = public
        """Under which an answer is kept that may be given to anybody; None where nothing is."""
        self._captured: tuple[tuple[bytes, ...], tuple[bytes, ...]] | None = None
        self._asked = 0.0
        self._is_over = False

    def held(self, now: float) -> Held | None:
        """What memory has for it, fresh or not."""
        found = self.cache.tiers.peek(self.key, now)
        if found is None and self.public is not None:
            found = self.cache.tiers.peek(self.public, now)
        return found

    def read(self, held: Held) -> Result | None:
        """The answer for one caller; None where it cannot be read, which then is no longer held."""
        keys = [self.key] if self.public is None else [self.key, self.public]
        try:
            if held.parsed is None and self.policy.copy == "shared":
                # It came from the shared tier, or was kept under another policy.
                self.cache.tiers.share(keys, held, parsed(held.entry.method, held.entry.body))
            return given(held)
        except ValueError:
            self.cache.statistics.faults += 1
            for key in keys:
                self.cache.tiers.memory.discard(key.digest)
            return None

    async def ask_tier(self) -> bool:
        """Bring memory up to date; whether the shared tier could say anything."""
        tiers = self.cache.tiers
        answered = await tiers.ask(self.key)
        if self.public is not None and tiers.peek(self.key, clock.now()) is None:
            answered = await tiers.ask(self.public) or answered
        return answered

    def capture(self) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """The versions an answer that is asked for now will carry, under either key."""
        current = self.cache.tiers.versions.current
        self._asked, self._is_over = clock.now(), False
        self._captured = current(self.key.tags), () if self.public is None else current(self.public.tags)
        return self._captured

    def close(self) -> None:
        """The server is done: who comes now has what is kept of its answer, or asks again."""
        self._is_over = True

    def is_overtaken(self) -> bool:
        """Whether nobody who comes now may have the answer: it was given already, or made invalid in the making."""
        if self._captured is None or self._is_over:
            return self._is_over
        tiers, (own, public) = self.cache.tiers, self._captured
        counts = tiers.versions.match(self.key.tags, own) is True and (
            self.public is None or tiers.versions.match(self.public.tags, public) is True
        )
        return not counts or not tiers.is_in_touch(self._asked, clock.now())

    def keep(
        self, result: Result, versions: tuple[tuple[bytes, ...], tuple[bytes, ...]], asked: float, *, is_told: bool
    ) -> Held | None:
        """Keep the answer to what was asked at `asked`, if it may be; what is held then."""
        cache, plan, policy = self.cache, self.plan, self.policy
        ttl, reason = plan.fresh_for(result), may_be_kept(result)
        if reason or ttl <= 0:
            cache.statistics.refused[reason or "no ttl"] += 1
            return None
        body = body_of(plan.method, result)
        if body is None:
            cache.statistics.refused["inexact"] += 1
            return None
        if len(body) > policy.max_item_bytes:
            cache.statistics.refused["oversize"] += 1
            return None
        now = clock.now()
        key, captured = self.key, versions[0]
        if self.public is not None:
            if plan.is_public(result):
                key, captured = self.public, versions[1]
            elif cache.tiers.peek(self.public, now) is not None:
                captured = self._take_back(self.public, captured)
        draw = cache.rng.random() if policy.jitter else 0.5
        entry = entry_of(plan.method, body, captured, policy, ttl=ttl, now=now, origin_time=now - asked, draw=draw)
        # What others made invalid while the server was at it, may not have been heard.
        entry.confirmed = asked
        shared = parsed(plan.method, body) if policy.copy == "shared" else None
        if not cache.tiers.store(key, entry, shared, is_told=is_told):
            cache.statistics.refused["outrun"] += 1
            return None
        cache.stocked.add(plan.server)
        if (
            is_told
            and key.is_shareable
            and plan.profile is not None
            and policy.stale_if_error
            and now >= plan.told_until
        ):
            self._tell_profile(plan.profile, entry.lifetime, now)
        return Held(entry, shared)

    def _take_back(self, public: CacheKey, captured: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """The server no longer lets everybody have it: nobody is given that. What the private answer is kept with."""
        versions = self.cache.tiers.versions
        is_current = versions.match(self.key.tags, captured)
        self.cache.tiers.bump(public.tags[-1:])
        # Both keys have the same arguments and so the same shard: the bump is none of the answer's own.
        return versions.current(self.key.tags) if is_current else captured

    def _tell_profile(self, profile: CacheKey, lifetime: float, now: float) -> None:
        """Tell other processes what the tool is, for longer than any answer of it is kept."""
        plan, tiers = self.plan, self.cache.tiers
        body, versions = json.dumps(plan.what).encode(), tiers.versions.current(profile.tags)
        told = CachePolicy(ttl=2 * lifetime, stale=0.0, jitter=0.0)
        entry = entry_of("profile", body, versions, told, ttl=2 * lifetime, now=now, origin_time=0.0, draw=0.5)
        tiers.store(profile, entry, is_told=True)
        plan.told_until = now + lifetime


def question_of(cache: CacheManager, plan: Plan, policy: CachePolicy, call: Call) -> Question | str:
    """The question of a call; in constant words, why it is none."""
    if call.cache == "bypass":
        return "caller"
    if call.meta is not None and unusual_meta(call):
        return "meta"
    if call.exchange is not None and call.exchange.is_resumed:
        return "input"
    settings = cache.settings
    principal = settings.partition if call.principal is None else call.principal
    try:
        key = cache.keys.key(plan.space(principal), call.arguments)
    except NotCanonical:
        return "arguments"
    public = None
    if plan.hints is not None and plan.hints.share_public:
        public = plan.space(None, is_public=True).key(call.arguments)
    return Question(cache, plan, policy, key, public)
