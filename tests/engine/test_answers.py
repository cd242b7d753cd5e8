"""What the engine promises about an answer, with the real model."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from antiphon.backends.demo import OUTPUT_TOKENS_MAX
from antiphon.backends.fast_http import FastHttp
from antiphon.backends.llamacpp import LlamaCpp
from antiphon.errors import ContextOverflow, RemoteError
from antiphon.stream.deltas import Text
from antiphon.types.items import FunctionCall, FunctionCallOutput, Message
from antiphon.types.tools import (
    CustomTool,
    FunctionTool,
    GrammarInput,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedChoice,
)
from tests.engine.turns import MAIL, PATIENCE, PERSON, WEATHER, asking, say

pytestmark = pytest.mark.anyio

WILD = 1.5  # a temperature at which the model says anything that is not forbidden

SUM = CustomTool(
    name="calculator",
    format=GrammarInput(
        syntax="lark", definition='start: NUMBER " + " NUMBER\nNUMBER: /[0-9]{1,3}/'
    ),
)
CODE = CustomTool(name="lookup", format=GrammarInput(syntax="regex", definition=r"[A-C]{2}/\d{3}"))
NOTE = CustomTool(name="note", description="Write a note")


async def test_the_demo_model_answers_and_counts_its_tokens(engine: LlamaCpp) -> None:
    said = await say(engine, asking("Hello"))
    assert said.text and said.reason == "stop" and not said.calls
    assert said.spent is not None and said.spent.input_tokens > 0 < said.spent.output_tokens
    plain = await say(engine, asking("Hello", live=False))
    assert (plain.text, plain.reason) == (said.text, said.reason)


@pytest.mark.requirement("engine:sampling:default")
async def test_the_demo_model_does_not_improvise_unless_asked(engine: LlamaCpp) -> None:
    answers = {(await say(engine, asking("Tell me a story"))).text for _ in range(3)}
    assert len(answers) == 1
    body = engine.shape({"temperature": 0.7}, asking("Hi", temperature=0.7))
    assert body["temperature"] == 0.7
    assert body["max_tokens"] == OUTPUT_TOKENS_MAX
    assert engine.shape({"max_tokens": 20}, asking("Hi"))["max_tokens"] == 20


@pytest.mark.requirement("engine:finish:length")
async def test_an_answer_cut_by_the_token_limit_says_so(engine: LlamaCpp) -> None:
    said = await say(engine, asking("Hello", max_output_tokens=2))
    assert said.reason == "length"
    assert said.spent is not None and said.spent.output_tokens == 2


SCHEMAS: dict[str, dict[str, Any]] = {
    "flat": PERSON,
    "recursive": {
        "type": "object",
        "properties": {
            "value": {"type": "integer", "minimum": 0, "maximum": 9},
            "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        },
        "required": ["value", "next"],
        "additionalProperties": False,
    },
    "patterned": {
        "type": "object",
        "properties": {
            "code": {"type": "string", "pattern": "[A-Z]{2}-[0-9]{3}", "maxLength": 12},
            "kind": {"enum": ["one", "two"]},
            "tags": {
                "type": "array",
                "items": {"type": "string", "maxLength": 6},
                "minItems": 1,
                "maxItems": 2,
            },
        },
        "required": ["code", "kind", "tags"],
        "additionalProperties": False,
    },
}


@pytest.mark.requirement("engine:schema:enforced")
@pytest.mark.parametrize("name", SCHEMAS)
async def test_a_schema_is_kept_whatever_the_model_would_like_to_say(
    engine: LlamaCpp, name: str
) -> None:
    form = JsonSchemaFormat(name="x", schema=SCHEMAS[name], strict=True)
    turns = [
        asking(text, format=form, temperature=WILD, max_output_tokens=600)
        for text in ("Jane is 54 years old.", "Hello", "no json please", "{", "[[[[", "42")
    ]
    whole = [said for said in [await say(engine, turn) for turn in turns] if said.reason == "stop"]
    assert len(whole) >= 3
    for said in whole:
        Draft202012Validator(SCHEMAS[name]).validate(json.loads(said.text))


async def test_json_mode_gives_one_object(engine: LlamaCpp) -> None:
    said = await say(engine, asking("Hello", format=JsonObjectFormat(), temperature=0))
    assert said.reason == "length" or isinstance(json.loads(said.text), dict)


@pytest.mark.requirement("engine:schema:refused")
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
        {"type": "object", "properties": {"a": {"not": {"type": "string"}}}},
        {"type": "string", "pattern": "(?<=a)b"},
    ],
)
async def test_a_schema_that_cannot_be_enforced_is_refused_not_ignored(
    engine: LlamaCpp, schema: dict[str, Any]
) -> None:
    form = JsonSchemaFormat(name="x", schema=schema, strict=True)
    with pytest.raises(RemoteError) as caught:
        await say(engine, asking("Hello", format=form))
    error = caught.value
    assert (error.status, error.code) == (400, "invalid_json_schema")
    assert error.param == "text.format.schema" and not error.retryable
    with pytest.raises(RemoteError) as caught:
        tool = FunctionTool(name="f", parameters={"properties": {"p": schema}}, strict=True)
        await say(engine, asking("Hello", tools=[WEATHER, tool]))
    assert (caught.value.status, caught.value.param) == (400, "tools[1].parameters")


async def test_a_loose_function_with_such_a_schema_is_still_callable(engine: LlamaCpp) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?<=a)b"}}}
    tool = FunctionTool(name="f", parameters=schema, strict=False)
    said = await say(engine, asking("Call f", tools=[tool], tool_choice="required"))
    assert said.calls and said.calls[0][0] == "f"


@pytest.mark.requirement("engine:tools:auto")
async def test_the_model_calls_a_tool_when_it_fits_and_talks_when_it_does_not(
    engine: LlamaCpp,
) -> None:
    said = await say(engine, asking("What is the weather in Paris?", tools=[WEATHER]))
    assert said.reason == "calls" and said.text == ""
    [(name, arguments)] = said.calls
    assert name == "get_weather" and "Paris" in json.loads(arguments)["city"]
    said = await say(engine, asking("Hello", tools=[WEATHER]))
    assert said.reason == "stop" and said.text and not said.calls


@pytest.mark.requirement("engine:tools:named")
@pytest.mark.parametrize("live", [True, False])
async def test_a_named_tool_is_called_even_if_another_one_fits(
    engine: LlamaCpp, live: bool
) -> None:
    choice = NamedChoice(type="function", name="send_email")
    said = await say(
        engine,
        asking(
            "What is the weather in Paris?", tools=[WEATHER, MAIL], tool_choice=choice, live=live
        ),
    )
    assert [name for name, _ in said.calls] == ["send_email"] and said.text == ""
    Draft202012Validator(MAIL.parameters).validate(json.loads(said.calls[0][1]))


@pytest.mark.requirement("engine:tools:required")
async def test_a_required_call_comes_without_a_word_before_it(engine: LlamaCpp) -> None:
    for temperature in (0, WILD, WILD):
        said = await say(
            engine,
            asking("Hello", tools=[WEATHER, MAIL], tool_choice="required", temperature=temperature),
        )
        assert said.text == "" and said.calls
        assert {name for name, _ in said.calls} <= {"get_weather", "send_email"}


@pytest.mark.requirement("engine:tools:strict")
async def test_arguments_of_strict_functions_are_valid_in_every_choice(engine: LlamaCpp) -> None:
    tools = {"get_weather": WEATHER, "send_email": MAIL}
    checked = 0
    for choice in ("auto", "required", "required"):
        turn = asking(
            "Send an email to zoe@apple.com",
            tools=list(tools.values()),
            tool_choice=choice,
            temperature=1.0,
        )
        said = await say(engine, turn)
        for name, arguments in said.calls if said.reason == "calls" else []:
            Draft202012Validator(tools[name].parameters).validate(json.loads(arguments))
            checked += 1
    assert checked


@pytest.mark.requirement("engine:tools:parallel")
async def test_only_one_call_is_made_when_parallel_calls_are_off(engine: LlamaCpp) -> None:
    for _ in range(3):
        said = await say(
            engine,
            asking(
                "What is the weather in Paris and in Rome?",
                tools=[WEATHER],
                tool_choice="required",
                parallel_tool_calls=False,
                temperature=1.0,
            ),
        )
        assert len(said.calls) == 1


async def test_tools_that_must_not_be_called_are_not(engine: LlamaCpp) -> None:
    turn = asking("What is the weather in Paris?", tools=[WEATHER], tool_choice="none")
    said = await say(engine, turn)
    assert said.reason == "stop" and not said.calls and "<tool_call>" not in said.text


@pytest.mark.requirement("engine:tools:without_tools")
async def test_without_tools_the_model_cannot_write_a_call(engine: LlamaCpp) -> None:
    body = engine.shape({"messages": []}, asking("Hello"))
    [[token, allowed]] = body["logit_bias"]
    assert isinstance(token, int) and allowed is False
    for _ in range(3):
        said = await say(engine, asking("What is the weather in Paris?", temperature=WILD))
        assert "<tool_call>" not in said.text and not said.calls


@pytest.mark.requirement("engine:tools:with_schema")
async def test_tools_and_a_schema_in_one_turn_both_hold(engine: LlamaCpp) -> None:
    form = JsonSchemaFormat(name="x", schema=PERSON, strict=True)
    for text in ("What is the weather in Paris?", "Jane is 54 years old.", "Hello"):
        said = await say(engine, asking(text, tools=[WEATHER], format=form, temperature=0))
        if said.calls:
            assert said.text == "" and said.reason == "calls"
        else:
            Draft202012Validator(PERSON).validate(json.loads(said.text))
    called = await say(
        engine, asking("What is the weather in Paris?", tools=[WEATHER], format=form)
    )
    assert [name for name, _ in called.calls] == ["get_weather"]


@pytest.mark.requirement("engine:custom:grammar")
@pytest.mark.parametrize("tool", [SUM, CODE])
@pytest.mark.parametrize("choice", ["named", "required"])
async def test_a_custom_tools_grammar_is_kept(
    engine: LlamaCpp, tool: CustomTool, choice: str
) -> None:
    turn = asking(
        "12 + 7",
        tools=[tool],
        tool_choice=NamedChoice(type="custom", name=tool.name) if choice == "named" else "required",
        parallel_tool_calls=False,
        temperature=1.0,
    )
    said = await say(engine, turn)
    [(name, text)] = said.calls
    pattern = r"[0-9]{1,3} \+ [0-9]{1,3}" if tool is SUM else r"[A-C]{2}/\d{3}"
    assert name == tool.name and re.fullmatch(pattern, text)


async def test_a_custom_tool_without_a_grammar_gets_plain_text(engine: LlamaCpp) -> None:
    turn = asking("Hello", tools=[NOTE], tool_choice="required", parallel_tool_calls=False)
    said = await say(engine, turn)
    [(name, text)] = said.calls
    assert name == "note" and not text.startswith("{")


@pytest.mark.requirement("engine:custom:bad_grammar")
async def test_a_grammar_that_does_not_compile_is_refused_not_ignored(engine: LlamaCpp) -> None:
    bad = CustomTool(name="x", format=GrammarInput(syntax="lark", definition="start: foo bar("))
    with pytest.raises(RemoteError) as caught:
        await say(engine, asking("Hello", tools=[bad]))
    error = caught.value
    assert (error.status, error.code) == (400, "invalid_grammar")
    assert error.param == "tools[0].format.definition"


async def test_the_answer_to_a_tools_result_uses_it(engine: LlamaCpp) -> None:
    items = [
        Message(role="user", content="What is the weather in Zurich?"),
        FunctionCall(call_id="call_1", name="get_weather", arguments='{"city": "Zurich"}'),
        FunctionCallOutput(call_id="call_1", output='{"temperature": 21}'),
    ]
    turn = msgspec.structs.replace(asking("", tools=[WEATHER]), items=items)
    said = await say(engine, turn)
    assert "21" in said.text and not said.calls


@pytest.mark.requirement("engine:logprobs:real")
async def test_log_probabilities_come_with_the_text(engine: LlamaCpp) -> None:
    said = await say(engine, asking("Hello", logprobs=True, top_logprobs=2))
    tokens = [t for d in said.deltas if isinstance(d, Text) for t in d.logprobs or []]
    assert "".join(t.token for t in tokens).startswith(said.text[:5])
    assert all(t.logprob <= 0 and len(t.top_logprobs) <= 2 for t in tokens)


@pytest.mark.requirement("engine:count:exact")
async def test_counting_a_turn_gives_what_it_costs(engine: LlamaCpp) -> None:
    form = JsonSchemaFormat(name="x", schema=PERSON)
    for turn in (
        asking("Hello"),
        asking("Hello", instructions="Be brief.", tools=[WEATHER, SUM]),
        asking("Jane is 54.", format=form),
    ):
        said = await say(engine, turn)
        assert said.spent is not None
        assert await engine.count(turn) == said.spent.input_tokens


@pytest.mark.requirement("engine:context:overflow")
async def test_an_input_beyond_the_window_is_a_context_overflow(engine: LlamaCpp) -> None:
    with pytest.raises(ContextOverflow) as caught:
        await say(engine, asking("hello " * 9000))
    assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")
    assert engine.capabilities("demo-antiphon").context_tokens == 4096


@pytest.mark.requirement("engine:context:own_window")
async def test_answers_side_by_side_do_not_take_each_others_window(engine: LlamaCpp) -> None:
    async def longest(number: int) -> str:
        text = f"word{number} " * 150
        return (await say(engine, asking(text, max_output_tokens=3500, temperature=WILD))).reason

    reasons = await asyncio.gather(*(longest(number) for number in range(4)))
    assert set(reasons) <= {"stop", "length"}


async def test_the_next_turn_reuses_what_was_read_before(engine: LlamaCpp) -> None:
    items = [Message(role="user", content="My name is Bo. " + "I like long texts. " * 40)]
    first = msgspec.structs.replace(asking(""), items=items)
    said = await say(engine, first)
    items = [
        *items,
        Message(role="assistant", content=said.text),
        Message(role="user", content="What is my name?"),
    ]
    again = await say(engine, msgspec.structs.replace(first, items=items))
    assert again.spent is not None and said.spent is not None
    assert again.spent.cached_tokens >= said.spent.input_tokens - 8


async def test_instructions_and_many_roles_are_understood_by_the_template(
    engine: LlamaCpp,
) -> None:
    items = [
        Message(role="developer", content="Always answer politely."),
        Message(role="user", content="My name is Zoe."),
        Message(role="assistant", content="Nice to meet you, Zoe!"),
        Message(role="user", content="What is my name?"),
    ]
    said = await say(
        engine, msgspec.structs.replace(asking("", instructions="Be brief."), items=items)
    )
    assert "Zoe" in said.text


ENDLESS = JsonSchemaFormat(
    name="numbers",
    schema={"type": "array", "items": {"type": "integer", "maximum": 9}, "minItems": 1000},
)


@pytest.mark.requirement("engine:cancel:frees_slot")
@pytest.mark.requirement("engine:parallel:waits")
async def test_leaving_an_answer_frees_its_slot_at_once(engine: LlamaCpp) -> None:
    running = [
        engine.stream(asking("Count.", format=ENDLESS, max_output_tokens=3000)) for _ in range(4)
    ]
    for one in running:
        await asyncio.wait_for(anext(one), PATIENCE)
    assert sum(slot["is_processing"] for slot in await slots(engine)) == 4
    # All slots are taken: a fifth turn waits in our queue, not in the engine's.
    fifth = asyncio.ensure_future(say(engine, asking("Hello")))
    done, _ = await asyncio.wait((fifth,), timeout=0.05)
    assert not done
    for one in running:
        await one.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(2):  # 3000 tokens would take longer
        assert (await fifth).text
        while any(slot["is_processing"] for slot in await slots(engine)):
            pass


@pytest.mark.requirement("engine:cancel:frees_slot")
async def test_cancelling_an_answer_that_is_not_streamed_frees_its_slot(engine: LlamaCpp) -> None:
    turn = asking("Count.", format=ENDLESS, max_output_tokens=3500, live=False)
    asked = asyncio.ensure_future(say(engine, turn))
    async with asyncio.timeout(PATIENCE):
        while not any(slot["is_processing"] for slot in await slots(engine)):
            assert not asked.done()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    async with asyncio.timeout(1):  # all of it takes longer
        while any(slot["is_processing"] for slot in await slots(engine)):
            pass


async def slots(engine: LlamaCpp) -> list[dict[str, Any]]:
    target = await engine.target()
    url = target.url.removesuffix("/v1") + "/slots"
    transport = FastHttp()
    reply = await transport.send("GET", url, headers=target.headers)
    listed: list[dict[str, Any]] = json.loads(await reply.read())
    await transport.close()
    return listed
