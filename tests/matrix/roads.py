"""The five ways to make a response, each through the official client."""

from __future__ import annotations

import json
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import openai
import pytest
from openai import AzureOpenAI, OpenAI
from openai.types.responses import Response

WAIT_SECONDS_MAX = 20.0
TERMINAL = ("response.completed", "response.failed", "response.incomplete")
FINISHED = ("completed", "failed", "incomplete", "cancelled")

Client = OpenAI | AzureOpenAI
Road = Callable[..., Response]


class Refused(AssertionError):
    """An error message on a WebSocket, where there is no status to raise by."""

    def __init__(self, event: Any) -> None:
        super().__init__(f"the WebSocket said {event}")
        self.status_code = event.status
        self.code = event.error.code
        self.param = event.error.param


REFUSED = (openai.APIStatusError, Refused)


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
                raise Refused(event)
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


FLAVOURS = ("openai", "azure", "azure-v1")
in_every_flavour = pytest.mark.parametrize("client", FLAVOURS, indirect=True)
"""For a few tests: the third differs from the others in its paths only."""


def on_roads(cannot: Mapping[str, str]) -> pytest.MarkDecorator:
    """All roads but those that cannot carry it; says why."""
    assert cannot.keys() <= ROADS.keys() and all(cannot.values())
    return pytest.mark.parametrize(
        "ask", [road for road in ROADS if road not in cannot], indirect=True
    )


def refusal(ask: Road, client: Client, **asked: Any) -> Any:
    """What the client raises; fails if nothing does."""
    with pytest.raises(REFUSED) as refused:
        ask(client, **asked)
    return refused.value


_ID = re.compile(r"\b(resp|msg|rs|fc|ctc|call|cmp|conv)_[0-9A-Za-z]{16,}|\bcall_[0-9A-Za-z_]+")
_CHANCE = ("created_at", "completed_at", "obfuscation", "sequence_number", "encrypted_content")


def told(events: list[Any], *without: str) -> list[dict[str, Any]]:
    """Events without what differs from run to run: ids become the order of their appearance.
    ``without``: fields of the response that say by which road it was made."""
    text = json.dumps([event.to_dict() for event in events])
    names: dict[str, str] = {}
    text = _ID.sub(lambda found: names.setdefault(found[0], f"id-{len(names)}"), text)
    seen: list[dict[str, Any]] = json.loads(text)
    for event in seen:
        _drop(event, (*_CHANCE, *without))
    return seen


def _drop(value: Any, names: tuple[str, ...]) -> None:
    if isinstance(value, dict):
        for name in names:
            value.pop(name, None)
        for inner in value.values():
            _drop(inner, names)
    elif isinstance(value, list):
        for inner in value:
            _drop(inner, names)


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
