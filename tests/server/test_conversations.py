"""Conversations through the official client, over both roads, every answer strictly typed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from antiphon.app import running
from antiphon.config import Config, ScriptedSettings, StoreSettings
from tests.server.conftest import House, asking
from tests.server.test_openai_client import WEATHER, client_of

pytestmark = pytest.mark.anyio

USER: Any = {"role": "user", "content": "Hi."}
IMAGE_URL = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture
async def client(house: House) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(house) as client:
        yield client


async def texts(client: AsyncOpenAI, id: str) -> list[str]:
    """What the messages of a conversation say, oldest first."""
    listed = client.conversations.items.list(id, order="asc", limit=100)
    return [part.text async for item in listed if item.type == "message" for part in item.content]


async def under_way(client: AsyncOpenAI, house: House, **asked: Any) -> asyncio.Task[Any]:
    """A response that is being made."""
    making = asyncio.create_task(client.responses.create(**asked))
    async with asyncio.timeout(5):
        while not house.deps.runs.live:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)
    return making


@pytest.mark.requirement("conversations:object")
async def test_a_conversation_is_made_read_changed_and_deleted(client: AsyncOpenAI) -> None:
    made = await client.conversations.create(metadata={"topic": "demo"})
    assert made.id.startswith("conv_") and made.object == "conversation"
    assert made.metadata == {"topic": "demo"}
    assert await client.conversations.retrieve(made.id) == made
    changed = await client.conversations.update(made.id, metadata={"a": "b"})
    assert changed.metadata == {"a": "b"} and changed.created_at == made.created_at
    assert (await client.conversations.update(made.id, metadata=None)).metadata == {}
    deleted = await client.conversations.delete(made.id)
    assert deleted.object == "conversation.deleted" and deleted.deleted and deleted.id == made.id
    with pytest.raises(openai.NotFoundError) as gone:
        await client.conversations.retrieve(made.id)
    assert gone.value.code == "conversation_not_found"


@pytest.mark.requirement("conversations:items")
async def test_items_are_added_read_and_deleted(client: AsyncOpenAI) -> None:
    made = await client.conversations.create(items=[USER])
    added = await client.conversations.items.create(
        made.id,
        items=[
            {"role": "assistant", "content": "Hello."},
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "42"},
            {"type": "reasoning", "id": "rs_mine", "summary": []},
        ],
    )
    kinds = [item.type for item in added.data]
    assert kinds == ["message", "function_call", "function_call_output", "reasoning"]
    assert added.object == "list" and not added.has_more
    assert (added.first_id, added.last_id) == (added.data[0].id, "rs_mine")
    for item in added.data:
        found = await client.conversations.items.retrieve(item.id or "", conversation_id=made.id)
        assert found == item
        assert item.type == "reasoning" or item.status == "completed"  # type: ignore[union-attr]
    left = await client.conversations.items.delete("rs_mine", conversation_id=made.id)
    assert left == made
    with pytest.raises(openai.NotFoundError) as gone:
        await client.conversations.items.retrieve("rs_mine", conversation_id=made.id)
    assert gone.value.code == "item_not_found"
    with pytest.raises(openai.NotFoundError) as gone:
        await client.conversations.items.delete("rs_mine", conversation_id=made.id)
    assert gone.value.code == "item_not_found"
    listed = await client.conversations.items.list(made.id)
    assert [item.id for item in listed.data[:3]] == [item.id for item in added.data[2::-1]]


@pytest.mark.requirement("conversations:items")
async def test_an_id_is_given_once_in_a_conversation(client: AsyncOpenAI) -> None:
    """Callers' ids are kept, unless the conversation has them: lists are paged by id."""
    made = await client.conversations.create(items=[{**USER, "type": "message", "id": "msg_1"}])
    again = await client.conversations.items.create(
        made.id, items=[{**USER, "type": "message", "id": id} for id in ("msg_1", "msg_2", "msg_2")]
    )
    ids = [item.id for item in again.data]
    assert ids[1] == "msg_2" and len({*ids, "msg_1"}) == 4


