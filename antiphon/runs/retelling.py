"""Which items of a request the history already has.

Frameworks that chain by id often send earlier items again (with ids, or recognisable by their
``call_id``). Such items are dropped, and so are messages before them that repeat the history
word for word: they belong to the same retelling. Without such a sign nothing is ever dropped,
because asking the same question twice is legitimate. One more sign: the question that led to a
call comes again before the output of that call. Neither an id nor a ``call_id`` is a sign by
itself: some frameworks give every item the same made-up one, and some models number the calls of
each turn anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, get_args

import msgspec

from antiphon.runs.said import CALLS, OUTPUTS, Said, id_of
from antiphon.types.base import given
from antiphon.types.codec import encode
from antiphon.types.content import InputText, OutputText
from antiphon.types.items import (
    ANSWERING,
    CALLING,
    Call,
    CallOutput,
    Compaction,
    CompactionTrigger,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    ItemReference,
    Message,
    Opaque,
    Reasoning,
)
from antiphon.types.tool_items import (
    AdditionalTools,
    ApplyPatchCall,
    ApplyPatchCallOutput,
    ComputerCall,
    HostedCall,
    McpItem,
    Setting,
    ToolSearchCall,
    ToolSearchOutput,
)

_SAYING = frozenset({Message, Reasoning, ItemReference, Compaction, CompactionTrigger, Opaque})
"""Items that have to do with no call."""
_TEXT = (InputText, OutputText)


def new_ones(items: Sequence[Item], past: Said) -> list[int]:
    """Indexes of the items that are no retelling, of the history or within the request."""
    retold = _repeated(items, past)
    known = past.by_id
    for index, item in enumerate(items if known else ()):
        id = id_of(item)
        if id in known and not retold[index]:
            retold[index] = _is_same(item, known[id])
    if (asked := _asked_again(items, past)) is not None:
        retold[asked] = True
    if True not in retold:
        return list(range(len(items)))
    if past.items:
        last = len(retold) - 1 - retold[::-1].index(True)
        words = {_wording(item) for item in past.items if isinstance(item, Message)}
        for index in range(last):
            item = items[index]
            if isinstance(item, Message) and _wording(item) in words:
                retold[index] = True
    return [index for index, again in enumerate(retold) if not again]


def contradicting(items: Sequence[Item], past: Said, kept: Sequence[int]) -> list[str]:
    """The outputs among the dropped items that say something else than the one that counts, as
    ``input[i]``: a call has one output, and the caller must be told that this was not it."""
    told: dict[Any, set[bytes]] = {}
    for item in (*_told(past, items), *(items[index] for index in kept)):
        if isinstance(item, OUTPUTS):
            told.setdefault(item.call_id, set()).add(_outcome(item))
    left = set(kept)
    return [
        f"input[{index}]"
        for index, item in enumerate(items)
        if index not in left
        and isinstance(item, OUTPUTS)
        and _outcome(item) not in told.get(item.call_id, ())
    ]


def _asked_again(items: Sequence[Item], past: Said) -> int | None:
    """Where the user's last words stand again, before the first output of a call that came after
    them: Semantic Kernel sends its question with every output."""
    if not past.open:
        return None
    answers = (at for at, item in enumerate(items) if getattr(item, "call_id", "") in past.open)
    answer = next(answers, 0)
    said = (_wording(it) for it in reversed(past.items) if isinstance(it, Message))
    question = next((words for words in said if words[0] == "user"), None)
    for index, item in enumerate(items[:answer]):
        if isinstance(item, Message) and _wording(item) == question:
            return index
    return None


def _told(past: Said, items: Iterable[Item]) -> list[Call | CallOutput]:
    """The calls and outputs of the history with a ``call_id`` that is one of these items'."""
    wanted: set[Any] = {item.call_id for item in items if isinstance(item, CALLS | OUTPUTS)}
    return [told for call_id in wanted for told in past.told.get(call_id, ())]


def _outcome(output: CallOutput) -> bytes:
    """What an output says; one text part is the same as a string."""
    match output:
        case FunctionCallOutput() | CustomToolCallOutput():
            said = output.output
            if isinstance(said, list) and len(said) == 1 and isinstance(said[0], _TEXT):
                said = said[0].text
            return encode(said)
        case ApplyPatchCallOutput():
            return encode([output.status, output.output or None])
        case ToolSearchOutput():
            return encode(output.tools)
        case _:
            return encode(output.output)


