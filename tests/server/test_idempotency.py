"""The header Idempotency-Key through the official client, over both roads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from antiphon.observe import ResponseFinished
from antiphon.runs.leases import LEASE_MS
from tests.server.conftest import House, over_socket
from tests.server.test_openai_client import client_of

pytestmark = pytest.mark.anyio

REPLAYED = "idempotent-replayed"


def key(value: str) -> dict[str, Any]:
    return {"extra_headers": {"Idempotency-Key": value}}


@pytest.fixture
async def client(house: House) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(house) as client:
        yield client


def made(house: House) -> int:
    """How many responses were made."""
    return sum(isinstance(one, ResponseFinished) for one in house.observed)


@pytest.mark.requirement("idempotency:same")
async def test_the_same_request_is_answered_once(client: AsyncOpenAI, house: House) -> None:
    asked: Any = {"model": "scripted/echo", "input": "Hi.", "metadata": {"a": "b"}}
    create = client.responses.with_raw_response.create
    first = await create(**asked, **key("k-1"))
    again = await create(**asked, **key("k-1"))
    assert first.parse().to_dict() == again.parse().to_dict()
    assert REPLAYED not in first.headers and again.headers[REPLAYED] == "true"
    assert made(house) == 1
    other = await create(**asked, **key("k-2"))
    without = await create(**asked)
    ids = {one.parse().id for one in (first, other, without)}
    assert len(ids) == 3 and made(house) == 3


@pytest.mark.requirement("idempotency:same")
@pytest.mark.parametrize("model", ["error-after-3", "length", "tool", "logprobs"])
async def test_however_it_ended(client: AsyncOpenAI, model: str) -> None:
    tool: Any = {"type": "function", "name": "f", "parameters": None, "strict": False}
    asked: Any = {"model": f"scripted/{model}", "input": "Hi.", "tools": [tool]}
    if model == "logprobs":
        asked["include"] = ["message.output_text.logprobs"]
    first = await client.responses.create(**asked, **key("k"))
    assert (await client.responses.create(**asked, **key("k"))).to_dict() == first.to_dict()


@pytest.mark.requirement("idempotency:stream")
async def test_a_repeated_stream_is_its_replay(client: AsyncOpenAI, house: House) -> None:
    asked: Any = {"model": "scripted/reasoning", "input": "Hi.", "stream": True, **key("k")}
    first = [event async for event in await client.responses.create(**asked)]
    raw = await client.responses.with_raw_response.create(**asked)
    assert raw.headers[REPLAYED] == "true"
    again = [event async for event in raw.parse()]
    assert again == first and made(house) == 1


@pytest.mark.requirement("idempotency:reused")
async def test_a_key_is_for_one_request(client: AsyncOpenAI, house: House) -> None:
    create = client.responses.create
    await create(model="scripted/echo", input="Hi.", **key("k"))
    for changed in ({"input": "Ho."}, {"input": "Hi.", "stream": True}):
        with pytest.raises(openai.BadRequestError) as refused:
            await create(model="scripted/echo", **changed, **key("k"))  # type: ignore[call-overload]
        assert refused.value.code == "idempotency_key_reused"
        assert "Idempotency-Key" in refused.value.message
    assert made(house) == 1


@pytest.mark.requirement("idempotency:in_flight")
async def test_a_repeat_that_comes_too_early_is_told_to_wait(
    client: AsyncOpenAI, house: House
) -> None:
    asked: Any = {"model": "scripted/slow-20ms", "input": "Hi.", **key("k")}
    making = asyncio.create_task(client.responses.create(**asked))
    async with asyncio.timeout(5):
        while not house.deps.runs.live:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)
    with pytest.raises(openai.ConflictError) as refused:
        await client.responses.create(**asked)
    assert refused.value.code == "idempotency_in_progress"
    assert refused.value.response.headers["retry-after"] == "1"
    patient = client.with_options(max_retries=3)  # which is what the client does with it
    again = await patient.responses.create(**asked)
    assert again == await making and made(house) == 1


@pytest.mark.requirement("idempotency:race")
async def test_of_many_at_once_one_response_is_made(client: AsyncOpenAI, house: House) -> None:
    patient = client.with_options(max_retries=5)
    asked: Any = {"model": "scripted/slow-5ms", "input": "Hi.", **key("k")}
    every = await asyncio.gather(*(patient.responses.create(**asked) for _ in range(6)))
    assert len({one.id for one in every}) == 1 and made(house) == 1


@pytest.mark.requirement("idempotency:left")
@pytest.mark.parametrize("stream", [False, True])
@over_socket
async def test_a_caller_who_left_gets_what_was_made_meanwhile(
    client: AsyncOpenAI, house: House, stream: bool
) -> None:
    asked: Any = {"model": "scripted/slow-20ms", "input": "Hi.", "stream": stream, **key("k")}
    making = asyncio.create_task(client.responses.create(**asked))
    async with asyncio.timeout(5):
        while not house.deps.runs.live:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)
        if stream:
            await (await making).close()
        else:
            await asyncio.sleep(0.06)
            making.cancel()
        while house.deps.runs.live:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)
    again = await client.responses.create(**asked)
    if stream:
        assert [event.type async for event in again][-1] == "response.completed"
    else:
        assert again.status == "completed" and again.output_text.endswith("ten")
    assert made(house) == 1


@pytest.mark.requirement("idempotency:unstored")
async def test_what_was_not_stored_is_not_answered_again(client: AsyncOpenAI, house: House) -> None:
    asked: Any = {"model": "scripted/echo", "input": "Hi.", "store": False, **key("k")}
    first = await client.responses.create(**asked)
    with pytest.raises(openai.ConflictError) as refused:
        await client.with_options(max_retries=2).responses.create(**asked)
    assert refused.value.code == "idempotency_answer_not_stored"
    assert first.id in refused.value.message
    assert made(house) == 1


@pytest.mark.requirement("idempotency:freed")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_refused_request_frees_its_key(client: AsyncOpenAI, stream: bool) -> None:
    """Refused by us, or by the model before its first word."""
    for refused in (
        {"model": "scripted/error-503", "input": "Hi."},
        {"model": "scripted/nobody", "input": "Hi."},
        {"model": "scripted/echo", "input": "Hi.", "previous_response_id": "resp_0"},
        {"model": "scripted/echo", "input": "Hi.", "temperature": 9},
    ):
        for _ in range(2):
            with pytest.raises(openai.APIStatusError) as error:
                await client.responses.create(**refused, stream=stream, **key("k"))  # type: ignore[call-overload]
            assert not str(error.value.code).startswith("idempotency")
    fine = await client.responses.create(model="scripted/echo", input="Hi.", **key("k"))
    assert fine.status == "completed"


@pytest.mark.requirement("idempotency:freed")
async def test_a_deleted_response_is_not_made_again(client: AsyncOpenAI) -> None:
    asked: Any = {"model": "scripted/echo", "input": "Hi.", **key("k")}
    first = await client.responses.create(**asked)
    await client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError) as gone:
        await client.responses.create(**asked)
    assert gone.value.code == "response_not_found"


@pytest.mark.requirement("idempotency:tenant")
async def test_every_project_has_its_own_keys(locked: House) -> None:
    async with client_of(locked, "sk-alpha") as ours, client_of(locked, "sk-beta") as theirs:
        first = await ours.responses.create(model="scripted/echo", input="Hi.", **key("k"))
        second = await theirs.responses.create(model="scripted/echo", input="Ho.", **key("k"))
        assert first.id != second.id and second.output_text == "Ho."


@pytest.mark.requirement("idempotency:form")
@pytest.mark.parametrize("value", ["", " ", "k" * 256, "k\u00e9"])
async def test_a_key_has_a_form(house: House, value: str) -> None:
    answer = await house.client.request(
        "POST",
        "/v1/responses",
        body={"model": "scripted/echo", "input": "Hi."},
        headers={"idempotency-key": value},
    )
    assert answer.status == 400, answer.body
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("invalid_idempotency_key", "Idempotency-Key")


@pytest.mark.requirement("idempotency:form")
async def test_how_a_body_is_spelled_does_not_matter(house: House) -> None:
    async def ask(body: bytes, value: str) -> dict[str, Any]:
        headers = {"idempotency-key": value, "content-type": "application/json"}
        answer = await house.client.request("POST", "/v1/responses", body=body, headers=headers)
        assert answer.status == 200, answer.body
        got: dict[str, Any] = answer.json()
        return got

    longest = "k" * 255
    first = await ask(b'{"model":"scripted/echo","input":"\\u00e9"}', longest)
    again = await ask('{ "input": "é", "model": "scripted/echo" }'.encode(), longest)
    assert first == again


@pytest.mark.requirement("idempotency:conversations")
async def test_a_conversation_is_made_once(client: AsyncOpenAI) -> None:
    items: Any = [{"role": "user", "content": "Hi."}]
    create = client.conversations.with_raw_response.create
    first = await create(items=items, **key("k"))
    again = await create(items=items, **key("k"))
    assert first.parse() == again.parse() and again.headers[REPLAYED] == "true"
    with pytest.raises(openai.BadRequestError) as refused:
        await create(items=[], **key("k"))
    assert refused.value.code == "idempotency_key_reused"
    with pytest.raises(openai.BadRequestError):  # what is refused frees its key
        await create(items=[{"type": "nonsense"}], **key("k-2"))  # type: ignore[typeddict-item]
    await create(items=items, **key("k-2"))
    # The key of a response is another request's.
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(model="scripted/echo", input="Hi.", **key("k"))
    assert refused.value.code == "idempotency_key_reused"


@pytest.mark.requirement("idempotency:same")
async def test_a_repeat_adds_nothing_to_a_conversation(client: AsyncOpenAI) -> None:
    conversation = await client.conversations.create()
    asked: Any = {"model": "scripted/echo", "input": "Hi.", "conversation": conversation.id}
    for _ in range(2):
        await client.responses.create(**asked, **key("k"))
    assert len((await client.conversations.items.list(conversation.id)).data) == 2


@pytest.mark.requirement("idempotency:lease")
async def test_a_key_nobody_works_on_any_more_is_free(house: House) -> None:
    """The process that had it died: its lease runs out."""
    runs = house.deps.runs
    claim = await runs.repeats.claim("default", "k", "some digest")
    assert not isinstance(claim, str)
    claim.let_go()  # nobody renews it
    asked = {"body": {"model": "scripted/echo", "input": "Hi."}}
    headers = {"idempotency-key": "k"}
    early = await house.client.request("POST", "/v1/responses", **asked, headers=headers)
    assert early.json()["error"]["code"] == "idempotency_key_reused"
    now = runs.ids.clock()
    runs.leases._clock = lambda: now + LEASE_MS + 1
    late = await house.client.request("POST", "/v1/responses", **asked, headers=headers)
    assert late.status == 200 and late.json()["status"] == "completed"
