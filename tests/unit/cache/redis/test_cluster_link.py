"""A link to a cluster that is given up while redis-py is at work on it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from redis.exceptions import ConnectionError as Refused

from trunkline.cache.link import LinkFault
from trunkline.cache.redis_link.cluster import ClusterLink

pytestmark = pytest.mark.anyio


class Opening:
    """redis-py's client of a cluster whose nodes refuse every command."""

    def __init__(self) -> None:
        self.may_go_on = asyncio.Event()
        self.is_open = False

    def set_response_callback(self, *_: object) -> None: ...

    async def initialize(self) -> None:
        await self.may_go_on.wait()
        self.is_open = True

    async def execute_command(self, *_: object, **__: object) -> None:
        raise Refused

    async def aclose(self) -> None:
        self.is_open = False


async def test_one_that_is_closed_while_it_opens_keeps_no_connection_though_its_first_sign_fails() -> None:
    cluster = Opening()
    link = ClusterLink(cast("Any", cluster))
    opening = asyncio.create_task(link.open(("signs",)))
    await asyncio.sleep(0)
    await link.close()
    cluster.may_go_on.set()
    with pytest.raises(LinkFault):
        await opening
    assert not cluster.is_open
