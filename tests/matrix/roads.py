"""The five ways to make a response, each through the official client."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from openai import AzureOpenAI, OpenAI
from openai.types.responses import Response

WAIT_SECONDS_MAX = 20.0
TERMINAL = ("response.completed", "response.failed", "response.incomplete")
FINISHED = ("completed", "failed", "incomplete", "cancelled")

Client = OpenAI | AzureOpenAI
Road = Callable[..., Response]


def plain(client: Client, **asked: Any) -> Response:
    """One JSON answer."""
    made: Response = client.responses.create(**asked)
    return made


def streamed(client: Client, **asked: Any) -> Response:
    """Server-sent events; the response is that of the last one."""
    last = None
    for number, event in enumerate(client.responses.create(**asked, stream=True)):
        assert event.sequence_number == number
        last = event
    return _final(last)


def socket(client: Client, **asked: Any) -> Response:
    """A WebSocket for one response."""
    with quiet(), client.responses.connect() as connection:
        connection.send({"type": "response.create", **asked})
        for event in connection:
            if event.type == "error":
                raise AssertionError(f"the WebSocket said {event}")
            if event.type in TERMINAL:
                return _final(event)
    raise AssertionError("the WebSocket ended before the response")


@contextmanager
def quiet() -> Iterator[None]:
    """The client's way to connect is deprecated in the library it uses: its business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def polled(client: Client, **asked: Any) -> Response:
    """In the background, asked for until it is there."""
    made: Response = client.responses.create(**asked, background=True)
    until = time.monotonic() + WAIT_SECONDS_MAX
    while made.status not in FINISHED and time.monotonic() < until:
        time.sleep(0.02)
        made = client.responses.retrieve(made.id)
    return made


def resumed(client: Client, **asked: Any) -> Response:
    """In the background, left after two events, and followed again to the end."""
    stream = client.responses.create(**asked, background=True, stream=True)
    first = next(iter(stream))
    second = next(iter(stream))
    stream.close()
    assert (first.sequence_number, second.sequence_number) == (0, 1)
    last = second
    for event in client.responses.retrieve(first.response.id, stream=True, starting_after=1):
        assert event.sequence_number == last.sequence_number + 1
        last = event
    return _final(last)


ROADS: dict[str, Road] = {
    "json": plain,
    "sse": streamed,
    "websocket": socket,
    "background-poll": polled,
    "background-resume": resumed,
}


def _final(event: Any) -> Response:
    assert event is not None and event.type in TERMINAL, event
    response: Response = event.response
    return response


def said(response: Response) -> list[dict[str, Any]]:
    """Its output without what differs from run to run."""
    output: list[dict[str, Any]] = json.loads(response.model_dump_json())["output"]
    for item in output:
        item.pop("id", None)
        item.pop("call_id", None)
        item.pop("encrypted_content", None)
    return output
