"""The clients that run on Node, as data. Versions are the newest that the installed Node runs."""

from __future__ import annotations

from tests.clients.client import Client


def node(name: str, title: str, program: str, set: str, notes: str = "") -> Client:
    """A Node client: pins in a folder of its name, program and example named after it."""
    return Client(
        name=name,
        title=title,
        language="node",
        pins=name,
        program=f"with_{program}.mjs",
        example=f"with_{program}.mjs",
        set=set,
        notes=notes,
    )


NODE_CLIENTS: tuple[Client, ...] = (
    node(
        "openai-node",
        "OpenAI for Node",
        "openai",
        "`OPENAI_BASE_URL`, `OPENAI_API_KEY`",
        "Its helper `responses.stream` raises at the events of the tool `shell`, which version 7 "
        "(Node 22) knows; `responses.create` with `stream` does not.",
    ),
    node(
        "agents-node",
        "OpenAI Agents SDK for JavaScript",
        "agents",
        "`OPENAI_BASE_URL`, `OPENAI_API_KEY`",
        "Over a WebSocket it needs `globalThis.WebSocket`, which Node has from version 22 on; with "
        "an older one, set it to the class of the package `ws`.",
    ),
    node(
        "ai-sdk",
        "Vercel AI SDK",
        "ai_sdk",
        "`createOpenAI({ baseURL, apiKey })`, `createAzure({ baseURL, apiKey })`",
        "It sends thoughts back only for models whose names it knows as thinking; for others set "
        "`providerOptions.openai.forceReasoning`.",
    ),
    node(
        "langchain-node",
        "LangChain for JavaScript",
        "langchain",
        "`new ChatOpenAI({ configuration: { baseURL }, useResponsesApi: true })`",
    ),
    Client(
        name="codex",
        title="Codex CLI",
        language="node",
        pins="codex",
        program="with_codex.py",
        example="codex.toml",
        needs=("git",),
        set="`[model_providers]` in `config.toml`",
        seconds_max=300,
    ),
)