@pytest.mark.requirement("conversations:items:pages")
async def test_the_client_pages_through_all_items(client: AsyncOpenAI) -> None:
    made = await client.conversations.create()
    said = [f"number {number}" for number in range(45)]
    for at in range(0, 45, 20):
        part: Any = [{"role": "user", "content": text} for text in said[at : at + 20]]
        await client.conversations.items.create(made.id, items=part)
    first = await client.conversations.items.list(made.id)
    assert len(first.data) == 20 and first.has_more and first.last_id == first.data[-1].id
    assert first.data[0].content[0].text == "number 44"  # type: ignore[union-attr]
    newest_first = [item async for item in client.conversations.items.list(made.id, limit=7)]
    assert [item.content[0].text for item in newest_first] == said[::-1]  # type: ignore[union-attr]
    assert await texts(client, made.id) == said
    empty = await client.conversations.items.list(made.id, after=newest_first[-1].id or "")
    assert empty.data == [] and not empty.has_more


@pytest.mark.requirement("conversations:items:include")
async def test_images_and_log_probabilities_are_shown_to_those_who_ask(client: AsyncOpenAI) -> None:
    image: Any = {"type": "input_image", "image_url": IMAGE_URL, "detail": "auto"}
    said: Any = {"type": "output_text", "text": "x", "annotations": [], "logprobs": []}
    items: Any = [
        {"type": "message", "id": "msg_1", "role": "user", "content": [image]},
        {"type": "message", "id": "msg_2", "role": "assistant", "content": [said]},
    ]
    made = await client.conversations.create()
    hidden = await client.conversations.items.create(made.id, items=items)
    assert hidden.data[0].content[0].image_url is None  # type: ignore[union-attr]
    assert "logprobs" not in hidden.data[1].to_dict()["content"][0]  # type: ignore[index]
    includes: Any = ["message.input_image.image_url", "message.output_text.logprobs"]
    listed = await client.conversations.items.list(made.id, order="asc", include=includes)
    assert listed.data[0].content[0].image_url == IMAGE_URL  # type: ignore[union-attr]
    assert listed.data[1].to_dict()["content"][0]["logprobs"] == []  # type: ignore[index]
    one = await client.conversations.items.retrieve(
        "msg_1", conversation_id=made.id, include=includes
    )
    assert one.content[0].image_url == IMAGE_URL  # type: ignore[union-attr]


HOSTED: list[tuple[str, dict[str, Any], str, str]] = [
    ("file_search_call", {"queries": [], "results": []}, "results", "file_search_call.results"),
    (
        "web_search_call",
        {"action": {"type": "search", "query": "q", "sources": []}},
        "action",
        "web_search_call.action.sources",
    ),
    (
        "code_interpreter_call",
        {"code": "1", "container_id": "c", "outputs": []},
        "outputs",
        "code_interpreter_call.outputs",
    ),
    ("reasoning", {"summary": [], "encrypted_content": "x"}, "encrypted_content", ""),
]


@pytest.mark.requirement("conversations:items:include")
@pytest.mark.parametrize(("kind", "fields", "key", "include"), HOSTED, ids=lambda v: str(v)[:20])
async def test_what_tools_found_is_shown_to_those_who_ask(
    house: House, kind: str, fields: dict[str, Any], key: str, include: str
) -> None:
    item = {"type": kind, "id": "it_1", "status": "completed", **fields}
    made = await house.client.request("POST", "/v1/conversations", body={"items": [item]})
    path = f"/v1/conversations/{made.json()['id']}/items/it_1"
    hidden = (await house.client.request("GET", path)).json()
    name = include or "reasoning.encrypted_content"
    shown = (await house.client.request("GET", f"{path}?include[]={name}")).json()
    assert shown == item
    assert hidden.get(key) != item[key] and hidden["id"] == "it_1"


