"""The harness reports what programs do, and the registry and the page are complete."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.clients import page, seen
from tests.clients.client import EXAMPLES, PINS, PROGRAMS, Client
from tests.clients.registry import CLIENTS
from tests.clients.roads import LEFT_OUT
from tests.clients.seen import Seen
from tests.clients.site import Site
from tests.clients.trial import Trial, attempt

NOWHERE = Site("http://127.0.0.1:9/v1", "scripted/hello", Path("log"), "http://127.0.0.1:9/mcp")

PROGRAM = """\
import json, os, time
from pathlib import Path
print("something else", flush=True)
print(json.dumps({"version": "1.2.3"}), flush=True)
print(json.dumps({"check": "sees its server", "ok": os.environ["ANTIPHON_ROOT"] ==
    "http://127.0.0.1:9" and os.environ["OPENAI_BASE_URL"] == os.environ["ANTIPHON_URL"]}))
print(json.dumps({"check": "is alone", "ok": list(Path.cwd().iterdir()) == []}))
"""


BROKE = (
    '{"event": "request"}\n{"event": "broke", "error": "KeyError", "message": "\'x\'", '
    '"raised_at": ["file.py:1 g", "file.py:3 f"]}\n'
)


def tried(folder: Path, end: str = "", seconds_max: int = 20, begin: str = PROGRAM) -> Trial:
    program = folder / "program.py"
    program.write_text(begin + end)
    (folder / "empty").mkdir()
    client = Client(
        name="mine",
        title="Mine",
        language="python",
        pins="",
        program="",
        set="",
        seconds_max=seconds_max,
    )
    return attempt(client, [sys.executable, str(program)], NOWHERE, folder / "empty")


@pytest.mark.requirement("clients:harness:reports")
def test_a_programs_checks_and_version_are_read(tmp_path: Path) -> None:
    trial = tried(tmp_path)
    assert (trial.version, trial.passed) == ("1.2.3", ["is alone", "sees its server"])
    assert trial.good


@pytest.mark.requirement("clients:harness:reports")
def test_a_failed_check_is_no_success(tmp_path: Path) -> None:
    failed = json.dumps({"check": "streams", "ok": False, "error": "it does not"})
    trial = tried(tmp_path, f"print({failed!r})\n")
    assert trial.failed == ["streams"] and not trial.good and trial.trouble == ""


@pytest.mark.requirement("clients:harness:reports")
def test_a_program_that_breaks_is_reported_with_its_last_words(tmp_path: Path) -> None:
    trial = tried(tmp_path, "raise SystemExit('no such module')\n")
    assert trial.trouble == "ended with 1: no such module" and not trial.good


@pytest.mark.requirement("clients:harness:reports")
def test_a_program_that_hangs_is_ended_and_reported(tmp_path: Path) -> None:
    trial = tried(tmp_path, "time.sleep(60)\n", seconds_max=1)
    assert trial.trouble.startswith("not done after 1 s") and not trial.good


@pytest.mark.requirement("clients:harness:reports")
def test_a_program_that_checks_nothing_is_no_success(tmp_path: Path) -> None:
    trial = tried(tmp_path, begin="print('all is well')\n")
    assert trial.trouble.startswith("made no check") and not trial.good


@pytest.mark.requirement("clients:harness:reports")
def test_what_broke_in_the_server_is_reported(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("a line of another kind\n" + BROKE)
    (told,) = Site("", "", log, "").broken()
    assert told == "KeyError: 'x' (file.py:3 f)"


@pytest.mark.requirement("clients:registry:complete")
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_has_its_files(client: Client) -> None:
    assert (PROGRAMS / client.program).is_file()
    assert not client.example or (EXAMPLES / client.example).is_file()
    pins = PINS / client.pins
    if client.language == "node":
        packages = json.loads((pins / "package.json").read_text())["dependencies"]
        assert packages and all(re.fullmatch(r"\d[\w.-]*", it) for it in packages.values())
        assert (pins / "package-lock.json").is_file()
    else:
        lines = [line for line in pins.read_text().splitlines() if not line.startswith("#")]
        assert lines and all(re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+", it) for it in lines)


@pytest.mark.requirement("clients:registry:complete")
def test_nothing_lies_there_that_no_client_uses() -> None:
    assert len({client.name for client in CLIENTS}) == len(CLIENTS)
    examples = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    assert examples == {client.example for client in CLIENTS if client.example}
    programs = {path.name for path in PROGRAMS.glob("with_*")}
    assert programs == {client.program for client in CLIENTS}
    pins = {path.name for path in PINS.iterdir()}
    assert pins == {client.pins for client in CLIENTS}


@pytest.mark.requirement("clients:page:seen")
def test_every_client_was_seen_and_nothing_failed() -> None:
    known = seen.load()
    assert set(known) == {client.name for client in CLIENTS}
    assert {name: it.failed for name, it in known.items() if it.failed} == {}
    assert [name for name, it in known.items() if len(it.passed) < 3] == []


@pytest.mark.requirement("clients:roads:translated")
def test_what_is_left_out_on_a_road_is_a_check_there_is() -> None:
    known = seen.load()
    for clients in LEFT_OUT.values():
        for name, checks in clients.items():
            assert checks < set(known[name].passed), name


@pytest.mark.requirement("clients:page:seen")
def test_the_page_shows_failures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(seen, "FILE", tmp_path / "seen.json")
    first = CLIENTS[0]
    assert f"| {first.title} | | not run yet |" in page.text()
    trial = Trial(first.name, "9.9", [])
    seen.keep([trial], [first.name])
    assert seen.load() == {first.name: Seen(first.name, "9.9", [], [])}
    (tmp_path / "seen.json").write_text(
        json.dumps([{"client": first.name, "version": "9.9", "passed": ["a"], "failed": ["b"]}])
    )
    text = page.text()
    assert "| 9.9 | 1 of 2 passed |" in text and "**Failed:** b." in text
