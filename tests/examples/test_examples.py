"""Every example runs with the official client against a real server and prints what it claims."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.conftest import Server
from tests.examples.pages import ROOT, examples
from tests.examples.programs import SECONDS_MAX, printed_by

SCRIPTS = {
    "apply_patch": None,
    "background": "scripted/long-20",
    "chain": "scripted/recall",
    "compaction": None,
    "conversation": "scripted/recall",
    "custom_tool": "scripted/custom",
    "hello": "scripted/hello",
    "images_and_files": None,
    "input_tokens": "scripted/hello",
    "retrieve_and_replay": "scripted/slow-1ms",
    "shell": None,
    "stream": "scripted/long-20",
    "structured": "scripted/json",
    "tools": "scripted/tool",
    "webhooks": "scripted/hello",
    "websocket": "scripted/recall",
}
"""Example → the scripted model it is checked with, word for word. None: its own default."""

PRINTED = {
    "apply_patch": r"completed: create_file notes/penguins\.md\n"
    r"completed: update_file notes/penguins\.md\ncompleted: delete_file notes/penguins\.md\n"
    r"The patches are applied\.\n",
    "background": r"left after event 5\nno gap, no repetition: True\n"
    r"ended with response\.completed\nstored: completed\n",
    "chain": r"1: Your name is Ada\.\n2: Your name is Ada\.\n2b: Your name is Ada\.\n"
    r"what turn 2 was made from:\n +user - Hi, my name is Ada\.\n"
    r" +assistant - Your name is Ada\.\n +user - What is my name\?\n",
    "compaction": r"turn 2 holds: compaction, message\nless to send: True\n",
    "conversation": r"Your name is Ada\.\n +user - Hi, my name is Ada\.\n"
    r" +assistant - Your name is Ada\.\n +user - What is my name\?\n"
    r" +assistant - Your name is Ada\.\nconversation\.deleted\n",
    "custom_tool": r"calculate\('2 \+ 3 \* 4'\) -> 14\nThe tool said: 14\n",
    "hello": r"Hello! How can I help you today\?\nresp_[0-9a-f]{34}: \d+ tokens\n",
    "images_and_files": r"(?s)user: File notes\.txt:\nMeeting on Tuesday.*\nI see 1 image\(s\)\.\n",
    "input_tokens": r"\d+ tokens \((exact|estimate)\)\n",
    "retrieve_and_replay": r"stored: completed 'one two .* ten'\nthe replay is the stream: True\n"
    r"after event 3 comes event 4\ndeleted: response_not_found\n",
    "shell": r"(?s)\$ echo hello\nhello\n\$ rm -rf /\nNot allowed here; .*\n"
    r"The tool said: Command 1: exit code 0\nhello\n.*Command 2: exit code 126\n.*",
    "stream": r"word1 word2 .* word20\n\[completed after 28 events\]\n",
    "structured": r"name: 'example', age: 1\n",
    "tools": r'get_weather\(\{"city":"example"\}\) -> \{.*"sunny".*\}\nThe tool said: .*sunny.*\n',
    "webhooks": r"queued\nresponse\.completed True\nHello! How can I help you today\?\n",
    "websocket": r"Your name is Ada\.\nYour name is Ada\.\n",
}

WITH_DEMO = {
    "background": r"left after event 5\nno gap, no repetition: True\n"
    r"ended with response\.(completed|incomplete)\nstored: (completed|incomplete)\n",
    "chain": r"(?s)1: .+2: .*Ada.*2b: .+what turn 2 was made from:\n.*",
    "conversation": r"(?s).*Ada.*\n +user - Hi, my name is Ada\.\n.*conversation\.deleted\n",
    "hello": r"(?s).*\w+.*\nresp_[0-9a-f]{34}: \d+ tokens\n",
    "input_tokens": r"\d+ tokens \(exact\)\n",
    "retrieve_and_replay": r"(?s)stored: (completed|incomplete) .*the replay is the stream: True\n"
    r"after event 3 comes event 4\ndeleted: response_not_found\n",
    "stream": r"(?s).*\w+.*\n\[(completed after \d+ events|cut short: max_output_tokens)\]\n",
    "structured": r"name: '.+', age: \d+\n",
    "tools": r"(?s)get_weather\(\{.*\}\) -> \{.*sunny.*",
    "webhooks": r"(?s)queued\nresponse\.completed True\n.+",
    "websocket": r"(?s).+Ada.*",
}
"""What the demo model makes of those that default to it."""


ELSEWHERE = {"computer_use"}
"""Examples that need more than a server, and are run by a test file of their own."""


def environment_of(server: Server, model: str | None) -> dict[str, str]:
    environment = {**os.environ, "OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "any"}
    environment.pop("MODEL", None)
    return environment if model is None else {**environment, "MODEL": model}


@pytest.mark.requirement("docs:examples:run")
@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_prints_what_it_is_there_to_show(
    name: str, server: Server, tmp_path: Path
) -> None:
    environment = environment_of(server, SCRIPTS[name])
    said = printed_by(ROOT / "examples" / f"{name}.py", tmp_path, environment)
    assert re.fullmatch(PRINTED[name], said), said


@pytest.mark.requirement("docs:examples:demo")
@pytest.mark.parametrize("name", WITH_DEMO)
def test_an_example_works_with_the_demo_model(name: str, server: Server, tmp_path: Path) -> None:
    if not server.demo:
        pytest.skip("the embedded engine cannot run on this machine")
    environment = environment_of(server, None)
    said = printed_by(ROOT / "examples" / f"{name}.py", tmp_path, environment)
    assert re.fullmatch(WITH_DEMO[name], said), said


@pytest.mark.requirement("docs:examples:run")
def test_an_example_is_a_program_of_its_own(server: Server) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "hello.py")],
        capture_output=True,
        text=True,
        env=environment_of(server, SCRIPTS["hello"]),
        timeout=SECONDS_MAX,
        check=False,
    )
    assert re.fullmatch(PRINTED["hello"], done.stdout), done.stderr


def test_every_example_is_run() -> None:
    ours = {path.stem for path in examples() if not path.stem.startswith("azure_")}
    assert ours - ELSEWHERE == set(SCRIPTS) == set(PRINTED)
    for name in ELSEWHERE:
        assert (ROOT / "tests" / "examples" / f"test_{name}.py").is_file()
