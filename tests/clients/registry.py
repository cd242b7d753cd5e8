"""The clients that must work, as data: those in Python here, the others in ``registry_node``."""

from __future__ import annotations

from tests.clients.client import Client
from tests.clients.registry_node import NODE_CLIENTS

_URL_AND_KEY = "`OPENAI_BASE_URL`, `OPENAI_API_KEY`"



def python(name: str, title: str, set: str, notes: str = "") -> Client:
    """A Python client whose pins, program and example are all named after it."""
    program = f"with_{name.replace('-', '_')}.py"  # no module of a client is called so
    return Client(
        name=name,
        title=title,
        language="python",
        pins=f"{name}.txt",
        program=program,
        example=program,
        set=set,
        notes=notes,
    )


PYTHON_CLIENTS: tuple[Client, ...] = (
    Client(
        name="openai",
        title="OpenAI Python",
        language="python",
        pins="openai.txt",
        program="with_openai.py",
        example="with_openai.py",
        set=_URL_AND_KEY,
        dev=True,
    ),
    python("openai-agents", "OpenAI Agents SDK for Python", _URL_AND_KEY),
    Client(
        name="azure-openai",
        title="OpenAI Python for Azure",
        language="python",
        pins="openai.txt",
        program="with_azure_openai.py",
        example="with_azure_openai.py",
        set="`AZURE_OPENAI_ENDPOINT`, `AZURE_OPENAI_API_KEY`",
        dev=True,
    ),
)

CLIENTS: tuple[Client, ...] = (*PYTHON_CLIENTS, *NODE_CLIENTS)
"""All, in the order they are run and listed."""
