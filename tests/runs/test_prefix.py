"""The prompt of a turn begins, byte for byte, with the prompt of the turn before.

Engines keep what they computed for a prompt and reuse it for one that begins the same. What is
compared is what really goes out: the messages of each body a loopback upstream received.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.backends.chat import Chat
from antiphon.config import ChatSettings, RunSettings
from antiphon.ids import Ids
from antiphon.runs.driver import Runs
from antiphon.sealing.aes import Sealer
from antiphon.store.sqlite import SqliteStore
from antiphon.store.sqlite_file import DatabasePath
from antiphon.types.codec import decode_create
from antiphon.types.items import Compaction
from antiphon.types.response import Response
from tests.backends.strict_upstream import StrictUpstream, strict_upstream

pytestmark = pytest.mark.anyio

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
    "awAAAABJRU5ErkJggg=="
)
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
KEY = b"0123456789abcdef" * 2


class _Body(msgspec.Struct):
    messages: list[msgspec.Raw]


class Talk:
    """A conversation by ``previous_response_id`` over a real chat backend. ``again`` opens
    everything anew before each turn, so that nothing is remembered."""

    def __init__(
        self, upstream: StrictUpstream, path: DatabasePath, memory: int, again: bool
    ) -> None:
        self.upstream = upstream
        self.path = path
        self.memory = memory
        self.again = again
        self.last: Response | None = None

    async def start(self) -> None:
        self.store = SqliteStore(self.path)
        # A profile whose servers take reasoning back.
        self.backend = Chat(ChatSettings(url=self.upstream.url, profile="sglang"))
        self.runs = Runs(
            backend=self.backend,
            store=self.store,
            ids=Ids(),
            settings=RunSettings(memory_bytes=self.memory),
            retention_ms=None,
            seals=Sealer(lambda: (KEY,)),
        )
        await self.store.open()
        await self.backend.open()

    async def stop(self) -> None:
        await self.runs.close()
        await self.backend.close()
        await self.store.close()

    async def say(self, model: str, **body: Any) -> Response:
        if self.again and self.last is not None:
            await self.stop()
            await self.start()
        asked = {"model": model, "tools": [TOOL], **body}
        if self.last is not None:
            asked["previous_response_id"] = self.last.id
        listener = await self.runs.create(decode_create(msgspec.json.encode(asked)), project="p")
        self.last = await listener.finish()
        assert self.last.status == "completed", self.last.error
        return self.last

    def prompts(self) -> list[list[bytes]]:
        """The messages of each body, as they were written."""
        bodies = [msgspec.json.decode(raw, type=_Body) for raw in self.upstream.raws]
        return [[bytes(message) for message in body.messages] for body in bodies]


@asynccontextmanager
async def talking(
    path: DatabasePath, memory: int = 1 << 20, again: bool = False
) -> AsyncIterator[Talk]:
    async with strict_upstream(takes_reasoning=True) as upstream:
        talk = Talk(upstream, path, memory, again)
        await talk.start()
        try:
            yield talk
        finally:
            await talk.stop()
            assert upstream.refusals == []


def assert_extends(prompts: list[list[bytes]]) -> None:
    for before, after in pairwise(prompts):
        assert after[: len(before)] == before
        assert len(after) > len(before)


def outputs_of(response: Response) -> list[dict[str, Any]]:
    return [
        {"type": "function_call_output", "call_id": item.call_id, "output": f"sun {number}"}
        for number, item in enumerate(response.output)
        if hasattr(item, "call_id")
    ]


TURNS: dict[str, Callable[[int], list[dict[str, Any]]]] = {
    "text": lambda n: [{"role": "user", "content": f"word {n} \N{SNOWMAN}"}],
    "image": lambda n: [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": f"look {n}"},
                {"type": "input_image", "image_url": PIXEL},
            ],
        }
    ],
    "developer": lambda n: [
        {"role": "developer", "content": f"Rule {n}."},
        {"role": "user", "content": "go on"},
    ],
}
STEPS = st.lists(
    st.tuples(st.sampled_from(sorted(TURNS)), st.sampled_from(["echo", "tool", "tools-parallel"])),
    min_size=2,
    max_size=5,
)


@pytest.mark.requirement("compaction:prefix:chain")
@pytest.mark.parametrize("way", ["remembered", "forgotten", "reopened"])
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, streamed=st.booleans())
async def test_each_prompt_extends_the_one_before(
    way: str, steps: list[tuple[str, str]], streamed: bool, tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.mktemp("prefix") / "a.db" if way == "reopened" else ":memory:"
    memory = 1 << 20 if way == "remembered" else 0
    async with talking(path, memory, way == "reopened") as talk:
        for number, (kind, model) in enumerate(steps):
            response = await talk.say(model, input=TURNS[kind](number), stream=streamed)
            outputs = outputs_of(response)
            if outputs:
                await talk.say("echo", input=outputs, stream=streamed)
        assert_extends(talk.prompts())


@pytest.mark.requirement("compaction:prefix:reasoning")
@pytest.mark.parametrize("memory", [0, 1 << 20])
async def test_all_turns_of_reasoning_extend_and_the_current_turn_does_within_itself(
    memory: int,
) -> None:
    async with talking(":memory:", memory) as talk:
        for word in ("one", "two", "three"):
            await talk.say("reasoning", input=word, reasoning={"context": "all_turns"})
        prompts = talk.prompts()
        assert_extends(prompts)
        assert sum(b"reasoning_content" in message for message in prompts[-1]) == 2
        await talk.say("reasoning", input="four")
        assert not any(b"reasoning_content" in message for message in talk.prompts()[-1])


@pytest.mark.requirement("compaction:prefix:compacted")
@pytest.mark.parametrize("way", ["remembered", "forgotten", "reopened"])
async def test_prompts_extend_again_from_a_compaction_on(way: str, tmp_path: Path) -> None:
    path = tmp_path / "a.db" if way == "reopened" else ":memory:"
    memory = 1 << 20 if way == "remembered" else 0
    async with talking(path, memory, way == "reopened") as talk:
        await talk.say("echo", input="filler words " * 900)
        wanted = [{"type": "compaction", "compact_threshold": 1_000}]
        made = await talk.say("echo", input="And now?", context_management=wanted)
        assert isinstance(made.output[0], Compaction)
        asked, went_on = talk.prompts()[1:]
        assert asked[:1] == talk.prompts()[0] and len(asked) == 4
        assert went_on != asked[: len(went_on)] and b"And now?" in went_on[-1]
        for number in range(3):
            await talk.say("echo", input=f"turn {number}")
        assert_extends(talk.prompts()[2:])
