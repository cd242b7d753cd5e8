"""What the importer of Assistants threads promises."""

from __future__ import annotations

from tests.requirements.base import Requirement

_ISSUE = "issue §1"

REQUIREMENTS = {
    "assistants:import:whole": Requirement(
        _ISSUE,
        "A thread becomes a conversation with its messages, metadata and birth; what is left out"
        " is told.",
    ),
    "assistants:import:continues": Requirement(
        _ISSUE, "A response in an imported conversation knows what the thread said."
    ),
    "assistants:import:once": Requirement(_ISSUE, "The same thread is never imported twice."),
    "assistants:import:project": Requirement(_ISSUE, "Threads go to the project that is named."),
    "assistants:import:dry-run": Requirement(_ISSUE, "A dry run tells all and writes nothing."),
    "assistants:import:malformed": Requirement(
        _ISSUE, "Malformed lines are named by number; no thread is imported in part."
    ),
    "assistants:import:locked": Requirement(
        "house", "A store that a server uses is an error that says what to do."
    ),
    "assistants:import:order": Requirement(
        _ISSUE, "Messages are ordered by birth, within one second by the file; their ids are kept."
    ),
}
