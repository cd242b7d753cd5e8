"""Conversations between turns: what a turn costs, and who may go on when somebody died."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from antiphon.app import running, store_of
from antiphon.backends.base import Turn
from antiphon.backends.chat_body import encoded_body
from antiphon.backends.profiles import PROFILES
from antiphon.backends.scripted import Scripted
from antiphon.config import Config, RunSettings, ScriptedSettings, StoreSettings
from antiphon.errors import ClientError, RemoteError
from antiphon.ids import Ids
from antiphon.observe import Observation
from antiphon.runs.driver import Runs
from antiphon.runs.held import Held
from antiphon.runs.idempotency import Claim
from antiphon.runs.leases import LEASE_MS, Leases
from antiphon.store import conversations as works
from antiphon.store.base import Store, StoredResponse
from antiphon.store.conversations import Conversations, Reading, StoredItem
from antiphon.types.codec import decode_create
from antiphon.types.resources import CreateConversation, CreateItems
from antiphon.types.response import Response

pytestmark = pytest.mark.anyio

PROJECT = "ours"


class Heard(Scripted):
    """The scripted model, and the turns it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[Turn] = []

    def begin(self, turn: Turn, sink: Any) -> Any:
        self.turns.append(turn)
        return super().begin(turn, sink)


class Replica:
    """One process on a database that others may use too."""

    def __init__(self, store: Store, clock: Any = None) -> None:
        self.store = store
        self.backend = Heard()
        self.seen: list[Observation] = []
        self.runs = Runs(
            backend=self.backend,
            store=store,
            ids=Ids(clock=clock) if clock is not None else Ids(),
            settings=RunSettings(),
            retention_ms=None,
            observe=self.seen.append,
        )

    async def conversation(self, *texts: str) -> str:
        items = [{"role": "user", "content": text} for text in texts]
        made = await self.runs.threads.create(PROJECT, CreateConversation(items=items))
        id: str = msgspec.json.decode(made)["id"]
        return id

    async def create(self, conversation: str, input: Any, model: str = "echo") -> Response:
        asked = {"model": f"scripted/{model}", "input": input, "conversation": conversation}
        body = decode_create(msgspec.json.encode(asked))
        return await (await self.runs.create(body, project=PROJECT)).finish()

    async def post(self, conversation: str, *texts: str) -> None:
        items = [{"role": "user", "content": text} for text in texts]
        await self.runs.threads.add(PROJECT, conversation, CreateItems(items=items), frozenset())

    def prompt(self) -> bytes:
        """The last turn's messages, as a chat server is sent them."""
        written: bytes = encoded_body(self.backend.turns[-1], PROFILES["openai"])
        return written[written.index(b'"messages":') :]

    async def items(self, conversation: str) -> list[dict[str, Any]]:
        reading = await Conversations(self.store).items_since(PROJECT, conversation, None)
        assert reading is not None
        return [msgspec.json.decode(item) for item in reading.items]


@pytest.fixture
async def store(store_settings: StoreSettings) -> AsyncIterator[Store]:
    store = store_of(store_settings)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def replica(store: Store) -> AsyncIterator[Replica]:
    replica = Replica(store)
    yield replica
    await replica.runs.close()


def known(turn: Turn) -> int:
    """How many items the backend was told it has seen."""
    assert turn.known is not None
    return turn.known.length


@pytest.mark.requirement("conversations:cost")
async def test_a_prompt_begins_with_the_bytes_of_the_one_before(replica: Replica) -> None:
    """Whether the conversation is remembered or not, and whoever added to it."""
    id = await replica.conversation("I am Ada.")
    other = Replica(replica.store)
    prompts = []
    for number in range(6):
        if number == 3:
            await replica.post(id, "And by the way.")
        makes = other if number in (2, 5) else replica
        await makes.create(id, f"turn {number}")
        prompts.append(makes.prompt())
    for before, after in pairwise(prompts):
        messages = before[: before.index(b"]")]
        assert after.startswith(messages) and len(after) > len(before)
    await other.runs.close()


