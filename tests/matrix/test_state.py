"""What a state is: chains, branches, conversations, deletion; on every road."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.matrix.roads import Client, Road, in_every_flavour, refusal, said

FUNCTION = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def items_of(client: Client, conversation: str) -> list[Any]:
    return list(client.conversations.items.list(conversation, order="asc", limit=100))


def words(items: list[Any]) -> list[tuple[str, str]]:
    return [(item.role, item.content[0].text) for item in items if item.type == "message"]


@pytest.mark.requirement("matrix:chain")
@in_every_flavour
def test_a_chain_remembers(ask: Road, client: Client, stranger: Client) -> None:
    first = ask(client, model="scripted/echo", input="My name is Ada.")
    again = ask(client, model="scripted/recall", input="Who am I?", previous_response_id=first.id)
    assert "Ada" in again.output_text
    assert again.previous_response_id == first.id
    shown = list(client.responses.input_items.list(again.id, order="asc"))
    assert [item.id for item in shown][-1] not in {item.id for item in first.output}
    assert client.responses.retrieve(again.id).output == again.output
    with pytest.raises(openai.NotFoundError):
        stranger.responses.retrieve(again.id)


@pytest.mark.requirement("matrix:branch")
def test_a_branch_does_not_see_its_siblings(ask: Road, client: Client) -> None:
    root = ask(client, model="scripted/echo", input="root")
    for name in ("left", "right"):
        leaf = ask(client, model="scripted/transcript", input=name, previous_response_id=root.id)
        assert name in leaf.output_text
        assert ("right" if name == "left" else "left") not in leaf.output_text


@pytest.mark.requirement("matrix:tools")
def test_a_call_is_answered_in_the_next_turn(ask: Road, client: Client) -> None:
    first = ask(client, model="scripted/tool", input="weather?", tools=[FUNCTION])
    (call,) = [item for item in first.output if item.type == "function_call"]
    answer = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    last = ask(
        client,
        model="scripted/tool",
        input=[answer],
        tools=[FUNCTION],
        previous_response_id=first.id,
    )
    assert "sunny" in last.output_text


@pytest.mark.requirement("matrix:structured")
def test_structured_output_is_the_same_on_every_road(ask: Road, client: Client) -> None:
    text = {"format": {"type": "json_schema", "name": "c", "schema": SCHEMA, "strict": True}}
    made = ask(client, model="scripted/json", input="a city", text=text)
    assert made.status == "completed"
    assert made.output_text.startswith('{"city"')


@pytest.mark.requirement("matrix:same-story")
@pytest.mark.parametrize("script", ["hello", "reasoning", "refusal", "cited", "unicode", "length"])
def test_every_road_says_the_same(ask: Road, client: Client, script: str) -> None:
    asked = {"model": f"scripted/{script}", "input": "say it"}
    made = ask(client, **asked)
    beside = client.responses.create(**asked)
    assert made.status == beside.status
    assert made.incomplete_details == beside.incomplete_details
    assert said(made) == said(beside)
    assert said(client.responses.retrieve(made.id)) == said(made)
    assert made.usage == beside.usage


@pytest.mark.requirement("matrix:failure")
def test_a_failure_ends_as_one(ask: Road, client: Client) -> None:
    made = None
    try:
        made = ask(client, model="scripted/error-after-3", input="try")
    except openai.APIStatusError as refused:
        assert refused.status_code >= 500  # a plain request that had not begun
    if made is not None:
        assert made.status == "failed"
        assert made.error is not None and made.error.code == "server_error"


@pytest.mark.requirement("matrix:conversation")
@in_every_flavour
def test_a_conversation_gathers_its_turns(ask: Road, client: Client) -> None:
    talk = client.conversations.create(
        items=[{"type": "message", "role": "user", "content": "My name is Ada."}]
    )
    made = ask(client, model="scripted/recall", input="Who am I?", conversation=talk.id)
    assert "Ada" in made.output_text
    assert made.conversation is not None and made.conversation.id == talk.id
    told = words(items_of(client, talk.id))
    assert [role for role, _ in told] == ["user", "user", "assistant"]
    assert told[1][1] == "Who am I?"
    again = ask(client, model="scripted/echo", input="and now", conversation={"id": talk.id})
    assert again.status == "completed"
    assert len(items_of(client, talk.id)) == 5


@pytest.mark.requirement("matrix:conversation-failure")
def test_a_failed_turn_leaves_no_trace_in_its_conversation(ask: Road, client: Client) -> None:
    talk = client.conversations.create()
    try:
        made = ask(client, model="scripted/error-after-3", input="try", conversation=talk.id)
        assert made.status == "failed"
    except openai.APIStatusError:
        pass
    assert items_of(client, talk.id) == []
    after = ask(client, model="scripted/echo", input="again", conversation=talk.id)
    assert after.status == "completed", "the conversation was left locked"


@pytest.mark.requirement("matrix:conversation-incomplete")
def test_an_incomplete_turn_is_kept(ask: Road, client: Client) -> None:
    talk = client.conversations.create()
    made = ask(client, model="scripted/length", input="go on", conversation=talk.id)
    assert made.status == "incomplete"
    assert [role for role, _ in words(items_of(client, talk.id))] == ["user", "assistant"]


@pytest.mark.requirement("matrix:exclusive")
def test_a_conversation_and_a_parent_exclude_each_other(ask: Road, client: Client) -> None:
    talk = client.conversations.create()
    first = client.responses.create(model="scripted/echo", input="x")
    both = {"conversation": talk.id, "previous_response_id": first.id}
    refused = refusal(ask, client, model="scripted/echo", input="y", **both)
    assert (refused.status_code, refused.code) == (400, "mutually_exclusive_parameters")


@pytest.mark.requirement("matrix:delete")
def test_what_is_deleted_is_gone_for_every_reader(ask: Road, client: Client) -> None:
    made = ask(client, model="scripted/echo", input="forget me")
    client.responses.delete(made.id)
    for look in (
        lambda: client.responses.retrieve(made.id),
        lambda: list(client.responses.input_items.list(made.id)),
        lambda: list(client.responses.retrieve(made.id, stream=True)),
    ):
        with pytest.raises(openai.NotFoundError):
            look()
    refused = refusal(ask, client, model="scripted/echo", input="on", previous_response_id=made.id)
    assert (refused.status_code, refused.code) == (400, "previous_response_not_found")


@pytest.mark.requirement("matrix:store-false")
def test_store_false_leaves_nothing(client: Client) -> None:
    made = client.responses.create(model="scripted/echo", input="secret", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
