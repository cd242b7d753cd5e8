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
    "stream:steps:same": Requirement(
        source="api-surface §7.2, issue",
        behaviour="However a turn is cut into batches, its events, numbers and cuts are the same.",
    ),
    "stream:steps:unread": Requirement(
        source="issue",
        behaviour="An answer nobody streams passes the same gate: it is numbered and folded alike.",
    ),
    "stream:steps:refused": Requirement(
        source="api-surface §7.3, §7.4",
        behaviour="A run of deltas or a whole message is refused where its events would be.",
    ),
    "stream:steps:frozen": Requirement(
        source="api-surface §7.3",
        behaviour="The snapshot in an emitted lifecycle event never changes afterwards.",
    ),
    "stream:spelling:one-encoding": Requirement(
        source="issue",
        behaviour="The stored head and output spliced are the response's JSON, byte by byte,"
        " whatever a caller wrote into it.",
    ),
    "stream:frames:any-group": Requirement(
        source="api-surface §7.1",
        behaviour="Events written together are the frames of each event, one line of JSON each.",
    ),
    "stream:frames:spelled-once": Requirement(
        source="issue",
        behaviour="A terminal event shows the same bytes as the plain answer and the stored row.",
    ),
    "stream:frames:nothing-kept": Requirement(
        source="issue",
        behaviour="Making frames keeps no memory, however many are made.",
    ),
    "stream:frames:obfuscated": Requirement(
        source="api-surface §7.1",
        behaviour="On request every delta, and no other event, carries 1 to 32 random characters.",
    ),
    "stream:plain:same": Requirement(
        source="issue",
        behaviour="A plain answer is the response its stream would have ended with, of as many"
        " events, although nobody reads them.",
    ),
    "stream:steps:unjudged": Requirement(
        source="issue",
        behaviour="Deltas composed without a look at each are those that no demand speaks of.",
    ),
}
