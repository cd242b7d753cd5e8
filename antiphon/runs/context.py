"""Request + store → ``Context``: everything a run needs, resolved and checked.

This is the last place where a request can be refused: types and ranges were checked when it was
decoded, the rules between parameters are in ``wishes.py``, here comes the context the model will
see.

A plain request takes short cuts (``wishes.is_plain``, ``_words``): they leave out the rules that
cannot matter to it, and lead to the same context (``tests/runs/test_short_ways.py``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from antiphon.backends.base import Backend, Capabilities, Known, Turn
from antiphon.config import RunSettings
from antiphon.errors import ClientError, LocalProtocolError
from antiphon.ids import Ids, ItemIds
from antiphon.runs import history
from antiphon.runs.demands import Demands
from antiphon.runs.documents import Documents
from antiphon.runs.echo import Flavour, skeleton, verbosity
from antiphon.runs.memory import Memory
from antiphon.runs.said import Said
from antiphon.runs.wishes import Wishes, cannot, wishes_of
from antiphon.store.base import Store, StoredResponse
from antiphon.store.work import Begin
from antiphon.types.codec import FIELD_OF_PARTS, WHOLE_PARTS, encode
from antiphon.types.content import InputFile, InputImage, InputText
from antiphon.types.items import Item, Message, Opaque
from antiphon.types.request import CreateResponse
from antiphon.types.response import Response

_CONTROL_ITEMS = frozenset(
    {"additional_tools", "compaction", "compaction_trigger", "configuration_update"}
)
"""Items that change what happens next; ignoring one would be lying."""
_T = TypeVar("_T")

Ending = Callable[[StoredResponse], Sequence[Begin[object]]]

NOTHING_SAID = Said()
"""Never added to: a turn without a parent adds to none."""
_IMAGE_URL = re.compile(r"[a-z][a-z0-9+.-]*://.|data:[^,]*,.", re.IGNORECASE)


class Context(Struct, kw_only=True):
    """One response to be made.

    ``response`` is its skeleton, ``turn`` the first model call, ``brought`` the JSON array of
    new input items to be stored (empty if nothing will be), ``new`` how many items of the turn
    are new in this request, ``downgrades`` the parameters that were accepted but are not fully
    honoured. ``demands`` hold for a backend that is ``able`` to do what it said; ``demands_on``
    says what they are if a call taught otherwise. ``said``: what it continues, if anything, of
    which the first ``past`` items are meant (another turn may have added more).

    ``also``: what else is written when the response ends, in the same transaction as its row: each
    is shown the row (with its status; also where none is stored) and gives works.
    """

    project: str
    response: Response
    turn: Turn
    able: Capabilities
    demands: Demands
    demands_on: Callable[[Capabilities], Demands]
    ids: ItemIds
    clock: Callable[[], int]
    call_ids: frozenset[str]
    brought: bytes
    new: int
    started_ms: int
    downgrades: list[str]
    said: Said | None = None
    past: int = 0
    also: Sequence[Ending] = ()

    @property
    def truncates(self) -> bool:
        return self.response.truncation == "auto"


class _Gathered(Struct):
    """The items of a context: all of them, the new ones as JSON and how many they are."""

    items: Sequence[Item]
    brought: bytes
    new: int
    call_ids: frozenset[str] = history.NO_CALLS
    known: Known | None = None
    said: Said | None = None
    past: int = 0
    downgrades: Sequence[str] = ()


async def resolve(
    asked: CreateResponse,
    *,
    project: str,
    flavour: Flavour,
    store: Store,
    backend: Backend,
    ids: Ids,
    documents: Documents,
    settings: RunSettings,
    memory: Memory | None = None,
) -> Context:
    """Check the request and gather its context. Raises ``ClientError``."""
    able, wishes = wishes_of(asked, backend, settings)
    response_id = ids.mint("resp")
    item_ids = ItemIds(response_id)
    if type(asked.input) is str and asked.previous_response_id is None:
        found = _words(asked, asked.input, item_ids, memory)
    else:
        found = await _gathered(asked, project, item_ids, able, store, documents, settings, memory)
    started = ids.clock()
    return Context(
        project=project,
        response=skeleton(asked, response_id, started // 1000, wishes, flavour),
        turn=_turn(asked, wishes, found),
        able=able,
        demands=wishes.demands,
        demands_on=wishes.demands_on,
        ids=item_ids,
        clock=ids.clock,
        call_ids=found.call_ids,
        brought=found.brought,
        new=found.new,
        started_ms=started,
        downgrades=[*wishes.downgrades, *found.downgrades],
        said=found.said,
        past=found.past,
    )


def _words(asked: CreateResponse, text: str, ids: ItemIds, memory: Memory | None) -> _Gathered:
    """A first turn that is a string: nothing to look up, nothing to open, nothing to check."""
    items = [Message("user", [InputText(text)], ids.mint("msg"), "completed")]
    if asked.store is False:
        return _Gathered(items, b"[]", 1)
    known = Known(0, {}) if memory is not None else None
    return _Gathered(items, encode(items), 1, known=known)


async def _gathered(
    asked: CreateResponse,
    project: str,
    ids: ItemIds,
    able: Capabilities,
    store: Store,
    documents: Documents,
    settings: RunSettings,
    memory: Memory | None,
) -> _Gathered:
    """The general way. Rules look at the past's summary, never walk it."""
    said, memo = NOTHING_SAID, dict[Any, Any]()
    if asked.previous_response_id is not None:
        parent = asked.previous_response_id
        said, memo = await history.said_before(store, project, parent, memory)
    length = len(said.items)
    input: str | Sequence[dict[str, Any]] | None = asked.input
    if isinstance(input, list):
        _check_count(len(input), settings)  # before each reference is looked up
        input = await history.referred(input, past=said, store=store, project=project)
        if len(said.items) != length:  # another turn went on while references were looked up
            said = said.upto(length)
    brought = history.bring(input, past=said, ids=ids, stored=asked.store is not False)
    new = brought.items
    past = history.without_cut_calls(said, brought)
    files = _check_items(new, past, able, asked.model or "", settings)
    history.check_calls(past, brought)
    found = _Gathered(
        [*past.items, *new],
        encode(brought.raw),
        len(new),
        call_ids=history.call_ids(past, brought),
        said=said if length else None,
        past=length,
        downgrades=[*history.skipped(past, brought), *brought.dropped],
    )
    if files or past.files:
        found.items = await documents.opened(found.items, images=able.images)
    elif memory is not None and past is said and (length or asked.store is not False):
        found.known = Known(length, memo)
    return found