FAULTS: list[tuple[str, Any, str, str]] = [
    ("", {"items": [USER] * 21}, "items", "array_above_max_length"),
    ("", {"item": []}, "item", "unknown_parameter"),
    ("", {"metadata": {"k" * 65: "v"}}, f"metadata.{'k' * 39}…", "string_above_max_length"),
    ("", {"items": [{"type": "nonsense"}]}, "items[0].type", "invalid_value"),
    (
        "",
        {"items": [{"type": "configuration_update", "reasoning": {"effort": "vast"}}]},
        "items[0].reasoning.effort",
        "invalid_value",
    ),
    (
        "",
        {"items": [{"type": "additional_tools", "tools": [{"type": "nonsense"}]}]},
        "items[0].tools[0].type",
        "invalid_value",
    ),
    ("", {"items": [{"type": "compaction_trigger"}]}, "items[0].type", "unsupported_value"),
    ("/{id}", {}, "metadata", "missing_required_parameter"),
    ("/{id}", {"metadata": {str(n): "" for n in range(17)}}, "metadata", "object_above"),
    ("/{id}/items", {}, "items", "missing_required_parameter"),
    ("/{id}/items", {"items": []}, "items", "array_below_min_length"),
    ("/{id}/items", {"items": [USER] * 21}, "items", "array_above_max_length"),
    ("/{id}/items", {"items": [{"role": "user"}]}, "items[0].content", "missing_required"),
    (
        "/{id}/items",
        {"items": [USER, {"type": "function_call_output", "call_id": "c", "output": ""}]},
        "items[1].call_id",
        "tool_call_not_found",
    ),
    ("/{id}/items", {"items": [{"type": "item_reference", "id": "msg_0"}]}, "items[0].id", "item_"),
    (
        "/{id}/items",
        {"items": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
        "items[0].content[0].image_url",
        "invalid_value",
    ),
]


@pytest.mark.requirement("conversations:items:faults")
@pytest.mark.requirement("conversations:limits")
@pytest.mark.parametrize(("path", "body", "param", "code"), FAULTS, ids=lambda v: str(v)[:40])
async def test_what_is_wrong_is_named(
    house: House, path: str, body: Any, param: str, code: str
) -> None:
    made = (await house.client.request("POST", "/v1/conversations", body={})).json()
    url = "/v1/conversations" + path.format(id=made["id"])
    answer = await house.client.request("POST", url, body=body)
    error = answer.json()["error"]
    assert answer.status == (404 if code == "item_" else 400), answer.body
    assert error["param"] == param and error["code"].startswith(code)
    listed = await house.client.request("GET", f"/v1/conversations/{made['id']}/items")
    assert listed.json()["data"] == []


@pytest.mark.requirement("conversations:items:faults")
@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("order=up", "order"),
        ("after=msg_0", "after"),
        ("include[]=x", "include[0]"),
        ("befor=x", "befor"),
    ],
)
async def test_a_wrong_query_is_named(house: House, query: str, param: str) -> None:
    made = (await house.client.request("POST", "/v1/conversations", body={})).json()
    url = f"/v1/conversations/{made['id']}/items?{query}"
    answer = await house.client.request("GET", url)
    assert answer.status == 400 and answer.json()["error"]["param"] == param


@pytest.mark.requirement("conversations:tenant")
async def test_another_projects_conversation_looks_missing(locked: House) -> None:
    async with client_of(locked, "sk-alpha") as ours, client_of(locked, "sk-beta") as theirs:
        made = await ours.conversations.create(items=[{**USER, "type": "message", "id": "msg_1"}])
        told = set()
        for id in (made.id, "conv_0"):
            for asking in (
                theirs.conversations.retrieve(id),
                theirs.conversations.update(id, metadata={}),
                theirs.conversations.delete(id),
                theirs.conversations.items.list(id)._get_page(),  # type: ignore[attr-defined]
                theirs.conversations.items.create(id, items=[USER]),
                theirs.conversations.items.retrieve("msg_1", conversation_id=id),
                theirs.conversations.items.delete("msg_1", conversation_id=id),
                theirs.responses.create(model="scripted/echo", input="Hi.", conversation=id),
                theirs.responses.input_tokens.count(model="scripted/echo", conversation=id),
            ):
                with pytest.raises(openai.NotFoundError) as missing:
                    await asking
                told.add((missing.value.code, missing.value.message.replace(id, "conv")))
        assert len(told) == 1 and "conversation_not_found" in told.pop()
        reference: Any = [{"type": "item_reference", "id": "msg_1"}]
        with pytest.raises(openai.NotFoundError) as missing:
            await theirs.responses.create(model="scripted/echo", input=reference)
        assert missing.value.code == "item_not_found"
        assert await texts(ours, made.id) == ["Hi."]


# Responses in a conversation ----------------------------------------------------------------------


