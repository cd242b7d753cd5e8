"""What a model call leaves behind that had to be made again, or broke off inside a read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from antiphon.backends.base import Backend, Capabilities, Model, Turn
from antiphon.errors import RemoteError
from antiphon.ids import Ids
from antiphon.observe import ResponseFinished
from antiphon.runs.demands import Demands
from antiphon.runs.retention import Retention
from antiphon.runs.warden import Warden
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
from antiphon.types.codec import encode
from antiphon.types.events import Event
from antiphon.types.items import FunctionCall
from antiphon.types.response import Response
from tests.runs.rig import Rig, rig, text_of
from tests.runs.test_faults import settled, wire

pytestmark = pytest.mark.anyio

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
JSON = {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}}
END = Finish("stop")


class Recital(Backend):
    """A model that says what it was given: for each call its batches. Counts its open calls."""

    def __init__(self, *calls: Sequence[Sequence[Delta]]) -> None:
        self.open_calls = 0
        self._calls: Iterator[Sequence[Sequence[Delta]]] = iter(calls)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def models(self) -> Sequence[Model]:
        return ()

    def capabilities(self, model: str) -> Capabilities:
        return Capabilities()

    async def count(self, turn: Turn) -> int | None:
        return None

    async def stream(self, turn: Turn) -> AsyncIterator[Sequence[Delta]]:
        self.open_calls += 1
        try:
            for batch in next(self._calls):
                yield batch
        finally:
            self.open_calls -= 1


def tool(name: str, *, strict: bool) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": SCHEMA, "strict": strict}


def call(index: int, name: str, arguments: str) -> list[Delta]:
    return [CallStart(index, "function", name), CallArguments(index, arguments)]


async def recited(*calls: Sequence[Sequence[Delta]], **body: Any) -> Response:
    """The streamed response to these model calls; its stream is whole and replays the same."""
    model = Recital(*calls)

    def recite(r: Rig) -> None:
        r.runs.backend = model

    async with rig(recite) as r:
        events: list[Event] = await r.stream(**body)
        settled(events)
        last: Response = events[-1].response  # type: ignore[attr-defined]
        assert wire(await r.replay(last.id)) == wire(events)
    assert model.open_calls == 0
    return last


@pytest.mark.requirement("runs:attempts:reasoning")
async def test_an_answer_after_reasoning_shown_in_an_earlier_attempt_is_heard() -> None:
    thinks: list[list[Delta]] = [[Thought("hm")], [Text("no JSON"), END]]
    made = await recited(thinks, [[Thought("so")], [Text('{"a":1}'), END]], text=JSON)
    assert made.status == "completed" and text_of(made) == '{"a":1}'
    stray: list[list[Delta]] = [[Thought("hm")], [*call(0, "nobody", "{}"), END]]
    made = await recited(stray, [[Text("sunny"), END]], tools=[tool("f", strict=False)])
    assert made.status == "completed" and text_of(made) == "sunny"


@pytest.mark.requirement("runs:attempts:no-trace")
async def test_a_call_before_a_broken_one_is_not_made_twice() -> None:
    free, broken = call(0, "free", '{"a":1}'), call(1, "checked", '{"a"')
    whole = call(1, "checked", '{"a":2}')
    made = await recited(
        [free, [*broken, END]],
        [free, [*whole, END]],
        tools=[tool("free", strict=False), tool("checked", strict=True)],
    )
    calls = [item for item in made.output if isinstance(item, FunctionCall)]
    assert [(c.name, c.arguments) for c in calls] == [("free", '{"a":1}'), ("checked", '{"a":2}')]


@pytest.mark.requirement("runs:attempts:no-trace")
async def test_text_after_a_call_that_is_checked_waits_with_it() -> None:
    broken = call(0, "checked", '{"a"')
    made = await recited(
        [broken, [Text("done!")], [END]],
        [[*call(0, "checked", '{"a":2}'), END]],
        tools=[tool("checked", strict=True)],
    )
    assert text_of(made) == "" and len(made.output) == 1


class Picky:
    """A check that nothing passes."""

    def problem(self, text: str) -> str | None:
        return "it never is"


_DELTA = st.one_of(
    st.builds(Text, st.sampled_from(["", "a"])),
    st.builds(Thought, st.sampled_from(["", "t"])),
    st.builds(Declined, st.just("no")),
    st.builds(Annotated, st.just({})),
    st.builds(
        CallStart, st.integers(0, 1), st.just("function"), st.sampled_from(["f", "g", "foreign"])
    ),
    st.builds(CallArguments, st.integers(0, 1), st.just("{}")),
)
_DEMANDS = st.builds(
    Demands,
    text=st.sampled_from([None, Picky()]),
    arguments=st.sampled_from([{}, {"f": Picky()}]),
    callable=st.just(frozenset({"f", "g"})),
    must_call=st.booleans(),
    one_call=st.booleans(),
    no_thoughts=st.booleans(),
)


@pytest.mark.requirement("stream:steps:unjudged")
@given(st.lists(st.lists(_DELTA, min_size=1, max_size=3), max_size=6), _DEMANDS, st.booleans())
@example(
    [[CallStart(0, "function", "f")], [Text("a")], [Text("a")]],
    Demands(arguments={"f": Picky()}, callable=frozenset({"f"})),
    False,
)
@settings(max_examples=400, deadline=None)
def test_what_is_composed_unjudged_would_have_been_admitted(
    batches: list[list[Delta]], demands: Demands, muted: bool
) -> None:
    judge, short = Warden(demands, muted=muted), Warden(demands, muted=muted)
    for batch in batches:
        admitted = list(judge.admit(batch))
        free = set(map(type, batch)) <= short.free
        assert (batch if free else list(short.admit(batch))) == admitted
    assert short.verdict() == judge.verdict()
    assert list(short.release()) == list(judge.release())


@pytest.mark.requirement("runs:format:checked")
async def test_an_empty_refusal_excuses_nothing() -> None:
    broken: list[list[Delta]] = [[Declined(""), Text("no JSON"), END]]
    made = await recited(broken, [[Text('{"a":1}'), END]], text=JSON)
    assert made.status == "completed" and text_of(made) == '{"a":1}'


@pytest.mark.requirement("runs:faults:inside-a-read")
async def test_what_came_in_the_same_read_before_nonsense_is_not_lost() -> None:
    read = [Text("a"), *call(0, "f", '{"a":1}'), CallStart(1, "function", "f")]
    made = await recited([[*read, CallArguments(0, "more")]], tools=[tool("f", strict=False)])
    assert made.status == "failed" and text_of(made) == "a"
    assert b'"arguments":"{\\"a\\":1}"' in encode(made.output)


@pytest.mark.requirement("runs:faults:late-first-batch")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_call_that_began_too_late_is_closed(stream: bool) -> None:
    model = Recital([[Text("late")], [END]])

    def recite(r: Rig) -> None:
        r.runs.backend = model

    async with rig(recite, turn_seconds_max=1e-9) as r:
        with pytest.raises(RemoteError) as failure:
            await r.start(stream=stream, store=False)
        assert failure.value.status == 504
        assert model.open_calls == 0


class Silence(Recital):
    """Says something, or nothing, and then no more for ever."""

    async def stream(self, turn: Turn) -> AsyncIterator[Sequence[Delta]]:
        async for batch in super().stream(turn):
            yield batch
            await asyncio.Event().wait()


@pytest.mark.requirement("runs:faults:silent")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_call_that_falls_silent_ends_when_its_time_is_up(stream: bool) -> None:
    model = Silence([[Text("One")]])

    def recite(r: Rig) -> None:
        r.runs.backend = model

    async with rig(recite, turn_seconds_max=0.05) as r, asyncio.timeout(5):
        made = await (await r.start(stream=stream)).finish()
        assert made.status == "failed" and text_of(made) == "One"
        assert (await r.retrieve(made.id))["error"]["message"].startswith("The model backend took")
        await asyncio.sleep(0)
        assert model.open_calls == 0 and not r.runs.live


class Learner(Recital):
    """Says it enforces schemas until its first call is made: its upstream then refuses them."""

    def capabilities(self, model: str) -> Capabilities:
        return Capabilities() if self.called else Capabilities(json_schema="enforced")

    called = False

    async def stream(self, turn: Turn) -> AsyncIterator[Sequence[Delta]]:
        self.called = True
        async for batch in super().stream(turn):
            yield batch


@pytest.mark.requirement("runs:format:learned")
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_is_judged_by_what_its_call_taught(stream: bool) -> None:
    model = Learner([[Text("no JSON"), END]], [[Text('{"a":1}'), END]])

    def recite(r: Rig) -> None:
        r.runs.backend = model

    async with rig(recite) as r:
        made = await (await r.start(text=JSON, stream=stream)).finish()
    assert made.status == "completed" and text_of(made) == '{"a":1}'


TURNS: dict[str, tuple[list[list[Delta]], dict[str, Any], list[str]]] = {
    "text": ([[Text("a"), Text("b"), Spent(3, 2), END]], {}, ["message"]),
    "batches": ([[Text("a")], [Text("b")], [Spent(3, 2), END]], {}, ["message"]),
    "nothing": ([[END]], {}, ["message"]),
    "cut": ([[Text("a"), Finish("length")]], {}, ["message"]),
    "thought": ([[Thought("hm"), Text("a"), END]], {}, ["reasoning", "message"]),
    "held": ([[Text('{"a"'), Text(":1}"), Spent(3, 2), END]], {"text": JSON}, ["message"]),
    "held after a thought": (
        [[Thought("hm"), Text('{"a":1}'), END]],
        {"text": JSON},
        ["reasoning", "message"],
    ),
    "call": (
        [[Text("see"), *call(0, "f", '{"a":1}'), END]],
        {"tools": [tool("f", strict=False)]},
        ["message", "function_call"],
    ),
    "aside": (
        [[Text("see"), *call(0, "f", '{"a":1}'), END]],
        {"tools": [tool("f", strict=True)], "text": JSON},
        ["message", "function_call"],
    ),
}


@pytest.mark.requirement("stream:plain:same")
@pytest.mark.parametrize("name", TURNS)
async def test_a_plain_answer_is_the_streamed_one(name: str) -> None:
    batches, body, items = TURNS[name]
    seen: list[tuple[dict[str, Any], int]] = []
    for stream in (False, True):
        model = Recital(batches)

        def recite(r: Rig, model: Recital = model) -> None:
            r.runs.backend = model
            r.runs.retention = Retention(None)
            r.runs.ids = Ids(clock=lambda: 1_700_000_000_000, random=lambda n: b"\x07" * n)

        async with rig(recite) as r:
            live = await r.start(stream=stream, **body)
            if stream:
                async for group in live.groups():
                    assert group
                made = live.response
            else:
                made = await live.finish()
            kept = await r.retrieve(made.id)
            assert [item["type"] for item in kept["output"]] == items
            assert kept == msgspec.json.decode(encode(made))
            (told,) = [o for o in r.seen if isinstance(o, ResponseFinished)]
            seen.append((kept, told.events))
    assert seen[0] == seen[1]