def resolves_at_once(
    asked: CreateResponse, store: Store, memory: Memory | None = None, project: str = ""
) -> bool:
    """Whether ``resolve`` with these will not be suspended once: nothing it reads must be waited
    for, and no document has to be opened. (What a conversation holds that is not remembered, or
    an item that is only named, is not known yet.)"""
    if asked.previous_response_id is not None:
        said = memory.peek(project, asked.previous_response_id) if memory is not None else None
        if said is None or said.files:
            return False
    if not store.local:
        return False
    return type(asked.input) is not list or not _may_wait(asked.input)


def _may_wait(raw: Sequence[dict[str, Any]]) -> bool:
    """Whether one of the items is a reference or holds a document."""
    for item in raw:
        kind = item.get("type")
        if (kind is None or kind == "item_reference") and history.is_reference(item):
            return True
        parts = item.get("content") or item.get("output")
        if type(parts) is list:
            for part in parts:
                if type(part) is dict and part.get("type") == "input_file":
                    return True
    return False


def at_once(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine that does not wait. Raises ``LocalProtocolError`` if it does."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: _T = end.value
        return result
    coroutine.close()
    raise LocalProtocolError("a coroutine that was to end at once waits for something")


def _turn(asked: CreateResponse, wishes: Wishes, found: _Gathered) -> Turn:
    """The first model call."""
    if wishes.plain:
        return Turn(
            model=asked.model or "",
            items=found.items,
            instructions=asked.instructions,
            tools=wishes.shown,
            max_output_tokens=asked.max_output_tokens,
            temperature=asked.temperature,
            top_p=asked.top_p,
            prompt_cache_key=asked.prompt_cache_key,
            safety_identifier=asked.safety_identifier or asked.user,
            live=asked.stream is True,
            known=found.known,
        )
    return Turn(
        model=asked.model or "",
        items=found.items,
        instructions=asked.instructions,
        tools=wishes.shown,
        tool_choice=wishes.mode,
        parallel_tool_calls=asked.parallel_tool_calls is not False,
        format=wishes.format,
        verbosity=verbosity(asked),
        effort=asked.reasoning.effort if asked.reasoning else None,
        max_output_tokens=asked.max_output_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        top_logprobs=asked.top_logprobs,
        logprobs=wishes.logprobs,
        prompt_cache_key=asked.prompt_cache_key,
        safety_identifier=asked.safety_identifier or asked.user,
        live=asked.stream is True,
        known=found.known,
    )


# Refusals ---------------------------------------------------------------------------------


def _check_count(count: int, settings: RunSettings) -> None:
    if count > settings.context_items_max:
        raise cannot(
            f"The context has {count} items; at most {settings.context_items_max} are allowed. "
            "Start a new chain.",
            "input",
            "context_length_exceeded",
        )


def _check_items(
    items: Sequence[Item],
    past: Said,
    able: Capabilities,
    model: str,
    settings: RunSettings,
) -> bool:
    """Refuse what cannot be shown to the model. Whether there is a document among the items."""
    if not items and not past.items:
        raise cannot("'input' holds no items.", "input", "invalid_value")
    _check_count(len(items) + len(past.items), settings)
    files = False
    for index, item in enumerate(items):
        field = FIELD_OF_PARTS.get(type(item))
        if field is None:
            if type(item) is Opaque and item.type in _CONTROL_ITEMS:
                raise cannot(
                    f"Items of type '{item.type}' are not available on this server; leave it out.",
                    f"input[{index}].type",
                )
            continue
        parts = getattr(item, field)
        if type(parts) is str or WHOLE_PARTS.issuperset(map(type, parts)):
            continue
        for place, part in enumerate(parts):
            _check_part(part, f"input[{index}].{field}[{place}]", able, model)
            files = files or type(part) is InputFile
    return files


def _check_part(part: Any, path: str, able: Capabilities, model: str) -> None:
    if isinstance(part, InputImage):
        if part.file_id is not None:
            raise cannot(
                "Uploaded files are not available on this server; send the image as 'image_url' "
                "(a URL or a data URL).",
                f"{path}.file_id",
            )
        if not able.images:
            raise cannot(f"The model '{model}' does not accept images.", f"{path}.type")
        if not _IMAGE_URL.match(part.image_url or ""):
            raise ClientError(
                f"Invalid '{path}.image_url': expected a URL, or a data URL such as "
                "'data:image/png;base64,…'.",
                param=f"{path}.image_url",
            )
    elif isinstance(part, InputFile) and part.file_data is None:
        name = "file_id" if part.file_id is not None else "file_url"
        raise cannot(
            f"'{name}' is not available on this server; send the document as 'file_data'.",
            f"{path}.{name}",
        )
