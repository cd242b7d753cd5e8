"""What tests of chat completions share: asking, and joining the chunks of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tests.server.asgi_client import Answer
from tests.server.conftest import House

PATH = "/v1/chat/completions"
HI: Any = [{"role": "user", "content": "hi"}]
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: Any = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": PARAMETERS, "strict": True},
}
NOTE: Any = {"type": "custom", "custom": {"name": "take_note"}}


def body_of(model: str, **parameters: Any) -> dict[str, Any]:
    return {"model": f"scripted/{model}", "messages": HI, **parameters}


async def ask(house: House, model: str = "hello", **parameters: Any) -> Answer:
    return await house.client.request("POST", PATH, body=body_of(model, **parameters))


async def made(house: House, model: str = "hello", **parameters: Any) -> dict[str, Any]:
    answer = await ask(house, model, **parameters)
    assert answer.status == 200, answer.body
    got: dict[str, Any] = answer.json()
    return got


def chunks_of(body: bytes) -> list[dict[str, Any]]:
    """The chunks of a stream; its last frame is ``[DONE]``."""
    assert body.endswith(b"\n\n")
    frames = body.decode().removesuffix("\n\n").split("\n\n")
    assert frames[-1] == "data: [DONE]"
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames)
    return [msgspec.json.decode(frame[6:]) for frame in frames[:-1]]


async def streamed(house: House, model: str = "hello", **parameters: Any) -> list[dict[str, Any]]:
    answer = await ask(house, model, stream=True, **parameters)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("text/event-stream")
    return chunks_of(answer.body)


def joined(chunks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The choice the chunks are a stream of."""
    message: dict[str, Any] = {"content": None, "refusal": None, "annotations": []}
    tokens: list[Any] = []
    reason = None
    for chunk in chunks:
        for choice in chunk["choices"]:
            assert reason is None and choice["index"] == 0
            _add(message, choice["delta"])
            reason = choice["finish_reason"]
            tokens += (choice["logprobs"] or {"content": []})["content"]
    logprobs = {"content": tokens, "refusal": None} if tokens else None
    return {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": reason}


def _add(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for key, value in delta.items():
        if key == "tool_calls":
            for piece in value:
                calls = message.setdefault("tool_calls", [])
                if piece["index"] == len(calls):
                    calls.append({k: v for k, v in piece.items() if k != "index"})
                else:
                    (kind,) = {"function", "custom"} & set(piece)
                    for field, text in piece[kind].items():
                        calls[piece["index"]][kind][field] += text
        elif key == "function_call" and key in message:
            message[key]["arguments"] += value["arguments"]
        elif isinstance(value, str | list) and isinstance(message.get(key), str | list):
            message[key] += value
        else:
            message[key] = value
