"""Two servers on one PostgreSQL: whatever one did, the other knows at once, on every road."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from tests.matrix.roads import Client, Road, in_every_flavour, refusal, said
from tests.matrix.world import World

pytestmark = pytest.mark.parametrize("house", ["postgresql"], indirect=True)
ALONE = {"sqlite": "one process owns the file; a second server is refused (tests/process)"}
"""The stores that cannot have replicas."""


@pytest.fixture
def other(house: World, client: Client) -> Client:
    """The other replica, in the same flavour."""
    flavour = "azure" if isinstance(client, openai.AzureOpenAI) else "openai"
    assert house.store not in ALONE and len(house.servers) == 2
    return house.client(flavour, server=1)


@pytest.mark.requirement("matrix:replicas-chain")
def test_a_chain_alternates_between_replicas(ask: Road, client: Client, other: Client) -> None:
    made = ask(client, model="scripted/echo", input="My name is Ada.")
    assert other.responses.retrieve(made.id) == client.responses.retrieve(made.id)
    for number in range(4):
        one = (other, client)[number % 2]
        made = ask(
            one, model="scripted/recall", input=f"Who? {number}", previous_response_id=made.id
        )
        assert "Ada" in made.output_text
    for one in (client, other):
        shown = list(one.responses.input_items.list(made.id, limit=1))
        assert shown[0].content[0].text == "Who? 3"  # type: ignore[union-attr]


@pytest.mark.requirement("matrix:replicas-conversation")
def test_a_conversation_alternates_between_replicas(
    ask: Road, client: Client, other: Client
) -> None:
    talk = client.conversations.create().id
    for number in range(6):
        one = (client, other)[number % 2]
        made = ask(one, model="scripted/transcript", input=f"turn {number}", conversation=talk)
        for earlier in range(number + 1):
            assert f"turn {earlier}" in made.output_text
    listed = [[i.id for i in one.conversations.items.list(talk)] for one in (client, other)]
    assert listed[0] == listed[1] and len(listed[0]) == 12
    item = listed[0][-1]
    other.conversations.items.delete(item, conversation_id=talk)
    made = ask(client, model="scripted/transcript", input="last", conversation=talk)
    assert "turn 1" in made.output_text
    shown = list(client.conversations.items.list(talk, order="asc"))
    assert shown[0].content[0].text.count("turn 0")  # type: ignore[union-attr]
    assert len(shown) == 13


@pytest.mark.requirement("matrix:replicas-deletion")
def test_a_deletion_on_one_is_seen_by_the_other_at_once(
    ask: Road, client: Client, other: Client
) -> None:
    first = ask(client, model="scripted/echo", input="My name is Ada.")
    second = ask(client, model="scripted/recall", input="?", previous_response_id=first.id)
    other.responses.delete(second.id)
    then = {"model": "scripted/recall", "input": "?", "previous_response_id": second.id}
    refused = refusal(ask, client, **then)
    assert (refused.status_code, refused.code) == (400, "previous_response_not_found")
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(second.id)
    talk = client.conversations.create().id
    ask(client, model="scripted/echo", input="x", conversation=talk)
    other.conversations.delete(talk)
    gone = refusal(ask, client, model="scripted/echo", input="y", conversation=talk)
    assert (gone.status_code, gone.code) == (404, "conversation_not_found")


@pytest.mark.requirement("matrix:replicas-deletion")
def test_it_is_seen_however_soon_somebody_asks(house: World) -> None:
    one, two = house.servers
    for _ in range(40):
        first = one.create("echo", "x")
        second = one.create("echo", "y", previous_response_id=first["id"])
        assert two.ask("DELETE", f"/v1/responses/{second['id']}")[0] == 200
        body = {"model": "scripted/echo", "input": "z", "previous_response_id": second["id"]}
        status, answer = one.ask("POST", "/v1/responses", body)
        assert status == 400, answer
        assert answer["error"]["code"] == "previous_response_not_found"


@pytest.mark.requirement("matrix:replicas-background")
@in_every_flavour
def test_a_background_response_belongs_to_both(client: Client, other: Client) -> None:
    stream = client.responses.create(
        model="scripted/slow-20ms", input="x", background=True, stream=True
    )
    events = [next(iter(stream)) for _ in range(3)]
    id = events[0].response.id
    assert other.responses.retrieve(id).status in ("queued", "in_progress")
    with ThreadPoolExecutor(2) as both:
        rest = both.submit(list, other.responses.retrieve(id, stream=True, starting_after=0))
        own = both.submit(list, stream)
        events += own.result(20)
        assert rest.result(20) == events[1:]
    ended = other.responses.retrieve(id)
    assert said(ended) == said(client.responses.retrieve(id))
    went_on = other.responses.create(
        model="scripted/echo", input="and on", previous_response_id=id, background=True
    )
    client.responses.cancel(went_on.id)
    assert client.responses.retrieve(went_on.id).status in ("completed", "cancelled")


@pytest.mark.requirement("matrix:replicas-lock")
def test_two_turns_at_once_on_two_replicas_are_one(
    ask: Road, client: Client, other: Client
) -> None:
    talk = client.conversations.create().id
    asked: Any = {"model": "scripted/slow-10ms", "input": "x", "conversation": talk}

    def turn(one: Client) -> str:
        try:
            return str(ask(one, **asked).status)
        except Exception as error:
            return str(getattr(error, "code", error))

    with ThreadPoolExecutor(2) as both:
        ends = sorted(both.map(turn, (client, other)))
    assert ends in (["completed", "conversation_locked"], ["completed", "completed"])
    items = list(client.conversations.items.list(talk))
    assert len(items) == 2 * ends.count("completed")
