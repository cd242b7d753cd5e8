"""The compatibility page, made from the registry and from what the last runs saw."""

from __future__ import annotations

from collections.abc import Iterator

from tests.clients import seen
from tests.clients.client import Client
from tests.clients.registry import CLIENTS

NAME = "compatibility.md"

HEAD = """\
# Clients that work

Made by `make clients`, which installs each client in this table in the version named, runs its
checks against a freshly started server and writes down what it saw. How to point each at your
server: [use your client](../how-to/use-your-client.md).

| client | version | checks | set |
|---|---|---|---|
"""


def text() -> str:
    """The whole page."""
    known = seen.load()
    rows = [_row(client, known.get(client.name)) for client in CLIENTS]
    parts = [_part(client, known[client.name]) for client in CLIENTS if client.name in known]
    return HEAD + "\n".join(rows) + "\n" + "".join(parts)


def _row(client: Client, it: seen.Seen | None) -> str:
    if it is None:
        return f"| {client.title} | | not run yet | {client.set} |"
    count = f"{len(it.passed)} of {len(it.passed) + len(it.failed)} passed"
    return f"| [{client.title}](#{_anchor(client.title)}) | {it.version} | {count} | {client.set} |"


def _part(client: Client, it: seen.Seen) -> str:
    return "\n".join(["", f"## {client.title}", "", *_lines(client, it)]) + "\n"


def _lines(client: Client, it: seen.Seen) -> Iterator[str]:
    yield f"Checked: {', '.join(it.passed) or 'nothing'}."
    if it.failed:
        yield ""
        yield f"**Failed:** {', '.join(it.failed)}."
    if client.notes:
        yield ""
        yield client.notes
    if client.example:
        yield ""
        yield f"Example: `examples/clients/{client.example}`."


def _anchor(title: str) -> str:
    kept = "".join(sign for sign in title.lower() if sign.isalnum() or sign in "-_ ")
    return kept.replace(" ", "-")
