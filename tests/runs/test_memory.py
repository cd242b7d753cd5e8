"""What is remembered of a conversation, and that nobody can tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.backends.chat_body import chat_body, encoded_body
from antiphon.backends.profiles import PROFILES
from antiphon.backends.scripted import Scripted
from antiphon.config import RunSettings
from antiphon.errors import ClientError
from antiphon.ids import Ids
from antiphon.runs.context import Context, resolve
from antiphon.runs.documents import Documents
from antiphon.runs.memory import Memory
from antiphon.runs.retention import Retention
from antiphon.runs.said import CALLS, OUTPUTS, Said, id_of
from antiphon.store.base import StoredResponse
from antiphon.store.sqlite import SqliteStore
from antiphon.types.codec import decode_create, open_items
from antiphon.types.items import Item, Opaque

PROJECT = "p"
NOW = 1_700_000_000_000
BACKEND = Scripted()
Raw = dict[str, Any]


class AskedStore(SqliteStore):
    """The store in memory, counting how often it is read."""

    reads = 0

    async def load(self, project: str, response_id: str) -> StoredResponse | None:
        self.reads += 1
        return await super().load(project, response_id)

    async def context(self, project: str, response_id: str) -> Sequence[bytes] | None:
        self.reads += 1
        return await super().context(project, response_id)


class Chains:
    """Responses stored and remembered as a driver does it, and resolved both ways."""

    def __init__(self, bytes_max: int = 1 << 20, retention_ms: int | None = None) -> None:
        self.now = NOW
        self.bytes_max = bytes_max
        self.store = AskedStore(":memory:", clock=lambda: self.now)
        self.memory = Memory(bytes_max, retention=Retention(retention_ms), clock=lambda: self.now)
        self.retention_ms = retention_ms
        self.turns = 0
        self.rows: list[StoredResponse] = []

    async def resolved(self, memory: Memory | None, **body: Any) -> Context:
        count = self.turns
        return await resolve(
            decode_create(msgspec.json.encode({"model": "scripted/echo", **body})),
            project=PROJECT,
            flavour="openai",
            store=self.store,
            backend=BACKEND,
            ids=Ids(clock=lambda: self.now + count, random=lambda size: bytes([count]) * size),
            documents=Documents(),
            settings=RunSettings(),
            memory=memory,
        )

    async def turn(self, output: Sequence[Raw] = (), **body: Any) -> str:
        """Resolve with the memory, answer with ``output``, store and keep; the new id."""
        context = await self.resolved(self.memory, **body)
        return await self.ended(context, output)

    async def ended(self, context: Context, output: Sequence[Raw]) -> str:
        self.turns += 1
        response = context.response
        items = [{"id": context.ids.mint("out"), "status": "completed", **item} for item in output]
        row = StoredResponse(
            id=response.id,
            project=PROJECT,
            parent=response.previous_response_id,
            created_at=context.started_ms,
            expires_at=None if self.retention_ms is None else NOW + self.retention_ms,
            status="completed",
            head=b'{"output":[]}',
            input=context.brought,
            output=msgspec.json.encode(items),
        )
        await self.store.save(row)
        self.memory.keep(context, row)
        self.rows.append(row)
        return row.id

    async def delete(self, response_id: str) -> None:
        await self.store.delete(PROJECT, response_id)
        self.memory.forget(PROJECT, response_id)


def answer(text: str) -> Raw:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "role": "assistant", "content": [part]}


def call(call_id: str, arguments: str = "{}", **fields: Any) -> Raw:
    return {
        "type": "function_call",
        "call_id": call_id,
        "name": "f",
        "arguments": arguments,
        **fields,
    }


def result(call_id: str, output: str) -> Raw:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


# A remembered conversation changes nothing --------------------------------------------------

texts = st.sampled_from(["", "a", "b", "hello"])
call_ids = st.sampled_from(["call_1", "call_2", "call_3"])
messages = st.builds(
    lambda role, text, id: {"role": role, "content": text, **({"id": id} if id else {})},
    st.sampled_from(["user", "assistant", "system"]),
    texts,
    st.sampled_from([None, "msg_made_up", ""]),
)
others = st.one_of(
    st.builds(result, call_ids, texts),
    st.builds(call, call_ids, st.sampled_from(["{}", '{"a":1}'])),
    st.just({"type": "web_search_call", "id": "ws_1", "status": "completed"}),
    st.just({"type": "reasoning", "id": "rs_1", "summary": []}),
    st.builds(
        lambda c: {"type": "custom_tool_call", "call_id": c, "name": "g", "input": "x"}, call_ids
    ),
)
cut_calls = st.builds(call, call_ids, status=st.sampled_from(["completed", "incomplete"]))
outputs = st.lists(
    st.one_of(
        st.builds(answer, texts),
        cut_calls,
        st.just({"type": "reasoning", "summary": [], "content": []}),
    ),
    max_size=3,
)


def _inputs(data: st.DataObject, chains: Chains, parent: str | None) -> str | list[Raw]:
    """Words, items, and what of the conversation a client may send again or refer to."""
    if data.draw(st.booleans()):
        return data.draw(st.sampled_from(["a", "hello"]))
    items: list[Raw] = data.draw(st.lists(messages | messages | others, max_size=3))
    told: list[Raw] = [item for row in chains.rows for item in msgspec.json.decode(row.input)] + [
        item for row in chains.rows for item in msgspec.json.decode(row.output)
    ]
    if told:
        again = data.draw(st.lists(st.sampled_from(told), max_size=2))
        items = [*again, *items]
        if data.draw(st.booleans()):
            items.append({"type": "item_reference", "id": data.draw(st.sampled_from(told))["id"]})
    tip = next((row for row in chains.rows if row.id == parent), None)
    if tip is not None and data.draw(st.booleans()):  # a client that does what it should
        asked = [item for item in msgspec.json.decode(tip.output) if "call_id" in item]
        items = [*items, *(result(item["call_id"], data.draw(texts)) for item in asked)]
    return items


def spelled(context: Context | tuple[Any, ...]) -> Any:
    if isinstance(context, tuple):
        return context
    return (
        context.turn.items,
        msgspec.json.encode(chat_body(context.turn, PROFILES["generic"])),
        msgspec.json.decode(context.brought),
        context.response,
        context.new,
        context.call_ids,
        context.downgrades,
    )


@pytest.mark.requirement("runs:memory:same-context")
@settings(max_examples=80)
@given(data=st.data(), bytes_max=st.sampled_from([0, 8_000, 1 << 20]))
def test_no_conversation_is_other_than_without_memory(data: st.DataObject, bytes_max: int) -> None:
    asyncio.run(_same(data, Chains(bytes_max)))


async def _same(data: st.DataObject, chains: Chains) -> None:
    await chains.store.open()
    try:
        alive: list[str] = []
        for _ in range(data.draw(st.integers(2, 10))):
            parent = data.draw(st.sampled_from([None, *alive[-3:], *alive[-1:], *alive[-1:]]))
            body = {"input": _inputs(data, chains, parent), "previous_response_id": parent}
            if parent is not None and data.draw(st.integers(0, 9)) == 0:
                await chains.delete(parent)
                alive.remove(parent)
            found: list[Any] = []
            for memory in (None, chains.memory):
                try:
                    found.append(await chains.resolved(memory, **body))
                except ClientError as error:
                    found.append((error.message, error.code, error.param, error.status))
            assert spelled(found[1]) == spelled(found[0])
            if isinstance(found[1], Context):
                body_bytes = encoded_body(found[1].turn, PROFILES["generic"])
                assert body_bytes == encoded_body(found[0].turn, PROFILES["generic"])
                alive.append(await chains.ended(found[1], data.draw(outputs)))
            assert chains.memory.size_bytes <= chains.bytes_max
    finally:
        await chains.store.close()


# What it costs, and what it forgets ---------------------------------------------------------

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def remembered(**settings: Any) -> AsyncIterator[Chains]:
    made = Chains(**settings)
    await made.store.open()
    try:
        yield made
    finally:
        await made.store.close()


@pytest.mark.requirement("runs:memory:no-query")
async def test_a_conversation_that_goes_on_asks_the_store_nothing() -> None:
    async with remembered() as chains:
        last = await chains.turn([call("call_1")], input="weather?")
        for number in range(2, 5):
            output = [call(f"call_{number}")]
            told = [result(f"call_{number - 1}", "sunny")]
            last = await chains.turn(output, input=told, previous_response_id=last)
        assert chains.store.reads == 0
        assert len(chains.memory) == 1


@pytest.mark.requirement("runs:memory:no-query")
async def test_what_was_read_from_the_store_is_remembered() -> None:
    async with remembered() as chains:
        root = await chains.turn([answer("root")], input="hello")
        await chains.turn([answer("left")], input="left", previous_response_id=root)
        branches = [
            await chains.resolved(chains.memory, input=text, previous_response_id=root)
            for text in ("right", "middle")
        ]
        assert chains.store.reads == 1  # the first branch has to: its parent went on
        assert [len(branch.turn.items) for branch in branches] == [3, 3]


@pytest.mark.requirement("runs:memory:same-context")
async def test_two_turns_of_one_parent_at_the_same_time_do_not_meet() -> None:
    async with remembered() as chains:
        root = await chains.turn([answer("root")], input="hello")
        contexts = []
        for text in ("left", "right"):
            body = {"input": text, "previous_response_id": root}
            contexts.append(await chains.resolved(chains.memory, **body))
            chains.turns += 1
        leaves = [await chains.ended(context, [answer("yes")]) for context in contexts]
        for text, leaf in zip(("left", "right"), leaves, strict=True):
            context = await chains.resolved(chains.memory, input="?", previous_response_id=leaf)
            assert words(context.turn.items) == ["hello", "root", text, "yes", "?"]
        assert chains.store.reads == 0


def words(items: Sequence[Item]) -> list[str]:
    return [part.text for item in items for part in item.content]  # type: ignore[union-attr]


class SlowStore(AskedStore):
    """Lets others go first before it answers, as a database elsewhere does."""

    before: Callable[[], Awaitable[Any]] | None = None

    async def load(self, project: str, response_id: str) -> StoredResponse | None:
        await self._wait()
        return await super().load(project, response_id)

    async def context(self, project: str, response_id: str) -> Sequence[bytes] | None:
        found = await super().context(project, response_id)
        await self._wait()
        return found

    async def _wait(self) -> None:
        before, self.before = self.before, None
        if before is not None:
            await before()


@pytest.mark.requirement("runs:memory:same-context")
async def test_a_sibling_that_goes_on_meanwhile_is_not_heard() -> None:
    chains = Chains()
    chains.store = store = SlowStore(":memory:", clock=lambda: NOW)
    await store.open()
    other = await chains.turn([answer("other")], input="elsewhere")
    root = await chains.turn([answer("root")], input="hello")
    reference = {"id": msgspec.json.decode(chains.rows[0].input)[0]["id"]}

    async def go_on() -> None:
        chains.turns += 1  # the one that waits has the id that would be next
        left = await chains.turn([answer("left")], input="left", previous_response_id=root)
        await chains.turn([answer("more")], input="left", previous_response_id=left)

    store.before = go_on
    right = await chains.resolved(chains.memory, input=[reference], previous_response_id=root)
    assert words(right.turn.items) == ["hello", "root", "elsewhere"]
    leaf = await chains.ended(right, [answer("right")])
    found = await chains.resolved(chains.memory, input="?", previous_response_id=leaf)
    assert words(found.turn.items) == ["hello", "root", "elsewhere", "right", "?"]
    assert other != root
    await store.close()


@pytest.mark.requirement("runs:memory:deleted")
@pytest.mark.parametrize("when", ["before", "while it is read"])
async def test_a_deleted_response_is_not_continued_from_memory(when: str) -> None:
    chains = Chains()
    chains.store = store = SlowStore(":memory:", clock=lambda: NOW)
    await store.open()
    root = await chains.turn([answer("root")], input="hello")
    if when == "before":
        await chains.delete(root)
    else:
        chains.memory.forget(PROJECT, root)  # so that it has to be read
        store.before = partial(chains.delete, root)
        await chains.resolved(chains.memory, input="?", previous_response_id=root)
    with pytest.raises(ClientError) as refusal:
        await chains.resolved(chains.memory, input="?", previous_response_id=root)
    assert refusal.value.code == "previous_response_not_found"
    await store.close()


@pytest.mark.requirement("runs:memory:deleted")
async def test_a_turn_whose_parent_was_deleted_meanwhile_goes_on_as_the_store_says() -> None:
    async with remembered() as chains:
        root = await chains.turn([answer("root")], input="hello")
        context = await chains.resolved(chains.memory, input="left", previous_response_id=root)
        await chains.delete(root)
        leaf = await chains.ended(context, [answer("yes")])
        for _ in range(2):
            body = {"input": "?", "previous_response_id": leaf}
            found = await chains.resolved(chains.memory, **body)
            assert words(found.turn.items) == ["left", "yes", "?"]
            assert spelled(found) == spelled(await chains.resolved(None, **body))


@pytest.mark.requirement("runs:memory:deleted")
@pytest.mark.parametrize("way", ["kept", "read"])
async def test_an_expired_response_is_not_continued_from_memory(way: str) -> None:
    async with remembered(retention_ms=1_000) as chains:
        root = await chains.turn([answer("root")], input="hello")
        if way == "read":
            chains.memory.forget(PROJECT, root)
        chains.now = NOW + 999
        await chains.resolved(chains.memory, input="?", previous_response_id=root)
        assert len(chains.memory) == 1
        chains.now = NOW + 1_000
        with pytest.raises(ClientError):
            await chains.resolved(chains.memory, input="?", previous_response_id=root)
        assert (len(chains.memory), chains.memory.size_bytes) == (0, 0)


@pytest.mark.requirement("runs:memory:deleted")
async def test_what_was_stored_before_this_process_is_not_remembered_from_reading_alone() -> None:
    async with remembered() as chains:
        root = await chains.turn([answer("root")], input="hello")
        later = Memory(clock=lambda: NOW + 1)  # it may expire at a time only the store knows
        await chains.resolved(later, input="?", previous_response_id=root)
        assert len(later) == 0


@pytest.mark.requirement("runs:memory:deleted")
async def test_memory_of_one_project_is_none_of_anothers() -> None:
    async with remembered() as chains:
        root = await chains.turn([answer("root")], input="hello")
        assert chains.memory.peek(PROJECT, root) is not None
        assert chains.memory.peek("another", root) is None


@pytest.mark.requirement("runs:memory:bounded")
async def test_what_is_read_before_it_is_kept_counts_once() -> None:
    async with remembered() as chains:
        for first in (True, False):
            parent = None if first else await chains.turn(input="hello")
            body = {"input": "go on", "previous_response_id": parent}
            context = await chains.resolved(chains.memory, **body)
            row_id = await chains.ended(context, [answer("yes")])
            alone = chains.memory.size_bytes
            said = Said()
            for array in await chains.store.context(PROJECT, row_id) or ():
                said.read(array)
            chains.memory.learn(PROJECT, row_id, said, chains.memory.forgotten)
            chains.memory.keep(context, chains.rows[-1])
            assert chains.memory.size_bytes == alone
            chains.memory.forget(PROJECT, row_id)
            assert chains.memory.size_bytes == 0


@pytest.mark.requirement("runs:memory:bounded")
async def test_what_rested_longest_goes_first() -> None:
    async with remembered() as chains:
        await chains.turn([answer("a" * 1_000)], input="measure")
        one = chains.memory.size_bytes
        assert one > 2 * 1_000  # the text, and what a backend makes of it
    async with remembered(bytes_max=3 * one + one // 2) as chains:
        said = [await chains.turn([answer("a" * 1_000)], input="measure") for _ in range(3)]
        await chains.resolved(chains.memory, input="?", previous_response_id=said[0])
        said.append(await chains.turn([answer("a" * 1_000)], input="measure"))
        large = await chains.turn([answer("a" * 4 * one)], input="more than all")
        found = [chains.memory.peek(PROJECT, one) is not None for one in [*said, large]]
        assert found == [True, False, True, True, False]
        assert chains.store.reads == 0
        await chains.resolved(chains.memory, input="?", previous_response_id=said[1])
        assert chains.store.reads == 1
        assert chains.memory.size_bytes <= 4 * one


@pytest.mark.requirement("runs:memory:beginnings")
async def test_first_turns_do_not_drive_out_a_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.runs.memory.BEGINNINGS_MAX", 3)
    async with remembered() as chains:
        root = await chains.turn([answer("a")], input="hello")
        goes_on = await chains.turn([answer("b")], input="more", previous_response_id=root)
        alone = [await chains.turn([answer("c")], input="only once") for _ in range(5)]
        assert len(chains.memory) == 4
        size = chains.memory.size_bytes
        found = [chains.memory.peek(PROJECT, one) is not None for one in [goes_on, *alone]]
        assert found == [True, False, False, True, True, True]
        assert chains.memory.size_bytes == size
        for one in [goes_on, *alone]:
            await chains.delete(one)
        assert (len(chains.memory), chains.memory.size_bytes) == (0, 0)


@pytest.mark.requirement("runs:memory:cost")
async def test_a_turn_looks_at_its_new_items_only() -> None:
    """Said by counting what is looked at: a list that counts what is taken from it."""
    async with remembered() as chains:
        last = await chains.turn([call("call_0")], input="weather?")
        for number in range(30):
            told = [result(f"call_{number}", "sunny")]
            output = [call(f"call_{number + 1}")]
            last = await chains.turn(output, input=told, previous_response_id=last)
        said = chains.memory.peek(PROJECT, last)
        assert said is not None
        said.items = watched = Watched(said.items)
        told = [result("call_30", "sunny")]
        context = await chains.resolved(chains.memory, input=told, previous_response_id=last)
        assert len(context.turn.items) == 63
        assert watched.walks == 1  # the copy of the list
        await chains.ended(context, [call("call_31")])


class Watched(list[Item]):
    walks = 0

    def __iter__(self) -> Iterator[Item]:
        self.walks += 1
        return super().__iter__()


@pytest.mark.requirement("runs:memory:same-context")
async def test_what_a_backend_remembers_goes_to_the_child_and_not_to_the_sibling() -> None:
    async with remembered() as chains:
        root = await chains.turn([answer("root")], input="hello")
        left, right = [
            await chains.resolved(chains.memory, input="?", previous_response_id=root)
            for _ in range(2)
        ]
        assert left.turn.known is not None and right.turn.known is not None
        left.turn.known.memo["wrote"] = 2
        assert (left.turn.known.length, right.turn.known.memo) == (2, {})
        leaf = await chains.ended(left, [answer("left")])
        found = await chains.resolved(chains.memory, input="?", previous_response_id=leaf)
        assert found.turn.known is not None
        assert (found.turn.known.length, found.turn.known.memo) == (4, {"wrote": 2})


@pytest.mark.requirement("runs:memory:same-context")
async def test_nothing_is_known_of_a_turn_whose_past_is_shown_otherwise() -> None:
    file = {"type": "input_file", "file_data": "aGk=", "filename": "a.txt"}
    async with remembered() as chains:
        cut = await chains.turn([call("call_1", status="incomplete")], input="hello")
        shown = await chains.resolved(chains.memory, input="?", previous_response_id=cut)
        assert (len(shown.turn.items), shown.turn.known) == (2, None)
        content = [{"role": "user", "content": [file]}]
        opened = await chains.turn([answer("read")], input=content)
        shown = await chains.resolved(chains.memory, input="?", previous_response_id=opened)
        assert (words(shown.turn.items)[0], shown.turn.known) == ("File a.txt:\nhi", None)


@pytest.mark.requirement("runs:memory:cost")
@given(raw=st.lists(st.one_of(messages, others, cut_calls), max_size=7), at=st.integers(0, 7))
def test_what_is_told_of_items_as_they_come_is_what_looking_at_all_tells(
    raw: list[Raw], at: int
) -> None:
    items = open_items(raw)
    grown = Said(items[:at])
    grown.add(items[at:])
    for said in (grown, Said([*items, *items]).upto(len(items))):
        assert said.items == items
        calls = [item for item in items if isinstance(item, CALLS)]
        results = [item for item in items if isinstance(item, OUTPUTS)]
        answered = {item.call_id for item in results}
        assert (said.called, said.answered) == ({item.call_id for item in calls}, answered)
        waiting = [item for item in calls if item.call_id not in answered]
        assert list(said.open) == list(dict.fromkeys(item.call_id for item in waiting))
        assert all(item in waiting for item in said.open.values())
        cut = {item.call_id for item in calls if item.status == "incomplete"} - answered
        assert said.cut == cut
        assert [told for id in said.told for told in said.told[id]] == sorted(
            [item for item in items if isinstance(item, CALLS | OUTPUTS)],
            key=lambda item: list(said.told).index(item.call_id),
        )
        named = [(id, item) for item in items if isinstance(id := id_of(item), str) and id]
        assert said.by_id == dict(named)
        assert said.opaque == {item.type for item in items if isinstance(item, Opaque)}
