"""What WebSocket mode promises."""

from __future__ import annotations

from tests.requirements.base import Requirement

_MAP = "api-surface §9"
_TURNS = "api-surface §9.3"
_STATE = "api-surface §9.4"
_ISSUE = "issue 4 §3"

REQUIREMENTS = {
    "websocket:handshake:key": Requirement(
        _MAP, "The key is checked at the handshake, in either header: 401 before the upgrade."
    ),
    "websocket:handshake:off": Requirement(
        "clients.md (Codex CLI)", "Switched off it is 426, on another path 404, both as HTTP."
    ),
    "websocket:handshake:crowded": Requirement(
        "ours", "Where as much is under way as may be, an upgrade and a create are 503."
    ),
    "websocket:observed": Requirement(
        "ours", "A connection is told when it opens and closes, and every create as a request."
    ),
    "websocket:events:same": Requirement(
        _ISSUE, "A response has the events, in the order, that it has over SSE; never [DONE]."
    ),
    "websocket:events:obfuscated": Requirement(
        "api-surface §7", "include_obfuscation is honoured over WebSocket too."
    ),
    "websocket:downgrades": Requirement(
        "ours", "What an HTTP answer says in x-antiphon-downgrades stands in the first event."
    ),
    "websocket:messages:refused": Requirement(
        "api-surface §22.45", "What cannot be read is an error message; the connection goes on."
    ),
    "websocket:create:transport": Requirement(
        "api-surface §17", "stream: true is tolerated, background: true is a 400."
    ),
    "websocket:steer:refused": Requirement(
        "api-surface §9.5",
        "response.steer is answered by response.steer.failed with its input.",
        divergence="The vendor's models can be steered; here it is steering_not_supported.",
    ),
    "websocket:order:sequential": Requirement(
        _TURNS, "Without stream_id responses are made one after the other, in order."
    ),
    "websocket:order:refused-in-turn": Requirement(
        "ours", "A create that is refused is refused when its turn has come."
    ),
    "websocket:lanes:concurrent": Requirement(
        _TURNS, "Lanes do not wait for each other; in a lane order is kept; events name it."
    ),
    "websocket:lanes:order": Requirement(
        _TURNS, "Whatever comes in whichever lanes, each create is answered once, in its order."
    ),
    "websocket:lanes:invalid": Requirement(
        _TURNS, "A stream_id that is none is invalid_stream_id; the connection goes on."
    ),
    "websocket:lanes:limit": Requirement(
        _TURNS, "The 33rd stream_id is websocket_stream_limit_reached; known ones go on."
    ),
    "websocket:lanes:active": Requirement(
        _TURNS, "16 responses are made at a time, further ones wait."
    ),
    "websocket:queue:bounded": Requirement(
        "ours", "So many creates may wait, in number and bytes; one more is a 429."
    ),
    "websocket:state:unstored": Requirement(
        _STATE, "store: false is continued on its connection and exists nowhere else."
    ),
    "websocket:state:latest": Requirement(
        _STATE, "Of a lane its latest response is kept; an earlier one is not found."
    ),
    "websocket:state:connection": Requirement(
        _STATE, "State never leaves its connection, nor survives it."
    ),
    "websocket:state:stored": Requirement(
        _STATE, "A stored response is continued from any connection, and over HTTP."
    ),
    "websocket:state:mixed": Requirement(
        "ours", "A stored response that continues one that was not is stored with its whole past."
    ),
    "websocket:state:evicted": Requirement(
        _STATE, "A continuation that fails evicts what it continued: then it is not found."
    ),
    "websocket:state:orphan": Requirement(
        _STATE, "Outputs without a call and calls without an output are refused by name."
    ),
    "websocket:state:stored-stays": Requirement(
        _STATE, "A stored response is still there after a continuation failed."
    ),
    "websocket:state:fork": Requirement(
        _STATE, "Another lane may continue a lane's latest response; failing there evicts nothing."
    ),
    "websocket:state:incomplete": Requirement(
        "api-surface §4.1", "An incomplete response that was not stored can be continued."
    ),
    "websocket:state:bounded": Requirement(
        "ours", "What a connection remembers is bounded in bytes; the oldest lane loses."
    ),
    "websocket:warm": Requirement(
        "api-surface §9.2", "generate: false is a completed response without output, continuable."
    ),
    "websocket:warm:empty": Requirement("ours", "A warm-up needs no input; a response does."),
    "websocket:age:idle": Requirement(
        _MAP, "An old connection hears websocket_connection_limit_reached and is closed."
    ),
    "websocket:age:busy": Requirement(
        _ISSUE, "What is under way ends first; what waits and what comes is refused."
    ),
    "websocket:size": Requirement(
        _ISSUE, "A message above the limit closes the connection with 1009; below, it is read."
    ),
    "websocket:left": Requirement(
        "api-surface §22.23", "Who leaves cancels what is under way; it is recorded as cancelled."
    ),
    "websocket:left:stored": Requirement(
        "api-surface §22.45", "Who leaves with the last event finds the response stored."
    ),
    "websocket:slow:paused": Requirement(
        _ISSUE, "A slow caller pauses the model, and gets everything when it reads."
    ),
    "websocket:slow:stalled": Requirement(
        "ours", "Who takes nothing for a minute has left, and is not answered into memory."
    ),
    "websocket:end:silent": Requirement(
        "ours", "Who does not answer the closing frame is waited for only for a moment."
    ),
    "websocket:pings": Requirement(
        "ours", "Who answers no pings is closed with 1011, but never while a response is made."
    ),
    "websocket:broke": Requirement(
        "ours", "What nobody expected is told to the operator, and the connection closes with 1011."
    ),
    "websocket:strangers": Requirement(
        "ours", "What strangers send wrong ends their connection and is no error in the log."
    ),
    "websocket:origin": Requirement(
        "ours", "A web page of another site cannot open a WebSocket to a server without keys."
    ),
    "websocket:plain": Requirement("ours", "Nothing is compressed; long messages are whole."),
    "websocket:end:finishes": Requirement(
        _ISSUE, "After SIGTERM a response under way ends, creates are refused, close is 1012."
    ),
    "websocket:end:cut": Requirement(
        _ISSUE, "What does not end in time is cancelled, recorded, told, and closed with 1012."
    ),
    "websocket:lazy": Requirement(
        "stack.md §0", "The WebSocket library is loaded at the first upgrade, not before."
    ),
    "websocket:sdk:async": Requirement(_ISSUE, "The asynchronous client's connect works."),
    "websocket:sdk:sync": Requirement(_ISSUE, "The synchronous client's connect works."),
    "websocket:sdk:reconnects": Requirement(
        "api-surface §9.1", "A client that wants to reconnects after the end of a connection."
    ),
    "websocket:sdk:exact": Requirement(
        "ours", "Every message is exactly what the official library's types say."
    ),
    "websocket:azure": Requirement(
        "api-surface §1.1", "Azure's clients connect by every path, deployments included."
    ),
    "websocket:codex:frames": Requirement(
        "clients.md (Codex CLI)", "What Codex sends in a turn is answered as it expects."
    ),
    "websocket:codex:tools": Requirement(
        "clients.md (Codex CLI)",
        "A hosted tool that is not here is refused by name, unless its client sends it unasked.",
        divergence="The vendor runs web search.",
    ),
    "websocket:codex:cli": Requirement(
        "clients.md (Codex CLI)", "Codex itself, configured as the how-to says, takes a turn."
    ),
}
