"""Messages between the agents of one caller reach the model they are for."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
import pytest

from antiphon.backends.letters import letter
from antiphon.types.items import LETTERS, OPAQUE_TYPES, Message, Opaque
from tests.backends.strict_upstream import strict_upstream
from tests.process.server import Server

LETTER: dict[str, Any] = {
    "type": "agent_message",
    "id": "amsg_1",
    "author": "/lead",
    "recipient": "/lead/fruit",
    "content": [
        {"type": "input_text", "text": "Task: "},
        {"type": "encrypted_content", "encrypted_content": "peel it"},
    ],
}


@pytest.mark.requirement("clients:codex:letters")
def test_a_letter_is_the_text_of_its_parts() -> None:
    made = letter(Opaque("agent_message", LETTER))
    assert isinstance(made, Message) and made.role == "user"
    assert [part.text for part in made.content] == ["Task: peel it"]  # type: ignore[union-attr]
    for content in (None, "text", [{"type": "input_image"}, 1, {"type": "input_text", "text": 1}]):
        odd = letter(Opaque("agent_message", {**LETTER, "content": content}))
        assert [part.text for part in odd.content] == [""]  # type: ignore[union-attr]
    assert LETTERS <= OPAQUE_TYPES


@pytest.mark.anyio
@pytest.mark.requirement("clients:codex:letters")
async def test_a_model_is_shown_a_letter_and_nothing_is_reported(tmp_path: Any) -> None:
    async with strict_upstream() as upstream:
        with Server(tmp_path, "--upstream", upstream.url) as server:
            asked = {"model": "echo", "input": [LETTER]}
            status, made = await anyio.to_thread.run_sync(
                lambda: server.ask("POST", "/v1/responses", asked)
            )
    assert status == 200, made
    assert made["output"][0]["content"][0]["text"] == "Task: peel it"
    assert upstream.bodies[0]["messages"] == [{"role": "user", "content": "Task: peel it"}]
