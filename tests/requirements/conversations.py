"""What conversations promise."""

from __future__ import annotations

from tests.requirements.base import Requirement

_API = "api-surface §2.2"
_STATE = "api-surface §4.2"

REQUIREMENTS = {
    "conversations:object": Requirement(
        _API, "A conversation is made, read, changed and deleted as the official client does it."
    ),
    "conversations:items": Requirement(
        _API, "Items are added, read and deleted one by one; each has an id and a status for ever."
    ),
    "conversations:items:pages": Requirement(
        _API, "Items are paged by id in both orders, newest first by default."
    ),
    "conversations:items:faults": Requirement(
        _API, "Items are checked as a request's are; the error names the item and what is wrong."
    ),
    "conversations:items:include": Requirement(
        _API, "What must be asked for (image URLs, log probabilities) is hidden unless included."
    ),
    "conversations:limits": Requirement(
        _API, "At most 20 items per call, and metadata as everywhere."
    ),
    "conversations:tenant": Requirement(
        "api-surface §22.30", "Another project's conversation and its items look missing."
    ),
    "conversations:azure": Requirement(
        "issue §5", "The same operations answer under Azure's paths to Azure's client."
    ),
    "conversations:turn": Requirement(
        _STATE,
        "A response in a conversation is told its items first, says so in every projection, and "
        "adds its input and output in order.",
    ),
    "conversations:append": Requirement(
        "api-surface §22.31",
        "What a response adds is written with its row, whole, and never between others' items.",
    ),
    "conversations:append:statuses": Requirement(
        _STATE, "Completed and incomplete responses are added; failed and cancelled ones are not."
    ),
    "conversations:append:unstored": Requirement(
        _STATE, "With `store: false` the items are added and the response is not retrievable."
    ),
    "conversations:locked": Requirement(
        _STATE, "One response at a time: others, and callers with items, get conversation_locked."
    ),
    "conversations:released": Requirement(
        "ours", "However a response ends or is refused, its conversation can be used at once."
    ),
    "conversations:lease": Requirement(
        "ours", "The lock of a holder that died runs out; a living one renews it."
    ),
    "conversations:deleted_meanwhile": Requirement(
        _STATE, "If its conversation is deleted meanwhile a response ends and adds nothing."
    ),
    "conversations:background": Requirement(
        "issue §2",
        "A background response holds its conversation from when it is queued until it has ended.",
    ),
    "conversations:at_rest": Requirement(
        "issue §5", "With encryption at rest no item and no metadata is stored as it was said."
    ),
    "conversations:exclusive": Requirement(
        _STATE,
        "A conversation and a previous response exclude each other, one behind the other too.",
    ),
    "conversations:calls": Requirement(
        "api-surface §22.15", "Calls in a conversation are answered by new input, or refused."
    ),
    "conversations:references": Requirement(
        _STATE, "An item_reference finds items of conversations."
    ),
    "conversations:count": Requirement(
        "api-surface §11", "input_tokens counts a conversation without locking or changing it."
    ),
    "conversations:truncation": Requirement(
        "api-surface §10.3", "An over-long conversation is shortened where truncation is auto."
    ),
    "conversations:cost": Requirement(
        "ours",
        "A turn of a remembered conversation reads its new items only, and its prompt begins with "
        "the bytes of the turn before.",
    ),
}
