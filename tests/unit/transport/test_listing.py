"""All pages of a listing, and none too many."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from mcp_types import ListToolsResult, PaginatedRequestParams, Tool

from trunkline.transport import listing
from trunkline.transport.listing import every_page

pytestmark = pytest.mark.anyio

Fetch = Callable[[PaginatedRequestParams | None], Awaitable[ListToolsResult]]


def pages(cursors: list[str | None], asked: list[str | None]) -> Fetch:
    """A listing whose pages name these cursors, one after the other."""
    following = iter(cursors)

    async def fetch(params: PaginatedRequestParams | None) -> ListToolsResult:
        asked.append(None if params is None else params.cursor)
        return ListToolsResult(tools=[], next_cursor=next(following))

    return fetch


@pytest.mark.parametrize("cursors", [[], ["a"], ["a", "b", "c"], [""], ["", "b"], ["a", ""]])
async def test_pages_are_followed_until_none_is_named_and_an_empty_cursor_is_one(cursors: list[str | None]) -> None:
    asked: list[str | None] = []

    found = await every_page(pages([*cursors, None], asked))

    assert asked == [None, *cursors]
    assert len(found) == len(cursors) + 1


@pytest.mark.parametrize("cursors", [["a", "a"], ["a", "b", "a"], ["", ""]])
async def test_a_cursor_that_comes_twice_ends_the_listing(cursors: list[str | None]) -> None:
    with pytest.raises(RuntimeError, match="round in circles"):
        await every_page(pages(cursors, []))


async def test_a_listing_without_end_is_given_up() -> None:
    asked: list[str | None] = []

    with pytest.raises(RuntimeError, match="more than 1000 pages"):
        await every_page(pages([str(number) for number in range(2000)], asked))

    assert len(asked) == 1000


async def test_pages_that_fill_the_memory_are_given_up_long_before_their_number_is_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "_MAX_SIZE", 100_000)
    asked = 0

    async def fetch(_params: PaginatedRequestParams | None) -> ListToolsResult:
        nonlocal asked
        asked += 1
        fat = Tool(name=f"tool-{asked}", description="x" * 10_000, input_schema={"type": "object"})
        return ListToolsResult(tools=[fat], next_cursor=str(asked))

    with pytest.raises(RuntimeError, match="more than 100000 characters"):
        await every_page(fetch)

    assert asked == 10
