"""Writes ``docs/reference/open-responses.md`` from ``conflicts.py`` and ``seen.json``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.open_responses.conflicts import CONFLICTS
from tests.open_responses.scenarios import OURS, PROFILE_ONLY, SCENARIOS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "open-responses.md"
SEEN = Path(__file__).parent / "seen.json"

HEAD = """\
# Open Responses

[Open Responses](https://www.openresponses.org) is a specification of the core of the Responses API
by several vendors. The server follows its version of 2026-04-24. Where it and OpenAI's API can both
be satisfied at once, both are, always. Where they exclude each other, `server.profile` decides:

```toml
[server]
profile = "open-responses"
```

or `antiphon serve --api-profile open-responses`. The default is `openai`, which is what OpenAI's
clients, Azure's and the agent frameworks want. The profile changes how answers are spelled and
nothing else: state, tools, conversations and every other endpoint are the same, and a response made
under one profile can be continued under the other. Its answers are made on the slower of the
server's two roads.

## Where the two differ

"everywhere": both are satisfied in both profiles. "profile": as the profile says. "beyond": more
than the specification knows, in both profiles, for callers who ask for it. "refused": less.

| what | OpenAI | Open Responses | | here |
|---|---|---|---|---|
"""
RUN = """
## Its acceptance scenarios

Ours, written from the specification; the published suite has the same ids. They can be run against
any server:

```console
$ python -m tests.open_responses --url http://127.0.0.1:8484/v1 --model NAME
```

It runs in a checkout (`make setup`, `.venv/bin/python`). The scenarios of tools need a model that
calls them, another one by `--tool-model`; against `antiphon serve --scripted`:
`--model scripted/echo --tool-model scripted/tool`. A server in the other profile needs
`--profile open-responses`.

Without `--url`, as the table below was made: against a new server of each profile, with
[scripted models](scripted-models.md), all scenarios at the same time.

| scenario | profile `openai` | profile `open-responses` |
|---|---|---|
"""


def text() -> str:
    """The whole page."""
    rows = [
        f"| {row.topic} | {row.openai} | {row.open_responses} | {row.where} | {_ours(row)} |"
        for row in CONFLICTS
    ]
    return HEAD + "\n".join(rows) + "\n" + RUN + "\n".join(_results()) + "\n"


def _ours(row: Any) -> str:
    return f"{row.ours}: {row.reason}" if row.reason else str(row.ours)


def _results() -> list[str]:
    seen = json.loads(SEEN.read_text(encoding="utf-8"))["profiles"]
    every = {**SCENARIOS, **OURS, **PROFILE_ONLY}
    return [
        f"| `{name}`{'' if name in SCENARIOS else ' (ours)'} | "
        + " | ".join(_cell(seen[profile].get(name)) for profile in ("openai", "open-responses"))
        + " |"
        for name in every
    ]


def _cell(problem: str | None) -> str:
    if problem is None:
        return "not asked for"
    return f"failed: {problem}" if problem else "passed"


def main() -> int:
    PAGE.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
