"""The responses backend before a strict upstream: what is sent and heard, whose fault it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from antiphon.backends.base import Turn
from antiphon.backends.responses import Responses
from antiphon.backends.transport import transport_for
from antiphon.config import ResponsesSettings
from antiphon.errors import ContextOverflow, RemoteError
from antiphon.observe import Ignored, Observation
from antiphon.stream.deltas import (
    Annotated,
    CallArguments,
    CallStart,
    Declined,
    Delta,
    Finish,
    ItemEnd,
    ItemStage,
    ItemStart,
    Opened,
    Sealed,
    Spent,
    Summary,
    Text,
    Thought,
)
from antiphon.types.content import (
    InputImage,
    InputText,
    OutputText,
    ReasoningText,
    Refusal,
    SummaryText,
)
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
from antiphon.types.tool_items import ShellAction, ShellCall, ShellCallOutput, WebSearchCall
from antiphon.types.tools import (
    CustomTool,
    FunctionTool,
    HostedTool,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedChoice,
    ShellTool,
)
from tests.backends.strict_responses import StrictResponses, strict_responses
from tests.backends.strict_responses_rules import ENCRYPTED
from tests.suites.pushing import pushed

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 5.0
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = FunctionTool(name="get_weather", description="Tells the weather.", parameters=CITY)
NOTE = CustomTool(name="take_note", description="Writes the text down.")


@pytest.fixture
async def upstream() -> AsyncIterator[StrictResponses]:
    async with strict_responses() as running:
        yield running


def backend_of(upstream: StrictResponses, profile: str = "openai", **fields: Any) -> Responses:
    return Responses(ResponsesSettings(url=upstream.url, profile=profile, **fields))  # type: ignore[arg-type]


def asked(model: str = "m", *items: Item, **fields: Any) -> Turn:
    return Turn(model=model, items=items or [Message(role="user", content="Hello there")], **fields)


async def said(backend: Responses, turn: Turn, *, push: bool = True) -> list[Delta]:
    stream = pushed(backend, turn) if push else backend.stream(turn)
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [delta async for batch in stream for delta in batch]


async def refused(backend: Responses, model: str, **fields: Any) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        await said(backend, asked(model, **fields))
    return caught.value


def text_of(deltas: Sequence[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, Text))


def conversation(mark: str) -> list[Item]:
    """One of every kind of item."""
    return [
        Message(role="developer", content="Be brief.", id="msg_1"),
        Message(role="user", content=[InputText(text="One"), InputText(text="Two")]),
        Reasoning(summary=[SummaryText("Aha.")], id="rs_1", encrypted_content=mark + ENCRYPTED),
        Message(role="assistant", content=[OutputText(text="I look.")], id="msg_2", status="x"),
        FunctionCall("a", "get_weather", '{"city":"Paris"}', id="fc_1", status="completed"),
        FunctionCall("ns", "send", "{}", namespace="mail"),
        CustomToolCall("b", "take_note", 'milk "2"\n', id="ctc_1"),
        CustomToolCallOutput(call_id="b", output="noted"),
        FunctionCallOutput(call_id="a", output=[InputText(text="18 degrees")]),
        FunctionCallOutput(call_id="ns", output=[InputImage(image_url="data:x", detail=None)]),
        ShellCall("c", ShellAction(["ls"]), id="sh_1", status="completed"),
        ShellCallOutput("c", [{"stdout": "a", "stderr": "", "outcome": {"type": "exit"}}]),
        WebSearchCall(action={"type": "search", "query": "q"}, id="ws_1", status="completed"),
        Opaque("program", {"type": "program", "id": "pg_1"}),
        Reasoning(summary=[], id="rs_2", encrypted_content=mark + ENCRYPTED),
        Message(role="assistant", content=[OutputText(text="A"), Refusal(refusal="No.")]),
        Reasoning(summary=[], content=[ReasoningText("Nothing came of it.")], id="rs_3"),
        Message(role="user", content="Thank you"),
    ]


# What is sent ---------------------------------------------------------------------------------


@pytest.mark.requirement("responses-upstream:stateless")
@pytest.mark.parametrize("profile", ["openai", "azure", "generic", "llamacpp"])
@pytest.mark.parametrize("live", [True, False])
async def test_every_kind_of_item_is_sent_as_a_strict_server_takes_it(
    upstream: StrictResponses, profile: str, live: bool
) -> None:
    backend = backend_of(upstream, profile)
    turn = Turn(
        model="m",
        items=conversation(backend.mark),
        instructions="Answer in English.",
        tools=[WEATHER, NOTE],
        live=live,
        verbosity="low",
        effort="high",
        summary="auto",
        logprobs=True,
        top_logprobs=2,
        max_output_tokens=50,
        temperature=0.5,
        top_p=0.5,
        presence_penalty=0.1,
        frequency_penalty=0.1,
        prompt_cache_key="k",
        safety_identifier="s",
        parallel_tool_calls=False,
        thoughts="all_turns",
    )
    assert text_of(await said(backend, turn)) == "Thank you"
    assert upstream.refusals == []
    (body,) = upstream.bodies
    assert body["store"] is False and "previous_response_id" not in body
    assert not any("id" in item for item in body["input"])
    assert not any("pg_1" in str(item) for item in body["input"])
    await backend.close()


@pytest.mark.requirement("responses-upstream:native-tools")
async def test_tools_go_natively_where_the_upstream_knows_them(upstream: StrictResponses) -> None:
    turn = asked(
        tools=[WEATHER, NOTE],
        native=[ShellTool(), HostedTool("web_search", {"type": "web_search", "x": 1})],
        tool_choice=NamedChoice("custom", "take_note"),
    )
    for profile, custom in (("openai", True), ("generic", False)):
        backend = backend_of(upstream, profile)
        await said(backend, turn)
        body = upstream.bodies[-1]
        kinds = [tool["type"] for tool in body["tools"]]
        assert kinds == ["function", "custom" if custom else "function", "shell", "web_search"]
        assert body["tools"][2:] == [{"type": "shell"}, {"type": "web_search", "x": 1}]
        assert body["tools"][0]["strict"] is False
        kind = "custom" if custom else "function"
        assert body["tool_choice"] == {"type": kind, "name": "take_note"}
        await backend.close()
    assert upstream.refusals == []
    known = backend_of(upstream, "openai").capabilities("m")
    assert {"shell", "web_search"} <= known.native and "mcp" not in known.native
    assert not backend_of(upstream, "generic").capabilities("m").native
    configured = backend_of(upstream, "generic", native=["shell"], enforces=["json_schema"])
    assert configured.capabilities("m").native == {"shell"}
    assert configured.capabilities("m").json_schema == "enforced"
    assert configured.capabilities("m").tool_choice == "asked"


@pytest.mark.requirement("responses-upstream:native-tools")
async def test_a_freeform_call_of_a_server_without_them_is_raw_text_again() -> None:
    async with strict_responses() as upstream:
        backend = backend_of(upstream, "generic")
        items = conversation(backend.mark)
        await said(backend, Turn(model="m", items=items, tools=[NOTE]))
        sent = upstream.bodies[0]["input"]
        wrapped = next(item for item in sent if item.get("call_id") == "b")
        assert wrapped["type"] == "function_call"
        assert msgspec.json.decode(wrapped["arguments"]) == {"input": 'milk "2"\n'}
        shell = [item for item in sent if item.get("call_id") == "c"]
        assert [item["type"] for item in shell] == ["function_call", "function_call_output"]
        assert shell[0]["name"] == "shell" and "ls" in shell[0]["arguments"]
        assert upstream.refusals == []
        await backend.close()


@pytest.mark.requirement("responses-upstream:encrypted")
async def test_what_an_upstream_encrypted_goes_back_to_it_and_to_no_other(
    upstream: StrictResponses,
) -> None:
    backend = backend_of(upstream)
    deltas = await said(backend, asked("thinking"))
    (sealed,) = (delta for delta in deltas if isinstance(delta, Sealed))
    assert sealed.content == backend.mark + ENCRYPTED
    items: list[Item] = [
        Message(role="user", content="One"),
        Reasoning(summary=[], encrypted_content=sealed.content, id="rs_x"),
        Message(role="assistant", content="Two"),
        Message(role="user", content="Three"),
    ]
    assert text_of(await said(backend, asked("thinking", *items))) == "I was reminded 1 times."
    foreign = "carried_00000000_" + ENCRYPTED
    items[1] = Reasoning(summary=[], encrypted_content=foreign, content=[ReasoningText("x")])
    assert text_of(await said(backend, asked("thinking", *items))) == "I was reminded 0 times."
    assert ENCRYPTED not in str(upstream.bodies[-1]) and upstream.refusals == []
    await backend.close()


@pytest.mark.requirement("responses-upstream:encrypted")
async def test_reasoning_the_upstream_does_not_know_again_is_left_out_of_that_turn_only(
    upstream: StrictResponses,
) -> None:
    backend = backend_of(upstream)
    items: list[Item] = [
        Message(role="user", content="One"),
        Reasoning(summary=[], encrypted_content=f"{backend.mark}of-an-older-key"),
        Message(role="assistant", content="Two"),
        Message(role="user", content="Three"),
    ]
    assert text_of(await said(backend, asked("thinking", *items))) == "I was reminded 0 times."
    assert len(upstream.bodies) == 2
    items[1] = Reasoning(summary=[], encrypted_content=backend.mark + ENCRYPTED)
    assert text_of(await said(backend, asked("thinking", *items))) == "I was reminded 1 times."
    assert len(upstream.bodies) == 3
    await backend.close()


@pytest.mark.requirement("responses-upstream:json-mode")
async def test_a_schema_is_flat_and_json_mode_is_spoken_of(upstream: StrictResponses) -> None:
    backend = backend_of(upstream)
    schema = JsonSchemaFormat(name="n", schema=CITY, strict=True)
    await said(backend, asked(format=schema, verbosity="high"))
    assert upstream.bodies[-1]["text"] == {
        "format": {"type": "json_schema", "name": "n", "schema": CITY, "strict": True},
        "verbosity": "high",
    }
    await said(backend, asked(format=JsonObjectFormat()))
    assert "JSON" in upstream.bodies[-1]["input"][-1]["content"]
    await said(
        backend, asked("m", Message(role="user", content="as json"), format=JsonObjectFormat())
    )
    assert len(upstream.bodies[-1]["input"]) == 1
    await backend.close()


@pytest.mark.requirement("responses-upstream:azure")
async def test_azure_gets_its_header_and_its_version(upstream: StrictResponses) -> None:
    for fields, target, header in (
        ({"api_version": "2026-01-01"}, "/v1/responses?api-version=2026-01-01", "api-key"),
        ({}, "/v1/responses", "api-key"),
    ):
        for kind in ("fast", "aiohttp"):
            settings = ResponsesSettings(url=upstream.url, profile="azure", key="k-1", **fields)  # type: ignore[arg-type]
            backend = Responses(settings, transport_for(upstream.url, kind=kind))
            await said(backend, asked(), push=kind == "fast")
            assert upstream.targets[-1] == target
            assert upstream.headers[-1][header] == "k-1"
            assert "authorization" not in upstream.headers[-1]
            assert "k-1" not in f"{backend!r} {await backend.target()!r} {backend.settings!r}"
            await backend.close()


@pytest.mark.requirement("responses-upstream:stateless")
@pytest.mark.parametrize("profile", ["openai", "generic"])
@pytest.mark.parametrize("live", [True, False])
async def test_a_turn_that_asks_for_nothing_is_written_like_any_other(
    upstream: StrictResponses, profile: str, live: bool
) -> None:
    backend = backend_of(upstream, profile)
    for instructions in (None, "Be kind.", None):
        turn = asked(live=live, instructions=instructions)
        bare = msgspec.json.decode(backend.encoded(turn, backend.profile))
        odd = msgspec.structs.replace(turn, temperature=0.0)
        full = msgspec.json.decode(backend.encoded(odd, backend.profile))
        assert full == {**bare, "temperature": 0.0}
        assert bare.get("instructions") == instructions and bare["store"] is False
    await backend.close()


# What is heard --------------------------------------------------------------------------------

HEARD: Mapping[str, list[Delta]] = {
    "declining": [Declined("I cannot."), Finish("stop")],
    "phased": [
        Opened("message", "commentary"),
        Text("I begin."),
        Opened("message", "final_answer"),
        Text("I am done."),
        Finish("stop"),
    ],
    "future": [Text("Hi."), Finish("stop")],
    "silent-deltas": [
        Text("I look."),
        CallStart(0, "function", "get_weather", "call_1"),
        CallArguments(0, '{"city":"Paris"}'),
        Finish("calls"),
    ],
    "length": [Text("Hello there"), Finish("length")],
    "filter": [Text("Hello there"), Finish("filter")],
}


def joined(deltas: Sequence[Delta]) -> list[Delta]:
    """The same with pieces put together, and without what was spent."""
    whole: list[Delta] = []
    for delta in deltas:
        last = whole[-1] if whole else None
        if isinstance(delta, Spent):
            continue
        if isinstance(delta, Text | Thought | Declined) and type(last) is type(delta):
            whole[-1] = type(delta)(last.text + delta.text)
        elif isinstance(delta, Summary) and isinstance(last, Summary) and last.part == delta.part:
            whole[-1] = Summary(last.text + delta.text, delta.part)
        else:
            whole.append(delta)
    return whole


@pytest.mark.requirement("responses-upstream:answers")
@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("model", HEARD)
async def test_answers_of_every_kind_are_heard(
    upstream: StrictResponses, model: str, live: bool
) -> None:
    backend = backend_of(upstream)
    turn = asked(model, live=live, tools=[WEATHER])
    for push in (True, False):
        deltas = await said(backend, turn, push=push)
        assert joined(deltas) == HEARD[model]
        assert [d for d in deltas if isinstance(d, Spent)] == [Spent(11, 5, 3, 2)]
    await backend.close()


@pytest.mark.requirement("responses-upstream:unknown")
async def test_what_the_api_may_say_one_day_is_read_over_and_counted(
    upstream: StrictResponses,
) -> None:
    seen: list[Observation] = []
    settings = ResponsesSettings(url=upstream.url, profile="openai")
    backend = Responses(settings, observe=seen.append)
    for _ in range(2):
        await said(backend, asked("future"))
    assert backend.ignored == {"response.dream_call.dreaming": 2, "item:dream_call": 2}
    assert seen.count(Ignored("upstream", "item:dream_call")) == 2
    await said(backend, asked("phased"))
    assert len(backend.ignored) == 2
    await backend.close()


@pytest.mark.requirement("responses-upstream:summaries")
@pytest.mark.parametrize("live", [True, False])
async def test_summaries_are_heard_part_by_part(upstream: StrictResponses, live: bool) -> None:
    backend = backend_of(upstream)
    deltas = joined(await said(backend, asked("thinking", summary="auto", live=live)))
    assert deltas[:3] == [
        Summary("I look at it.", 0),
        Summary("I repeat it.", 1),
        Sealed(backend.mark + ENCRYPTED),
    ]
    assert upstream.bodies[-1]["reasoning"] == {"summary": "auto"}
    await backend.close()


@pytest.mark.requirement("responses-upstream:hosted-tools")
@pytest.mark.parametrize("live", [True, False])
async def test_calls_the_upstream_makes_itself_pass_as_they_are(
    upstream: StrictResponses, live: bool
) -> None:
    backend = backend_of(upstream)
    deltas = await said(backend, asked("searching", live=live))
    start = next(delta for delta in deltas if isinstance(delta, ItemStart))
    end = next(delta for delta in deltas if isinstance(delta, ItemEnd))
    assert isinstance(start.item, WebSearchCall) and isinstance(end.item, WebSearchCall)
    assert end.item.action == {"type": "search", "query": "choir", "queries": ["choir"]}
    (citation,) = (delta for delta in deltas if isinstance(delta, Annotated))
    assert citation.annotation["url"] == "https://example.com/"
    deltas = await said(backend, asked("coding", live=live))
    code = "".join(delta.code for delta in deltas if isinstance(delta, ItemStage))
    assert code == ("print(6 * 7)" if live else "")
    assert deltas[-1] == Finish("stop")
    await backend.close()


@pytest.mark.requirement("responses-upstream:native-calls")
@pytest.mark.parametrize("live", [True, False])
async def test_a_native_call_becomes_the_call_any_model_would_make(
    upstream: StrictResponses, live: bool
) -> None:
    backend = backend_of(upstream)
    turn = asked("shelling", native=[ShellTool()], live=live)
    start, arguments, spent, finish = await said(backend, turn)
    assert isinstance(start, CallStart) and start.call_id == "call_shell"
    assert start.name == "shell" and isinstance(arguments, CallArguments)
    assert msgspec.json.decode(arguments.text)["commands"] == ["ls", "pwd"]
    assert isinstance(spent, Spent) and finish == Finish("calls")
    await backend.close()


# Whose fault it is ------------------------------------------------------------------------------


@pytest.mark.requirement("responses-upstream:errors")
@pytest.mark.parametrize(
    ("model", "status", "code", "retryable"),
    [
        ("error-401", 502, "upstream_unauthorized", False),
        ("error-404", 502, "upstream_not_found", False),
        ("error-429", 429, "rate_limit_exceeded", True),
        ("error-500", 502, "upstream_error", True),
        ("error-503", 502, "upstream_error", True),
        ("missing", 404, "model_not_found", False),
        ("no-deployment", 404, "model_not_found", False),
        ("odd", 400, "odd", False),
    ],
)
async def test_a_refusal_says_whose_fault_it_is(
    upstream: StrictResponses, model: str, status: int, code: str, retryable: bool
) -> None:
    backend = backend_of(upstream, key="sk-secret-of-the-server")
    error = await refused(backend, model, temperature=2.0)
    assert (error.status, error.code, error.retryable) == (status, code, retryable)
    if status == 502:
        assert "sk-" not in error.message and "10.0.0.7" not in error.message
    assert error.param == ("model" if status == 404 else {"odd": "temperature"}.get(model))
    waits = {"error-429": 0.01, "error-503": 1.0}
    assert error.retry_after_seconds == waits.get(model)
    if code == "upstream_not_found":
        assert "/responses" in error.message
    await backend.close()


@pytest.mark.requirement("responses-upstream:errors")
async def test_a_context_that_is_too_long_is_told_as_such(upstream: StrictResponses) -> None:
    backend = backend_of(upstream)
    assert isinstance(await refused(backend, "overflow"), ContextOverflow)
    await backend.close()


@pytest.mark.requirement("responses-upstream:failed")
@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("failed", 502, "upstream_error"),
        ("failed-429", 429, "rate_limit_exceeded"),
        ("failed-image", 400, "image_too_large"),
    ],
)
async def test_a_response_that_failed_keeps_what_was_said_and_paid(
    upstream: StrictResponses, model: str, status: int, code: str, live: bool
) -> None:
    backend = backend_of(upstream)
    for push in (True, False):
        heard: list[Delta] = []
        turn = asked(model, live=live)
        stream = pushed(backend, turn) if push else backend.stream(turn)
        with pytest.raises(RemoteError) as caught:
            async for batch in stream:
                heard += batch
        assert (caught.value.status, caught.value.code) == (status, code)
        assert not caught.value.retryable
        assert text_of(heard) == "Hello there" and Spent(11, 5, 3, 2) in heard
    await backend.close()


@pytest.mark.requirement("responses-upstream:failed")
@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("cut", "upstream_broke_off"),
        ("error-event", "upstream_error"),
        ("garbage", "upstream_invalid_response"),
    ],
)
async def test_a_stream_that_breaks_says_so_behind_what_came(
    upstream: StrictResponses, model: str, code: str
) -> None:
    backend = backend_of(upstream)
    for push in (True, False):
        heard: list[Delta] = []
        stream = pushed(backend, asked(model)) if push else backend.stream(asked(model))
        with pytest.raises(RemoteError) as caught:
            async for batch in stream:
                heard += batch
        assert (caught.value.code, caught.value.retryable) == (code, False)
        assert "Hello there".startswith(text_of(heard)) and text_of(heard)
    await backend.close()


@pytest.mark.requirement("responses-upstream:lessons")
@pytest.mark.parametrize(
    "field",
    [
        "stream_options",
        "parallel_tool_calls",
        "prompt_cache_key",
        "safety_identifier",
        "reasoning.summary",
        "reasoning.context",
        "text.verbosity",
    ],
)
async def test_a_field_that_is_refused_and_can_be_spared_is_left_out_from_then_on(
    upstream: StrictResponses, field: str
) -> None:
    backend = backend_of(upstream)
    turn = asked(
        f"refuses-{field}",
        tools=[WEATHER],
        parallel_tool_calls=False,
        prompt_cache_key="k",
        safety_identifier="s",
        summary="auto",
        thoughts="all_turns",
        verbosity="low",
    )
    for _ in range(2):
        assert text_of(await said(backend, turn)) == "Hello there"
    assert len(upstream.bodies) == 3
    top, _, inner = field.partition(".")
    sent = upstream.bodies[-1].get(top, {})
    assert inner not in sent if inner else not sent
    if field == "reasoning.summary":
        assert not backend.capabilities(turn.model).summaries
    await backend.close()


@pytest.mark.requirement("responses-upstream:lessons")
async def test_a_type_of_tool_that_is_refused_is_sent_as_a_function(
    upstream: StrictResponses,
) -> None:
    upstream.takes = frozenset()
    backend = backend_of(upstream)
    assert text_of(await said(backend, asked(tools=[WEATHER, NOTE]))) == "Hello there"
    assert [tool["type"] for tool in upstream.bodies[-1]["tools"]] == ["function", "function"]
    assert backend.capabilities("m").grammar == "none"
    upstream.bodies.clear()
    error = await refused(backend, "m", native=[ShellTool()])
    assert (error.status, error.param) == (400, "tools") and len(upstream.bodies) == 1
    await backend.close()


@pytest.mark.requirement("responses-upstream:lessons")
async def test_a_model_without_reasoning_is_not_asked_for_it_again(
    upstream: StrictResponses,
) -> None:
    backend = backend_of(upstream)
    for _ in range(2):
        assert text_of(await said(backend, asked("refuses-include"))) == "Hello there"
    assert ["include" in body for body in upstream.bodies] == [True, False, False]
    await backend.close()
