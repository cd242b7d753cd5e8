"""The clients that must work, as data: those in Python here, the others in ``registry_node``."""

from __future__ import annotations

from tests.clients.client import Client
from tests.clients.registry_node import NODE_CLIENTS

_URL_AND_KEY = "`OPENAI_BASE_URL`, `OPENAI_API_KEY`"


def python(
    name: str, title: str, set: str, notes: str = "", pins: str = "", dev: bool = False
) -> Client:
    """A Python client whose pins, program and example are all named after it."""
    program = f"with_{name.replace('-', '_')}.py"  # no module of a client is called so
    return Client(
        name=name,
        title=title,
        language="python",
        pins=pins or f"{name}.txt",
        program=program,
        example=program,
        set=set,
        notes=notes,
        dev=dev,
    )


PYTHON_CLIENTS: tuple[Client, ...] = (
    python(
        "openai",
        "OpenAI Python",
        _URL_AND_KEY,
        "All checks but one run with `_strict_response_validation`: its type of what "
        "`responses.compact` returns has no room for the user's messages, which the API "
        "keeps in it.",
        dev=True,
    ),
    python(
        "azure-openai",
        "OpenAI Python for Azure",
        "`AZURE_OPENAI_ENDPOINT`, `AZURE_OPENAI_API_KEY`",
        pins="openai.txt",
        dev=True,
    ),
    python(
        "openai-agents",
        "OpenAI Agents SDK for Python",
        _URL_AND_KEY,
        "It takes `name/` before a model's name for a provider: a model whose name has a slash "
        'needs `MultiProvider(unknown_prefix_mode="model_id")`. `OpenAIResponsesCompactionSession` '
        "takes names that begin with `gpt-` or `o` and a digit only: give your model such a name "
        "under `[azure.deployments]` and use `/openai/v1/`. It sends its traces to the hosted API "
        "unless they are turned off.",
    ),
    python(
        "langchain",
        "LangChain",
        f"{_URL_AND_KEY}, `use_responses_api=True`",
    ),
    python("pydantic-ai", "pydantic-ai", _URL_AND_KEY),
    python(
        "llamaindex",
        "LlamaIndex",
        "`OpenAIResponses(api_base=…, api_key=…, context_window=…)`",
        "It knows a model's context window by its name; for another model set `context_window`.",
    ),
    python(
        "haystack",
        "Haystack",
        "`OpenAIResponsesChatGenerator(api_base_url=…)`, `OPENAI_API_KEY`",
    ),
    python(
        "semantic-kernel",
        "Semantic Kernel",
        f"{_URL_AND_KEY}, which the client given to its agents reads",
        "With every output of a tool it sends the question again; the server knows it and keeps "
        "one.",
    ),
    python(
        "agent-framework",
        "Microsoft Agent Framework",
        _URL_AND_KEY,
        "In its stream, each whole text comes again behind its pieces, marked by "
        '`merge_mode == "replace"`.',
    ),
    python(
        "dspy",
        "DSPy",
        '`dspy.LM("openai/MODEL", model_type="responses", api_base=…)`, `OPENAI_API_KEY`',
        "It knows by a model's name whether it takes a JSON Schema and tools. For another model it "
        "asks in words: give yours such a name under `[azure.deployments]` and use `/openai/v1`.",
    ),
    python(
        "litellm",
        "LiteLLM as a client",
        f"`openai/` before the model's name, {_URL_AND_KEY}",
        "`litellm.responses` needs the package `mcp`, even without an MCP server: install "
        "`litellm[mcp]`.",
    ),
    python("instructor", "instructor", f"{_URL_AND_KEY}, which the wrapped client reads"),
    python(
        "llm",
        "llm",
        "`llm openai endpoint URL --responses`, or `api_base` and `responses: true` in "
        "`extra-openai-models.yaml`",
    ),
    python("agno", "Agno", "`OpenAIResponses(base_url=…)`, `OPENAI_API_KEY`"),
    python(
        "strands",
        "Strands Agents",
        _URL_AND_KEY,
        "It drops thoughts from the history it sends itself; with `stateful=True` the server "
        "keeps them.",
    ),
)

COMPUTER_USE = Client(
    name="computer-use",
    title="Computer use with Chromium",
    language="python",
    pins="openai.txt",
    program="with_computer_use.py",
    set=_URL_AND_KEY,
    needs=("chromium",),
    notes="The version is Chromium's; the client is OpenAI Python. Example: "
    "`examples/computer_use.py` ([how it works](../how-to/let-a-model-use-a-computer.md)).",
)

CLIENTS: tuple[Client, ...] = (*PYTHON_CLIENTS, *NODE_CLIENTS, COMPUTER_USE)
"""All, in the order they are run and listed."""
