"""What holds on every road (JSON, SSE, WebSocket, background polled, background resumed), on SQLite
and PostgreSQL, through OpenAI's client and Azure's (tests/matrix)."""

from __future__ import annotations

from tests.requirements.base import Requirement

_ISSUE = "issue: every section on every road"

REQUIREMENTS = {
    "matrix:chain": Requirement(_ISSUE, "A chain remembers, and is nobody else's."),
    "matrix:branch": Requirement(_ISSUE, "A branch does not see later siblings."),
    "matrix:tools": Requirement(_ISSUE, "A call is answered in the next turn."),
    "matrix:structured": Requirement(_ISSUE, "Structured output holds on every road."),
    "matrix:same-story": Requirement(_ISSUE, "Every road tells what the plain answer tells."),
    "matrix:failure": Requirement(_ISSUE, "A failing model ends the response as failed."),
    "matrix:conversation": Requirement(_ISSUE, "A conversation gathers its turns, in order."),
    "matrix:conversation-failure": Requirement(
        "api-surface §4.2", "A failed turn appends nothing and leaves the conversation free."
    ),
    "matrix:conversation-incomplete": Requirement(
        "api-surface §4.2", "An incomplete turn is appended with what was produced."
    ),
    "matrix:exclusive": Requirement(
        "api-surface §4.2", "'conversation' and 'previous_response_id' exclude each other."
    ),
    "matrix:delete": Requirement("api-surface §4.3", "What is deleted is gone on every road."),
    "matrix:store-false": Requirement("api-surface §4.3", "store: false leaves nothing to read."),
    "matrix:conversation-paging": Requirement(
        "api-surface §4.2",
        "A conversation is paged, in both orders, while turns are added to it.",
    ),
    "matrix:conversation-include": Requirement(
        "api-surface §4.2",
        "What is not named in include[] is not shown of a conversation's items.",
    ),
    "matrix:conversation-locked": Requirement(
        "api-surface §4.2",
        "A slow background response holds its conversation against turns and changes.",
    ),
    "matrix:conversation-item-deleted": Requirement(
        "api-surface §4.2", "A deleted item of a conversation is not told to the model."
    ),
    "matrix:conversation-deleted": Requirement(
        "api-surface §4.2", "A deleted or foreign conversation is a 404 on every road."
    ),
    "matrix:conversation-edited": Requirement(
        "api-surface §4.2", "Items put in between two turns are told to the model."
    ),
    "matrix:completions": Requirement(
        "issue §1",
        "Stored chat completions are listed by metadata, read, changed and deleted.",
    ),
    "matrix:cancel": Requirement(
        "issue §2",
        "Another client on another replica cancels what would never end, and again without harm.",
    ),
    "matrix:cancel-before": Requirement(
        "api-surface §8", "Cancelling what has ended returns it as it is."
    ),
    "matrix:cancel-synchronous": Requirement(
        "api-surface §8", "Cancelling what was not made in the background is a 400."
    ),
    "matrix:resume-everywhere": Requirement(
        "issue §2",
        "A stream is resumed after each of its events without gap or duplicate.",
    ),
    "matrix:resume-live": Requirement(
        "issue §2",
        "Who leaves after every event and comes back elsewhere sees the same stream.",
    ),
    "matrix:running-parent": Requirement(
        "issue §2", "A parent that is still being made is refused on every road."
    ),
    "matrix:delete-running": Requirement(
        "api-surface §8",
        "Deleting a running background response stops it and hides it from all.",
    ),
    "matrix:idempotency": Requirement(
        "issue §2",
        "The same key and body give the same response, another body is a 400.",
    ),
    "matrix:idempotency-in-flight": Requirement(
        "issue §2",
        "While the first request of a key is answered its repeat is a 409.",
    ),
    "matrix:idempotency-background": Requirement(
        "issue §2", "The repeat of a background create gets it as it stands."
    ),
    "matrix:webhooks": Requirement(
        "issue §2",
        "Every end of a background response is told by a webhook that the client unwraps.",
    ),
    "matrix:same-events": Requirement(
        "issue §3",
        "SSE, replay, WebSocket and background streams are the same event by event.",
    ),
    "matrix:lanes": Requirement(
        "issue §3",
        "Lanes of a WebSocket do not wait for each other, creates of one lane do.",
    ),
    "matrix:warm-up": Requirement("issue §3", "A warm-up is made without output and continued."),
    "matrix:socket-unstored": Requirement(
        "issue §3",
        "What is not stored is continued on its connection and nowhere else.",
    ),
    "matrix:socket-eviction": Requirement(
        "issue §3",
        "A failed continuation evicts what it continued, and the connection goes on.",
    ),
    "matrix:socket-state": Requirement(
        "issue §3",
        "Chains and conversations cross between a WebSocket and other roads.",
    ),
    "matrix:compact": Requirement(
        "issue §4", "The output of /compact is gone on from on every road."
    ),
    "matrix:compaction-automatic": Requirement(
        "issue §4",
        "Beyond the threshold every road shows the compaction item and goes on from it.",
    ),
    "matrix:compaction-conversation": Requirement(
        "issue §4", "A conversation is compacted once and goes on from there."
    ),
    "matrix:compaction-trigger": Requirement(
        "issue §4", "A trigger makes the compaction item alone on every road."
    ),
    "matrix:sealed-refused": Requirement(
        "issue §4",
        "Sealed content of another tenant, changed or cut, is a 400 on every road.",
    ),
    "matrix:reasoning-sealed": Requirement(
        "issue §4", "Sealed reasoning goes round on every road."
    ),
    "matrix:reasoning-unstored": Requirement(
        "issue §4",
        "Who stores nothing carries reasoning and compaction himself.",
    ),
    "matrix:background-stored": Requirement(
        "api-surface §8", "A background response that is not to be stored is refused."
    ),
    "matrix:truncation": Requirement(
        "issue §4",
        "truncation: auto drops the oldest, and without it the refusal or failure says why.",
    ),
    "matrix:input-tokens": Requirement(
        "issue §4",
        "A token count says how it was made, and is what the next turn uses.",
    ),
    "matrix:replicas-chain": Requirement(
        "issue §5", "A chain alternates between two replicas on every road."
    ),
    "matrix:replicas-conversation": Requirement(
        "issue §5",
        "A conversation alternates between two replicas on every road.",
    ),
    "matrix:replicas-deletion": Requirement(
        "issue §5",
        "What one replica deleted cannot be read or continued on the other from then on.",
    ),
    "matrix:replicas-background": Requirement(
        "issue §5",
        "A background response is followed, continued and cancelled on either replica.",
    ),
    "matrix:replicas-lock": Requirement(
        "issue §5",
        "Two turns at once on two replicas never both answer without having heard the other.",
    ),
    "matrix:retention": Requirement(
        "issue §5", "What is due is gone to the second, on every road and replica."
    ),
    "matrix:zero-retention": Requirement(
        "issue §5",
        "A project of zero retention is answered, has nothing, and is refused what needs storing.",
    ),
}
