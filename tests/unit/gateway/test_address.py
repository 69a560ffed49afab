"""The socket the gateway listens on."""

from __future__ import annotations

import asyncio
import socket

from trunkline.gateway.address import listen


def test_no_answer_waits_for_its_beginning_to_be_acknowledged() -> None:
    """Nagle's algorithm holds back a body written after its header, some 40 ms where the reader delays its answer."""

    async def accepted_by_the_event_loop() -> int:
        nodelay: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def see(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            nodelay.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listener = listen("127.0.0.1", 0)
        server = await asyncio.start_server(see, sock=listener)
        _, writer = await asyncio.open_connection(*listener.getsockname())
        try:
            return await asyncio.wait_for(nodelay, 5)
        finally:
            writer.close()
            await writer.wait_closed()
            server.close()
            await server.wait_closed()

    assert asyncio.run(accepted_by_the_event_loop()) != 0
