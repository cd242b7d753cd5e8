"""What a database in a file promises."""

from __future__ import annotations

from tests.requirements.base import Requirement

_ISSUE = "issue §5"

REQUIREMENTS = {
    "archive:round-trip": Requirement(
        _ISSUE,
        "SQLite → file → PostgreSQL → file, and back: the files hold the same, forks, tombstones"
        " and chains of packs included.",
    ),
    "archive:prompt": Requirement(
        _ISSUE, "A chain that is continued after an import shows the model the same."
    ),
    "archive:content": Requirement(
        _ISSUE,
        "A file has parents before their children, deleted responses only where others continue"
        " them, and is its owner's alone.",
    ),
    "archive:project": Requirement(_ISSUE, "One project is exported, or imported, by itself."),
    "archive:replay": Requirement(_ISSUE, "An imported stream is replayed as it was."),
    "archive:malformed": Requirement(
        _ISSUE,
        "A malformed line is named by its number and left out whole, with what continues it; the"
        " rest is imported.",
    ),
    "archive:again": Requirement(
        _ISSUE, "Importing again leaves what is there and goes on where it broke off."
    ),
    "archive:expiry": Requirement(_ISSUE, "Dates of expiry go along with responses."),
    "archive:encrypted": Requirement(
        _ISSUE, "An encrypted database is exported only if asked to be in clear by name."
    ),
    "archive:locked": Requirement(
        "house", "A database that a server uses, and a file that is there, are errors in one line."
    ),
    "archive:memory": Requirement(
        _ISSUE, "Export and import hold a few rows at a time, however many there are."
    ),
}
