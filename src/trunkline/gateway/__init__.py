"""The gateway: one MCP server, with a dashboard beside it, in front of every configured server.

`server` speaks MCP, `app` is the web application around it, `serve` and `stdio` run them. Stands above the
infrastructure, which it only uses; nothing below knows of it.
"""