@pytest.mark.requirement("conversations:turn")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_goes_on(client: AsyncOpenAI, stream: bool) -> None:
    made = await client.conversations.create(items=[{"role": "user", "content": "I am Ada."}])
    seen: list[Any] = []

    async def respond(text: str) -> Any:
        asked: Any = {"model": "scripted/transcript", "input": text, "conversation": made.id}
        if not stream:
            return await client.responses.create(**asked)
        async for event in await client.responses.create(**asked, stream=True):
            if hasattr(event, "response"):
                seen.append(event.response.conversation)
                last = event.response
        return last

    first = await respond("one")
    second = await respond("two")
    for response in (first, second):
        assert response.conversation.id == made.id and response.previous_response_id is None
        again = await client.responses.retrieve(response.id)
        assert again == response
    assert not stream or (len(seen) == 6 and all(one.id == made.id for one in seen))
    told = second.output_text
    assert told.index("I am Ada.") < told.index("one") < told.index("two")
    assert first.output_text.splitlines()[0] in told
    said = await texts(client, made.id)
    assert said == ["I am Ada.", "one", first.output_text, "two", second.output_text]
    listed = await client.conversations.items.list(made.id, limit=1)
    assert listed.data[0].id == second.output[0].id


@pytest.mark.requirement("conversations:turn")
async def test_the_replay_tells_the_conversation(client: AsyncOpenAI) -> None:
    made = await client.conversations.create()
    asked: Any = {"model": "scripted/echo", "input": "one", "conversation": {"id": made.id}}
    stream = await client.responses.create(**asked, stream=True)
    events = [event async for event in stream]
    replay = await client.responses.retrieve(events[0].response.id, stream=True)  # type: ignore[union-attr]
    assert [event async for event in replay] == events


@pytest.mark.requirement("conversations:append:statuses")
@pytest.mark.parametrize(
    ("model", "status", "added"),
    [("hello", "completed", 2), ("length", "incomplete", 2), ("error-after-3", "failed", 0)],
)
async def test_only_what_was_answered_is_added(
    client: AsyncOpenAI, model: str, status: str, added: int
) -> None:
    made = await client.conversations.create()
    response = await client.responses.create(
        model=f"scripted/{model}", input="one", conversation=made.id
    )
    assert response.status == status
    listed = await client.conversations.items.list(made.id, order="asc")
    assert len(listed.data) == added
    if added:
        assert listed.data[1].to_dict() == response.output[0].to_dict()
    # And it can be used at once.
    await client.responses.create(model="scripted/echo", input="two", conversation=made.id)
    assert (await texts(client, made.id))[-2:] == ["two", "two"]


@pytest.mark.requirement("conversations:append:unstored")
async def test_a_response_that_is_not_stored_is_added_too(client: AsyncOpenAI) -> None:
    made = await client.conversations.create()
    response = await client.responses.create(
        model="scripted/echo", input="one", conversation=made.id, store=False
    )
    assert await texts(client, made.id) == ["one", "one"]
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(response.id)


@pytest.mark.requirement("conversations:released")
async def test_a_refused_response_leaves_the_conversation_free(client: AsyncOpenAI) -> None:
    made = await client.conversations.create()
    output: Any = [{"type": "function_call_output", "call_id": "c", "output": "x"}]
    for refused in (
        {"model": "scripted/error-429", "input": "x"},
        {"model": "scripted/error-500", "input": "x", "stream": True},
        {"model": "scripted/nobody", "input": "x"},
        {"model": "scripted/echo", "input": output},
        {"model": "scripted/echo", "input": [{"type": "item_reference", "id": "msg_0"}]},
    ):
        with pytest.raises(openai.APIStatusError) as error:
            await client.responses.create(**refused, conversation=made.id)  # type: ignore[call-overload]
        assert error.value.code != "conversation_locked"
    await client.conversations.items.create(made.id, items=[USER])
    assert await texts(client, made.id) == ["Hi."]


@pytest.mark.requirement("conversations:locked")
async def test_a_busy_conversation_is_refused_to_everybody_else(
    client: AsyncOpenAI, house: House
) -> None:
    made = await client.conversations.create(items=[{**USER, "type": "message", "id": "msg_1"}])
    asked: Any = {"model": "scripted/slow-20ms", "input": "count", "conversation": made.id}
    made_meanwhile = await under_way(client, house, **asked)
    for refused in (
        client.responses.create(**asked),
        client.conversations.items.create(made.id, items=[USER]),
        client.conversations.items.delete("msg_1", conversation_id=made.id),
    ):
        with pytest.raises(openai.ConflictError) as error:
            await refused
        assert error.value.code == "conversation_locked"
        assert error.value.response.headers["retry-after"] == "1"
    # Reading, counting and describing it are no one's business.
    await client.conversations.update(made.id, metadata={"busy": "yes"})
    await client.responses.input_tokens.count(model="scripted/echo", conversation=made.id)
    assert await texts(client, made.id) == ["Hi."]
    await made_meanwhile
    assert len(await texts(client, made.id)) == 3


