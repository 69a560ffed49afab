"""A tag without its present version matches nothing, and no version ever comes back."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.cache.tags import Versions, hashed, listing_tag, mine_tag, resource_tag, server_tag, shard_tag, tool_tag

TAGS = ("all", "server:s", "tool:t")


def table(limit: int = 65536) -> Versions:
    numbers = count()
    return Versions(lambda: b"mine%04d" % next(numbers), limit=limit)


def test_what_was_captured_matches_until_one_of_the_tags_is_bumped() -> None:
    versions = table()
    captured = versions.current(TAGS)
    assert versions.match(TAGS, captured) is True
    told = versions.bump(["server:s"])
    assert versions.match(TAGS, captured) is False
    assert versions.current(("server:s",)) == (told["server:s"],)


def test_a_tag_that_is_not_known_matches_nothing() -> None:
    assert table().match(("all",), (b"any",)) is None


def test_bumping_a_tag_that_nobody_knows_gives_it_a_version() -> None:
    versions = table()
    assert versions.bump(["new"])["new"] == versions.current(("new",))[0]


def test_what_others_say_is_taken_over() -> None:
    versions = table()
    captured = versions.current(TAGS)
    versions.hear({"tool:t": b"theirs"})
    assert versions.match(TAGS, captured) is False
    assert versions.current(("tool:t",)) == (b"theirs",)


def test_hearing_of_a_version_that_was_replaced_here_makes_the_tag_unknown() -> None:
    versions = table()
    versions.hear({"tool:t": b"old"})
    told = versions.bump(["tool:t"])
    versions.hear({"tool:t": b"old"})
    for version in (b"old", told["tool:t"]):
        assert versions.match(("tool:t",), (version,)) is None
    assert versions.current(("tool:t",))[0] not in (b"old", told["tool:t"])


def test_what_the_shared_tier_has_is_learnt() -> None:
    versions = table()
    before = versions.known(TAGS)
    found = {tag: tag.encode() for tag in TAGS}
    assert versions.learn(TAGS, found, before) == ()
    assert versions.known(TAGS) == tuple(found.values())


def test_what_was_drawn_here_makes_way_for_what_the_shared_tier_has() -> None:
    versions = table()
    before = versions.current(("a",))
    assert versions.learn(("a",), {"a": b"theirs"}, before) == ()
    assert versions.match(("a",), before) is False
    assert versions.known(("a",)) == (b"theirs",)


@pytest.mark.parametrize("is_own", [True, False])
@pytest.mark.parametrize("was_known", [True, False])
def test_nothing_is_learnt_of_a_tag_that_moved_while_the_shared_tier_was_asked(is_own: bool, was_known: bool) -> None:
    versions = table()
    if was_known:
        versions.hear({"a": b"old"})
    before = versions.known(("a", "b"))
    if is_own:
        versions.bump(["a"])
    else:
        versions.hear({"a": b"newer"})
    moved = versions.known(("a",))
    assert versions.learn(("a", "b"), {"a": b"old", "b": b"1"}, before) is None
    assert versions.known(("a", "b")) == (*moved, None)


def test_what_moved_to_what_the_shared_tier_has_anyway_is_no_contradiction() -> None:
    versions = table()
    before = versions.known(("a",))
    versions.hear({"a": b"newer"})
    assert versions.learn(("a",), {"a": b"newer"}, before) == ()


def test_a_version_in_the_shared_tier_that_was_replaced_here_is_named_and_not_taken_back() -> None:
    versions = table()
    versions.hear({"a": b"old"})
    versions.bump(["a"])
    before = versions.known(("a", "b"))
    assert versions.learn(("a", "b"), {"a": b"old", "b": b"1"}, before) == ("a",)
    assert versions.known(("a", "b")) == (before[0], b"1")


def test_hearing_again_what_is_known_changes_nothing_even_of_a_tag_not_used_lately() -> None:
    versions = table(limit=4)
    versions.hear({"a": b"1"})
    versions.hear({"b": b"2", "c": b"3"})
    moves = versions.moves
    versions.hear({"a": b"1"})
    versions.hear({"a": b"1"})
    assert versions.match(("a",), (b"1",)) is True
    assert versions.moves == moves


def test_after_a_gap_nothing_is_known_and_what_is_heard_then_counts() -> None:
    versions = table()
    versions.hear({"a": b"1"})
    versions.forget()
    assert versions.match(("a",), (b"1",)) is None
    versions.hear({"a": b"1"})
    assert versions.match(("a",), (b"1",)) is True


@given(st.lists(st.integers(0, 60), max_size=200))
def test_the_table_is_bounded_and_what_it_forgot_is_invalid(used: list[int]) -> None:
    versions = table(limit=16)
    captured: dict[str, tuple[bytes, ...]] = {}
    for number in used:
        tag = f"tag:{number}"
        matches = versions.match((tag,), captured[tag]) if tag in captured else None
        if matches is None:
            captured[tag] = versions.current((tag,))
        assert versions.match((tag,), captured[tag]) is True
    assert len(versions._young) + len(versions._old) <= 16


def test_what_is_used_again_and_again_is_not_forgotten() -> None:
    versions = table(limit=8)
    captured = versions.current(("all",))
    for number in range(100):
        versions.current((f"tag:{number}",))
        assert versions.match(("all",), captured) is True


@given(st.lists(st.sampled_from(["bump", "hear", "forget", "use"]), max_size=30))
def test_as_long_as_nothing_moved_what_matched_matches(steps: list[str]) -> None:
    versions, numbers = table(limit=8), count()
    captured, moves = versions.current(TAGS), versions.moves
    for step in steps:
        if step == "bump":
            versions.bump(["tool:t"])
        elif step == "hear":
            versions.hear({"all": b"theirs%d" % next(numbers)})
        elif step == "forget":
            versions.forget()
        else:
            versions.current((f"tag:{next(numbers)}",))
        if versions.moves == moves:
            assert versions.match(TAGS, captured) is True


@given(st.text(max_size=4), st.text(max_size=4), st.text(max_size=4), st.text(max_size=4))
def test_two_texts_are_hashed_alike_only_if_text_and_salt_are_the_same(a: str, b: str, c: str, d: str) -> None:
    assert (hashed(a, b) == hashed(c, d)) == ((a, b) == (c, d))


def test_each_kind_of_tag_has_names_of_its_own() -> None:
    tags = {server_tag("x"), tool_tag("x"), listing_tag("x"), resource_tag("x", "x"), mine_tag("x", "x"), shard_tag(7)}
    assert len(tags) == 6
    assert shard_tag(7) == shard_tag(4096 + 7) == "shard:007"


def test_a_table_says_in_one_line_what_it_knows() -> None:
    versions = table()
    versions.bump(versions.bump(["a"]))
    assert repr(versions) == "<Versions [1 tags, 1 retired]>"


@pytest.mark.parametrize("limit", [2, 3])
def test_even_the_smallest_table_works(limit: int) -> None:
    versions = table(limit)
    assert versions.match(("a",), versions.current(("a",))) is True
