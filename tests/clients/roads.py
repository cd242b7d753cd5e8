"""Servers that have the scripted models from another server, over either of its APIs.

``make clients ARGS="--before chat"`` runs the clients against a server in front of a
chat-completions server, ``--before responses`` in front of one that speaks the Responses API
itself: so every request of every client is translated for a model, and every answer back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.clients.site import CONFIG, KEY, Site, site

ROADS: Mapping[str, str] = {
    "chat": 'kind = "chat"',
    "responses": 'kind = "responses"\nprofile = "antiphon"\nencrypted_reasoning = true',
}
"""Name → the settings of a backend on this road."""

LEFT_OUT: Mapping[str, Mapping[str, frozenset[str]]] = {
    "chat": {
        # A chat-completions server is not told: instructions apart from system messages, that a
        # function is a custom tool, thoughts of earlier turns.
        "openai": frozenset({"tools the client runs"}),
        "openai-agents": frozenset({"text", "computer with safety checks", "custom tool"}),
        "langchain": frozenset({"many turns without storage"}),
        "pydantic-ai": frozenset({"text", "reasoning comes back"}),
        "llamaindex": frozenset({"chat async"}),
        "haystack": frozenset({"reasoning comes back"}),
        "semantic-kernel": frozenset({"text"}),
        "agent-framework": frozenset({"text"}),
        "strands": frozenset({"text"}),
    },
    "responses": {
        # Thoughts that come back in plain text are told to the model until the user speaks again.
        "pydantic-ai": frozenset({"reasoning comes back"}),
    },
}
"""Road → client → checks of what the script itself saw, which is another thing on this road."""


@contextmanager
def before(folder: Path, road: str, *, demo: bool = True) -> Iterator[Site]:
    """A server on this road, with the server that has the models behind it; ``demo``: the demo
    model too, where it can run."""
    behind = folder / "behind"
    behind.mkdir()
    with site(behind, None if demo else CONFIG) as models:
        backend = f'{ROADS[road]}\nurl = "{models.url}"\nkey = "{KEY}"'
        with site(folder, CONFIG.replace('kind = "scripted"', backend)) as front:
            yield msgspec.structs.replace(front, model=models.model)
