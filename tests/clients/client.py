"""What a client under test is, and the protocol its program speaks.

A program is started in an empty folder with the environment

    ANTIPHON_URL      the base URL, http://127.0.0.1:PORT/v1 (also as OPENAI_BASE_URL)
    ANTIPHON_ROOT     the same without /v1
    ANTIPHON_KEY      the key to send (also as OPENAI_API_KEY)
    ANTIPHON_MODEL    demo-antiphon, or scripted/hello where the embedded engine cannot run; the
                      scripted models (docs/reference/scripted-models.md) are always there
    ANTIPHON_MCP      the URL of an MCP server with one tool, ``get_weather``, which the server may
                      reach; the server also runs one of its own with the label ``weather``
    ANTIPHON_EXAMPLE  the path of this client's example program, or empty
    ANTIPHON_PROGRAMS the folder of the programs
    ANTIPHON_PYTHON   a Python with the packages of the development environment

and prints one JSON object per line: ``{"version": "1.2.3"}``, and per check
``{"check": "streams text", "ok": true}`` or
``{"check": "streams text", "ok": false, "error": "what happened"}``.
Lines that are no such object are ignored. It ends with 0 if it could make all its checks,
whatever they found. The example gets the same environment and ``MODEL``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import Struct

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
PINS = ROOT / "requirements" / "clients"
EXAMPLES = ROOT / "examples" / "clients"
ENVIRONMENTS = ROOT / ".venv-clients"


class Client(Struct, frozen=True, kw_only=True):
    """One client.

    ``pins`` is in requirements/clients/: a file (Python), or a folder with package.json and
    package-lock.json (Node). ``program`` is a file in tests/clients/programs/, ``example`` one
    in examples/clients/. ``needs``: commands without which the client is skipped. ``dev``: the
    development environment has all it needs, so ``make test`` always runs it. ``set`` is what a
    user sets and ``notes`` what does not work with it and why: both stand on the page.
    """

    name: str
    title: str
    language: Literal["python", "node"]
    pins: str
    program: str
    set: str
    example: str = ""
    needs: tuple[str, ...] = ()
    dev: bool = False
    seconds_max: int = 180
    notes: str = ""
