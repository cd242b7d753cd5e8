"""The text of ``docs/reference/capabilities.md``: what models behind each kind of backend can do.

Made from what ``runs/abilities.py`` finds out by trying, from the list of downgrades, and from
the requirements that tests prove (``tests/requirements``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from antiphon.app import App
from antiphon.config import ChatSettings, Config
from antiphon.config_backends import ResponsesSettings
from antiphon.runs.abilities import Abilities, abilities
from antiphon.runs.downgrades import DOWNGRADES

HEAD = """\
# Capabilities

What a request can ask of a model, by the kind of server the model is behind. Found out by trying:
each tool and parameter is put through the same code a request goes through. Your own server tells
the same of its own models at `GET /v1/antiphon/capabilities`, or with `?model=NAME` of one of
them: an upstream may turn out to be able to do less, and MCP servers of the settings may stand in
for hosted tools.

- **native**: as the API has it, by the model's own server or by the API's nature.
- **emulated**: this server does it for the model, and the caller sees no difference.
- **downgraded**: accepted, not fully honoured, and named in the header `x-antiphon-downgrades`.
- **unsupported**: a 400 that names it. (A value of `include`: nothing it could include is there.)

The columns are a plain chat server, one with constrained decoding, a plain server that speaks this
API, and OpenAI's own.
"""

_URL = "http://127.0.0.1:9/v1"
"""Nobody is asked."""
KINDS = (
    ChatSettings(url=_URL, name="chat", profile="generic", models=["chat"]),
    ChatSettings(url=_URL, name="vLLM", profile="vllm", models=["vLLM"]),
    ResponsesSettings(url=_URL, name="Responses", profile="generic", models=["Responses"]),
    ResponsesSettings(url=_URL, name="OpenAI", profile="openai", models=["OpenAI"]),
)
"""Columns of the tables: a plain chat server and one with constrained decoding, a plain server that
speaks this API and OpenAI's own."""

AREAS = ("offering", "tool_items", "client_tools", "tools", "mcp", "responses_upstream")
"""Requirements the page repeats, where there are such."""


def text() -> str:
    """The whole page."""
    app = App(Config(backends=KINDS))
    known = {
        one.name: abilities(
            app.backend.capabilities(one.models[0]), app.config.runs, mcp=app.runs.mcp
        )
        for one in KINDS
    }
    return "\n".join([HEAD, *_tables(known), *_downgrades(), *_promises()]) + "\n"


def _tables(known: Mapping[str, Abilities]) -> Iterator[str]:
    for title, table in (
        ("Tools", "tools"),
        ("Items", "items"),
        ("Parameters", "parameters"),
        ("`include`", "include"),
    ):
        yield f"## {title}\n"
        yield f"| | {' | '.join(known)} |"
        yield f"|---|{'---|' * len(known)}"
        rows: list[Mapping[str, str]] = [getattr(one, table) for one in known.values()]
        for name in sorted(rows[0]):
            yield f"| `{name}` | {' | '.join(row[name] for row in rows)} |"
        yield ""


def _downgrades() -> Iterator[str]:
    yield "## Every downgrade\n"
    yield "What `x-antiphon-downgrades` may hold, and over WebSocket `x_antiphon_downgrades` of the"
    yield "first event: `[i]` is any number, `TYPE` a type, `KEY` a field.\n"
    yield "| name | why |"
    yield "|---|---|"
    for name, why in DOWNGRADES.items():
        yield f"| `{name}` | {why} |"
    yield ""


def _promises() -> Iterator[str]:
    yield "## What tests prove of tools\n"
    for area in AREAS:
        try:
            entries = import_module(f"tests.requirements.{area}").REQUIREMENTS
        except ModuleNotFoundError:
            continue
        for name, entry in entries.items():
            if not entry.deferred:
                yield f"- `{name}` {entry.behaviour}"
