"""The WebSocket beside the stream: the same events; and what only a connection can."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest

from tests.matrix.roads import FINISHED, TERMINAL, Client, in_every_flavour, quiet, told

FUNCTION = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
SCRIPTS = {
    "hello": {},
    "reasoning": {},
    "rethink": {"include": ["reasoning.encrypted_content"]},
    "refusal": {},
    "cited": {},
    "length": {},
    "error-after-3": {},
    "tools-interleaved": {"tools": [FUNCTION]},
    "logprobs": {"include": ["message.output_text.logprobs"]},
}


@contextmanager
def connected(client: Client) -> Iterator[Any]:
    with quiet(), client.responses.connect() as connection:
        yield connection


def create(connection: Any, **asked: Any) -> list[Any]:
    """One create and all it is answered with."""
    connection.send({"type": "response.create", **asked})
    events = [connection.recv()]
    while events[-1].type not in (*TERMINAL, "error"):
        events.append(connection.recv())
    return events


@pytest.mark.requirement("matrix:same-events")
@pytest.mark.parametrize("script", SCRIPTS)
@in_every_flavour
def test_every_stream_is_the_same_event_by_event(client: Client, script: str) -> None:
    asked: Any = {"model": f"scripted/{script}", "input": "say it", **SCRIPTS[script]}
    streamed = list(client.responses.create(**asked, stream=True))
    with connected(client) as connection:
        over_socket = create(connection, **asked)
    assert told(over_socket) == told(streamed)
    id = streamed[0].response.id
    assert [e.to_dict() for e in client.responses.retrieve(id, stream=True)] == [
        e.to_dict() for e in streamed
    ]
    behind = list(client.responses.create(**asked, stream=True, background=True))
    assert [event.sequence_number for event in behind] == list(range(len(behind)))
    assert [event.type for event in behind[:3]] == [
        "response.created",
        "response.queued",
        "response.in_progress",
    ]
    same = told(streamed, "background")
    assert told(behind, "background")[2:] == same[1:]


@pytest.mark.requirement("matrix:lanes")
def test_lanes_do_not_wait_for_each_other_and_a_lane_does(client: Client) -> None:
    with connected(client) as connection:
        for lane, script in (("slow", "slow-30ms"), ("slow", "echo"), ("fast", "echo")):
            connection.send(
                {
                    "type": "response.create",
                    "model": f"scripted/{script}",
                    "input": f"on {lane}",
                    "stream_id": lane,
                }
            )
        ended = []
        numbers: dict[str, list[int]] = {}
        while len(ended) < 3:
            event = connection.recv()
            assert event.type != "error", event
            numbers.setdefault(event.stream_id, []).append(event.sequence_number)
            if event.type == "response.completed":
                ended.append((event.stream_id, event.response.output_text))
    assert ended[0] == ("fast", "on fast")
    assert ended[2] == ("slow", "on slow") and ended[1][0] == "slow"
    assert numbers["fast"] == list(range(len(numbers["fast"])))


@pytest.mark.requirement("matrix:warm-up")
@in_every_flavour
def test_a_warm_up_is_continued(client: Client) -> None:
    with connected(client) as connection:
        warm = create(
            connection,
            model="scripted/recall",
            input="My name is Ada.",
            store=False,
            generate=False,
        )[-1].response
        assert (warm.status, warm.output) == ("completed", [])
        last = create(
            connection,
            model="scripted/recall",
            input="Who am I?",
            store=False,
            previous_response_id=warm.id,
        )[-1]
    assert "Ada" in last.response.output_text


@pytest.mark.requirement("matrix:socket-unstored")
@in_every_flavour
def test_what_is_not_stored_is_continued_on_its_connection_only(
    client: Client, beside: Client
) -> None:
    asked = {"model": "scripted/recall", "store": False}
    with connected(client) as connection, connected(beside) as elsewhere:
        first = create(connection, **asked, input="My name is Ada.")[-1].response
        then = {**asked, "input": "Who am I?", "previous_response_id": first.id}
        (refused,) = create(elsewhere, **then)
        assert (refused.status, refused.error.code) == (400, "previous_response_not_found")
        with pytest.raises(openai.BadRequestError):
            client.responses.create(**then)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(first.id)
        made = create(connection, **then)[-1].response
        assert "Ada" in made.output_text
        (gone,) = create(connection, **then)
        assert gone.error.code == "previous_response_not_found", "only the latest of a lane"
        stored = create(connection, **{**then, "previous_response_id": made.id, "store": True})
        kept = stored[-1].response
    assert "Ada" in kept.output_text
    went_on = beside.responses.create(
        model="scripted/recall", input="Who?", previous_response_id=kept.id
    )
    assert "Ada" in went_on.output_text


@pytest.mark.requirement("matrix:socket-eviction")
def test_a_failed_continuation_evicts_and_the_connection_goes_on(client: Client) -> None:
    asked = {"model": "scripted/recall", "store": False}
    with connected(client) as connection:
        first = create(connection, **asked, input="My name is Ada.")[-1].response
        then = {"store": False, "input": "x", "previous_response_id": first.id}
        failed = create(connection, **then, model="scripted/error-after-3")[-1]
        assert failed.type == "response.failed"
        (gone,) = create(connection, **then, model="scripted/recall")
        assert (gone.status, gone.error.param) == (400, "previous_response_id")
        (odd,) = create(connection, model="scripted/echo", input="x", temperature=9)
        assert (odd.error.code, odd.error.param) == ("decimal_above_max_value", "temperature")
        assert create(connection, model="scripted/echo", input="x")[-1].type == TERMINAL[0]


@pytest.mark.requirement("matrix:socket-state")
@in_every_flavour
def test_chains_and_conversations_cross_from_a_socket_to_everywhere(
    client: Client, beside: Client
) -> None:
    talk = client.conversations.create().id
    with connected(client) as connection:
        first = create(connection, model="scripted/echo", input="My name is Ada.")[-1].response
        create(connection, model="scripted/echo", input="I like tea.", conversation=talk)
        by_id = beside.responses.create(
            model="scripted/recall", input="Who?", previous_response_id=first.id, background=True
        )
        while by_id.status not in FINISHED:
            by_id = beside.responses.retrieve(by_id.id)
        beside.responses.create(model="scripted/echo", input="And rain.", conversation=talk)
        last = create(connection, model="scripted/transcript", input="?", conversation=talk)[-1]
        onward = create(
            connection, model="scripted/recall", input="And?", previous_response_id=by_id.id
        )[-1]
    assert "Ada" in by_id.output_text and "Ada" in onward.response.output_text
    for text in ("I like tea.", "And rain."):
        assert text in last.response.output_text
