"""Chat completions: another way to ask for a response, and another view of its events.

A request becomes the ``CreateResponse`` that means the same, with ``store: false`` (its items
belong to no history); it is resolved, run and gated like any other, and ``chat_view.py`` spells
what happens. What only chat completions can ask, ``stop`` and ``seed``, goes into the turn. What is
refused below names parameters of the Responses API: ``_in_chat_words`` says them as the caller
wrote them. A completion with ``store: true`` is written in the transaction that ends it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from antiphon.errors import ClientError, RemoteError
from antiphon.runs.chat_messages import items_of
from antiphon.runs.chat_stored import answering, keeping
from antiphon.runs.chat_view import View
from antiphon.runs.context import Context
from antiphon.runs.driver import Runs
from antiphon.runs.echo import Flavour
from antiphon.runs.idempotency import Claim
from antiphon.runs.listener import Listener
from antiphon.types.base import UNSET
from antiphon.types.chat import (
    AnyText,
    ChatCustom,
    ChatFunction,
    ChooseAmong,
    ChooseCustom,
    ChooseFunction,
    CreateChatCompletion,
    FunctionDefinition,
    JsonFormat,
    SchemaFormat,
)
from antiphon.types.completion import ChatCompletion
from antiphon.types.request import CreateResponse, ReasoningOptions, TextOptions
from antiphon.types.tools import Format, JsonObjectFormat, JsonSchemaFormat

_OF_ITEM = re.compile(r"input\[(\d+)\](.*)", re.DOTALL)
_OF_TOOL = re.compile(r"tools\[(\d+)\](.*)", re.DOTALL)
_NAMES = {
    "input": "messages",
    "include": "logprobs",
    "reasoning.effort": "reasoning_effort",
    "text.format": "response_format",
    "text.format.schema": "response_format.json_schema.schema",
    "text.verbosity": "verbosity",
    "max_output_tokens": "max_completion_tokens",
}
"""A parameter of the Responses API → of this one."""

_E = TypeVar("_E", bound=Exception)


class Asked(Struct):
    """A request in both forms; ``paths`` says where the items of ``create`` came from."""

    chat: CreateChatCompletion
    create: CreateResponse
    paths: list[str]
    downgrades: list[str]


class Chat:
    """One completion being made: its listener, and how to see it.

    ``view`` spells the events; ``downgrades`` are in this API's words.
    """

    def __init__(self, asked: Asked, listener: Listener, view: View) -> None:
        self._asked = asked
        self.listener = listener
        self.view = view

    @property
    def downgrades(self) -> Sequence[str]:
        found = [_NAMES.get(name, name) for name in self.listener.downgrades]
        return [*self._asked.downgrades, *found]

    async def finish(self) -> ChatCompletion:
        """Wait for the whole. Raises ``RemoteError`` if the model failed on the way."""
        response = await self.listener.finish()
        if response.error is not None:
            raise self.view.failure(response.error)
        return self.view.completion(response)


async def create(
    runs: Runs,
    chat: CreateChatCompletion,
    *,
    project: str,
    flavour: Flavour = "openai",
    claim: Claim | None = None,
) -> Chat:
    """Begin a completion and wait until it has begun. Raises ``ClientError`` or ``RemoteError``
    if there will be none. ``claim``: the idempotency key it is made for."""
    unkept = chat.store is True and runs.retention.zero(project)
    if unkept:
        chat = msgspec.structs.replace(chat, store=False)
    try:
        asked = as_create(chat)
        if unkept:
            asked.downgrades.append("store")
        context, view = await _resolved(runs, asked, project, flavour)
    except BaseException as failure:
        gone = None if claim is None else claim.give_up()
        if gone is not None and isinstance(failure, ClientError | RemoteError):
            await gone  # who is refused may come again at once
        raise
    if claim is not None:
        context.also = [*context.also, partial(answering, claim, view, chat)]
        context.abandoned = [*context.abandoned, claim.give_up]
        context.outlives = True
    listener = Listener()
    try:
        listener.hear(runs.start(context, listener))
        await listener.begun()
    except (ClientError, RemoteError) as refused:
        raise _in_chat_words(refused, asked) from None
    made = Chat(asked, listener, view)
    if chat.seed is not None and "seed" in context.able.unsent:
        asked.downgrades.append("seed")
    return made


async def _resolved(
    runs: Runs, asked: Asked, project: str, flavour: Flavour
) -> tuple[Context, View]:
    """The context, with what only this API can ask for, and how it will be seen."""
    chat = asked.chat
    if chat.store:
        await runs.completions.ready(project)
    try:
        context = await runs.resolve(asked.create, project, flavour)
    except (ClientError, RemoteError) as refused:
        raise _in_chat_words(refused, asked) from None
    view = _view(chat, context)
    if chat.store:
        keep = partial(keeping, runs.completions, view, chat, runs.retention.of(project))
        context.also = [*context.also, keep]
    stop = (chat.stop,) if isinstance(chat.stop, str) else tuple(chat.stop or ())
    if stop or chat.seed is not None:
        context.turn = msgspec.structs.replace(context.turn, stop=stop, seed=chat.seed)
    return context, view


def _view(chat: CreateChatCompletion, context: Context) -> View:
    options = chat.stream_options
    response = context.response
    return View(
        id=f"chatcmpl-{response.id.partition('_')[2]}",
        created=response.created_at,
        model=response.model,
        legacy=chat.functions is not None,
        logprobs=chat.logprobs is True,
        usage=options is not None and options.include_usage is True,
        service_tier=response.service_tier,
        metadata=chat.metadata or ({} if chat.store else UNSET),
        served=context.served,
    )


# The request ------------------------------------------------------------------------------


def as_create(chat: CreateChatCompletion) -> Asked:
    """The request that means the same. Raises ``ClientError`` for what this server cannot do."""
    _check(chat)
    told = items_of(chat.messages)
    downgrades = told.downgrades
    if chat.prediction is not None:
        downgrades.append("prediction")
    create = CreateResponse(
        model=chat.model,
        input=told.items,
        store=False,
        stream=chat.stream,
        include=["message.output_text.logprobs"] if chat.logprobs else None,
        tools=_tools(chat),
        tool_choice=_choice(chat),
        parallel_tool_calls=False if chat.functions is not None else chat.parallel_tool_calls,
        max_output_tokens=chat.max_completion_tokens or chat.max_tokens,
        temperature=chat.temperature,
        top_p=chat.top_p,
        top_logprobs=chat.top_logprobs,
        presence_penalty=chat.presence_penalty,
        frequency_penalty=chat.frequency_penalty,
        text=_text(chat),
        reasoning=ReasoningOptions(effort=chat.reasoning_effort) if chat.reasoning_effort else None,
        prompt_cache_key=chat.prompt_cache_key,
        prompt_cache_options=chat.prompt_cache_options,
        prompt_cache_retention=chat.prompt_cache_retention,
        safety_identifier=chat.safety_identifier,
        user=chat.user,
        service_tier=chat.service_tier,
        moderation=chat.moderation,
    )
    return Asked(chat, create, told.paths, downgrades)


def _check(chat: CreateChatCompletion) -> None:
    """What this server does not do, and what contradicts itself: a precise 400 each."""
    audio = chat.audio is not None or "audio" in (chat.modalities or ())
    for wrong, param, why, code in (
        ((chat.n or 1) > 1, "n", "only one answer is made; ask again for another", _VALUE),
        (audio, "modalities", "this server writes text only", _VALUE),
        (bool(chat.logit_bias), "logit_bias", "use 'stop' or a 'response_format'", _PARAMETER),
        (
            chat.web_search_options is not None,
            "web_search_options",
            "offer a search as a function of your own",
            _PARAMETER,
        ),
        (
            chat.top_logprobs is not None and not chat.logprobs,
            "top_logprobs",
            "it needs 'logprobs': true",
            "invalid_value",
        ),
        (
            chat.stream_options is not None and not chat.stream,
            "stream_options",
            "it needs 'stream': true",
            "invalid_value",
        ),
        (
            chat.max_tokens is not None
            and chat.max_completion_tokens not in (None, chat.max_tokens),
            "max_tokens",
            "'max_completion_tokens' says something else; send one of them",
            "mutually_exclusive_parameters",
        ),
        (
            chat.functions is not None and (chat.tools is not None or chat.tool_choice is not None),
            "functions",
            "'tools' replaces it; send one of them",
            "mutually_exclusive_parameters",
        ),
        (
            chat.function_call is not None and chat.functions is None,
            "function_call",
            "it needs 'functions'; for 'tools' it is 'tool_choice'",
            "invalid_value",
        ),
    ):
        if wrong:
            kind = "Unsupported" if code in (_VALUE, _PARAMETER) else "Invalid"
            raise ClientError(f"{kind} '{param}': {why}.", code=code, param=param)


_VALUE = "unsupported_value"
_PARAMETER = "unsupported_parameter"


def _tools(chat: CreateChatCompletion) -> list[dict[str, Any]] | None:
    if chat.functions is not None:
        return [_function(function) for function in chat.functions]
    if chat.tools is None:
        return None
    return [
        _function(tool.function) if isinstance(tool, ChatFunction) else _custom(tool)
        for tool in chat.tools
    ]


def _function(function: FunctionDefinition) -> dict[str, Any]:
    return {
        "type": "function",
        "name": function.name,
        "description": function.description,
        "parameters": function.parameters,
        "strict": function.strict is True,
    }


def _custom(tool: ChatCustom) -> dict[str, Any]:
    custom = tool.custom
    format: dict[str, Any] | None = None
    if isinstance(custom.format, AnyText):
        format = {"type": "text"}
    elif custom.format is not None:
        grammar = custom.format.grammar
        format = {"type": "grammar", "syntax": grammar.syntax, "definition": grammar.definition}
    return {
        "type": "custom",
        "name": custom.name,
        "description": custom.description,
        "format": format,
    }


def _choice(chat: CreateChatCompletion) -> str | dict[str, Any] | None:
    choice = chat.tool_choice
    if chat.function_call is not None:
        legacy = chat.function_call
        return legacy if isinstance(legacy, str) else {"type": "function", "name": legacy.name}
    if isinstance(choice, ChooseAmong):
        allowed = choice.allowed_tools
        tools = [_named(tool) for tool in allowed.tools]
        return {"type": "allowed_tools", "mode": allowed.mode, "tools": tools}
    if isinstance(choice, ChooseFunction | ChooseCustom):
        return _named(choice)
    return choice


def _named(choice: ChooseFunction | ChooseCustom) -> dict[str, str]:
    if isinstance(choice, ChooseFunction):
        return {"type": "function", "name": choice.function.name}
    return {"type": "custom", "name": choice.custom.name}


def _text(chat: CreateChatCompletion) -> TextOptions | None:
    asked = chat.response_format
    format: Format | None = None
    if isinstance(asked, SchemaFormat):
        source = asked.json_schema
        format = JsonSchemaFormat(
            source.name, source.schema or {}, source.description, source.strict is True
        )
    elif isinstance(asked, JsonFormat):
        format = JsonObjectFormat()
    if format is None and chat.verbosity is None:
        return None
    return TextOptions(format=format, verbosity=chat.verbosity)


# Errors -----------------------------------------------------------------------------------


def _in_chat_words(error: _E, asked: Asked) -> _E:
    """The same error about the parameter the caller sent."""
    param = getattr(error, "param", None)
    if isinstance(error, ClientError | RemoteError) and param:
        name = _name(param, asked)
        error.message = error.message.replace(f"'{param}", f"'{name}")
        error.args = (error.message,)
        error.param = name
    return error


def _name(param: str, asked: Asked) -> str:
    chat = asked.chat
    if found := _OF_ITEM.fullmatch(param):
        index, rest = int(found[1]), found[2]
        path = asked.paths[index] if index < len(asked.paths) else "messages"
        for inside, named in ((".image_url", ".image_url.url"), (".file_data", ".file.file_data")):
            if rest.endswith(inside):
                rest = rest.removesuffix(inside) + named
        return path + rest
    if found := _OF_TOOL.fullmatch(param):
        index, rest = int(found[1]), found[2]
        if chat.functions is not None:
            return f"functions[{index}]{rest}"
        tools = chat.tools or ()
        kind = "custom" if isinstance(tools[index], ChatCustom) else "function"
        return f"tools[{index}].{kind}{rest}"
    if param == "max_output_tokens" and chat.max_tokens is not None:
        return "max_tokens"
    if param.startswith("tool_choice") and chat.functions is not None:
        return "function_call"
    return _NAMES.get(param, param)
