"""Background responses, their cancellation, resumption and webhooks; idempotency keys."""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import openai
import pytest

from tests.matrix.roads import (
    FINISHED,
    Client,
    Road,
    in_every_flavour,
    on_roads,
    polled,
    refusal,
    resumed,
    said,
)

CANCEL_SECONDS_MAX = 5.0
"""It would never end by itself; how long a cancellation takes is for ``make chaos``."""
NOT_BACKGROUND = {
    "json": "only background responses can be followed by others while they are made",
    "sse": "the same",
    "websocket": "the same; 'background' is refused there",
}
NO_HEADERS = {"websocket": "a message has no headers, so there is no Idempotency-Key"}


def begun(client: Client, script: str) -> tuple[Any, list[Any]]:
    """A streamed background response whose model has said its first word."""
    stream = iter(
        client.responses.create(
            model=f"scripted/{script}", input="go", background=True, stream=True
        )
    )
    events = [next(stream)]
    while events[-1].type != "response.output_text.delta":
        events.append(next(stream))
    return stream, events


@pytest.mark.requirement("matrix:cancel")
@in_every_flavour
def test_another_client_cancels(client: Client, beside: Client) -> None:
    stream, events = begun(client, "endless")
    id = events[0].response.id
    began = time.monotonic()
    cancelled = beside.responses.cancel(id)
    assert cancelled.status == "cancelled"
    assert time.monotonic() - began < CANCEL_SECONDS_MAX
    events += list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.output_item.done"
    for again in (
        client.responses.cancel(id),
        beside.responses.cancel(id),
        client.responses.retrieve(id),
    ):
        assert (again.status, again.output) == ("cancelled", cancelled.output)


@pytest.mark.requirement("matrix:cancel-before")
@on_roads({"background-resume": "it is begun when its first events are read"} | NOT_BACKGROUND)
def test_what_has_ended_is_not_cancelled(ask: Road, client: Client) -> None:
    made = ask(client, model="scripted/hello", input="x")
    assert client.responses.cancel(made.id) == made == client.responses.retrieve(made.id)


@pytest.mark.requirement("matrix:cancel-synchronous")
@on_roads(
    {
        "background-poll": "it can be cancelled",
        "background-resume": "it can be cancelled",
    }
)
def test_only_background_responses_are_cancelled(ask: Road, client: Client) -> None:
    made = ask(client, model="scripted/hello", input="x")
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.cancel(made.id)
    assert refused.value.code == "response_not_cancellable"


@pytest.mark.requirement("matrix:resume-everywhere")
@in_every_flavour
def test_a_stream_is_resumed_after_every_event(client: Client, beside: Client) -> None:
    every = list(
        client.responses.create(
            model="scripted/reasoning", input="one two", background=True, stream=True
        )
    )
    id = every[0].response.id
    for after in range(-1, len(every)):
        asked: dict[str, Any] = {} if after < 0 else {"starting_after": after}
        rest = list(beside.responses.retrieve(id, stream=True, **asked))
        assert rest == every[after + 1 :]


@pytest.mark.requirement("matrix:resume-live")
def test_it_is_left_and_resumed_after_every_event_while_it_is_made(
    client: Client, beside: Client
) -> None:
    stream = client.responses.create(
        model="scripted/slow-20ms", input="x", background=True, stream=True
    )
    seen = [next(iter(stream))]
    stream.close()
    readers = [beside, client]
    while seen[-1].type != "response.completed":
        reader = readers[len(seen) % 2]
        rest = reader.responses.retrieve(
            seen[0].response.id, stream=True, starting_after=seen[-1].sequence_number
        )
        seen.append(next(iter(rest)))
        rest.close()
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert list(client.responses.retrieve(seen[0].response.id, stream=True)) == seen


@pytest.mark.requirement("matrix:running-parent")
def test_a_running_parent_is_refused(ask: Road, client: Client) -> None:
    slow = client.responses.create(model="scripted/stall", input="x", background=True)
    said = {"model": "scripted/echo", "input": "y", "previous_response_id": slow.id}
    try:
        refused = refusal(ask, client, **said)
        assert (refused.status_code, refused.code, refused.param) == (
            400,
            "previous_response_not_completed",
            "previous_response_id",
        )
    finally:
        client.responses.cancel(slow.id)
    assert ask(client, **said).status == "completed"


@pytest.mark.requirement("matrix:delete-running")
def test_a_running_one_is_deleted(client: Client, beside: Client) -> None:
    stream, events = begun(client, "endless")
    id = events[0].response.id
    beside.responses.delete(id)
    for one in (client, beside):
        with pytest.raises(openai.NotFoundError):
            one.responses.retrieve(id)
        with pytest.raises(openai.NotFoundError):
            one.responses.cancel(id)
    began = time.monotonic()
    rest = list(stream)
    assert time.monotonic() - began < 5
    assert [event.type for event in rest if event.type == "response.completed"] == []