@pytest.mark.requirement("conversations:locked")
async def test_of_two_responses_at_once_one_is_made(client: AsyncOpenAI) -> None:
    made = await client.conversations.create()
    asked: Any = {"model": "scripted/slow-5ms", "input": "count", "conversation": made.id}
    told = await asyncio.gather(
        *(client.responses.create(**asked) for _ in range(4)), return_exceptions=True
    )
    refused = [one for one in told if isinstance(one, openai.ConflictError)]
    assert len(refused) == 3 and {one.code for one in refused} == {"conversation_locked"}
    assert len(await texts(client, made.id)) == 2


@pytest.mark.requirement("conversations:released")
@pytest.mark.parametrize("model", ["endless", "silent"])
async def test_a_caller_who_leaves_frees_the_conversation(
    client: AsyncOpenAI, house: House, model: str
) -> None:
    """In the middle of an answer, or before the model has said anything."""
    made = await client.conversations.create()
    asking = asyncio.create_task(
        client.responses.create(model=f"scripted/{model}", input="x", conversation=made.id)
    )
    async with asyncio.timeout(5):
        while not house.deps.runs.live:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        asking.cancel()
        while True:
            try:
                response = await client.responses.create(
                    model="scripted/hello", input="Hi.", conversation=made.id
                )
                break
            except openai.ConflictError:
                await asyncio.sleep(0.01)
    assert await texts(client, made.id) == ["Hi.", response.output_text]
    assert len(house.deps.runs.leases) == 0


@pytest.mark.requirement("conversations:deleted_meanwhile")
async def test_a_response_whose_conversation_is_deleted_ends(
    client: AsyncOpenAI, house: House
) -> None:
    made = await client.conversations.create()
    asked: Any = {"model": "scripted/slow-20ms", "input": "count", "conversation": made.id}
    made_meanwhile = await under_way(client, house, **asked)
    await client.conversations.delete(made.id)
    assert not made_meanwhile.done()
    response = await made_meanwhile
    assert response.status == "completed" and response.conversation.id == made.id
    assert await client.responses.retrieve(response.id) == response
    with pytest.raises(openai.NotFoundError):
        await client.responses.create(**asked)


@pytest.mark.requirement("conversations:exclusive")
async def test_a_chain_and_a_conversation_exclude_each_other(client: AsyncOpenAI) -> None:
    made = await client.conversations.create()
    asked: Any = {"model": "scripted/echo", "input": "one"}
    alone = await client.responses.create(**asked)
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(**asked, conversation=made.id, previous_response_id=alone.id)
    assert refused.value.code == "mutually_exclusive_parameters"
    within = await client.responses.create(**asked, conversation=made.id)
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(**asked, previous_response_id=within.id)
    assert refused.value.code == "response_in_conversation"
    assert refused.value.param == "previous_response_id"
    # A caller's own words in the object are not taken for one.
    schema = {"type": "object", "properties": {"conversation": {"id": {"type": "string"}}}}
    tool: Any = {"type": "function", "name": "f", "parameters": schema, "strict": False}
    talking = await client.responses.create(**asked, tools=[tool])
    await client.responses.create(**asked, previous_response_id=talking.id)


@pytest.mark.requirement("conversations:calls")
async def test_a_call_in_a_conversation_is_answered(client: AsyncOpenAI) -> None:
    made = await client.conversations.create()
    asked: Any = {"model": "scripted/tool", "conversation": made.id, "tools": [WEATHER]}
    first = await client.responses.create(**asked, input="Weather?")
    call: Any = first.output[0]
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(**asked, input="Well?")
    assert refused.value.code == "tool_output_not_found"
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    second = await client.responses.create(**asked, input=[output])
    assert "sunny" in second.output_text
    # Or its output is put into the conversation first.
    third = await client.responses.create(
        model="scripted/text-then-tool", conversation=made.id, tools=[WEATHER], input="Again?"
    )
    output["call_id"] = third.output[-1].call_id  # type: ignore[union-attr]
    added = await client.conversations.items.create(made.id, items=[output])
    fourth = await client.responses.create(**asked, input="And?")
    assert fourth.status == "completed"
    # Whose call is then deleted: nobody could make sense of the rest.
    await client.conversations.items.delete(third.output[-1].id or "", conversation_id=made.id)
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(model="scripted/echo", conversation=made.id, input="Hm?")
    assert (refused.value.code, refused.value.param) == ("tool_call_not_found", "conversation")
    await client.conversations.items.delete(added.data[0].id or "", conversation_id=made.id)