@pytest.mark.requirement("conversations:cost")
async def test_a_remembered_conversation_is_not_read_again(replica: Replica) -> None:
    id = await replica.conversation("I am Ada.")
    await replica.create(id, "one")
    assert known(replica.backend.turns[-1]) == 1
    reading = await replica.store.read(
        partial(works.items_since, PROJECT, id, replica.runs.memory.mark(PROJECT, id))
    )
    assert reading is not None and reading.items == () and reading.since == 3
    await replica.create(id, "two")
    turn = replica.backend.turns[-1]
    assert known(turn) == 3 and turn.known is not None and len(turn.items) == 4
    await replica.post(id, "three")
    await replica.create(id, "four")
    assert len(replica.backend.turns[-1].items) == 7
    # After an item was taken out, everything is read anew.
    first = (await replica.items(id))[0]
    await replica.runs.threads.delete_item(PROJECT, id, first["id"])
    await replica.create(id, "five")
    texts = [item.content[0].text for item in replica.backend.turns[-1].items]  # type: ignore[union-attr,index]
    assert texts == ["one", "one", "two", "two", "three", "four", "four", "five"]


@pytest.mark.requirement("conversations:append")
async def test_a_response_and_its_items_are_written_together_or_not_at_all(
    replica: Replica,
) -> None:
    """The lock was lost to another response: what was made must not come between its items."""
    id = await replica.conversation()
    listener = await replica.runs.create(
        decode_create(
            b'{"model":"scripted/slow-20ms","input":"x","stream":true,"conversation":"%s"}'
            % id.encode()
        ),
        project=PROJECT,
    )
    far = replica.runs.ids.clock() + 10 * LEASE_MS
    work = partial(works.enter, PROJECT, id, "resp_other", far + LEASE_MS, far, None)
    assert isinstance(await replica.store.change(work), Reading)
    with pytest.raises(RemoteError):
        await listener.finish()
    assert await replica.items(id) == []
    assert await replica.store.load(PROJECT, listener.response.id) is None
    done = partial(works.finish, PROJECT, id, "resp_other", [StoredItem("a", b'{"id":"a"}')])
    assert await replica.store.change(done)


@pytest.mark.requirement("conversations:lease")
async def test_who_died_with_a_conversation_holds_it_for_a_lease(store: Store) -> None:
    now = 1_800_000_000_000
    dead, alive = Replica(store, lambda: now), Replica(store, lambda: now)
    id = await dead.conversation("Hi.")
    await dead.runs.holding.enter(PROJECT, id, "resp_dead")
    with pytest.raises(ClientError) as refused:
        await alive.create(id, "one")
    assert refused.value.code == "conversation_locked" and refused.value.status == 409
    now += LEASE_MS
    assert (await alive.create(id, "two")).status == "completed"
    assert [item["content"][0]["text"] for item in await alive.items(id)] == ["Hi.", "two", "two"]
    dead.runs.leases._held.clear()
    await alive.runs.close()


@pytest.mark.requirement("conversations:lease")
async def test_after_a_crash_a_server_with_a_file_of_its_own_need_not_wait(tmp_path: Path) -> None:
    """Nobody else can hold anything in it; but what runs in the background goes on."""
    config = Config(backends=(ScriptedSettings(),), store=StoreSettings(data=str(tmp_path)))
    async with running(config) as crashed:
        runs = crashed.runs
        ids = [
            msgspec.json.decode(await runs.threads.create(PROJECT, CreateConversation()))["id"]
            for _ in range(2)
        ]
        for id in ids:
            held, _, _ = await runs.holding.enter(PROJECT, id, f"resp_{id}")
            runs.leases.let_go(held.lease)
        await crashed.store.change(held.lasting())
        claim = await runs.repeats.claim(PROJECT, "k", "d")
        assert isinstance(claim, Claim)
        runs.leases.let_go(claim.lease)
    async with running(config) as again:
        runs = again.runs
        await runs.holding.enter(PROJECT, ids[0], "resp_1")
        with pytest.raises(ClientError):
            await runs.holding.enter(PROJECT, ids[1], "resp_1")
        assert isinstance(await runs.repeats.claim(PROJECT, "k", "d"), Claim)


