"""MCP where callers and servers send what nobody expects."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "mcp:headers:bytes": Requirement(
        "ours", "Header values that are not ASCII reach the server; blanks round them do not."
    ),
    "mcp:secret:items": Requirement(
        "issue", "Items never keep an MCP server's secrets: neither fields nor those of an address."
    ),
    "mcp:secret:choice": Requirement(
        "issue", "Secrets of a definition inside allowed_tools are neither shown nor stored."
    ),
    "mcp:server:of_others": Requirement(
        "house", "A configured server of another project cannot be told from none."
    ),
    "mcp:call:not_json": Requirement(
        "ours", "A call whose arguments no JSON reader takes is told as failed, and is no crash."
    ),
    "mcp:connection:given_up": Requirement(
        "ours", "A connection that fails when nobody waits for it any more is no error in the log."
    ),
    "mcp:list:long": Requirement("ours", "What a list costs grows as it does, not as its square."),
}
