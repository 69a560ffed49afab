"""FastMCP's proxy over one client that is kept open, its fastest way; run by the Python of `build/peers`.

python benchmarks/peers/fastmcp_proxy.py PORT URL
python benchmarks/peers/fastmcp_proxy.py PORT PROGRAM ARGUMENT...

With 0 for the port it speaks on stdio.
"""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from typing import Any


async def main(port: int, target: str, *arguments: str) -> None:
    # By name, because the environment in which types are checked does not have FastMCP.
    client: Any = import_module("fastmcp.client")
    server: Any = import_module("fastmcp.server")
    transport = client.StdioTransport(target, list(arguments)) if arguments else target
    async with client.Client(transport) as upstream:
        app = server.create_proxy(upstream)
        if port:
            await app.run_http_async(show_banner=False, host="127.0.0.1", port=port, log_level="critical")
        else:
            await app.run_stdio_async(show_banner=False, log_level="critical")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
