"""Request + store → ``Context``: everything a run needs, resolved and checked.

This is the last place where a request can be refused: types and ranges were checked when it was
decoded, here come the rules between fields, what this server cannot do (each a 400 that names
the parameter, or a downgrade that is reported), and the context the model will see.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from antiphon.backends.base import Backend, Capabilities, Turn
from antiphon.config import RunSettings
from antiphon.errors import ClientError
from antiphon.ids import Ids, ItemIds
from antiphon.runs import history
from antiphon.runs.demands import (
    Demands,
    argument_checks,
    offered,
    settle_strict,
    text_check,
)
from antiphon.runs.documents import Documents
from antiphon.runs.echo import Flavour, skeleton, verbosity
from antiphon.store.base import Store
from antiphon.types.codec import encode, open_choice, open_tools
from antiphon.types.content import InputFile, InputImage
from antiphon.types.items import (
    CustomToolCallOutput,
    FunctionCallOutput,
    Item,
    Message,
    Opaque,
)
from antiphon.types.request import CreateResponse
from antiphon.types.response import Response
from antiphon.types.tools import AllowedTools, Format, TextFormat, Tool

_CONTROL_ITEMS = frozenset(
    {"additional_tools", "compaction", "compaction_trigger", "configuration_update"}
)
"""Items that change what happens next; ignoring one would be lying."""
_IMAGE_URL = re.compile(r"[a-z][a-z0-9+.-]*://.|data:[^,]*,.", re.IGNORECASE)


class Context(Struct, kw_only=True):
    """One response to be made.

    ``response`` is its skeleton, ``turn`` the first model call, ``brought`` the JSON array of
    new input items to be stored (empty if nothing will be), ``new`` how many items of the turn
    are new in this request, ``downgrades`` the parameters that were accepted but are not fully
    honoured. ``demands`` hold for a backend that is ``able`` to do what it said; ``demands_on``
    says what they are if a call taught otherwise.
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

    @property
    def truncates(self) -> bool:
        return self.response.truncation == "auto"


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
) -> Context:
    """Check the request and gather its context. Raises ``ClientError``."""
    model = _checked_model(asked)
    _check_unavailable(asked)
    able = backend.capabilities(model)
    tools = settle_strict(open_tools(asked.tools), able)
    choice = open_choice(asked.tool_choice, tools)
    format = _format(asked)
    demands_on = partial(_demands, asked, tools, choice, format, settings)
    demands = demands_on(able)
    response_id = ids.mint("resp")
    item_ids = ItemIds(response_id)
    past: list[Item] = []
    if asked.previous_response_id is not None:
        past = history.items_of(await history.past_of(store, project, asked.previous_response_id))
    if isinstance(asked.input, list):
        _check_count(len(asked.input), settings)  # before each reference is looked up
    brought = await history.bring(
        asked.input, past=past, ids=item_ids, store=store, project=project
    )
    past = history.without_cut_calls(past, brought.items)
    _check_items(brought.items, past, able, model, settings)
    history.check_calls(past, brought.items)
    started = ids.clock()
    items = [*past, *brought.items]
    shown = await documents.opened(items, images=able.images)
    turn = _turn(asked, model, shown, tools, choice, format)
    return Context(
        project=project,
        response=skeleton(
            asked,
            response_id=response_id,
            created_at=started // 1000,
            tools=tools,
            choice=choice,
            format=format,
            flavour=flavour,
        ),
        turn=turn,
        able=able,
        demands=demands,
        demands_on=demands_on,
        ids=item_ids,
        clock=ids.clock,
        call_ids=history.call_ids(items),
        brought=b"[]" if asked.store is False else encode(brought.raw),
        new=len(brought.items),
        started_ms=started,
        downgrades=_downgrades(asked, items, able) + brought.dropped,
    )


def _turn(
    asked: CreateResponse,
    model: str,
    items: Sequence[Item],
    tools: list[Tool],
    choice: Any,
    format: Format,
) -> Turn:
    shown = offered(tools, choice)
    mode = choice.mode if isinstance(choice, AllowedTools) else choice
    return Turn(
        model=model,
        items=items,
        instructions=asked.instructions,
        tools=tools if choice == "none" else shown,
        tool_choice=mode,
        parallel_tool_calls=asked.parallel_tool_calls is not False,
        format=format,
        verbosity=verbosity(asked),
        effort=asked.reasoning.effort if asked.reasoning else None,
        max_output_tokens=asked.max_output_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        top_logprobs=asked.top_logprobs,
        logprobs=_wants_logprobs(asked),
        prompt_cache_key=asked.prompt_cache_key,
        safety_identifier=asked.safety_identifier or asked.user,
        live=asked.stream is True,
    )


def _demands(
    asked: CreateResponse,
    tools: list[Tool],
    choice: Any,
    format: Format,
    settings: RunSettings,
    able: Capabilities,
) -> Demands:
    if tools and not able.tools and choice != "none":
        raise _cannot(f"The model '{asked.model}' does not take tools.", "tools")
    if _wants_logprobs(asked) and not able.logprobs:
        raise _cannot(f"The model '{asked.model}' returns no log probabilities.", "include")
    mode = choice.mode if isinstance(choice, AllowedTools) else choice
    return Demands(
        text=text_check(format, able),
        arguments=argument_checks(tools, able),
        callable=frozenset(tool.name for tool in offered(tools, choice)),
        must_call=mode not in ("auto", "none"),
        one_call=asked.parallel_tool_calls is False,
        no_thoughts=settings.raw_reasoning == "none",
    )


def _format(asked: CreateResponse) -> Format:
    format = asked.text.format if asked.text is not None else None
    return format if format is not None else TextFormat()


