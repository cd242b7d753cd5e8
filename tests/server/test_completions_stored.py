"""Stored chat completions over HTTP and with the official client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai import AsyncOpenAI, NotFoundError

from antiphon.app import App
from antiphon.config import Config, ScriptedSettings, StoreSettings
from antiphon.config_state import EncryptionSettings
from antiphon.runs.retention import Retention
from tests.server.asgi_client import Answer, AsgiClient
from tests.server.completions import (
    HI,
    PATH,
    WEATHER,
    ask,
    body_of,
    chunks_of,
    joined,
    made,
    streamed,
)
from tests.server.conftest import House, over_asgi
from tests.server.test_openai_client import client_of
from tests.server.test_routes import error_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(house: House) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(house) as client:
        yield client


async def kept(client: AsyncOpenAI, **parameters: Any) -> str:
    fields: Any = {"model": "scripted/hello", "messages": HI, "store": True, **parameters}
    return str((await client.chat.completions.create(**fields)).id)


@pytest.mark.requirement("completions:stored:operations")
async def test_the_clients_operations_do_what_they_say(client: AsyncOpenAI) -> None:
    completions = client.chat.completions
    answer = await completions.create(
        model="scripted/hello", messages=HI, store=True, metadata={"colour": "blue"}
    )
    assert (await completions.retrieve(answer.id)).to_dict() == answer.to_dict()
    changed = await completions.update(answer.id, metadata={"colour": "red"})
    assert changed.metadata == {"colour": "red"}
    assert changed.to_dict() == {**answer.to_dict(), "metadata": {"colour": "red"}}
    assert (await completions.retrieve(answer.id)).metadata == {"colour": "red"}
    assert (await completions.update(answer.id, metadata=None)).metadata == {}
    gone = await completions.delete(answer.id)
    assert (gone.id, gone.object, gone.deleted) == (answer.id, "chat.completion.deleted", True)
    for operation in (
        completions.retrieve(answer.id),
        completions.delete(answer.id),
        completions.update(answer.id, metadata={}),
        completions.messages.list(answer.id),
    ):
        with pytest.raises(NotFoundError) as missing:
            await operation
        assert missing.value.code == "completion_not_found"


@pytest.mark.requirement("completions:stored:operations")
async def test_the_client_pages_and_filters_a_list(client: AsyncOpenAI) -> None:
    completions = client.chat.completions
    ids = [await kept(client, metadata={"n": str(n % 2), "all": "yes"}) for n in range(5)]
    other = await kept(client, model="scripted/echo")

    async def every(**parameters: Any) -> list[str]:
        return [one.id async for one in completions.list(**parameters)]

    assert await every() == await every(order="asc", limit=2) == [*ids, other]
    assert await every(order="desc", limit=4) == [other, *reversed(ids)]
    assert await every(model="scripted/echo") == [other]
    assert await every(metadata={"n": "1"}) == ids[1::2]
    assert await every(metadata={"n": "0", "all": "yes"}, limit=1) == ids[::2]
    assert await every(metadata={"n": "0", "all": "no"}) == []
    page = await completions.list(limit=2, after=ids[0])
    assert [one.id for one in page.data] == ids[1:3]
    assert page.to_dict()["first_id"] == ids[1] and page.has_more
    whole = (await completions.list(limit=1)).data[0]
    assert whole.to_dict() == (await completions.retrieve(ids[0])).to_dict()


@pytest.mark.requirement("completions:stored:only")
async def test_only_what_was_to_be_stored_is_there(house: House) -> None:
    for store in (None, False):
        answer = await made(house, store=store)
        found = await house.client.request("GET", f"{PATH}/{answer['id']}")
        assert error_of(found) == (404, "completion_not_found", "completion_id")
    kept = await made(house, store=True)
    listed = (await house.client.request("GET", PATH)).json()
    assert [one["id"] for one in listed["data"]] == [kept["id"]]
    # A completion is no response: its items belong to no history.
    response = f"resp_{kept['id'].removeprefix('chatcmpl-')}"
    for id in (response, kept["id"]):
        found = await house.client.request("GET", f"/v1/responses/{id}")
        assert found.status == 404


@pytest.mark.requirement("completions:stored:before-done")
async def test_a_streamed_completion_is_there_when_its_stream_is_over(house: House) -> None:
    tools = [WEATHER]
    chunks = await streamed(house, "tool", tools=tools, store=True, metadata={"a": "b"})
    found = (await house.client.request("GET", f"{PATH}/{chunks[0]['id']}")).json()
    assert found["metadata"] == {"a": "b"} and found["usage"]["total_tokens"] > 0
    assert found["choices"][0]["finish_reason"] == "tool_calls"
    call = found["choices"][0]["message"]["tool_calls"][0]
    assert call["id"] == chunks[1]["choices"][0]["delta"]["tool_calls"][0]["id"]
    cut = await made(house, "length", store=True)
    assert (await house.client.request("GET", f"{PATH}/{cut['id']}")).status == 200


@pytest.mark.requirement("completions:stored:messages")
async def test_the_messages_it_was_made_from_are_listed(house: House) -> None:
    parts = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {
            "type": "file",
            "file": {"file_data": "data:text/plain;base64,aGk=", "filename": "a.txt"},
        },
    ]
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief.", "name": "boss"},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
    ]
    id = (await made(house, messages=messages, store=True))["id"]
    page = (await house.client.request("GET", f"{PATH}/{id}/messages")).json()
    nothing: dict[str, Any] = {"content_parts": None, "refusal": None, "name": None}
    assert page["data"] == [
        {"id": f"{id}-0", **nothing, **messages[0]},
        {
            "id": f"{id}-1",
            **nothing,
            "role": "user",
            "content": None,
            "content_parts": [
                parts[0],
                {
                    "type": "image_url",
                    "image_url": {"url": "https://example.com/a.png", "detail": "auto"},
                },
                {"type": "text", "text": "[the file a.txt]"},
            ],
        },
        {"id": f"{id}-2", **nothing, **messages[2]},
        {"id": f"{id}-3", **nothing, **messages[3]},
    ]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (f"{id}-0", f"{id}-3", False)
    where = f"{PATH}/{id}/messages?order=desc&limit=2&after={id}-3"
    page = (await house.client.request("GET", where)).json()
    assert [one["id"] for one in page["data"]] == [f"{id}-2", f"{id}-1"] and page["has_more"]


@pytest.mark.requirement("completions:stored:messages")
async def test_the_client_lists_messages(house: House) -> None:
    """Not strictly: the client's type says that every stored message is the assistant's."""
    async with client_of(house) as client:
        client._strict_response_validation = False
        id = await kept(client, messages=[*HI, {"role": "assistant", "content": "a"}, *HI])
        every = [one async for one in client.chat.completions.messages.list(id, limit=1)]
    assert [(one.id, one.role, one.content) for one in every] == [
        (f"{id}-0", "user", "hi"),
        (f"{id}-1", "assistant", "a"),
        (f"{id}-2", "user", "hi"),
    ]


@pytest.mark.requirement("completions:stored:faults")
@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ("limit=0", "integer_below_min_value", "limit"),
        ("limit=101", "integer_above_max_value", "limit"),
        ("order=up", "invalid_value", "order"),
        ("after=chatcmpl-0", "invalid_value", "after"),
        ("metadata=x", "unknown_parameter", "metadata"),
        ("metadata[a]=1&metadata[a]=2", "invalid_value", "metadata[a]"),
        ("colour=blue", "unknown_parameter", "colour"),
    ],
)
async def test_a_wrong_query_is_400_and_named(
    house: House, query: str, code: str, param: str
) -> None:
    assert error_of(await house.client.request("GET", f"{PATH}?{query}")) == (400, code, param)


@pytest.mark.requirement("completions:stored:faults")
@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "metadata"),
        ({"metadata": {"a": 1}}, "invalid_type", "metadata.a"),
        ({"metadata": {}, "model": "m"}, "unknown_parameter", "model"),
        ({"metadata": {str(n): "" for n in range(17)}}, "object_above_max_properties", "metadata"),
    ],
)
async def test_a_wrong_update_is_400_and_named(
    house: House, body: Any, code: str, param: str
) -> None:
    id = (await made(house, store=True))["id"]
    answer = await house.client.request("POST", f"{PATH}/{id}", body=body)
    assert error_of(answer) == (400, code, param)


@pytest.mark.requirement("completions:tenants")
async def test_a_project_sees_its_own_completions_only(locked: House) -> None:
    async with client_of(locked, "sk-alpha") as alpha, client_of(locked, "sk-beta") as beta:
        id = await kept(alpha, metadata={"a": "b"})
        for operation in (
            beta.chat.completions.retrieve(id),
            beta.chat.completions.delete(id),
            beta.chat.completions.update(id, metadata={}),
        ):
            with pytest.raises(NotFoundError):
                await operation
        assert [one.id async for one in beta.chat.completions.list(metadata={"a": "b"})] == []
        assert (await alpha.chat.completions.retrieve(id)).metadata == {"a": "b"}


@pytest.mark.requirement("completions:stored:durable")
@over_asgi
@pytest.mark.parametrize("stream", [False, True])
async def test_what_cannot_be_stored_is_an_error(house: House, stream: bool) -> None:
    await house.deps.runs.store.close()
    answer = await ask(house, store=True, stream=stream)
    if stream:
        frames = answer.body.decode().removesuffix("\n\n").split("\n\n")
        error = msgspec.json.decode(frames[-1].removeprefix("data: "))["error"]
        assert "could not be stored" in error["message"]
        assert "[DONE]" not in answer.body.decode()
    else:
        assert answer.status == 502 or answer.status == 500
        assert "could not be stored" in answer.json()["error"]["message"]


@pytest.mark.requirement("completions:retention")
@over_asgi
async def test_a_completion_expires_with_the_stores_retention(house: House) -> None:
    runs = house.deps.runs
    runs.retention = Retention(1)
    id = (await made(house, store=True))["id"]
    runs.retention = Retention(None)
    found = await house.client.request("GET", f"{PATH}/{id}")
    while found.status == 200:  # the millisecond is not over yet
        found = await house.client.request("GET", f"{PATH}/{id}")
    assert error_of(found) == (404, "completion_not_found", "completion_id")


@pytest.mark.requirement("completions:stored:operations")
async def test_the_whole_server_keeps_completions_on_either_database(
    store_settings: StoreSettings,
) -> None:
    app = App(Config(store=store_settings, backends=(ScriptedSettings(),)))
    await app.open()
    try:
        client = AsgiClient(app.asgi)
        body = body_of("hello", store=True, metadata={"a": "b"})
        answer = (await client.request("POST", PATH, body=body)).json()
        found = (await client.request("GET", f"{PATH}?metadata[a]=b&model=scripted/hello")).json()
        assert found["data"] == [answer]
        assert (await client.request("DELETE", f"{PATH}/{answer['id']}")).status == 200
    finally:
        await app.close()
    assert (await anything_left(store_settings)) == []


async def anything_left(settings: StoreSettings) -> list[Any]:
    """What a server that is started again lists."""
    app = App(Config(store=settings, backends=(ScriptedSettings(),)))
    await app.open()
    try:
        found: list[Any] = (await AsgiClient(app.asgi).request("GET", PATH)).json()["data"]
        return found
    finally:
        await app.close()


KEY = {"idempotency-key": "k-1"}


async def ask_again(house: House, **parameters: Any) -> Answer:
    body = body_of("tool", tools=[WEATHER], **parameters)
    return await house.client.request("POST", PATH, body=body, headers=KEY)


@pytest.mark.requirement("completions:idempotent")
@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_key_and_body_give_the_same_completion(house: House, stream: bool) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    first = await ask_again(house, store=True, **options)
    again = await ask_again(house, store=True, **options)
    assert again.status == 200 and again.headers["idempotent-replayed"] == "true"
    if stream:
        before, after = chunks_of(first.body), chunks_of(again.body)
        assert joined(before) == joined(after)
        assert before[-1] == after[-1] and before[0]["id"] == after[0]["id"]
    else:
        assert again.json() == first.json()
    listed = (await house.client.request("GET", PATH)).json()["data"]
    assert len(listed) == 1
    other = await ask_again(house, store=True, temperature=0, **options)
    assert error_of(other) == (400, "idempotency_key_reused", "Idempotency-Key")


@pytest.mark.requirement("completions:idempotent")
async def test_a_key_is_free_again_where_nothing_was_made(house: House) -> None:
    async def asked(**body: Any) -> Answer:
        return await house.client.request("POST", PATH, body=body_of(**body), headers=KEY)

    assert (await asked(model="hello", n=2)).status == 400
    assert (await asked(model="error-429")).status == 429
    assert (await asked(model="error-after-3", store=True)).status == 502
    assert (await asked(model="hello")).status == 200
    again = await asked(model="hello")
    assert error_of(again)[:2] == (409, "idempotency_answer_not_stored")


@pytest.mark.requirement("completions:store:shut")
async def test_nothing_that_was_said_is_readable_where_content_is_encrypted(tmp_path: Path) -> None:
    config = Config(
        store=StoreSettings(data=str(tmp_path)),
        backends=(ScriptedSettings(),),
        encryption=EncryptionSettings(at_rest=True),
    )
    app = App(config)
    await app.open()
    try:
        client = AsgiClient(app.asgi)
        messages = [{"role": "user", "content": "Tell nobody: xyzzy."}]
        body = body_of("echo", store=True, messages=messages)
        answer = (await client.request("POST", PATH, body=body)).json()
        found = await client.request("GET", f"{PATH}/{answer['id']}")
        assert found.json() == answer and b"xyzzy" in found.body
        assert (await client.request("GET", PATH)).json()["data"] == [answer]
        listed = await client.request("GET", f"{PATH}/{answer['id']}/messages")
        assert listed.json()["data"][0]["content"] == "Tell nobody: xyzzy."
    finally:
        await app.close()
    files = everything_in(tmp_path)
    assert any(answer["id"].encode() in content for content in files)
    assert not any(b"xyzzy" in content for content in files)


def everything_in(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
