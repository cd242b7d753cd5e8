"""What a request may ask for and not fully get: the names in ``x-antiphon-downgrades``.

A name is a parameter, an item or a tool by its place in the request. ``DOWNGRADES`` lists them
all, with ``[i]`` for any number, ``TYPE`` for a type and ``KEY`` for a field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from antiphon.backends.base import Capabilities
from antiphon.types.request import CreateResponse, ReasoningOptions

DOWNGRADES: Mapping[str, str] = {
    "presence_penalty": "The model's server has no field for it.",
    "frequency_penalty": "The model's server has no field for it.",
    "reasoning.effort": "The model's server has no field for it.",
    "reasoning.summary": "Nobody sums up what the model thought.",
    "reasoning.mode": "`pro` is not available; the model thinks as it does.",
    "reasoning.context": "The model's server takes no earlier reasoning.",
    "service_tier": "There is one tier.",
    "access_programs": "There are none.",
    "background_options.continuation_id": "Responses are not continued by it.",
    "image.context_compression": "Images are not compressed.",
    "context_management": "The model's window is not known, and no `compact_threshold` is given.",
    "store": "The project keeps nothing (`zero_retention`), or chat completions are not stored.",
    "input:TYPE": "An item of a type that is kept and that no model can be shown.",
    "input[i]": "A second output of a call that says something else than the first.",
    "tools[i]:TYPE": "A hosted tool that nobody can run was left out (`runs.unsupported_tools`).",
    "input[i].tools[i]:TYPE": "The same, in an item that brings tools.",
    "additional_tools.tools[i]:TYPE": "The same, in an item of an earlier turn.",
    "tool_search_output.tools[i]:TYPE": "The same, found by a search in an earlier turn.",
    "tools[i].defer_loading": "There is no search that could find the MCP server's tools.",
    "tools[i].KEY": "A field of a hosted tool that an MCP server stands in for.",
    "messages.name": "Chat completions: models are not told the names of participants.",
    "prediction": "Chat completions: no predicted output is used.",
    "seed": "Chat completions: the model's server has no field for it.",
}
"""Every one there is, and why."""

_NUMBER = re.compile(r"\[\d+\]")


def listed(name: str) -> str | None:
    """The entry of ``DOWNGRADES`` that this name is one of."""
    general = _NUMBER.sub("[i]", name)
    if general in DOWNGRADES:
        return general
    head, colon, _ = general.partition(":")
    if colon:
        return f"{head}:TYPE" if f"{head}:TYPE" in DOWNGRADES else None
    return "tools[i].KEY" if general.startswith("tools[i].") else None


def of_parameters(asked: CreateResponse, able: Capabilities) -> list[str]:
    """Parameters that are accepted because real clients send them, and not fully honoured."""
    reasoning = asked.reasoning or ReasoningOptions()
    background, image = asked.background_options, asked.image
    summary = reasoning.summary or reasoning.generate_summary
    found = (
        ("presence_penalty", asked.presence_penalty and "presence_penalty" in able.unsent),
        ("frequency_penalty", asked.frequency_penalty and "frequency_penalty" in able.unsent),
        ("reasoning.effort", reasoning.effort and "reasoning.effort" in able.unsent),
        ("reasoning.summary", summary and not able.summaries),
        ("reasoning.mode", reasoning.mode == "pro"),
        ("reasoning.context", reasoning.context == "all_turns" and not able.takes_reasoning),
        ("service_tier", asked.service_tier not in (None, "auto", "default")),
        ("access_programs", asked.access_programs is not None),
        (
            "background_options.continuation_id",
            background is not None and background.continuation_id is not None,
        ),
        (
            "image.context_compression",
            image is not None and image.context_compression == "enabled",
        ),
    )
    return [name for name, hit in found if hit]
