"""What we promise about the lines of the log and how they leave."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "telemetry:observe:kinds": Requirement(
        source="issue 3", behaviour="A subscriber hears the kinds of records it asked for only."
    ),
    "telemetry:observe:every_kind": Requirement(
        source="house.md §4", behaviour="Every kind of record is counted and has its line."
    ),
    "telemetry:lines:soon": Requirement(
        source="issue 3",
        behaviour="A line that waits is written a tenth of a second later, without another one.",
    ),
    "telemetry:lines:together": Requirement(
        source="issue 3",
        behaviour="Lines that can wait are written together: by 100, by 32 KB, or by time.",
    ),
    "telemetry:lines:urgent": Requirement(
        source="issue 3",
        behaviour="A warning or error is written at once, after the lines that waited.",
    ),
    "telemetry:lines:none_lost": Requirement(
        source="issue 3",
        behaviour="An orderly end of the process, by a signal too, loses no line of the log.",
    ),
    "telemetry:lines:same": Requirement(
        source="issue 3", behaviour="A response's line says what its record says, in its order."
    ),
}
