"""What agents of one caller write to each other (``agent_message``), as messages to a model.

A coding agent that has helpers hands such a message on as it got it: as the argument of a call.
With the hosted API that argument is encrypted, and the item says so; here it is what our model
wrote, in clear. It is shown as a user's message, which is what a helper works on.
"""

from __future__ import annotations

from typing import Any

from antiphon.types.content import InputText
from antiphon.types.items import Message, Opaque

_TEXTS = {"input_text": "text", "output_text": "text", "encrypted_content": "encrypted_content"}
"""Parts of such an item, and where their text is."""


def letter(item: Opaque) -> Message:
    """The item, whose type is in ``items.LETTERS``, as a message; parts without text left out."""
    content: Any = item.raw.get("content")
    parts = content if isinstance(content, list) else []
    texts = [_text(part) for part in parts if isinstance(part, dict)]
    return Message("user", [InputText("".join(texts))])


def _text(part: dict[str, Any]) -> str:
    text = part.get(_TEXTS.get(str(part.get("type")), ""))
    return text if isinstance(text, str) else ""
