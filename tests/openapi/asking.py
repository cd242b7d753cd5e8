"""What the tests of bodies and the fuzzing share: a server process, and how bodies are aimed.

Drawn from the schemas alone, nearly every create is refused for its model or for an id nobody
knows. So names of models become those of scripted ones, and ids in paths often those of things
that exist. Nothing else of what was drawn is touched.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema_rs
from hypothesis import HealthCheck, Phase, settings
from schemathesis.core import NotSet

from antiphon.server.openapi import document
from tests.process.server import Server

MODELS = (
    "echo",
    "tool",
    "reasoning",
    "json",
    "refusal",
    "text-then-tool",
    "cited",
    "tools-parallel",
    "length",
)
SELDOM = frozenset(
    {
        "audio",
        "background_options",
        "conversation",
        "function_call",
        "functions",
        "logit_bias",
        "modalities",
        "moderation",
        "multi_agent",
        "n",
        "personality",
        "prediction",
        "previous_response_id",
        "prompt",
        "web_search_options",
    }
)
"""Parameters for which nearly everything drawn is refused: kept in one body of seven."""
DOCUMENT = document()
POOL = 12
"""Things of each kind that exist at the beginning; deletions use them up."""


def quiet(examples: int) -> settings:
    """The same examples in every run; a machine that is busy is no failure."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),
    )


def aimed(body: Any) -> Any:
    """The body, for a model that exists if it names any; an object where there is none."""
    if isinstance(body, NotSet):
        return {}
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        return body
    size = len(body["model"])
    kept = {key: value for key, value in body.items() if size % 7 == 0 or key not in SELDOM}
    if "messages" not in kept and not kept.get("input"):
        kept["input"] = "Hello."
    return {**kept, "model": f"scripted/{_able(kept, size)}"}


def _able(body: dict[str, Any], size: int) -> str:
    """A model that does what the body demands: one that does not is answered 502, rightly."""
    if body.get("tools") and body.get("tool_choice") != "none":
        return "tool"
    text = body.get("text")
    if body.get("response_format") or (isinstance(text, dict) and text.get("format")):
        return "json"
    return MODELS[size % len(MODELS)]


def readable(document: dict[str, Any]) -> dict[str, Any]:
    """The document as schemathesis reads streams before OpenAPI 3.2: an event is an object whose
    ``data`` is text. What the text is, ``checked_events`` looks at."""
    changed = copy.deepcopy(document)
    for path in changed["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict):
                for answer in operation["responses"].values():
                    stream = answer.get("content", {}).get("text/event-stream")
                    if stream is not None:
                        stream["schema"] = {"type": "object", "required": ["data"]}
    return changed


def validator(component: str) -> Any:
    """Of one of the document's schemas."""
    schema = {"$ref": f"#/components/schemas/{component}", "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(schema)


EVENT = validator("ResponseStreamEvent")
CHUNK = validator("ChatChunk")
ERROR = validator("ErrorEnvelope")


def checked_events(text: str) -> int:
    """Check every event of a finished stream against its schema; how many there were."""
    count = 0
    for block in text.split("\n\n"):
        data = [line[6:] for line in block.split("\n") if line.startswith("data: ")]
        if not data or data == ["[DONE]"]:
            continue
        event = json.loads(data[0])
        shape = EVENT if "type" in event else ERROR if "error" in event else CHUNK
        problem = next(iter(shape.iter_errors(event)), None)
        assert problem is None, f"{event.get('type')}: {problem}"
        count += 1
    return count


class Things:
    """Ids of what exists on a server, by the names they have in paths."""

    def __init__(self, server: Server) -> None:
        self.ids: dict[str, list[str]] = {}
        self.items: dict[str, str] = {}
        for number in range(POOL):
            self._add(server, number)
        status, models = server.ask("GET", "/v1/models")
        assert status == 200
        self.ids["model"] = [model["id"] for model in models["data"]]

    def _add(self, server: Server, number: int) -> None:
        said = f"Hello {number}."
        asked = {
            "/v1/responses": ("response_id", {"model": "scripted/reasoning", "input": said}),
            "/v1/chat/completions": (
                "completion_id",
                {
                    "model": "scripted/echo",
                    "messages": [{"role": "user", "content": said}],
                    "store": True,
                },
            ),
            "/v1/conversations": (
                "conversation_id",
                {"items": [{"role": "user", "content": said}], "metadata": {"n": str(number)}},
            ),
            "/v1/webhook_endpoints": (
                "webhook_endpoint_id",
                {
                    "name": f"n{number}",
                    "url": "https://hooks.invalid/antiphon",
                    "event_types": ["response.completed"],
                },
            ),
        }
        for path, (name, body) in asked.items():
            status, made = server.ask("POST", path, body)
            assert status == 200, made
            self.ids.setdefault(name, []).append(made["id"])
        conversation = self.ids["conversation_id"][-1]
        _, page = server.ask("GET", f"/v1/conversations/{conversation}/items")
        self.items[conversation] = page["data"][0]["id"]

    def place(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """The same, mostly with ids of things that exist."""
        placed = dict(parameters)
        for name, value in parameters.items():
            size = len(str(value))
            if name in self.ids and size % 5:
                placed[name] = self.ids[name][size % len(self.ids[name])]
        if "item_id" in placed and placed.get("conversation_id") in self.items:
            placed["item_id"] = self.items[placed["conversation_id"]]
        return placed


@contextmanager
def asking(folder: Path) -> Iterator[tuple[Server, Things]]:
    with Server(folder) as server:
        yield server, Things(server)
