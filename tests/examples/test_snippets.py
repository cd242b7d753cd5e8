"""Every snippet of the documentation is true: it runs, or is part of an example that does.

What a fence's language promises. ``python``, ``bash``: it runs as it stands while a server
answers at the address the pages use. ``console``: commands to type that a test cannot type (they
install, serve, never end); their options and targets exist. ``toml``: settings the server takes.
``json``: JSON. ``text`` and no language: nothing.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from antiphon.cli import main
from tests.examples.conftest import Server
from tests.examples.pages import ROOT, Block, blocks, examples
from tests.examples.programs import SECONDS_MAX, printed_by

ADDRESS = "http://127.0.0.1:8484"
"""The server's address in all pages."""

LANGUAGES = {"", "bash", "console", "json", "python", "text", "toml"}

NOT_PROGRAMS = {
    "docs/how-to/add-a-backend.md": "shows the parts of a file to write",
    "docs/how-to/let-the-server-run-functions.md": "its function serves for ever: tests/tools",
    "docs/how-to/receive-webhooks.md": "its receiver serves for ever: tests/webhooks runs them all",
    "docs/how-to/use-mcp-servers.md": "its server serves for ever: tests/tools runs them all",
    "docs/how-to/train-the-demo-model.md": "shows a function to add to the training program",
}
"""Pages whose Python is not meant to run by itself, and why."""

SECRETS = {
    "UPSTREAM_KEY": "sk-1",
    "TEAM_A_KEY": "sk-2",
    "TEAM_B_KEY": "sk-3",
    "SEAL_KEY": "A" * 43 + "=",
}
"""Environment variables the settings in the pages name."""


def part_of_an_example(text: str) -> bool:
    wanted = text.strip("\n")
    return any(wanted in path.read_text(encoding="utf-8") for path in examples())


def test_fences_say_what_they_hold() -> None:
    every = blocks(*LANGUAGES)
    known = {block.place for block in every}
    odd = [b.place for b in blocks("sh", "shell", "py", "pycon", "http") if b.place not in known]
    assert odd == []
    assert len([block for block in every if block.language == "python"]) > 10


PROGRAMS = [
    block
    for block in blocks("python")
    if block.page not in NOT_PROGRAMS and not part_of_an_example(block.text)
]


@pytest.mark.requirement("docs:snippets:run")
@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: block.place)
def test_a_python_snippet_runs(block: Block, server: Server, tmp_path: Path) -> None:
    needs_demo(block, server)
    program = tmp_path / "snippet.py"
    program.write_text(block.text.replace(ADDRESS, server.origin), encoding="utf-8")
    printed_by(program, tmp_path, environment_of(server))


@pytest.mark.requirement("docs:snippets:run")
@pytest.mark.parametrize("block", blocks("bash"), ids=lambda block: block.place)
def test_a_shell_snippet_runs(block: Block, server: Server, tmp_path: Path) -> None:
    if not (shutil.which("bash") and shutil.which("curl")):
        pytest.skip("no bash or no curl on this machine")
    script = "set -eu -o pipefail\n" + block.text.replace(ADDRESS, server.origin)
    needs_demo(block, server)
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env=environment_of(server),
        cwd=tmp_path,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), "it prints nothing"


def needs_demo(block: Block, server: Server) -> None:
    if "demo-antiphon" in block.text and not server.demo:
        pytest.skip("the embedded engine cannot run on this machine")


def environment_of(server: Server) -> dict[str, str]:
    return {**os.environ, "OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "any"}


# Commands and settings ------------------------------------------------------------------------


def commands() -> list[tuple[str, list[str]]]:
    """(place, words) of every command behind a ``$`` in a console block."""
    found = []
    for block in blocks("console"):
        joined = block.text.replace("\\\n", " ")
        for line in joined.splitlines():
            if line.startswith("$ "):
                found.append((block.place, shlex.split(line[2:], comments=True)))
    return found


def of(*program: str) -> list[tuple[str, list[str]]]:
    """The commands that begin with ``program``, without it."""
    size = len(program)
    return [(place, words[size:]) for place, words in commands() if words[:size] == [*program]]


@pytest.mark.requirement("docs:snippets:commands")
@pytest.mark.parametrize(("place", "words"), of("antiphon"))
def test_an_antiphon_command_exists_with_these_options(
    place: str, words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    if words[:1] == ["serve"]:
        words = ["config", "check", *words[1:]]  # takes the same options, and ends
    for option, name in (("--config", "antiphon.toml"), ("--model", "model.gguf")):
        if option in words:
            (tmp_path / name).touch()
            words[words.index(option) + 1] = str(tmp_path / name)
    if "--model" in words:
        model = tmp_path / "model.gguf"
        model.write_bytes(b"GGUF")
        words[words.index("--model") + 1] = str(model)
    if words[:1] == ["import"]:
        (tmp_path / "export.jsonl").touch()
        monkeypatch.chdir(tmp_path)
        words = [*words, "--data", str(tmp_path)]
    if words[:1] in (["doctor"], ["models"]):
        words = ["config", "check", *words[1:]]
    if words[:1] in (["migrate"], ["export"], ["purge"]) or words[:2] == ["import", "archive"]:
        words = [*words, "--help"]  # there is no such database: its options are read, no more
    said = CliRunner().invoke(main, words)
    assert said.exit_code == 0, f"{place}: {said.output}"


@pytest.mark.requirement("docs:snippets:commands")
@pytest.mark.parametrize(("place", "words"), of("make"))
def test_a_make_target_exists(place: str, words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.M))
    assert {word for word in words if "=" not in word} <= targets, place


@pytest.mark.requirement("docs:snippets:commands")
def test_example_files_that_pages_name_exist() -> None:
    for page in {*(block.page for block in blocks(*LANGUAGES)), "README.md"}:
        text = (ROOT / page).read_text(encoding="utf-8")
        for name in re.findall(r"\bexamples/\w+\.py\b", text):
            assert (ROOT / name).is_file(), f"{page} names {name}"


@pytest.mark.requirement("docs:snippets:commands")
@pytest.mark.parametrize("block", blocks("toml"), ids=lambda block: block.place)
def test_settings_shown_are_settings_the_server_takes(
    block: Block, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "antiphon.toml"
    secret = tmp_path / "secret"
    secret.write_text("sk-4", encoding="utf-8")
    shown = re.sub(r'key_file = "[^"]*"', f'key_file = "{secret}"', block.text)
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF")
    shown = re.sub(r'path = "[^"]*[.]gguf"', f'path = "{model}"', shown)
    file.write_text(shown, encoding="utf-8")
    said = CliRunner().invoke(main, ["config", "check", "--config", str(file)])
    assert said.exit_code == 0, f"{block.place}: {said.output}"
