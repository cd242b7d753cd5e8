"""Writes ``docs/reference/differences.md``: what differs from the hosted API.

The second half comes from the requirements that have a ``divergence``; the first half is the list
below: what a caller who knows the hosted API should know. A test fails when the page is not what
``page()`` says; ``python docs/differences.py`` writes it again.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "differences.md"

HEAD = """\
# Differences from the hosted API

What a caller who knows OpenAI's or Azure's service should know. What is missing so far is refused
with a precise error; the list of it is in the README under "What works". This page is about what
is there and is different on purpose.
"""

DIFFERENT = [
    (
        "Chat completions: thinking",
        "not shown",
        "`reasoning_content` of the message, accepted back",
        "clients of open models look there",
    ),
    (
        "Chat completions: `n`, `logit_bias`",
        "honoured",
        "400 above 1; 400",
        "one request is one run; token ids differ between models",
    ),
    (
        "Chat completions: `system_fingerprint`",
        "names the configuration of the model",
        "null",
        "the server cannot know when the model behind it changes",
    ),
    (
        "What cannot be honoured",
        "honoured",
        "refused, or named in the header `x-antiphon-downgrades`",
        "nothing is ignored silently",
    ),
    (
        "Penalties, `reasoning.effort`, `verbosity`, cache and safety hints",
        "honoured",
        "passed on where the model server has a field for them, the effort as the nearest it "
        "knows; `verbosity` is said in words elsewhere, a penalty or effort is named in the header",
        "model servers differ",
    ),
    (
        "`strict` left out on a function",
        "tried as strict",
        "`true` only if the backend enforces it; the response says which",
        "not every backend can",
    ),
    (
        "Schemas, grammars, tool choices",
        "constrained decoding",
        "the same where the backend can; else checked, and the model asked again",
        "any chat model may be behind this",
    ),
    (
        "Native tools (`shell`, `apply_patch`, `computer`, …)",
        "models are trained for them",
        "the same where the backend has them; else shown to the model as functions, their calls "
        "whole instead of in pieces",
        "any model that calls functions can use them",
    ),
    (
        "Hosted tools that nobody here can run",
        "run",
        "400 at `tools[i].type`; web search and image generation are left out, and reported, for "
        "coding agents that always send them",
        "a tool must not be dropped silently, and not every agent can be told not to send it",
    ),
    (
        "A hosted tool that an MCP server stands in for",
        "`web_search_call`, …",
        "`mcp_list_tools` and `mcp_call`",
        "these items hold arguments and results, so a conversation can go on from them",
    ),
    (
        "MCP: `connector_id`, `tunnel_id`",
        "the vendor's connectors",
        "an MCP server of the settings with that label, else 400",
        "connectors are the vendor's",
    ),
    (
        "MCP: private addresses",
        "not reachable",
        "refused, unless `remote_mcp.allowed` names them or the server is in the settings",
        "a caller must not look around in the operator's network",
    ),
    (
        "MCP: several calls in one turn",
        "not documented",
        "one after the other",
        "one item is open at a time, so that a replay is exact",
    ),
    (
        "`tool_search` by the server",
        "the vendor's search",
        "by words (BM25), at most five tools at a time",
        "the same search finds the same tools, without a model of its own",
    ),
    (
        "Text held to a format that is not enforced",
        "streams piece by piece",
        "is held back until it is known to be valid, then streams at once",
        "what was sent cannot be taken back",
    ),
    (
        "Reasoning",
        "summaries; raw reasoning is not shown",
        "raw reasoning as `content` of the reasoning item; summaries where an upstream that speaks "
        "the Responses API writes them, else a reported downgrade",
        "open models show theirs",
    ),
    (
        "`reasoning.encrypted_content`",
        "on every reasoning item, asked for or not",
        "only where it is included",
        "raw reasoning is in the item already, and comes back with it",
    ),
    (
        "Compaction",
        "a form of its own",
        "a summary, written by the model of the request, sealed",
        "any chat model may be behind this",
    ),
    (
        "`stream=true` on retrieve",
        "background responses, for some minutes",
        "every stored response, as long as it is kept",
        "events are spelled from what is stored",
    ),
    (
        "End of a stream",
        "the connection closes",
        "`data: [DONE]`, then the connection closes or is reused",
        "Open Responses requires it, the official clients accept it",
    ),
    (
        "A caller who leaves, not in the background",
        "not documented",
        "the model call stops; the stored response is `cancelled`",
        "nobody pays for what nobody reads",
    ),
    (
        "A cancelled background stream",
        "not documented",
        "ends with `[DONE]`, without a last event",
        "the API has no event for it",
    ),
    (
        "A background response in progress",
        "not documented",
        "its `output` is empty until it has ended",
        "the stream shows it as it is made",
    ),
    (
        "A busy conversation",
        "`conversation_locked`; the status is not documented",
        "409 `conversation_locked`, also for items that are added or deleted meanwhile",
        "the official clients repeat a 409 by themselves",
    ),
    (
        "What a response adds to its conversation",
        "after it has completed",
        "if it is completed or incomplete; nothing if it failed or was cancelled",
        "an answer cut short was said, an answer that failed was not",
    ),
    (
        "A deleted conversation",
        "its items are not deleted",
        "its items are erased; responses keep what they stored",
        "who deletes wants it gone",
    ),
    (
        "`previous_response_id` of a response in a conversation",
        "not documented",
        "400 `response_in_conversation`",
        "an answer must not silently forget what was said before",
    ),
    (
        "`Idempotency-Key`",
        "not documented",
        "the same key and body are answered with the same response for a day",
        "a broken connection should not cost a second generation",
    ),
    (
        "`service_tier`",
        "chosen",
        "always `default`",
        "there are no tiers",
    ),
    (
        "Token counts",
        "exact",
        "the model server's; an estimate where it reports none, or cannot count beforehand",
        "not every server tells",
    ),
    (
        "Unknown parameters",
        "400",
        "400; `client_metadata`, which real clients send, is accepted",
        "a misspelt parameter must not be ignored",
    ),
    (
        "A penalty, `verbosity` at the top level",
        "not in every version of the API",
        "accepted; penalties are always in the response",
        "Open Responses requires them",
    ),
    (
        "`created_at`",
        "whole seconds, typed as a float by the client",
        "an integer",
        "Open Responses rejects floats",
    ),
    (
        "File input",
        "data, uploaded files, URLs; many formats",
        "data only; PDF and text",
        "a server that fetches URLs can be sent anywhere",
    ),
    (
        "Content filters (Azure)",
        "results for prompt and answer",
        "`content_filters` is there and empty",
        "no filter runs here",
    ),
    (
        "Regions and versions (Azure)",
        "decide what is there",
        "everything everywhere, unless `azure.emulate` is set",
        "a development server should not lack what it can do",
    ),
]
"""What, there, here, why."""

RECORDED = """
## Recorded with the tests

Requirements that say where this server knowingly does something else than their source.

| requirement | source | here | there |
|---|---|---|---|
"""


def page() -> str:
    """The whole text of the page."""
    lines = [HEAD, "| | hosted | here | because |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in DIFFERENT]
    rows = [
        f"| `{name}` | {found.source} | {found.behaviour} | {found.divergence} |"
        for name, found in sorted(requirements().items())
        if found.divergence
    ]
    return "\n".join(lines) + "\n" + RECORDED + "\n".join(rows) + "\n"


def requirements() -> dict[str, Any]:
    """Every requirement of every area, by its id."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    found: dict[str, Any] = {}
    for file in sorted((ROOT / "tests" / "requirements").glob("*.py")):
        if file.stem not in ("__init__", "base"):
            found |= import_module(f"tests.requirements.{file.stem}").REQUIREMENTS
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.name}\n")
