"""The only code that speaks MCP as a client."""