def _repeated(items: Sequence[Item], past: Said) -> list[bool]:
    """For each item, whether it is the second telling of a call or an output.

    A call is told again if its ``call_id``, name and arguments are; an output if its call was
    answered before. But when the same call comes again within one request with another outcome,
    the model did call twice.
    """
    again = [False] * len(items)
    if _nothing_twice(items, past):
        return again
    before = _told(past, items)
    calls = {(i.call_id, _call_wording(i)) for i in before if isinstance(i, CALLS)}
    outcomes: dict[Any, set[bytes]] = {i.call_id: set() for i in before if isinstance(i, OUTPUTS)}
    known = {i.call_id for i in before}
    open_calls: set[Any] = set()
    doubtful: dict[Any, int] = {}
    for index, item in enumerate(items):
        if isinstance(item, CALLS):
            told = (item.call_id, _call_wording(item))
            if told in calls:
                again[index] = True
                doubtful[item.call_id] = index
            else:
                calls.add(told)
                open_calls.add(item.call_id)
        elif isinstance(item, OUTPUTS):
            outcome = _outcome(item)
            if item.call_id in open_calls:
                open_calls.remove(item.call_id)
            elif item.call_id in outcomes:
                call = doubtful.pop(item.call_id, None)
                same = outcome in outcomes[item.call_id] or item.call_id in known
                again[index] = same or call is None
                if call is not None:
                    again[call] = same
            outcomes.setdefault(item.call_id, set()).add(outcome)
    return again


def _nothing_twice(items: Sequence[Item], past: Said) -> bool:
    """Whether no call and no output can be a second telling, as its ``call_id`` is a first."""
    if _SAYING.issuperset(map(type, items)):
        return True
    calls = [item.call_id for item in items if type(item) in CALLING]  # type: ignore[union-attr]
    outputs = [item.call_id for item in items if type(item) in ANSWERING]  # type: ignore[union-attr]
    return (
        past.called.isdisjoint(calls)
        and past.answered.isdisjoint(outputs)
        and len(set(calls)) == len(calls)
        and len(set(outputs)) == len(outputs)
    )


def _call_wording(call: Call) -> tuple[Any, ...]:
    match call:
        case CustomToolCall():
            return "custom", call.name, call.input
        case FunctionCall():
            try:
                decoded = msgspec.json.decode(call.arguments)
                arguments = msgspec.json.encode(decoded, order="sorted")
            except (ValueError, RecursionError):
                arguments = call.arguments.encode(errors="replace")
            return "function", call.name, arguments
        case ApplyPatchCall():
            asked: Any = call.operation
        case ComputerCall():
            asked = [call.action or None, call.actions or None]
        case ToolSearchCall():
            asked = call.arguments
        case _:
            asked = call.action
    return type(call).__name__, "", msgspec.json.encode(asked, order="sorted")


def _is_same(item: Item, known: Item | None) -> bool:
    """Whether it is the item of the history that has its id. Ids callers make up may come again
    with other words: that is a new item, not a retelling. Calls are known by their ``call_id``."""
    match item, known:
        case Message(), Message():
            return _wording(item) == _wording(known)
        case Reasoning(), Reasoning():
            return not given(item.content) or item.content == known.content
        case AdditionalTools(), AdditionalTools():
            return item.tools == known.tools
        case Compaction(), Compaction():
            return item.encrypted_content == known.encrypted_content
        case Opaque(), Opaque():
            return item.type == known.type
        case _:
            return type(item) in _WHOLE and _same_fields(item, known)


_WHOLE = frozenset(get_args(McpItem | HostedCall | Setting))
"""Items that are no call and no output of one: known by their id, as messages are."""


def _same_fields(item: Item, known: Item | None) -> bool:
    """Whether all that both of them say is the same; a caller may have left some out."""
    if type(item) is not type(known):
        return False
    pairs = ((getattr(item, f), getattr(known, f)) for f in item.__struct_fields__)
    return all(one == other for one, other in pairs if given(one) and given(other))


def _wording(message: Message) -> tuple[str, str]:
    content = message.content
    if isinstance(content, str):
        return message.role, content
    texts = [getattr(part, "text", None) or encode(part).decode() for part in content]
    return message.role, "\n".join(texts)
