"""A plain request takes short cuts; they lead where the long way leads."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.backends.chat_body import chat_body
from antiphon.backends.profiles import PROFILES
from antiphon.backends.scripted import Scripted
from antiphon.config import RunSettings
from antiphon.errors import ClientError, LocalProtocolError
from antiphon.ids import Ids
from antiphon.runs.context import Context, at_once, resolve, resolves_at_once
from antiphon.runs.documents import Documents
from antiphon.runs.memory import Memory
from antiphon.runs.wishes import is_plain
from antiphon.store.sqlite import SqliteStore
from antiphon.types.codec import decode_create
from antiphon.types.request import CreateResponse
from tests.runs.rig import rig

BACKEND = Scripted()
STORE = SqliteStore(":memory:")
"""Never opened: nothing here may ask it."""
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
SCHEMA = {"type": "json_schema", "name": "s", "schema": {"type": "object"}}

FREE: dict[str, st.SearchStrategy[Any]] = {
    "instructions": st.text(max_size=5),
    "store": st.booleans() | st.none(),
    "stream": st.booleans(),
    "stream_options": st.just({"include_obfuscation": False}),
    "max_output_tokens": st.integers(16, 99),
    "temperature": st.sampled_from([0, 0.5, 2]),
    "top_p": st.sampled_from([0, 0.1, 1]),
    "truncation": st.sampled_from(["auto", "disabled"]),
    "metadata": st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    "prompt_cache_key": st.text(max_size=3),
    "safety_identifier": st.text(max_size=3),
    "user": st.text(max_size=3),
    "client_metadata": st.just({"a": "b"}),
}
"""Parameters no rule is about."""
plains = st.fixed_dictionaries(
    {"model": st.sampled_from(["scripted/echo", "scripted/echo", "scripted/echo", ""])},
    optional=FREE,
)
RULED: dict[str, list[Any]] = {
    "tools": [[], [WEATHER], [WEATHER, WEATHER], [{"type": "web_search"}]],
    "tool_choice": ["auto", "none", "required", {"type": "function", "name": "weather"}],
    "text": [{}, {"verbosity": "low"}, {"format": SCHEMA}, {"format": {"type": "json_object"}}],
    "reasoning": [{}, {"effort": "low"}, {"summary": "auto", "mode": "pro"}],
    "include": [[], ["message.output_text.logprobs"], ["reasoning.encrypted_content"]],
    "parallel_tool_calls": [True, False],
    "presence_penalty": [0, 1],
    "frequency_penalty": [0, 1],
    "top_logprobs": [0, 3],
    "verbosity": ["high"],
    "max_tool_calls": [2],
    "prompt_cache_options": [{}, {"prewarm": True}, {"mode": "explicit"}],
    "prompt_cache_retention": ["24h"],
    "background": [False, True],
    "background_options": [{}, {"completion_window": "2h"}],
    "conversation": ["conv_1"],
    "prompt": [{"id": "pmpt_1"}],
    "context_management": [[], [{"type": "compaction"}]],
    "moderation": [{}],
    "multi_agent": [{}, {"enabled": True}],
    "image": [{}, {"context_compression": "enabled"}],
    "access_programs": [{}],
    "service_tier": ["auto", "flex"],
}
ruled = st.lists(st.sampled_from(sorted(RULED)), max_size=2, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: st.sampled_from(RULED[name]) for name in names})
)
ANYBODYS = {"model", "input", "previous_response_id", *FREE}
Refused = tuple[Any, ...]


def resolved(body: dict[str, Any], memory: Memory | None, thoughts: Any) -> Context | Refused:
    """The context of a request, or why it was refused; always with the same ids."""
    asked = decode_create(msgspec.json.encode(body))
    try:
        return at_once(
            resolve(
                asked,
                project="p",
                flavour="openai",
                store=STORE,
                backend=BACKEND,
                ids=Ids(clock=lambda: 1_700_000_000_000, random=bytes),
                documents=Documents(),
                settings=RunSettings(raw_reasoning=thoughts),
                memory=memory,
            )
        )
    except ClientError as error:
        return error.message, error.code, error.param, error.status


def spelled(context: Context | Refused) -> Any:
    """Everything a context says. Checks are compared by kind, clocks not at all."""
    if isinstance(context, tuple):
        return context
    said = msgspec.structs.asdict(context)
    said["demands"] = demands_of(context.demands)
    said["demands_on"] = demands_of(context.demands_on(context.able))
    said["ids"] = context.ids.mint("next")
    said["known"] = context.turn.known and (context.turn.known.length, context.turn.known.memo)
    said["turn"] = msgspec.structs.replace(context.turn, known=None)
    said["seal"], said["unseal"] = context.seal is not None, context.unseal is not None
    del said["clock"]
    return said


def demands_of(demands: Any) -> dict[str, Any]:
    fields = msgspec.structs.asdict(demands)
    fields["text"] = type(demands.text)
    fields["arguments"] = {name: type(check) for name, check in demands.arguments.items()}
    return fields


@pytest.mark.requirement("runs:short-ways:same-context")
@given(
    plain=plains,
    more=st.just({}) | ruled,
    text=st.text(max_size=8),
    remembering=st.booleans(),
    thoughts=st.sampled_from(["content", "none"]),
)
def test_a_plain_request_gets_the_context_of_the_long_way(
    plain: dict[str, Any], more: dict[str, Any], text: str, remembering: bool, thoughts: str
) -> None:
    memory = Memory() if remembering else None
    body = {"service_tier": None, **plain, **more, "input": text}
    short = resolved(body, memory, thoughts)
    if body["service_tier"] is None:
        body["service_tier"] = "auto"  # says nothing, and is enough for every rule to be asked
        assert spelled(resolved(body, memory, thoughts)) == spelled(short)
    part = {"type": "input_text", "text": text}
    body["input"] = [{"type": "message", "role": "user", "content": [part]}] if text else ""
    assert opened(resolved(body, memory, thoughts)) == opened(short)


def opened(context: Context | Refused) -> Any:
    """The same without the ids its items have before they are stored."""
    said = spelled(context)
    if isinstance(context, Context):
        said["brought"] = msgspec.json.decode(context.brought)
        said["messages"] = chat_body(context.turn, PROFILES["generic"])
        said["turn"] = msgspec.structs.replace(said["turn"], items=())
        del said["ids"]
    return said


@pytest.mark.requirement("runs:short-ways:same-context")
@pytest.mark.parametrize("name", sorted({*CreateResponse.__struct_fields__} - ANYBODYS))
def test_a_parameter_with_a_rule_makes_a_request_take_the_long_way(name: str) -> None:
    asked = CreateResponse(model="m", input="hello")
    assert is_plain(asked)
    setattr(asked, name, RULED[name][0])
    assert not is_plain(asked)


MAYBE: list[dict[str, Any]] = [
    {"input": [{"id": "msg_1"}]},
    {"input": [{"type": "item_reference", "id": "msg_1"}]},
    {"input": [{"role": "user", "content": [{"type": "input_file", "file_data": "aGk="}]}]},
    {"input": "hello", "previous_response_id": "resp_1"},
]
AT_ONCE: list[dict[str, Any]] = [
    {"input": "hello"},
    {"input": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "yes"}]},
    {
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": ""}]}
        ]
    },
    {"input": None},
    {"input": [{"type": 5}]},
]


@pytest.mark.requirement("runs:at-once:told")
@pytest.mark.parametrize("body", [*AT_ONCE, *MAYBE])
def test_it_is_told_beforehand_whether_resolving_waits(body: dict[str, Any]) -> None:
    body = {"model": "scripted/echo", **body}
    asked = decode_create(msgspec.json.encode(body))
    assert resolves_at_once(asked, Memory(), "p") is (
        body not in [{"model": "scripted/echo", **other} for other in MAYBE]
    )
    if resolves_at_once(asked, Memory(), "p"):
        resolved(body, Memory(), "content")


@pytest.mark.anyio
@pytest.mark.requirement("runs:at-once:told")
@pytest.mark.parametrize("held", ["words", "file"])
async def test_a_remembered_conversation_resolves_at_once_unless_it_holds_a_document(
    held: str,
) -> None:
    file = {"type": "input_file", "file_data": "aGk=", "filename": "a.txt"}
    input: Any = "hi" if held == "words" else [{"role": "user", "content": [file]}]
    async with rig() as r:
        first = await r.create("echo", input=input)
        asked = CreateResponse(model="scripted/echo", input="on", previous_response_id=first.id)
        at = resolves_at_once(asked, r.runs.memory, "proj_a")
        assert at is (held == "words")
        assert not resolves_at_once(asked, r.runs.memory, "proj_b")


@pytest.mark.requirement("runs:at-once:told")
def test_a_coroutine_that_waits_after_all_is_our_mistake() -> None:
    with pytest.raises(LocalProtocolError):
        at_once(asyncio.sleep(0))
