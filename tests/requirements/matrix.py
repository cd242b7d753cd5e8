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
}