@pytest.mark.requirement("conversations:references")
async def test_items_of_conversations_can_be_referred_to(client: AsyncOpenAI) -> None:
    made = await client.conversations.create()
    added = await client.conversations.items.create(
        made.id, items=[{"role": "user", "content": "The word is swordfish."}]
    )
    reference: Any = {"type": "item_reference", "id": added.data[0].id}
    told = await client.responses.create(model="scripted/transcript", input=[reference])
    assert "swordfish" in told.output_text
    other = await client.conversations.create(items=[reference])
    assert await texts(client, other.id) == ["The word is swordfish."]
    within = await client.responses.create(
        model="scripted/transcript", input=[reference, USER], conversation=made.id
    )
    assert within.output_text.count("swordfish") == 1
    assert (await texts(client, made.id))[:2] == ["The word is swordfish.", "Hi."]
    await client.conversations.delete(made.id)
    await client.conversations.delete(other.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.create(model="scripted/transcript", input=[reference])


@pytest.mark.requirement("conversations:count")
async def test_a_conversation_is_counted(client: AsyncOpenAI) -> None:
    long: Any = {"role": "user", "content": "word " * 200}
    made = await client.conversations.create(items=[long])
    count = client.responses.input_tokens.count
    alone = await count(model="scripted/echo", input="Hi.")
    within = await count(model="scripted/echo", input="Hi.", conversation=made.id)
    assert within.input_tokens > alone.input_tokens + 100
    assert len(await texts(client, made.id)) == 1


@pytest.mark.requirement("conversations:truncation")
async def test_a_long_conversation_is_shortened_if_that_is_wanted(client: AsyncOpenAI) -> None:
    made = await client.conversations.create()
    for number in range(6):
        items: Any = [
            {"role": "user", "content": f"question {number} " + "x" * 20},
            {"role": "assistant", "content": "answer"},
        ]
        await client.conversations.items.create(made.id, items=items)
    asked: Any = {"model": "scripted/overflow-120", "input": "new", "conversation": made.id}
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(**asked)
    assert refused.value.code == "context_length_exceeded"
    response = await client.responses.create(**asked, truncation="auto")
    assert response.status == "completed"
    assert len(await texts(client, made.id)) == 14  # what was said stays


@pytest.mark.requirement("conversations:turn")
async def test_a_conversation_alone_is_enough_to_answer(client: AsyncOpenAI) -> None:
    made = await client.conversations.create(items=[{"role": "user", "content": "Hello there"}])
    response = await client.responses.create(model="scripted/echo", conversation=made.id)
    assert response.output_text == "Hello there"
    empty = await client.conversations.create()
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(model="scripted/echo", conversation=empty.id)
    assert refused.value.param == "input"


@pytest.mark.requirement("conversations:azure")
async def test_azures_client_finds_conversations_under_its_paths(road: str) -> None:
    config = Config(backends=(ScriptedSettings(),), store=StoreSettings(file=":memory:"))
    async with running(config) as app, asking(app, road) as client:
        for base in ("/openai/v1", "/openai"):
            query = "" if base.endswith("v1") else "?api-version=2025-03-01-preview"
            made = await client.request(
                "POST", f"{base}/conversations{query}", body={"items": [USER]}
            )
            id = made.json()["id"]
            answer = await client.request(
                "POST",
                f"{base}/responses{query}",
                body={"model": "scripted/echo", "input": "one", "conversation": id},
            )
            assert answer.json()["conversation"] == {"id": id}
            assert answer.json()["content_filters"] == []
            url = f"{base}/conversations/{id}/items{query}"
            assert len((await client.request("GET", url)).json()["data"]) == 3
            url = f"{base}/conversations/{id}{query}"
            gone = await client.request("DELETE", url)
            assert gone.json()["object"] == "conversation.deleted"
            assert (await client.request("GET", url)).json()["error"]["code"] == (
                "conversation_not_found"
            )


@pytest.mark.requirement("conversations:exclusive")
async def test_a_conversation_is_no_previous_response_though_it_is_remembered(
    client: AsyncOpenAI,
) -> None:
    made = await client.conversations.create(items=[USER])
    await client.responses.create(model="scripted/echo", input="Hi", conversation=made.id)
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(
            model="scripted/echo", input="Hi", previous_response_id=made.id
        )
    assert refused.value.code == "previous_response_not_found"
