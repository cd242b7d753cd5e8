"""The scripted model does what its name says, every time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import jsonschema
import pytest

from antiphon.backends.base import Turn
from antiphon.backends.scripted import Scripted, about_of
from antiphon.backends.scripts import SCRIPTS
from antiphon.errors import ContextOverflow, RemoteError
from antiphon.stream.deltas import (
    Annotated,
    CallArguments,
    CallStart,
    Declined,
    Delta,
    Finish,
    Spent,
    Text,
    Thought,
)
from antiphon.types.content import InputImage
from antiphon.types.items import FunctionCall, FunctionCallOutput, Item, Message
from antiphon.types.tools import (
    CustomTool,
    FunctionTool,
    JsonSchemaFormat,
    NamedChoice,
    TextFormat,
)

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 5.0
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = FunctionTool(name="get_weather", parameters=CITY)
CLOCK = FunctionTool(name="get_time")
NOTE = CustomTool(name="take_note")
NEVER_END = {"endless", "stall", "silent"}
FAIL = {
    "error": "server_error",
    "error-before": "server_error",
    "error-after": "upstream_broke_off",
    "error-mid-stream": "upstream_broke_off",
    "error-in-call": "upstream_broke_off",
    "timeout": "upstream_timeout",
    "flaky": "upstream_unavailable",
}


def user(text: str) -> Message:
    return Message(role="user", content=text)


def play(name: str, *items: Item, **fields: Any) -> Turn:
    return Turn(model=f"scripted/{name}", items=items or [user("Hello there")], **fields)


async def deltas_of(turn: Turn, backend: Scripted | None = None) -> list[Delta]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        stream = (backend or Scripted()).stream(turn)
        return [delta async for batch in stream for delta in batch]


async def failure_of(turn: Turn, backend: Scripted | None = None) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        await deltas_of(turn, backend)
    return caught.value


def joined(deltas: Sequence[Delta], kind: type[Any] = Text) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, kind))


def calls_of(deltas: Sequence[Delta]) -> list[tuple[str, str, str]]:
    """(kind, name, arguments) of every call."""
    return [
        (
            call.kind,
            call.name,
            "".join(
                d.text for d in deltas if isinstance(d, CallArguments) and d.index == call.index
            ),
        )
        for call in deltas
        if isinstance(call, CallStart)
    ]


@pytest.mark.requirement("chat:scripted:listed")
async def test_every_script_is_listed_with_a_sentence() -> None:
    listed = {model.id: model.about for model in await Scripted().models()}
    assert set(listed) == {f"scripted/{name}" for name in SCRIPTS}
    assert all(about.endswith(".") and len(about) < 100 for about in listed.values())
    assert all(about_of(script) for script in SCRIPTS.values())


@pytest.mark.requirement("chat:scripted:deterministic")
@pytest.mark.parametrize(
    "name", sorted(SCRIPTS.keys() - NEVER_END - FAIL.keys() - {"crash", "slow"})
)
async def test_a_script_says_the_same_every_time_and_ends(name: str) -> None:
    turn = play(name, tools=[WEATHER, NOTE])
    once, again = await deltas_of(turn), await deltas_of(turn)
    assert once == again
    assert isinstance(once[-1], Finish) == (name != "no-finish")


@pytest.mark.requirement("chat:scripted:faults")
@pytest.mark.parametrize(("name", "code"), FAIL.items())
async def test_a_fault_happens_as_named(name: str, code: str) -> None:
    assert (await failure_of(play(name))).code == code


@pytest.mark.requirement("chat:scripted:faults")
@pytest.mark.parametrize(
    ("name", "status", "retryable"),
    [
        ("error-400", 400, False),
        ("error-401", 502, False),
        ("error-404", 404, False),
        ("error-429", 429, True),
        ("error-500", 500, True),
        ("error-503", 503, True),
        ("timeout", 504, True),
    ],
)
async def test_an_error_has_the_status_in_its_name(name: str, status: int, retryable: bool) -> None:
    error = await failure_of(play(name))
    assert (error.status, error.retryable) == (status, retryable)


@pytest.mark.requirement("chat:scripted:faults")
async def test_a_stream_breaks_after_as_many_words_as_asked() -> None:
    for count in range(4):
        words: list[Delta] = []
        with pytest.raises(RemoteError):
            async for batch in Scripted().stream(play(f"error-after-{count}")):
                words += batch
        assert len(words) == count


@pytest.mark.requirement("chat:scripted:faults")
async def test_counted_failures_end_in_success_and_start_again() -> None:
    backend = Scripted()
    for _ in range(2):
        for _ in range(2):
            await failure_of(play("flaky-2"), backend)
        assert joined(await deltas_of(play("flaky-2"), backend)).startswith("Hello")
    assert (await failure_of(play("flaky-2", user("another")), backend)).retryable


@pytest.mark.requirement("chat:scripted:faults")
async def test_a_crash_is_no_error_of_ours() -> None:
    with pytest.raises(ZeroDivisionError):
        await deltas_of(play("crash"))


@pytest.mark.requirement("chat:scripted:faults")
async def test_a_window_has_the_size_in_its_name() -> None:
    assert joined(await deltas_of(play("overflow-100", user("x" * 50)))) == "x" * 50
    error = await failure_of(play("overflow-100", user("x" * 101)))
    assert isinstance(error, ContextOverflow)


@pytest.mark.requirement("chat:scripted:faults")
@pytest.mark.parametrize("name", sorted(NEVER_END - {"silent"}))
async def test_what_never_ends_can_be_closed(name: str) -> None:
    stream = Scripted().stream(play(name))
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]


@pytest.mark.requirement("chat:scripted:faults")
async def test_silence_can_be_cancelled() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await anext(Scripted().stream(play("silent")))


@pytest.mark.requirement("chat:scripted:answers")
async def test_answers_come_word_by_word_and_keep_every_blank() -> None:
    text = " Two  words,\n\nthree\tmore "
    deltas = await deltas_of(play("echo", user("first"), user(text)))
    assert joined(deltas) == text
    assert sum(isinstance(delta, Text) for delta in deltas) == 5


@pytest.mark.requirement("chat:scripted:answers")
async def test_names_take_a_number() -> None:
    assert len(joined(await deltas_of(play("long-7"))).split()) == 7
    burst = [batch async for batch in Scripted().stream(play("burst-7"))]
    assert len(burst) == 1 and len(joined(burst[0]).split()) == 7
    assert joined(await deltas_of(play("slow-1ms"))).endswith("ten")
    error = await failure_of(play("echo-x"))
    assert (error.status, error.code) == (404, "model_not_found")


@pytest.mark.requirement("chat:scripted:answers")
async def test_a_name_is_recalled_over_turns() -> None:
    items: list[Item] = [
        user("Hi, my name is Zoë-Ann."),
        Message(role="assistant", content="Hi"),
        user("?"),
    ]
    assert joined(await deltas_of(play("recall", *items))) == "Your name is Zoë-Ann."
    assert "not know" in joined(await deltas_of(play("recall")))


@pytest.mark.requirement("chat:scripted:answers")
async def test_it_tells_what_it_was_given() -> None:
    assert joined(await deltas_of(play("instructions", instructions="Be kind."))) == "Be kind."
    items: list[Item] = [
        user("a"),
        FunctionCall("c", "f", "{}"),
        FunctionCallOutput("c", "r"),
        user("b"),
    ]
    told = joined(await deltas_of(play("transcript", *items)))
    assert told == "user: a\ncall f: {}\nresult: r\nuser: b"
    settings = json.loads(joined(await deltas_of(play("settings", temperature=0.5))))
    assert settings["temperature"] == 0.5 and settings["parallel_tool_calls"] is True
    seen = Message(role="user", content=[InputImage(image_url="data:,"), InputImage()])
    assert joined(await deltas_of(play("vision", seen))) == "I see 2 image(s)."


@pytest.mark.requirement("chat:scripted:answers")
async def test_every_kind_of_delta_can_be_had() -> None:
    assert joined(await deltas_of(play("reasoning")), Thought)
    assert joined(await deltas_of(play("refusal")), Declined)
    assert any(isinstance(delta, Annotated) for delta in await deltas_of(play("cited")))
    assert await deltas_of(play("empty")) == [Spent(9, 0), Finish("stop")]
    assert not any(isinstance(d, Spent) for d in await deltas_of(play("no-usage")))
    assert (await deltas_of(play("filter")))[-1] == Finish("filter")
    assert (await deltas_of(play("length")))[-1] == Finish("length")


@pytest.mark.requirement("chat:scripted:length")
async def test_the_token_limit_cuts_any_script() -> None:
    deltas = await deltas_of(play("long-100", max_output_tokens=16))
    assert len(joined(deltas).split()) == 16
    assert deltas[-2:] == [deltas[-2], Finish("length")]
    assert isinstance(deltas[-2], Spent) and deltas[-2].output_tokens == 16
    exact = await deltas_of(play("long-16", max_output_tokens=16))
    assert exact[-1] == Finish("stop")


@pytest.mark.requirement("chat:scripted:tools")
async def test_tools_are_called_as_the_name_says() -> None:
    tools = [WEATHER, CLOCK, NOTE]
    weather = ("function", "get_weather", '{"city":"example"}')
    assert calls_of(await deltas_of(play("tool", tools=tools))) == [weather]
    clock = ("function", "get_time", "{}")
    assert calls_of(await deltas_of(play("tools-parallel", tools=tools))) == [weather, clock]
    named = play("tool", tools=tools, tool_choice=NamedChoice("function", "get_time"))
    assert calls_of(await deltas_of(named)) == [clock]
    note = ("custom", "take_note", "Hello there")
    assert calls_of(await deltas_of(play("custom", tools=tools))) == [note]
    twice = await deltas_of(play("tools-interleaved", tools=tools))
    assert calls_of(twice) == [weather, weather]


@pytest.mark.requirement("chat:scripted:tools")
@pytest.mark.parametrize("name", ["tool", "tools-parallel", "text-then-tool", "reasoning-tool"])
async def test_a_result_is_told_instead_of_calling_again(name: str) -> None:
    items: list[Item] = [
        user("?"),
        FunctionCall("c", "get_time", "{}"),
        FunctionCallOutput("c", "noon"),
    ]
    deltas = await deltas_of(play(name, *items, tools=[CLOCK]))
    assert joined(deltas) == "The tool said: noon" and not calls_of(deltas)
    again = await deltas_of(play("endless-tools", *items, tools=[CLOCK]))
    assert len(calls_of(again)) == 1


@pytest.mark.requirement("chat:scripted:tools")
async def test_nothing_is_called_that_is_not_there() -> None:
    assert not calls_of(await deltas_of(play("tool")))
    assert not calls_of(await deltas_of(play("tool", tools=[CLOCK], tool_choice="none")))
    assert not calls_of(await deltas_of(play("ignores-choice", tools=[CLOCK])))
    unknown = await deltas_of(play("unknown-tool", tools=[CLOCK]))
    assert calls_of(unknown) == [("function", "no_such_tool", "{}")]


@pytest.mark.requirement("chat:scripted:bad-output")
async def test_bad_output_turns_good_after_as_many_tries_as_asked() -> None:
    backend = Scripted()
    turn = play("bad-json-2", format=JsonSchemaFormat(name="n", schema=CITY))
    for _ in range(2):
        with pytest.raises(ValueError):
            json.loads(joined(await deltas_of(turn, backend)))
    jsonschema.validate(json.loads(joined(await deltas_of(turn, backend))), CITY)
    turn = play("bad-arguments", tools=[WEATHER])
    assert "no_such_property" in calls_of(await deltas_of(turn, backend))[0][2]
    assert calls_of(await deltas_of(turn, backend))[0][2] == '{"city":"example"}'
    with pytest.raises(ValueError):
        json.loads(joined(await deltas_of(play("never-json"))))


@pytest.mark.requirement("chat:scripted:answers")
async def test_json_without_a_schema_is_an_object() -> None:
    assert json.loads(joined(await deltas_of(play("json", format=TextFormat())))) == {
        "answer": "Hello there"
    }
