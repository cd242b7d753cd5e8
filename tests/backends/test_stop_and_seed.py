"""What only chat completions can ask of an upstream: texts that end the answer, and a seed."""

from __future__ import annotations

import msgspec
import pytest

from antiphon.backends.base import Turn
from antiphon.backends.chat_body import chat_body, encoded_body
from antiphon.backends.profiles import PROFILES, Profile
from antiphon.types.items import Message

NAMES = {"deepseek": None, "gemini": None, "anthropic": None, "mistral": "random_seed"}


@pytest.mark.requirement("completions:upstream")
@pytest.mark.parametrize(("name", "profile"), PROFILES.items(), ids=PROFILES)
def test_stop_and_seed_are_sent_as_the_server_calls_them(name: str, profile: Profile) -> None:
    turn = Turn(model="m", items=[Message("user", "hi")], stop=("a", "b"), seed=0)
    body = chat_body(turn, profile)
    assert body.pop("stop") == ["a", "b"]
    field = NAMES.get(name, "seed")
    assert (body.pop(field) if field else None) == (0 if field else None)
    assert ("seed" in profile.unsent) == (field is None)
    plain = msgspec.structs.replace(turn, stop=(), seed=None)
    assert body == chat_body(plain, profile)


@pytest.mark.requirement("completions:upstream")
@pytest.mark.parametrize("turn", [{"stop": ("a",)}, {"seed": 7}], ids=["stop", "seed"])
def test_the_bytes_of_such_a_turn_are_those_of_its_body(turn: dict[str, object]) -> None:
    asked = Turn(model="m", items=[Message("user", "hi")], **turn)  # type: ignore[arg-type]
    profile = PROFILES["generic"]
    assert encoded_body(asked, profile) == msgspec.json.encode(chat_body(asked, profile))
    assert b'"stop"' in encoded_body(asked, profile) or b'"seed":7' in encoded_body(asked, profile)
