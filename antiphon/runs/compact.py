"""``POST /v1/responses/compact``: a conversation made into a shorter one to go on from.

The summary is a run like any other, of a context that asks for nothing but its compaction; only
what is answered differs, and nothing is stored: the id is no ``previous_response_id``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from antiphon.errors import ClientError, RemoteError
from antiphon.runs.context import Context
from antiphon.runs.listener import Listener
from antiphon.types.items import Compaction, Message
from antiphon.types.request import CompactInput, CreateResponse
from antiphon.types.resources import CompactedResponse
from antiphon.types.response import InputTokensDetails, OutputTokensDetails, Usage

if TYPE_CHECKING:
    from antiphon.runs.driver import Runs

_TRIGGER = {"type": "compaction_trigger"}


async def compact(
    runs: Runs, asked: CompactInput, project: str, *, lenient: bool = False
) -> tuple[CompactedResponse, Sequence[str]]:
    """Compact what the request holds and continues; tells what of it was not fully honoured as
    well. Raises ``ClientError`` and ``RemoteError``."""
    create = _as_create(asked)
    context = await runs.resolve(create, project, "openai", stores=False, lenient=lenient)
    context.response.store = False
    listener = Listener()
    listener.hear(runs.start(context, listener))
    await listener.begun()
    response = await listener.finish()
    if response.error is not None:
        raise RemoteError(response.error.message, code=response.error.code)
    made = [item for item in response.output if isinstance(item, Compaction)]
    nothing = Usage(0, 0, 0, InputTokensDetails(0), OutputTokensDetails(0))
    answer = CompactedResponse(
        id=response.id,
        created_at=response.created_at,
        output=[*_users(context), *made],
        usage=response.usage or nothing,
    )
    return answer, context.downgrades


def _as_create(asked: CompactInput) -> CreateResponse:
    """The create that ends in a trigger. Raises ``ClientError``."""
    for name in ("model", "input"):
        missing = not asked.model if name == "model" else _is_empty(asked)
        if missing:
            raise ClientError(
                f"Missing required parameter: '{name}'.",
                code="missing_required_parameter",
                param=name,
            )
    said: list[dict[str, Any]] = []
    if isinstance(asked.input, str):
        said = [{"type": "message", "role": "user", "content": asked.input}]
    elif asked.input is not None:
        said = [item for item in asked.input if item.get("type") != "compaction_trigger"]
    fields = {name: getattr(asked, name) for name in asked.__struct_fields__ if name != "input"}
    return CreateResponse(**fields, input=[*said, _TRIGGER])


def _is_empty(asked: CompactInput) -> bool:
    return not asked.input and asked.previous_response_id is None


def _users(context: Context) -> Sequence[Any]:
    """Every message of the user, as it is stored: typed, with its id and status."""
    past = context.said.items[: context.past] if context.said is not None else ()
    told: list[Any] = [i for i in past if isinstance(i, Message) and i.role == "user"]
    told += [one for one in msgspec.json.decode(context.brought) if one.get("role") == "user"]
    return told
