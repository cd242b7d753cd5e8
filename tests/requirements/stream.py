"""What the stream promises."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "stream:fold:equals-terminal": Requirement(
        source="api-surface §22.1, §22.8",
        behaviour="The output rebuilt from item events alone is the output of the terminal event,"
        " and sequence numbers are dense from 0.",
    ),
    "stream:replay:identical": Requirement(
        source="api-surface §7.2, issue",
        behaviour="Replaying a stored streamed response gives the same events and numbers.",
    ),
    "stream:replay:unstreamed": Requirement(
        source="issue",
        behaviour="A response that was not streamed can be replayed and folds to itself.",
    ),
    "stream:close:any-prefix": Requirement(
        source="api-surface §22.7, §22.53",
        behaviour="A turn cut anywhere closes its open item as incomplete, and only the last one.",
    ),
    "stream:grammar:closed": Requirement(
        source="api-surface §7.3, §7.4",
        behaviour="An event that is not in the grammar is refused before anything has changed.",
    ),
}
