"""Models whose template we do not know: what the file says decides what is promised."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from antiphon.backends import demo, llamacpp
from antiphon.backends.base import Turn
from antiphon.backends.chat_body import Body
from antiphon.backends.gguf import Head
from antiphon.backends.llamacpp import LlamaCpp
from antiphon.config import LlamaCppSettings
from antiphon.errors import RemoteError
from antiphon.types.tools import JsonObjectFormat, JsonSchemaFormat
from tests.engine.turns import PERSON, WEATHER, asking, say

pytestmark = pytest.mark.anyio

ANY = "anything"


@pytest.fixture
def a_file(tmp_path: Path) -> Path:
    """Some file; what its head says is put in place of what it holds."""
    path = tmp_path / "model.gguf"
    path.touch()
    return path


@pytest.fixture(scope="module")
def foreign(can_run: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model with another word for its calls in the template, of the same length."""
    path = tmp_path_factory.mktemp("models") / "foreign.gguf"
    data = demo.path().read_bytes()
    assert data.count(b"<tool_call>\\n{") == 1
    data = data.replace(b"<tool_call>\\n{", b"<fn_invoke>\\n{")
    path.write_bytes(data.replace(b"\\n</tool_call>'", b"\\n</fn_invoke>'"))
    return path


@pytest.fixture(scope="module")
async def other(foreign: Path, anyio_backend: str) -> AsyncIterator[LlamaCpp]:
    backend = LlamaCpp(LlamaCppSettings(path=str(foreign), context_tokens=1024, parallel=2))
    await backend.open()
    yield backend
    await backend.close()


@pytest.mark.requirement("engine:capabilities:by_template")
async def test_only_what_is_enforced_is_called_enforced(engine: LlamaCpp, other: LlamaCpp) -> None:
    able = engine.capabilities("demo-antiphon")
    assert {able.json_schema, able.strict_tools, able.grammar, able.tool_choice} == {"enforced"}
    assert not able.images and able.logprobs and not able.reasoning
    able = other.capabilities("foreign")
    assert (able.json_schema, able.strict_tools, able.tool_choice) == ("asked",) * 3
    assert (able.grammar, able.context_tokens) == ("none", 1024)
    [model] = await other.models()
    assert (model.id, model.about) == ("foreign", "foreign.gguf, run by this server.")


async def test_another_model_talks_and_is_not_cooled_down(other: LlamaCpp) -> None:
    assert (await say(other, asking("Hello", temperature=0))).text
    assert "temperature" not in other.shape({"messages": []}, asking("Hello"))


async def test_a_schema_without_tools_is_enforced_all_the_same(other: LlamaCpp) -> None:
    form = JsonSchemaFormat(name="x", schema=PERSON, strict=True)
    said = await say(other, asking("Jane is 54 years old.", format=form, temperature=1.0))
    assert set(json.loads(said.text)) == {"name", "age"}
    turn = asking("Hello", tools=[WEATHER], tool_choice="none", format=form, temperature=0)
    assert set(json.loads((await say(other, turn)).text)) == {"name", "age"}


async def test_tools_are_left_to_the_engine_and_a_schema_beside_them_is_said_in_words(
    other: LlamaCpp,
) -> None:
    form = JsonSchemaFormat(name="x", schema=PERSON, strict=True)
    body = other.shape({"messages": []}, asking("Hello", tools=[WEATHER], format=form))
    assert "JSON Schema" in body["messages"][0]["content"]
    assert body["tools"] and "grammar" not in body and "response_format" not in body
    said = await say(other, asking("What is the weather in Paris?", tools=[WEATHER]))
    assert said.reason in ("stop", "calls", "length")
    said = await say(
        other, asking("What is the weather in Paris?", tools=[WEATHER], tool_choice="required")
    )
    for name, arguments in said.calls:
        assert name == "get_weather" and isinstance(json.loads(arguments), dict)


def head(template: str = "", context: int = 32768, cache: int = 114_688) -> Head:
    return Head("qwen3", context, template, cache)


@pytest.mark.requirement("engine:context:fits")
@pytest.mark.parametrize(
    ("settings", "made", "tokens"),
    [
        (LlamaCppSettings(path=ANY), head(), 4681),
        (LlamaCppSettings(path=ANY, parallel=1), head(), 8192),
        (LlamaCppSettings(path=ANY, parallel=64), head(), 2048),
        (LlamaCppSettings(path=ANY), head(context=1024), 1024),
        (LlamaCppSettings(path=ANY, context_tokens=20_000), head(), 20_000),
        (LlamaCppSettings(path=ANY, context_tokens=99_999), head(), 32_768),
        (LlamaCppSettings(path=ANY), head(context=0, cache=0), 8192),
    ],
)
def test_the_window_is_what_was_set_or_what_fits(
    settings: LlamaCppSettings,
    made: Head,
    tokens: int,
    a_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = msgspec.structs.replace(settings, path=str(a_file))
    monkeypatch.setattr(llamacpp, "read_head", lambda path: made)
    assert LlamaCpp(settings).habits.context_tokens == tokens


QWEN = '{% if enable_thinking %}\'<tool_call>\\n{"name": "\''


@pytest.mark.parametrize(
    ("fields", "thinking"),
    [
        ({}, False),
        ({"effort": "none"}, False),
        ({"effort": "low"}, True),
        ({"effort": "high", "tools": [WEATHER]}, True),
        ({"effort": "high", "tools": [WEATHER], "tool_choice": "required"}, False),
        ({"effort": "high", "format": JsonObjectFormat()}, False),
    ],
)
@pytest.mark.requirement("engine:thinking:only_if_asked")
def test_a_model_thinks_only_if_asked_and_if_the_grammar_leaves_it_room(
    fields: dict[str, object], thinking: bool, a_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llamacpp, "read_head", lambda path: head(QWEN))
    backend = LlamaCpp(LlamaCppSettings(path=str(a_file)))
    assert backend.habits.writes_calls and backend.capabilities("any").reasoning
    body = backend.shape({"messages": []}, asking("Hello", **fields))
    assert body["chat_template_kwargs"] == {"enable_thinking": thinking}


class Garbling(LlamaCpp):
    """Makes the model begin with a byte that is no text."""

    def shape(self, body: Body, turn: Turn) -> Body:
        body = super().shape(body, turn)
        body["logit_bias"] = [[self.byte, 100]]
        return body

    byte = 0


@pytest.mark.requirement("engine:output:not_text")
@pytest.mark.parametrize("live", [True, False])
async def test_bytes_that_are_no_text_do_not_break_the_stream(can_run: None, live: bool) -> None:
    backend = Garbling(LlamaCppSettings(parallel=1))
    await backend.open()
    try:
        address = await backend.child.address()
        target = await backend.target()
        for token in range(1000):
            asked = {"tokens": [token]}
            answer = await backend._call(f"{address.url}/detokenize", target, asked)
            if "\ufffd" in json.loads(answer)["content"]:
                backend.byte = token
                break
        form = JsonSchemaFormat(name="x", schema={"type": "string"}, strict=True)
        for turn in (asking("Hi", max_output_tokens=5), asking("Hi", format=form)):
            try:
                said = await say(backend, turn)
            except RemoteError as error:
                assert error.status == 502
            else:
                said.text.encode()
        backend.byte = 0
        assert (await say(backend, asking("Hi", live=live))).deltas
    finally:
        await backend.close()
