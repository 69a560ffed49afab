"""Every page of a listing, bounded. Sits under the session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol, TypedDict, TypeVar

from mcp_types import CacheableResult, PaginatedRequestParams, Tool

from trunkline.secrets import Secrets

__all__ = ["Hints", "every_page", "hints_of", "shown"]

_MAX_PAGES = 1000
"""A paginator that never ends must not hang a connection."""


_MAX_SIZE = 64 * 1024 * 1024
"""Characters of a listing that comes in pages, as JSON: no more than one message may have."""


class _Page(Protocol):
    next_cursor: str | None

    def model_dump_json(self) -> str: ...


PageT = TypeVar("PageT", bound=_Page)


class Hints(TypedDict):
    """How long a listing may be kept, and for whom."""

    ttl_ms: int
    cache_scope: Literal["public", "private"]


def hints_of(pages: Sequence[CacheableResult]) -> Hints:
    """What holds for all pages together: the shortest time, and private where one page is."""
    is_public = all(page.cache_scope == "public" for page in pages)
    return Hints(ttl_ms=min(page.ttl_ms for page in pages), cache_scope="public" if is_public else "private")


async def every_page(fetch: Callable[[PaginatedRequestParams | None], Awaitable[PageT]]) -> list[PageT]:
    """Fetch pages until one names no next. An empty string is a valid cursor, only None ends.

    Raises:
        RuntimeError: A cursor came twice, or there are more than 1,000 pages or 64 MiB of them.
    """
    size = 0
    pages: list[PageT] = []
    seen: set[str] = set()
    params: PaginatedRequestParams | None = None
    while len(pages) < _MAX_PAGES:
        page = await fetch(params)
        pages.append(page)
        cursor = page.next_cursor
        if cursor is None:
            return pages
        size += len(page.model_dump_json())
        if size > _MAX_SIZE:
            msg = f"the server's listing has more than {_MAX_SIZE} characters"
            raise RuntimeError(msg)
        if cursor in seen:
            msg = "the server's listing goes round in circles: a cursor came twice"
            raise RuntimeError(msg)
        seen.add(cursor)
        params = PaginatedRequestParams(cursor=cursor)
    msg = f"the server's listing has more than {_MAX_PAGES} pages"
    raise RuntimeError(msg)


def shown(tool: Tool, secrets: Secrets) -> Tool:
    """The tool as it may be shown to anybody: a description that says again what its server was given is masked."""
    if not secrets:
        return tool
    said = tool.model_dump(mode="json", by_alias=True, exclude_unset=True)
    masked = secrets.mask_value(said)
    return tool if masked == said else Tool.model_validate(masked)
