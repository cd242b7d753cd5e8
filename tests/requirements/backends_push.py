"""What a pushed model call promises: the side of a backend that costs no task."""

from __future__ import annotations

from tests.requirements.base import Requirement

DECISION = "perf.md §Design decisions 5"

REQUIREMENTS = {
    "push:receiver:order": Requirement(
        DECISION,
        "A receiver hears the head, the body as it is read, the end; nothing before begin returns.",
    ),
    "push:receiver:close": Requirement(
        "house.md §4.5", "A call that was closed, even by its receiver, says nothing more."
    ),
    "push:receiver:next-call": Requirement(
        DECISION, "A call begun from inside the end of another one uses its connection."
    ),
    "push:receiver:bug": Requirement(
        "house.md §4.6", "A receiver that raises is told that its call broke, and nobody waits."
    ),
    "push:pause:upstream-feels": Requirement(
        DECISION, "A paused call stops the sender, and no time-out runs meanwhile."
    ),
    "push:leave:reuse": Requirement(
        "perf.md §Design decisions 1",
        "What follows the end of an answer is read for a moment, so that its connection is reused.",
    ),
    "push:connect:close": Requirement(
        "issue", "A call that waits for its connection can be closed, paused and broken off."
    ),
    "push:connect:bug": Requirement(
        "house.md §4.6",
        "A call whose connection fails in an unexpected way is told, not forgotten.",
    ),
    "push:chat:no-task": Requirement(DECISION, "A plain turn on a kept connection makes no task."),
    "push:chat:close": Requirement(
        "house.md §4.5", "A turn closed by its sink stops the upstream and is told as abandoned."
    ),
    "push:chat:pumped": Requirement(
        "perf.md §Design decisions 1",
        "A turn that is waited for and closed by its last batch leaves its connection usable.",
    ),
    "push:chat:no-cycles": Requirement(
        "ours", "What a call needed is freed when it is over, without the garbage collector."
    ),
    "push:chat:cut": Requirement(
        "house.md §7 row 5", "Where the network cuts an answer does not change what is pushed."
    ),
    "push:chat:packed": Requirement(
        "RFC 9110 §8.4", "A compressed answer is read as any other, paused or not."
    ),
    "push:chat:lessons": Requirement(
        "issue §5", "A refusal at hand is not asked for again, also when turns overlap."
    ),
    "push:chat:none": Requirement(
        "issue", "Where a turn can only be waited for, nothing is begun."
    ),
    "push:route:same": Requirement(
        "issue", "A pushed turn gives the deltas and the records that the same turn streamed gives."
    ),
    "push:route:remembered": Requirement(
        "issue", "The routes of at most a thousand names are remembered; promises stay current."
    ),
}
