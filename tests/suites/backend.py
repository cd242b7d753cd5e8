"""What every backend must do, whatever is behind it.

A backend's test module defines the fixture ``subject`` (an opened backend and the names of its
models) and imports everything here:

    from tests.suites.backend import *

A name that is None skips the tests that need such a model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from antiphon.backends.base import Backend, Turn
from antiphon.errors import RemoteError
from antiphon.stream.deltas import (
    CallArguments,
    CallStart,
    Declined,
    Delta,
    Finish,
    Spent,
    Text,
    Thought,
)
from antiphon.types.content import InputText, OutputText, ReasoningText
from antiphon.types.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Opaque,
    Reasoning,
)
from antiphon.types.tools import CustomTool, FunctionTool, JsonSchemaFormat, NamedChoice

PATIENCE_SECONDS = 5.0
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = FunctionTool(name="get_weather", description="Tells the weather.", parameters=CITY)
CLOCK = FunctionTool(name="get_time", description="Tells the time.", parameters=CITY)
NOTE = CustomTool(name="take_note", description="Writes the text down.")


class Subject(Struct, kw_only=True):
    """An opened backend. ``text``: a model that answers in words; ``tool``: one that calls the
    tool it is offered, then tells its result; ``custom``: one that calls a freeform tool;
    ``structured``: one that keeps to a schema; ``reasoning``: one that thinks; ``missing``: a
    name it refuses with 404; ``patience_seconds``: how long one turn may take."""

    backend: Backend
    text: str
    tool: str | None = None
    custom: str | None = None
    structured: str | None = None
    reasoning: str | None = None
    missing: str | None = None
    patience_seconds: float = PATIENCE_SECONDS


def model_of(name: str | None) -> str:
    """The model, or a skipped test."""
    if name is None:
        pytest.skip("this backend has no such model")
    return name


def asked(text: str, **fields: Any) -> Turn:
    """A turn with one user message; ``fields`` as in ``Turn``."""
    return Turn(items=[Message(role="user", content=text)], temperature=0, **fields)


async def batches(subject: Subject, turn: Turn) -> list[Sequence[Delta]]:
    async with asyncio.timeout(subject.patience_seconds):
        return [batch async for batch in subject.backend.stream(turn)]


async def deltas_of(subject: Subject, turn: Turn) -> list[Delta]:
    """All deltas of a turn, after checking what holds for every turn."""
    deltas = [delta for batch in await batches(subject, turn) for delta in batch]
    started: set[int] = set()
    for delta in deltas:
        if isinstance(delta, CallStart):
            assert delta.index not in started, "a call begins once"
            assert delta.name, "a call has its whole name"
            started.add(delta.index)
        if isinstance(delta, CallArguments):
            assert delta.index in started, "arguments follow the beginning of their call"
        if isinstance(delta, Text | Thought | Declined | CallArguments):
            assert delta.text, "a piece says something"
            delta.text.encode("utf-8")
    assert sum(isinstance(delta, Finish) for delta in deltas) == 1
    assert isinstance(deltas[-1], Finish), "Finish comes last"
    return deltas


def text_of(deltas: Sequence[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, Text))


def arguments_of(deltas: Sequence[Delta], index: int) -> str:
    return "".join(d.text for d in deltas if isinstance(d, CallArguments) and d.index == index)


@pytest.mark.requirement("chat:suite:contract")
@pytest.mark.parametrize("live", [True, False])
async def test_an_answer_has_text_usage_and_one_end(subject: Subject, live: bool) -> None:
    deltas = await deltas_of(subject, asked("Hello there", model=subject.text, live=live))
    assert text_of(deltas).strip()
    assert deltas[-1] == Finish("stop")
    spent = [delta for delta in deltas if isinstance(delta, Spent)][-1]
    assert spent.input_tokens > 0 and spent.output_tokens > 0
    assert spent.cached_tokens <= spent.input_tokens
    assert spent.reasoning_tokens <= spent.output_tokens


@pytest.mark.requirement("chat:suite:live-or-not")
async def test_it_says_the_same_live_or_not(subject: Subject) -> None:
    live = await deltas_of(subject, asked("Hello there", model=subject.text))
    whole = await deltas_of(subject, asked("Hello there", model=subject.text, live=False))
    assert text_of(live) == text_of(whole)
    assert live[-1] == whole[-1]


@pytest.mark.requirement("chat:suite:contract")
async def test_turns_at_the_same_time_do_not_mix(subject: Subject) -> None:
    turns = [asked(f"Hello {n}", model=subject.text) for n in range(8)]
    alone = [text_of(await deltas_of(subject, turn)) for turn in turns]
    together = await asyncio.gather(*(deltas_of(subject, turn) for turn in turns))
    assert [text_of(deltas) for deltas in together] == alone


@pytest.mark.requirement("chat:suite:calls")
@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("choice", ["required", NamedChoice(type="function", name="get_weather")])
async def test_a_function_is_called_with_json_arguments(
    subject: Subject, live: bool, choice: Any
) -> None:
    turn = asked(
        "What is the weather in Paris?",
        model=model_of(subject.tool),
        tools=[WEATHER],
        tool_choice=choice,
        parallel_tool_calls=False,
        live=live,
    )
    deltas = await deltas_of(subject, turn)
    call = next(delta for delta in deltas if isinstance(delta, CallStart))
    assert (call.kind, call.name) == ("function", "get_weather")
    assert "city" in msgspec.json.decode(arguments_of(deltas, call.index), type=dict[str, Any])
    assert deltas[-1] == Finish("calls")


@pytest.mark.requirement("chat:suite:calls")
async def test_a_result_is_told(subject: Subject) -> None:
    model = model_of(subject.tool)
    items: list[Item] = [
        Message(role="user", content="What is the weather in Paris?"),
        FunctionCall(call_id="call_1", name="get_weather", arguments='{"city":"Paris"}'),
        FunctionCallOutput(call_id="call_1", output="18 degrees"),
    ]
    turn = Turn(model=model, items=items, tools=[WEATHER], temperature=0)
    deltas = await deltas_of(subject, turn)
    assert "18" in text_of(deltas)
    assert deltas[-1] == Finish("stop")


@pytest.mark.requirement("chat:suite:calls")
async def test_a_call_that_is_forbidden_is_not_made(subject: Subject) -> None:
    model = model_of(subject.tool)
    turn = asked("What is the weather?", model=model, tools=[WEATHER], tool_choice="none")
    deltas = await deltas_of(subject, turn)
    assert not any(isinstance(delta, CallStart) for delta in deltas)


@pytest.mark.requirement("chat:suite:custom")
@pytest.mark.parametrize("live", [True, False])
async def test_a_freeform_tool_gets_raw_text(subject: Subject, live: bool) -> None:
    turn = asked(
        "Take a note: buy milk",
        model=model_of(subject.custom),
        tools=[NOTE],
        tool_choice=NamedChoice(type="custom", name="take_note"),
        live=live,
    )
    deltas = await deltas_of(subject, turn)
    call = next(delta for delta in deltas if isinstance(delta, CallStart))
    assert (call.kind, call.name) == ("custom", "take_note")
    written = arguments_of(deltas, call.index)
    assert written and not written.lstrip().startswith('{"input"')


@pytest.mark.requirement("chat:suite:schema")
@pytest.mark.parametrize("live", [True, False])
async def test_an_answer_keeps_to_a_schema(subject: Subject, live: bool) -> None:
    turn = asked(
        "Answer as JSON: the capital of France.",
        model=model_of(subject.structured),
        format=JsonSchemaFormat(name="answer", schema=CITY, strict=True),
        live=live,
    )
    deltas = await deltas_of(subject, turn)
    answer = msgspec.json.decode(text_of(deltas), type=dict[str, Any])
    assert list(answer) == ["city"] and isinstance(answer["city"], str)


@pytest.mark.requirement("chat:suite:reasoning")
@pytest.mark.parametrize("live", [True, False])
async def test_reasoning_is_told_apart_from_text(subject: Subject, live: bool) -> None:
    turn = asked("Hello there", model=model_of(subject.reasoning), live=live)
    deltas = await deltas_of(subject, turn)
    thoughts = [at for at, delta in enumerate(deltas) if isinstance(delta, Thought)]
    texts = [at for at, delta in enumerate(deltas) if isinstance(delta, Text)]
    assert thoughts and texts and max(thoughts) < min(texts)
    assert "<think>" not in text_of(deltas)


@pytest.mark.requirement("chat:suite:logprobs")
@pytest.mark.parametrize("live", [True, False])
async def test_logprobs_cover_the_text(subject: Subject, live: bool) -> None:
    if not subject.backend.capabilities(subject.text).logprobs:
        pytest.skip("this backend returns none")
    turn = asked("Hello there", model=subject.text, logprobs=True, top_logprobs=1, live=live)
    deltas = await deltas_of(subject, turn)
    tokens = [t for d in deltas if isinstance(d, Text) for t in d.logprobs or ()]
    assert b"".join(bytes(token.bytes) for token in tokens).decode() == text_of(deltas)
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 1 for token in tokens)


@pytest.mark.requirement("chat:suite:contract")
async def test_a_conversation_of_every_kind_of_item_is_understood(subject: Subject) -> None:
    items: list[Item] = [
        Message(role="developer", content="Be brief."),
        Message(role="user", content=[InputText(text="One"), InputText(text="Two")]),
        Reasoning(summary=None, content=[ReasoningText(text="Let me see.")], id="rs_1"),
        Message(role="assistant", content=[OutputText(text="I look.")], id="msg_1"),
        FunctionCall(call_id="a", name="get_weather", arguments='{"city":"Paris"}', id="fc_1"),
        CustomToolCall(call_id="b", name="take_note", input='milk "2"\n', id="ctc_1"),
        CustomToolCallOutput(call_id="b", output="noted"),
        FunctionCallOutput(call_id="a", output=[InputText(text="18 degrees")]),
        Opaque("web_search_call", {"type": "web_search_call", "id": "ws_1"}),
        Message(role="assistant", content="It is 18 degrees."),
        Message(role="user", content="Thank you"),
    ]
    turn = Turn(
        model=subject.text,
        items=items,
        instructions="Answer in English.",
        tools=[WEATHER, NOTE],
        temperature=0,
    )
    deltas = await deltas_of(subject, turn)
    assert isinstance(deltas[-1], Finish)


@pytest.mark.requirement("chat:suite:closing")
async def test_closing_early_leaves_the_backend_usable(subject: Subject) -> None:
    for _ in range(3):
        stream = subject.backend.stream(asked("Hello there", model=subject.text))
        async with asyncio.timeout(subject.patience_seconds):
            await anext(stream)
            await stream.aclose()  # type: ignore[attr-defined]
    deltas = await deltas_of(subject, asked("Hello there", model=subject.text))
    assert text_of(deltas).strip()


@pytest.mark.requirement("chat:suite:models")
async def test_its_models_are_listed_and_described(subject: Subject) -> None:
    listed = await subject.backend.models()
    assert subject.text in {model.id for model in listed}
    capabilities = subject.backend.capabilities(subject.text)
    assert capabilities.context_tokens is None or capabilities.context_tokens > 0


@pytest.mark.requirement("chat:suite:count")
async def test_a_count_is_what_the_turn_costs(subject: Subject) -> None:
    turn = asked("Hello there", model=subject.text)
    counted = await subject.backend.count(turn)
    if counted is None:
        pytest.skip("this backend cannot count")
    spent = [delta for delta in await deltas_of(subject, turn) if isinstance(delta, Spent)][-1]
    assert counted == spent.input_tokens


@pytest.mark.requirement("chat:suite:missing")
async def test_a_model_that_does_not_exist_is_404(subject: Subject) -> None:
    with pytest.raises(RemoteError) as caught:
        await batches(subject, asked("Hello", model=model_of(subject.missing)))
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")
    assert not caught.value.retryable