@pytest.mark.requirement("matrix:idempotency")
@on_roads(NO_HEADERS)
def test_the_same_request_again_is_the_same_response(
    ask: Road, client: Client, beside: Client, stranger: Client
) -> None:
    asked: Any = {"model": "scripted/hello", "input": "Hi."}
    asked["extra_headers"] = {"Idempotency-Key": uuid.uuid4().hex}
    first = ask(client, **asked)
    again = ask(beside, **asked)
    assert again.id == first.id and said(again) == said(first)
    other = refusal(ask, client, **{**asked, "input": "Other."})
    assert (other.status_code, other.code) == (400, "idempotency_key_reused")
    assert ask(stranger, **asked).id != first.id


@pytest.mark.requirement("matrix:idempotency-in-flight")
@on_roads(
    NO_HEADERS
    | {
        "background-poll": "answered at once: a repeat gets it as it stands",
        "background-resume": "the same",
    }
)
def test_while_the_first_is_answered_its_repeat_waits(
    ask: Road, client: Client, beside: Client
) -> None:
    asked: Any = {"model": "scripted/slow-40ms", "input": "Count."}
    asked["extra_headers"] = {"Idempotency-Key": uuid.uuid4().hex}
    made: queue.Queue[Any] = queue.Queue()
    first = threading.Thread(target=lambda: made.put(ask(client, **asked)))
    first.start()
    refused = None
    until = time.monotonic() + 5
    while refused is None and time.monotonic() < until:
        time.sleep(0.05)
        try:
            ask(beside, **asked)
            break
        except openai.ConflictError as error:
            refused = error
    first.join(10)
    assert refused is not None and refused.code == "idempotency_in_progress"
    assert int(refused.response.headers["retry-after"]) >= 1
    assert ask(beside, **asked).id == made.get_nowait().id


@pytest.mark.requirement("matrix:idempotency-background")
def test_a_running_background_response_is_its_own_repeat(client: Client, beside: Client) -> None:
    asked: Any = {"model": "scripted/stall", "input": "x", "background": True}
    asked["extra_headers"] = {"Idempotency-Key": uuid.uuid4().hex}
    first = client.responses.create(**asked)
    again = beside.responses.create(**asked)
    client.responses.cancel(first.id)
    assert again.id == first.id and again.status in ("queued", "in_progress")


class Hooks:
    """A receiver on this machine that keeps what arrives."""

    def __init__(self) -> None:
        self.arrived: queue.Queue[tuple[bytes, dict[str, str]]] = queue.Queue()
        arrived = self.arrived

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                arrived.put((body, dict(self.headers)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"


@contextmanager
def hooks() -> Iterator[Hooks]:
    made = Hooks()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        thread.join()
        made.server.server_close()


ENDS: Any = [f"response.{status}" for status in ("completed", "failed", "incomplete", "cancelled")]


@pytest.mark.requirement("matrix:webhooks")
@on_roads({**NOT_BACKGROUND, "json": "no webhook tells of what its caller was there for"})
@in_every_flavour
def test_a_webhook_tells_how_it_ended(ask: Road, client: Client, beside: Client) -> None:
    with hooks() as heard:
        endpoint = client.webhooks.create(name="m", url=heard.url, event_types=ENDS)
        try:
            made = [
                ask(one, model=f"scripted/{script}", input="x")
                for one, script in (
                    (client, "hello"),
                    (beside, "error-after-3"),
                    (beside, "length"),
                )
            ]
            endless = client.responses.create(model="scripted/endless", input="x", background=True)
            made.append(beside.responses.cancel(endless.id))
            told = {}
            for _ in made:
                body, headers = heard.arrived.get(timeout=10)
                event: Any = client.webhooks.unwrap(body, headers, secret=endpoint.signing_secret)
                told[event.data.id] = event.type
                with pytest.raises(openai.InvalidWebhookSignatureError):
                    client.webhooks.unwrap(body + b" ", headers, secret=endpoint.signing_secret)
        finally:
            client.webhooks.delete(endpoint.id)
    assert told == {one.id: f"response.{one.status}" for one in made}
    assert sorted(told.values()) == sorted(ENDS)


@pytest.mark.requirement("matrix:same-story")
def test_the_background_roads_end(client: Client) -> None:
    for road in (polled, resumed):
        assert road(client, model="scripted/hello", input="x").status in FINISHED
