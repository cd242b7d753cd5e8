"""Conversations on every road: their items while turns are added, their lock; and stored chat
completions."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.matrix.roads import Client, Road, in_every_flavour, refusal

SEALED = ["reasoning.encrypted_content"]
HI: Any = [{"role": "user", "content": "Hello there."}]


def items_of(client: Client, conversation: str, **asked: Any) -> list[Any]:
    return list(client.conversations.items.list(conversation, **asked))


@pytest.mark.requirement("matrix:conversation-paging")
def test_a_conversation_is_paged_while_it_grows(ask: Road, client: Client) -> None:
    talk = client.conversations.create(items=[{"role": "user", "content": "begin"}]).id
    for number in range(3):
        ask(client, model="scripted/echo", input=f"turn {number}", conversation=talk)
    page = client.conversations.items.list(talk, order="asc", limit=3)
    assert [len(page.data), page.has_more] == [3, True]
    ask(client, model="scripted/echo", input="turn 3", conversation=talk)
    rest = [item for after in page.iter_pages() for item in after.data][3:]
    texts = [item.content[0].text for item in [*page.data, *rest]]
    spoken = [text for number in range(4) for text in [f"turn {number}"] * 2]
    assert texts == ["begin", *spoken]
    assert [item.id for item in items_of(client, talk, limit=2)] == [
        item.id for item in reversed([*page.data, *rest])
    ]


@pytest.mark.requirement("matrix:conversation-include")
def test_what_is_not_included_is_not_shown(ask: Road, client: Client) -> None:
    talk = client.conversations.create().id
    ask(client, model="scripted/rethink", input="think", conversation=talk, include=SEALED)
    ask(client, model="scripted/rethink", input="again", conversation=talk)
    (hidden, *_) = [i for i in items_of(client, talk, order="asc") if i.type == "reasoning"]
    (shown, *_) = [
        item
        for item in items_of(client, talk, order="asc", include=SEALED)
        if item.type == "reasoning"
    ]
    assert hidden.id == shown.id
    assert (hidden.encrypted_content, bool(shown.encrypted_content)) == (None, True)
    one = client.conversations.items.retrieve(shown.id, conversation_id=talk, include=SEALED)
    assert one == shown


@pytest.mark.requirement("matrix:conversation-locked")
def test_a_slow_background_response_holds_its_conversation(
    ask: Road, client: Client, beside: Client
) -> None:
    talk = client.conversations.create(items=[{"role": "user", "content": "first"}]).id
    (item,) = items_of(client, talk)
    slow = client.responses.create(
        model="scripted/stall", input="wait", conversation=talk, background=True
    )
    try:
        for one in (client, beside):
            refused = refusal(ask, one, model="scripted/echo", input="me too", conversation=talk)
            assert (refused.status_code, refused.code) == (409, "conversation_locked")
        with pytest.raises(openai.ConflictError):
            beside.conversations.items.create(talk, items=[{"role": "user", "content": "x"}])
        with pytest.raises(openai.ConflictError):
            beside.conversations.items.delete(item.id, conversation_id=talk)
        assert [one.id for one in items_of(beside, talk)] == [item.id]
    finally:
        beside.responses.cancel(slow.id)
    made = ask(client, model="scripted/transcript", input="now", conversation=talk)
    assert "first" in made.output_text and "wait" not in made.output_text


@pytest.mark.requirement("matrix:conversation-item-deleted")
def test_a_deleted_item_is_not_told_to_the_model(ask: Road, client: Client, beside: Client) -> None:
    talk = client.conversations.create().id
    ask(client, model="scripted/echo", input="The PIN is 1234.", conversation=talk)
    ask(client, model="scripted/echo", input="Thanks.", conversation=talk)
    for item in items_of(client, talk, order="asc")[:2]:
        beside.conversations.items.delete(item.id, conversation_id=talk)
    made = ask(client, model="scripted/transcript", input="What do you know?", conversation=talk)
    assert "Thanks." in made.output_text and "1234" not in made.output_text
    assert len(items_of(client, talk)) == 4


@pytest.mark.requirement("matrix:conversation-deleted")
def test_a_deleted_conversation_is_gone_on_every_road(
    ask: Road, client: Client, beside: Client, stranger: Client
) -> None:
    talk = client.conversations.create().id
    said = {"model": "scripted/echo", "input": "x", "conversation": talk}
    made = ask(client, **said)
    theirs = refusal(ask, stranger, **said)
    beside.conversations.delete(talk)
    refused = refusal(ask, client, **said)
    for one in (theirs, refused):
        assert (one.status_code, one.code) == (404, "conversation_not_found")
    assert client.responses.retrieve(made.id).output_text == "x"


@pytest.mark.requirement("matrix:conversation-edited")
def test_items_put_in_between_turns_are_told(ask: Road, client: Client) -> None:
    talk = client.conversations.create(metadata={"a": "b"}).id
    ask(client, model="scripted/echo", input="one", conversation=talk)
    client.conversations.items.create(talk, items=[{"role": "user", "content": "My name is Ada."}])
    made = ask(client, model="scripted/recall", input="Who am I?", conversation=talk)
    assert "Ada" in made.output_text
    client.conversations.update(talk, metadata={"c": "d"})
    assert client.conversations.retrieve(talk).metadata == {"c": "d"}


@pytest.mark.requirement("matrix:completions")
@in_every_flavour
def test_stored_chat_completions(
    client: Client, beside: Client, stranger: Client, request: Any
) -> None:
    mark = request.node.callspec.id
    named = "" if isinstance(client, openai.AzureOpenAI) else "scripted/"
    chat = client.chat.completions
    first = chat.create(
        model=f"{named}echo", messages=HI, store=True, metadata={"t": mark, "n": "1"}
    )
    chunks = list(
        chat.create(
            model=f"{named}hello",
            messages=HI,
            store=True,
            metadata={"t": mark, "n": "2"},
            stream=True,
        )
    )
    unstored = chat.create(model=f"{named}echo", messages=HI, metadata={"t": mark})
    listed = list(beside.chat.completions.list(metadata={"t": mark}, limit=1))
    assert [one.id for one in listed] == [first.id, chunks[0].id]
    second = beside.chat.completions.list(metadata={"t": mark, "n": "2"}).data
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert [(one.id, one.choices[0].message.content) for one in second] == [(chunks[0].id, said)]
    assert [one.content for one in beside.chat.completions.messages.list(first.id)] == [
        "Hello there."
    ]
    for reader, id in ((client, unstored.id), (stranger, first.id)):
        with pytest.raises(openai.NotFoundError):
            reader.chat.completions.retrieve(id)
    beside.chat.completions.update(first.id, metadata={"t": "other"})
    assert chat.retrieve(first.id).metadata == {"t": "other"}
    beside.chat.completions.delete(chunks[0].id)
    assert list(chat.list(metadata={"t": mark})) == []