def _wants_logprobs(asked: CreateResponse) -> bool:
    return "message.output_text.logprobs" in (asked.include or ())


# Refusals ---------------------------------------------------------------------------------


def _cannot(message: str, param: str, code: str = "unsupported_value") -> ClientError:
    return ClientError(message, code=code, param=param)


def _checked_model(asked: CreateResponse) -> str:
    if not asked.model:
        raise ClientError(
            "Missing required parameter: 'model'.",
            code="missing_required_parameter",
            param="model",
        )
    if asked.conversation is not None and asked.previous_response_id is not None:
        raise ClientError(
            "'conversation' and 'previous_response_id' exclude each other: send one of them.",
            code="mutually_exclusive_parameters",
            param="conversation",
        )
    if not asked.input and asked.previous_response_id is None and asked.prompt is None:
        raise ClientError(
            "Missing required parameter: 'input' must be a string or a list of items.",
            code="missing_required_parameter",
            param="input",
        )
    return asked.model


def _check_unavailable(asked: CreateResponse) -> None:
    """What the API has and this server does not have yet: a precise 400 each."""
    window = asked.background_options.completion_window if asked.background_options else None
    prewarm = asked.prompt_cache_options is not None and asked.prompt_cache_options.prewarm is True
    for wrong, param, instead in (
        (asked.background is True, "background", "send the request without it or stream it"),
        (window not in (None, "soonest"), "background_options", "only 'soonest' is available"),
        (asked.conversation is not None, "conversation", "chain with 'previous_response_id'"),
        (asked.prompt is not None, "prompt", "send 'instructions' and 'input'"),
        (bool(asked.context_management), "context_management", "use 'truncation': 'auto'"),
        (asked.moderation is not None, "moderation", "no moderation model is configured"),
        (bool((asked.multi_agent or {}).get("enabled")), "multi_agent", "leave it out"),
        (prewarm, "prompt_cache_options.prewarm", "leave it out"),
    ):
        if wrong:
            raise _cannot(
                f"Unsupported parameter: '{param}' is not available on this server; {instead}.",
                param,
                "unsupported_parameter",
            )


def _check_count(count: int, settings: RunSettings) -> None:
    if count > settings.context_items_max:
        raise _cannot(
            f"The context has {count} items; at most {settings.context_items_max} are allowed. "
            "Start a new chain.",
            "input",
            "context_length_exceeded",
        )


def _check_items(
    items: Sequence[Item],
    past: Sequence[Item],
    able: Capabilities,
    model: str,
    settings: RunSettings,
) -> None:
    if not items and not past:
        raise _cannot("'input' holds no items.", "input", "invalid_value")
    _check_count(len(items) + len(past), settings)
    for index, item in enumerate(items):
        if isinstance(item, Opaque) and item.type in _CONTROL_ITEMS:
            raise _cannot(
                f"Items of type '{item.type}' are not available on this server; leave it out.",
                f"input[{index}].type",
            )
        field, parts = _parts(item)
        for place, part in enumerate(parts):
            _check_part(part, f"input[{index}].{field}[{place}]", able, model)


def _parts(item: Item) -> tuple[str, Sequence[Any]]:
    if isinstance(item, Message) and not isinstance(item.content, str):
        return "content", item.content
    if isinstance(item, FunctionCallOutput | CustomToolCallOutput):
        return "output", item.output if not isinstance(item.output, str) else ()
    return "", ()


def _check_part(part: Any, path: str, able: Capabilities, model: str) -> None:
    if isinstance(part, InputImage):
        if part.file_id is not None:
            raise _cannot(
                "Uploaded files are not available on this server; send the image as 'image_url' "
                "(a URL or a data URL).",
                f"{path}.file_id",
            )
        if not able.images:
            raise _cannot(f"The model '{model}' does not accept images.", f"{path}.type")
        if not _IMAGE_URL.match(part.image_url or ""):
            raise ClientError(
                f"Invalid '{path}.image_url': expected a URL, or a data URL such as "
                "'data:image/png;base64,…'.",
                param=f"{path}.image_url",
            )
    elif isinstance(part, InputFile) and part.file_data is None:
        name = "file_id" if part.file_id is not None else "file_url"
        raise _cannot(
            f"'{name}' is not available on this server; send the document as 'file_data'.",
            f"{path}.{name}",
        )


def _downgrades(asked: CreateResponse, items: Sequence[Item], able: Capabilities) -> list[str]:
    """Parameters that are accepted because real clients send them, and not fully honoured."""
    reasoning = asked.reasoning
    effort = reasoning is not None and reasoning.effort is not None
    summary = reasoning is not None and (reasoning.summary or reasoning.generate_summary)
    found = [
        ("presence_penalty", bool(asked.presence_penalty) and "presence_penalty" in able.unsent),
        ("frequency_penalty", bool(asked.frequency_penalty) and "frequency_penalty" in able.unsent),
        ("reasoning.effort", effort and "reasoning.effort" in able.unsent),
        ("reasoning.summary", bool(summary)),
        ("reasoning.mode", reasoning is not None and reasoning.mode == "pro"),
        ("reasoning.context", reasoning is not None and reasoning.context == "all_turns"),
        (
            "include:reasoning.encrypted_content",
            "reasoning.encrypted_content" in (asked.include or ()),
        ),
        ("service_tier", asked.service_tier not in (None, "auto", "default")),
        ("access_programs", asked.access_programs is not None),
        (
            "image.context_compression",
            asked.image is not None and asked.image.context_compression == "enabled",
        ),
    ]
    return [name for name, hit in found if hit] + [
        f"input:{kind}" for kind in history.skipped(items)
    ]
