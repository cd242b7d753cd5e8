"""What remembering a conversation, and the short ways of a plain request, promise."""

from __future__ import annotations

from tests.requirements.base import Requirement

_ISSUE = "issue §3 (speed)"

REQUIREMENTS = {
    "runs:short-ways:same-context": Requirement(
        _ISSUE, "A request that skips rules gets the context it would get with all of them."
    ),
    "runs:at-once:told": Requirement(
        _ISSUE, "A request that is said to resolve without waiting does not wait."
    ),
    "runs:ids:key": Requirement(
        "ours", "Ids sort by time, are never the same, and an item's tells its response."
    ),
    "runs:memory:no-query": Requirement(
        _ISSUE, "The next turn of a remembered conversation asks the store nothing."
    ),
    "runs:memory:same-context": Requirement(
        _ISSUE, "What is remembered changes no item, no refusal and no byte of the prompt."
    ),
    "runs:memory:deleted": Requirement(
        "api-surface §22.30", "A deleted or expired response is not continued from memory."
    ),
    "runs:memory:bounded": Requirement(
        "issue §6", "Memory is bounded in bytes; what rested longest is read from the store again."
    ),
    "runs:memory:beginnings": Requirement(
        _ISSUE, "Responses nobody has continued yet drive no remembered conversation out."
    ),
    "runs:memory:cost": Requirement(
        _ISSUE, "Resolving a turn of a remembered conversation looks at its new items only."
    ),
}
