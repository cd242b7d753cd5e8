"""Conversations that outgrow the model's window."""

from __future__ import annotations

from tests.requirements.base import Requirement

_AUTO = "api-surface §10.2"
_END = "api-surface §10.1"

REQUIREMENTS = {
    "compaction:automatic": Requirement(
        _AUTO, "Beyond the threshold a compaction item is emitted first, then the answer."
    ),
    "compaction:automatic:usage": Requirement(
        "api-surface §22.33",
        "Usage is summed over both calls; the summary does not eat max_output_tokens.",
    ),
    "compaction:automatic:below": Requirement(
        _AUTO, "Below the threshold, or with nothing older than the input, nothing is compacted."
    ),
    "compaction:chain": Requirement(
        _AUTO, "Turns that follow start from the compaction; earlier turns can still be branched."
    ),
    "compaction:stateless": Requirement(
        _AUTO, "Items before the newest compaction may be dropped: the prompt is the same."
    ),
    "compaction:tools": Requirement(
        "api-surface §10.3", "A call whose output is new stays word for word, with its output."
    ),
    "compaction:trigger": Requirement(
        _AUTO, "A compaction_trigger at the end compacts, and the response holds nothing else."
    ),
    "compaction:endpoint": Requirement(
        _END,
        "POST /v1/responses/compact gives the user's messages and one compaction; its id is no "
        "previous_response_id.",
    ),
    "compaction:endpoint:refusals": Requirement(
        _END, "Without model or input it is 400; a model that fails is that failure."
    ),
    "compaction:endpoint:sdk": Requirement(
        _END, "The official client's compact works and its output can be sent on verbatim."
    ),
    "compaction:sealed": Requirement(
        "api-surface §10.4", "A changed, foreign or unknown compaction is 400 and named."
    ),
    "compaction:failure": Requirement(
        "ours", "Without a summary the response goes on uncompacted."
    ),
    "compaction:failure:overflow": Requirement(
        "ours", "What outgrew the window already is summed up from its newer part."
    ),
    "compaction:resumed": Requirement(
        "issue §2", "A background response that is taken over is not compacted a second time."
    ),
    "compaction:cancel": Requirement("ours", "Leaving during the summary cancels the response."),
    "compaction:counted": Requirement(
        "api-surface §11", "Counting a turn counts what is shown of a compacted conversation."
    ),
    "compaction:background": Requirement(
        "issue §4", "Background responses are compacted, on every store, encrypted or not."
    ),
    "compaction:websocket": Requirement(
        "issue §4, clients: Codex", "Triggers and compactions work over a WebSocket, unstored."
    ),
    "compaction:conversation": Requirement(
        "api-surface §4.2, §10.2", "A conversation is compacted and goes on from there."
    ),
    "compaction:prefix:chain": Requirement(
        "issue §4", "The prompt of a turn is byte for byte an extension of the one before."
    ),
    "compaction:prefix:reasoning": Requirement(
        "issue §4", "With all_turns reasoning is part of what is extended."
    ),
    "compaction:prefix:compacted": Requirement(
        "issue §4", "From a compaction on prompts extend one another again."
    ),
    "compaction:truncation:known-window": Requirement(
        "api-surface §10.3",
        "Where the window is known, auto drops the fewest old items that make the input and its "
        "answer fit, before the model is asked.",
    ),
    "compaction:truncation:steps": Requirement(
        "api-surface §10.3",
        "Calls stay with their outputs; standing messages, the question and new input stay.",
    ),
}
