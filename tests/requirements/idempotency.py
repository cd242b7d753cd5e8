"""What the header Idempotency-Key promises."""

from __future__ import annotations

from tests.requirements.base import Requirement

_ISSUE = "issue §2"

REQUIREMENTS = {
    "idempotency:same": Requirement(
        _ISSUE, "The same key and body give the same response for a day, and no second model call."
    ),
    "idempotency:stream": Requirement(
        _ISSUE, "A repeat of a stream is its replay; the header says that it is one."
    ),
    "idempotency:background": Requirement(
        _ISSUE, "A repeat of a background request is told how its response stands now."
    ),
    "idempotency:reused": Requirement(_ISSUE, "The same key with another body is a 400."),
    "idempotency:in_flight": Requirement(
        _ISSUE, "A repeat that comes too early is a 409 with retry-after."
    ),
    "idempotency:left": Requirement(
        "ours", "A caller who left and asks again gets what was made meanwhile."
    ),
    "idempotency:unstored": Requirement(
        _ISSUE, "What was not stored cannot be answered again, and a repeat is told so."
    ),
    "idempotency:freed": Requirement(_ISSUE, "A refused request frees its key."),
    "idempotency:lease": Requirement(_ISSUE, "A key whose owner died is free after its lease."),
    "idempotency:race": Requirement(
        _ISSUE, "Of many first requests at once, on any replicas, one makes the response."
    ),
    "idempotency:tenant": Requirement(_ISSUE, "Keys belong to a project."),
    "idempotency:swept": Requirement(_ISSUE, "Keys are erased when their time is over."),
    "idempotency:form": Requirement(
        _ISSUE, "A key is 1 to 255 printable characters; spelling of the body does not matter."
    ),
    "idempotency:conversations": Requirement("ours", "Making a conversation with a key makes one."),
}
