"""MCP servers, listed and called by this server."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "mcp:transport:lists_and_calls": Requirement(
        "issue", "Tools are listed and called over streamable HTTP, SSE and a program's pipes."
    ),
    "mcp:result:contents": Requirement(
        "ours", "Text of a result stands as it is, every other block as its JSON."
    ),
    "mcp:result:structured": Requirement(
        "ours", "A structured result is added where no text says the same."
    ),
    "mcp:error:execution": Requirement(
        "api-surface", "A tool that says it failed is an mcp_tool_execution_error."
    ),
    "mcp:error:http": Requirement(
        "api-surface", "What HTTP says is an http_error with its status."
    ),
    "mcp:error:protocol": Requirement("api-surface", "What is no MCP is an mcp_protocol_error."),
    "mcp:limit:bytes": Requirement("issue", "An answer longer than the limit is an error."),
    "mcp:limit:seconds": Requirement("issue", "A slow call ends, and the session goes on."),
    "mcp:list:pages": Requirement("ours", "Every page of a list is read."),
    "mcp:guard:private_addresses": Requirement(
        "issue", "Callers cannot have private addresses reached, however they are written."
    ),
    "mcp:guard:names": Requirement(
        "issue", "A name is judged by the address that is connected to; an allow-list trusts some."
    ),
    "mcp:guard:redirects": Requirement("issue", "A redirect to elsewhere is not followed."),
    "mcp:guard:no_proxy": Requirement("ours", "No proxy of the environment is used."),
    "mcp:secret:headers": Requirement("issue", "Secrets reach the server, and no log."),
    "mcp:secret:never_shown": Requirement("issue", "Secrets are in no response."),
    "mcp:secret:sealed_in_the_queue": Requirement(
        "issue", "Secrets of a queued request are sealed, and used when it is made."
    ),
    "mcp:program:kept": Requirement(
        "issue", "A configured program is kept, and started again when it died."
    ),
    "mcp:program:bounded": Requirement(
        "ours", "A program that cannot live is not started for ever."
    ),
    "mcp:program:environment": Requirement(
        "ours", "A program sees only the environment it is given."
    ),
    "mcp:program:shared": Requirement("ours", "All requests share a program; it ends with us."),
    "mcp:settings:checked": Requirement("ours", "Settings that cannot be meant are refused."),
    "mcp:call:made": Requirement("issue", "Tools are listed, called, and the model hears of it."),
    "mcp:call:events": Requirement("api-surface", "The events come in the API's order."),
    "mcp:call:failure": Requirement("api-surface", "A failed call does not fail the response."),
    "mcp:list:once_per_context": Requirement("issue", "A server is listed once per context."),
    "mcp:list:failure": Requirement("api-surface", "A failed list does not fail the response."),
    "mcp:allowed_tools": Requirement("issue", "Only allowed tools are offered."),
    "mcp:approval:who_asks": Requirement("issue", "require_approval holds in all its forms."),
    "mcp:approval:approved": Requirement(
        "issue", "An approved call is made once, with the approved arguments."
    ),
    "mcp:approval:two_at_once": Requirement(
        "issue", "Of several requests with one approval, one makes the call."
    ),
    "mcp:approval:replicas": Requirement("issue", "The same holds on two replicas."),
    "mcp:approval:claim": Requirement("ours", "Approvals are taken all or none, on any database."),
    "mcp:approval:unused": Requirement(
        "ours", "An approval whose call was never begun may be used again."
    ),
    "mcp:approval:allowed": Requirement(
        "ours", "An approval opens no tool that the operator or the request does not allow."
    ),
    "mcp:approval:denied": Requirement("api-surface", "A denied call is not made."),
    "mcp:approval:unknown": Requirement(
        "issue", "Unknown, repeated and mismatched answers are a precise 400."
    ),
    "mcp:names:collisions": Requirement("issue", "Tools of one name are told apart."),
    "mcp:names:odd": Requirement("ours", "Names no model takes are changed for the model only."),
    "mcp:max_tool_calls": Requirement("api-surface", "Calls count against max_tool_calls."),
    "mcp:tool_choice": Requirement("api-surface", "A choice names a server or one of its tools."),
    "mcp:compaction": Requirement(
        "ours", "A list that a compaction stands for is asked for again, in a later turn."
    ),
    "mcp:search": Requirement("ours", "A search for tools leaves those of MCP servers in place."),
    "mcp:server:refused": Requirement("ours", "A server that cannot be meant is a precise 400."),
    "mcp:server:configured": Requirement("issue", "A configured server is used by its label."),
    "mcp:server:presented": Requirement(
        "issue", "A configured server stands in for a hosted tool of the API."
    ),
    "mcp:cancel": Requirement("ours", "A response that is left stops its calls and sessions."),
    "mcp:background:made": Requirement("issue", "A background response lists and calls."),
    "mcp:background:cancelled": Requirement("ours", "Cancelling ends a list and a call."),
    "mcp:takeover:call": Requirement(
        "ours", "A call of unknown outcome is made again only if it reads."
    ),
    "mcp:takeover:approved": Requirement("issue", "Who takes over makes no approved call twice."),
    "mcp:takeover:list": Requirement("ours", "A list nobody heard is asked for again."),
    "mcp:takeover:any_cut": Requirement(
        "ours", "Wherever a log ends, the response goes on to one legal whole."
    ),
    "mcp:roads:json": Requirement("issue", "Works as a plain answer, typed strictly."),
    "mcp:roads:sse": Requirement("issue", "Works as a stream, and is replayed alike."),
    "mcp:roads:chained": Requirement("issue", "Works in chains and conversations."),
    "mcp:roads:approval": Requirement("issue", "Approvals work by the client's typed items."),
    "mcp:roads:background": Requirement("issue", "Works in the background, polled and streamed."),
    "mcp:roads:websocket": Requirement("issue", "Works over a WebSocket, also unstored."),
    "mcp:docs:how_to": Requirement("house", "The how-to page tells all it takes."),
}
