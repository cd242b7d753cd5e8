"""An MCP server over stdio with one tool, for clients that run MCP servers themselves."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer

server = MCPServer("weather")


@server.tool()
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


if __name__ == "__main__":
    server.run()
