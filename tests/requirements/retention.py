"""What is promised about how long a project's data lives."""

from __future__ import annotations

from tests.requirements.base import Requirement

_ISSUE = "issue §5"

REQUIREMENTS = {
    "retention:project": Requirement(
        _ISSUE,
        "A project's own retention holds for its responses, chat completions and background"
        " responses; 0 keeps for ever; other projects live as the store says.",
    ),
    "retention:memory": Requirement(
        _ISSUE, "What is remembered of a response goes with its project's date, not the store's."
    ),
    "retention:settings": Requirement(
        "house",
        "Two settings for one project are refused; a project no key names is warned of.",
    ),
    "retention:sweeper": Requirement(
        _ISSUE,
        "One sweeper looks at everything that expires; what fails keeps nothing else from it.",
    ),
    "retention:zero:store": Requirement(
        _ISSUE,
        "Nothing of a project with zero retention is in the database's file, whatever it asks"
        " for: plain, streamed, over WebSocket, as chat, failing, compacted.",
    ),
    "retention:zero:told": Requirement(
        _ISSUE,
        "A response of such a project says `store: false`, and that `store: true` was not"
        " honoured.",
    ),
    "retention:zero:refused": Requirement(
        _ISSUE,
        "What cannot be had without storing is a 400 `zero_retention` that names its parameter.",
    ),
    "retention:zero:others": Requirement(
        _ISSUE, "Other projects of the same server store as ever."
    ),
}
