"""kill -9 round a call the server makes: it is made once, or again with the same key, or the model
is told that nobody knows. The function counts."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from antiphon.tools.base import INTERRUPTED
from tests.process.server import Server
from tests.process.test_takeover import SECONDS_MAX, ended
from tests.tools.functions import Functions, functions

TOOL = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Oslo"]}},
        "required": ["city"],
    },
}
SAID = "get_weather says sunny"


class Held:
    """A function server in a thread. Answers only when ``answering``."""

    def __init__(self) -> None:
        self.here: Functions
        self._up = threading.Event()
        self._down: Callable[[], object]
        self._answer: Callable[[], object]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._up.wait(SECONDS_MAX)

    def stop(self) -> None:
        self._down()
        self._thread.join(SECONDS_MAX)

    def answering(self) -> None:
        self._answer()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        self._down = lambda: loop.call_soon_threadsafe(over.set)
        async with functions() as self.here:
            wait = self.here.wait = asyncio.Event()
            self._answer = lambda: loop.call_soon_threadsafe(wait.set)
            self._up.set()
            await over.wait()

    @property
    def keys(self) -> list[str]:
        """The idempotency key of each call, in order."""
        return [key for _, _, key in self.here.asked]

    def until_asked(self, count: int) -> None:
        until = time.monotonic() + SECONDS_MAX
        while len(self.keys) < count:
            assert time.monotonic() < until, self.keys
            time.sleep(0.01)


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    made.start()
    yield made
    made.answering()
    made.stop()


@contextmanager
def serving(data: Path, held: Held, *, repeatable: bool) -> Iterator[Server]:
    settings = data / "antiphon.toml"
    settings.write_text(
        f"""
[[backends]]
kind = "scripted"

[[functions]]
name = "get_weather"
url = "{held.here.url}/get_weather"
repeatable = {str(repeatable).lower()}
"""
    )
    with Server(data, "--config", str(settings)) as server:
        yield server


def killed(server: Server) -> None:
    server.signal(signal.SIGKILL)
    server.ended()


def outputs(response: dict[str, Any]) -> list[str]:
    return [item["output"] for item in response["output"] if "output" in item]


@pytest.mark.requirement("tools:takeover:kill:unanswered")
@pytest.mark.parametrize("repeatable", [True, False], ids=["repeatable", "not repeatable"])
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "polled"])
def test_killed_before_the_call_was_answered(
    tmp_path: Path, held: Held, repeatable: bool, streamed: bool
) -> None:
    with serving(tmp_path, held, repeatable=repeatable) as server:
        made = {"background": True, "tools": [TOOL]}
        if streamed:
            with server.stream("tool", "Hi.", **made) as stream:
                for event in stream:
                    if event["type"] == "response.output_item.done":
                        break
                response_id = stream.response_id
        else:
            response_id = server.create("tool", "Hi.", **made)["id"]
        held.until_asked(1)
        killed(server)
    held.answering()
    with serving(tmp_path, held, repeatable=repeatable) as server:
        response = ended(server, response_id)
    said = SAID if repeatable else INTERRUPTED
    assert response["status"] == "completed"
    assert [item["type"] for item in response["output"]] == [
        "function_call",
        "function_call_output",
        "message",
    ]
    assert outputs(response) == [said]
    assert response["output"][-1]["content"][0]["text"] == f"The tool said: {said}"
    assert held.keys == [response["output"][0]["id"]] * (2 if repeatable else 1)


@pytest.mark.requirement("tools:takeover:kill:answered")
@pytest.mark.parametrize("script", ["text-then-tool", "endless-tools"])
def test_killed_after_the_call_was_answered(tmp_path: Path, held: Held, script: str) -> None:
    held.answering()
    seen: list[dict[str, Any]] = []
    with serving(tmp_path, held, repeatable=False) as server:
        with server.stream(script, "Hi.", background=True, tools=[TOOL]) as stream:
            for event in stream:
                seen.append(event)
                if event.get("item", {}).get("type") == "function_call_output":
                    break
            response_id = stream.response_id
        killed(server)
    with serving(tmp_path, held, repeatable=False) as server:
        response = ended(server, response_id)
        with server.follow(response_id) as stream:
            events = list(stream)
    assert events[: len(seen)] == seen
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    told = [item for item in response["output"] if item["type"] == "function_call_output"]
    assert [item["call_id"] for item in told] == [item["call_id"] for item in calls]
    done = [call["id"] for call, item in zip(calls, told, strict=True) if item["output"] == SAID]
    assert len(set(held.keys)) == len(held.keys) and set(done) <= set(held.keys)
    if script == "text-then-tool":
        assert response["status"] == "completed"
        assert len(held.keys) == 1 and done == held.keys


@pytest.mark.requirement("tools:takeover:kill:unanswered")
def test_killed_in_a_turn_that_calls_the_caller_as_well(tmp_path: Path, held: Held) -> None:
    """The server's call is answered, the caller's stays open."""
    user = {**TOOL, "name": "ask_user"}
    with serving(tmp_path, held, repeatable=True) as server:
        made = server.create("tools-parallel", "Hi.", background=True, tools=[TOOL, user])
        held.until_asked(1)
        killed(server)
    held.answering()
    with serving(tmp_path, held, repeatable=True) as server:
        response = ended(server, made["id"])
    assert response["status"] == "completed"
    assert [item["type"] for item in response["output"]] == [
        "function_call",
        "function_call",
        "function_call_output",
    ]
    assert len(set(held.keys)) == 1 and len(held.keys) == 2