@pytest.mark.requirement("conversations:lease")
async def test_a_living_holder_keeps_all_it_holds(store: Store) -> None:
    replica = Replica(store)
    leases = Leases(store, replica.runs.ids.clock, length_ms=200)
    replica.runs.holding._leases = leases
    ids = [await replica.conversation() for _ in range(3)]
    held: list[Held] = []
    for id in ids:
        found, _, _ = await replica.runs.holding.enter(PROJECT, id, f"resp_{id}")
        held.append(found)
    await asyncio.sleep(0.5)
    other = Replica(store)
    for id in ids:
        with pytest.raises(ClientError):
            await other.create(id, "x")
    for one in held:
        await one.give_up()
    for id in ids:
        assert (await other.create(id, "x")).status == "completed"
    assert len(leases) == 0
    await other.runs.close()


@pytest.mark.requirement("conversations:released")
async def test_who_leaves_while_the_lock_is_taken_does_not_keep_it(replica: Replica) -> None:
    id = await replica.conversation()
    for steps in range(12):
        entering = asyncio.create_task(replica.runs.holding.enter(PROJECT, id, f"resp_{steps}"))
        for _ in range(steps):
            await asyncio.sleep(0)
        entering.cancel()
        done = await asyncio.gather(entering, return_exceptions=True)
        if isinstance(done[0], tuple):  # it was faster
            done[0][0].give_up()
        async with asyncio.timeout(5):
            while True:
                try:
                    await replica.create(id, "x")
                    break
                except ClientError as busy:
                    assert busy.code == "conversation_locked"
                    await asyncio.sleep(0.005)
    assert len(await replica.items(id)) == 24


@pytest.mark.requirement("conversations:released")
async def test_a_server_that_stops_gives_everything_back(store: Store) -> None:
    replica, other = Replica(store), Replica(store)
    id = await replica.conversation()
    body = b'{"model":"scripted/%s","input":"x","stream":true,"conversation":"%s"}'
    for model in (b"endless", b"silent"):
        asked = decode_create(body % (model, id.encode()))
        making = asyncio.create_task(replica.runs.create(asked, project=PROJECT))
        async with asyncio.timeout(5):
            while not replica.runs.live:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        await replica.runs.close()
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)
        assert (await other.create(id, "y")).status == "completed"
    assert len(await other.items(id)) == 4
    await other.runs.close()


async def test_an_item_that_was_posted_is_never_lost_to_a_race(replica: Replica) -> None:
    """Callers who must look at the conversation before they add are told to wait, or are added."""
    id = await replica.conversation()
    message = {"type": "message", "role": "user", "content": "x"}

    async def post(number: int) -> None:
        asked = CreateItems(items=[{**message, "id": f"msg_{number % 3}"}])
        while True:
            try:
                await replica.runs.threads.add(PROJECT, id, asked, frozenset())
                return
            except ClientError as busy:
                assert busy.code == "conversation_locked"
                await asyncio.sleep(0.005)

    async with asyncio.timeout(20):
        await asyncio.gather(*map(post, range(12)))
    ids = [item["id"] for item in await replica.items(id)]
    assert len(set(ids)) == 12 and {"msg_0", "msg_1", "msg_2"} <= set(ids)


async def test_a_conversation_survives_the_process(tmp_path: Path) -> None:
    id = ""
    for number in range(2):
        store = store_of(StoreSettings(data=str(tmp_path)))
        await store.open()
        replica = Replica(store)
        id = id or await replica.conversation("Hi.")
        await replica.create(id, f"turn {number}")
        await replica.runs.close()
        if number:
            assert len(await replica.items(id)) == 5
        await store.close()


async def test_what_is_not_stored_is_not_remembered_as_a_beginning(replica: Replica) -> None:
    """A response of a conversation is no beginning of a chain, remembered or not."""
    id = await replica.conversation("Hi.")
    response = await replica.create(id, "one")
    assert replica.runs.memory.recall(PROJECT, response.id) is None
    row = await replica.store.load(PROJECT, response.id)
    assert isinstance(row, StoredResponse) and row.parent is None
