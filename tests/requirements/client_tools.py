"""Tools that the caller runs: shells, patches, computers, freeform tools, functions that wait."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "client-tools:shown:calls": Requirement(
        "issue", "A chat model sees its calls of such tools again as it made them."
    ),
    "client-tools:shown:outputs": Requirement(
        "issue", "A chat model can read what such tools gave; a screenshot is an image."
    ),
    "client-tools:shown:hosted": Requirement(
        "issue", "Calls of MCP and hosted tools are shown as calls with what came of them."
    ),
    "client-tools:shown:namespaces": Requirement(
        "issue", "A namespaced call is shown under the name the model calls it by."
    ),
    "client-tools:described": Requirement(
        "issue",
        "Descriptions and schemas say all a model needs that was never trained for the tools.",
    ),
    "client-tools:strict": Requirement(
        "ours", "Constrained decoding gets schemas it takes, and items have no nulls from them."
    ),
    "client-tools:checked": Requirement(
        "ours", "Arguments that break the schema are asked for again and never become an item."
    ),
    "client-tools:cut": Requirement(
        "issue", "A call cut by the token limit is no whole call, and the response says so."
    ),
    "client-tools:choice": Requirement(
        "api-surface", "A tool may be chosen by its type, and tools are echoed as declared."
    ),
    "client-tools:native": Requirement(
        "issue", "A backend that knows a tool gets it as it is, and its calls become the same."
    ),
    "client-tools:blind": Requirement(
        "ours", "A computer is not offered to a model that cannot see it."
    ),
    "client-tools:roads": Requirement(
        "issue", "Every kind of call is made and answered on every road, with a replay of it."
    ),
    "client-tools:round-trip": Requirement(
        "api-surface", "Output may be sent back verbatim, with nulls and keys nobody knows."
    ),
    "client-tools:pairs:unanswered": Requirement(
        "issue", "A call of any kind without an output is a 400 that names it."
    ),
    "client-tools:pairs:orphan": Requirement(
        "issue", "An output of any kind without its call is a 400 that names it."
    ),
    "client-tools:pairs:kind": Requirement(
        "issue", "An output of another kind than its call is a 400 that names both."
    ),
    "client-tools:pairs:local-shell": Requirement(
        "clients", "A local shell's output names its call by id, item id or call_id."
    ),
    "client-tools:pairs:by-name": Requirement(
        "api-surface", "A function's output may say its name instead of a call_id."
    ),
    "client-tools:pairs:retold": Requirement(
        "issue", "Calls and outputs the history has already are told once."
    ),
    "client-tools:pairs:truncated": Requirement(
        "issue", "A context that is cut or compacted keeps calls and outputs together."
    ),
    "client-tools:pairs:listed": Requirement(
        "issue", "Input items, conversations and references hold such items as they are."
    ),
    "client-tools:safety": Requirement(
        "issue", "Safety checks of a computer call must be acknowledged, each of them."
    ),
    "client-tools:screenshot": Requirement(
        "api-surface", "A screenshot is exactly one image a model can see, or a precise 400."
    ),
    "client-tools:later": Requirement(
        "issue", "A call of a function with async may be answered in a later turn."
    ),
    "client-tools:later:prefix": Requirement(
        "issue", "Whatever is answered late, the prompt of a turn extends the one before."
    ),
    "client-tools:custom": Requirement(
        "api-surface",
        "Freeform tools get raw input, by text, lark or regex, also within a namespace.",
    ),
    "client-tools:patches": Requirement(
        "issue", "Diffs described to the model are what the API's own clients apply."
    ),
}
