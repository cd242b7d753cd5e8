"""Codex CLI, driven by a model that works by rule, over both of its transports.

Its configuration is the example, unchanged but for the address: nothing is switched off.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from checking import check, run

from tests.clients.codex import (
    BINARY,
    FREEFORM,
    LITE,
    OWN,
    Codex,
    Desk,
    Ran,
    desk,
)

FALLBACK_SECONDS_MAX = 10.0

SCHEMA = {
    "type": "object",
    "properties": {
        "verdict": {"type": "string", "enum": ["fine", "broken"]},
        "files": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["verdict", "files"],
    "additionalProperties": False,
}
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415478"
    "9c63f87f860100049901cc0f8a88c40000000049454e44ae426082"
)

_desks: list[Desk] = []
_count = iter(range(1000))


def at_work(*, websocket: bool) -> Codex:
    """A new home and a new repository."""
    here = _desks[0]
    return Codex(Path.cwd() / f"run-{next(_count)}", here.url, here.key, websocket=websocket)


def smoothly(codex: Codex, task: Callable[[Codex], Ran], *, websocket: bool) -> Ran:
    """Do the task; what it took must have been no more than asking, by this transport only."""
    here = _desks[0]
    refused, before = len(here.upstream.refusals), here.asked()
    ran = task(codex)
    ran.check()
    assert here.upstream.refusals[refused:] == [], here.upstream.refusals
    asked = here.asked() - before
    assert set(asked) == {"WEBSOCKET 200" if websocket else "POST 200"}, asked
    return ran


def on_both(task: Callable[[Codex], Ran]) -> Callable[[Callable[[Codex, Ran], None]], None]:
    """Make the function two checks: after this task over HTTP and over WebSocket."""

    def decorate(judge: Callable[[Codex, Ran], None]) -> None:
        for name, websocket in (("http", False), ("websocket", True)):

            def made(websocket: bool = websocket) -> None:
                codex = at_work(websocket=websocket)
                judge(codex, smoothly(codex, task, websocket=websocket))

            made.__name__ = f"{judge.__name__}_over_{name}"
            check(made)

    return decorate


@on_both(lambda codex: codex.exec("Say this back.", model=OWN))
def answers(codex: Codex, ran: Ran) -> None:
    assert ran.said == "Say this back."


def mended(codex: Codex, ran: Ran) -> None:
    """The file on the disk is right, and so is what was said about it."""
    assert ran.said == "I fixed add. The check printed: 5 it is", ran.said
    text = (codex.repository / "calc.py").read_text()
    assert text == "def add(a, b):\n    return a + b\n", text
    assert (codex.repository / "notes" / "CHANGES").read_text() == "add adds.\n"


@on_both(lambda codex: codex.exec("fix add", model=OWN))
def edits_a_repository_with_a_shell_only(codex: Codex, ran: Ran) -> None:
    mended(codex, ran)
    assert len(ran.items("command_execution")) == 2
    assert len(ran.items("file_change")) == 1


@on_both(lambda codex: codex.exec("fix add", model=FREEFORM))
def edits_a_repository_with_the_freeform_patch_tool(codex: Codex, ran: Ran) -> None:
    mended(codex, ran)
    called = [
        call["function"]["name"]
        for message in _desks[0].upstream.bodies[-1]["messages"]
        for call in message.get("tool_calls", ())
    ]
    assert called == ["exec_command", "apply_patch", "exec_command"], called


@on_both(lambda codex: codex.exec("fix add", model=LITE))
def edits_a_repository_with_tools_in_an_input_item(codex: Codex, ran: Ran) -> None:
    mended(codex, ran)


@on_both(lambda codex: codex.exec("check twice", model=FREEFORM))
def makes_two_calls_in_one_turn(codex: Codex, ran: Ran) -> None:
    assert ran.said == "They print one and two."


@on_both(lambda codex: codex.exec("judge", "--output-schema", schema(codex), model=FREEFORM))
def keeps_to_an_output_schema(codex: Codex, ran: Ran) -> None:
    assert json.loads(ran.said)["verdict"] == "fine"


def schema(codex: Codex) -> str:
    path = codex.home / "schema.json"
    path.write_text(json.dumps(SCHEMA))
    return str(path)


def resumed(codex: Codex) -> Ran:
    first = codex.exec("fix add", model=FREEFORM)
    first.check()
    return codex.exec("recall", model=FREEFORM, resume=first.thread)


@on_both(resumed)
def resumes_a_session(codex: Codex, ran: Ran) -> None:
    assert ran.said == "At first you said: fix add", ran.said
    roles = [message["role"] for message in _desks[0].upstream.bodies[-1]["messages"]]
    assert roles.count("tool") == 3, roles


LIMIT = ("-c", "model_auto_compact_token_limit=22000")


@on_both(lambda codex: codex.exec("read 12", *LIMIT, model=FREEFORM))
def compacts_a_long_session(codex: Codex, ran: Ran) -> None:
    assert ran.said == "Done after 12 parts.", ran.said
    assert len(ran.items("command_execution")) == 12
    bodies = [json.dumps(body) for body in _desks[0].upstream.bodies]
    hand_overs = [body for body in bodies[-20:] if "CONTEXT CHECKPOINT COMPACTION" in body]
    assert len(hand_overs) >= 2, f"compacted {len(hand_overs)} times"
    assert "parts read" in bodies[-1] and "part 1\\n" not in bodies[-1]


BUILT_IN = 'openai_base_url = "{url}"\n'
AZURE = """\
model_provider = "azure"

[model_providers.azure]
name = "Azure"
base_url = "{root}/openai"
env_key = "ANTIPHON_KEY"
wire_api = "responses"
query_params = { api-version = "2025-04-01-preview" }
"""


@check
def works_with_its_built_in_provider_and_is_compacted_by_the_server() -> None:
    here = _desks[0]
    codex = Codex(Path.cwd() / "built-in", here.url, here.key, config=BUILT_IN)
    ran = smoothly(codex, lambda it: it.exec("read 12", *LIMIT, model=FREEFORM), websocket=True)
    assert ran.said == "Done after 12 parts.", ran.said
    bodies = [json.dumps(body) for body in here.upstream.bodies[-20:]]
    assert len([body for body in bodies if "Write a hand-over note" in body]) >= 2
    assert "parts read" in bodies[-1] and "part 1\\n" not in bodies[-1]


@check
def edits_a_repository_as_if_on_azure() -> None:
    here = _desks[0]
    config = AZURE.replace("{root}", here.url.removesuffix("/v1"))
    codex = Codex(Path.cwd() / "azure", here.url, here.key, config=config)
    ran = smoothly(codex, lambda it: it.exec("fix add", model=FREEFORM), websocket=False)
    mended(codex, ran)


@on_both(lambda codex: codex.exec("look", "--image", picture(codex), model=FREEFORM))
def shows_an_image(codex: Codex, ran: Ran) -> None:
    assert ran.said == "I see 1 image(s).", ran.said


def picture(codex: Codex) -> str:
    path = codex.home / "picture.png"
    path.write_bytes(PNG)
    return f"{path}"


def asking(model: str) -> Callable[[Codex], Ran]:
    program = str(Path(__file__).with_name("weather_mcp.py"))
    server = (
        *("-c", f"mcp_servers.sky.command={json.dumps(sys.executable)}"),
        *("-c", f"mcp_servers.sky.args={json.dumps([program])}"),
        *("-c", "mcp_servers.sky.required=true"),  # else the turn may begin before it is up
    )
    return lambda codex: codex.exec("ask", *server, model=model)


@on_both(asking(FREEFORM))
def finds_an_mcp_tool_by_search(codex: Codex, ran: Ran) -> None:
    assert "sunny in Paris" in ran.said, ran.said
    (called,) = ran.items("mcp_tool_call")
    assert (called["server"], called["tool"]) == ("sky", "get_weather"), called


@on_both(asking(OWN))
def calls_an_mcp_tool(codex: Codex, ran: Ran) -> None:
    assert "sunny in Paris" in ran.said, ran.said
    assert len(ran.items("mcp_tool_call")) == 1


@on_both(lambda codex: codex.exec("delegate", model=OWN))
def delegates_to_another_agent(codex: Codex, ran: Ran) -> None:
    assert "pineapple" in ran.said, ran.said


@on_both(lambda codex: codex.exec("delegate", model=LITE))
def delegates_by_messages_between_agents(codex: Codex, ran: Ran) -> None:
    assert "FINAL_ANSWER" in ran.said and "pineapple" in ran.said, ran.said


@check
def falls_back_at_once_where_websockets_are_off() -> None:
    folder = Path.cwd() / "without-websockets"
    folder.mkdir()
    with desk(folder, websocket=False) as here:
        codex = Codex(folder / "codex", here.url, here.key, websocket=True)
        began = time.monotonic()
        ran = codex.exec("fix add", model=FREEFORM)
        took = time.monotonic() - began
        assert ran.code == 0, ran.err
        mended(codex, ran)
        assert took < FALLBACK_SECONDS_MAX, f"{took:.1f} s"
        assert here.asked() == {"GET 426": 1, "POST 200": 4}, here.asked()


@check
def goes_on_when_a_connection_is_too_old() -> None:
    folder = Path.cwd() / "short-connections"
    folder.mkdir()
    with desk(folder, minutes=0.003) as here:
        codex = Codex(folder / "codex", here.url, here.key)
        ran = codex.exec("read 12", model=FREEFORM)
        ran.check()
        assert ran.said == "Done after 12 parts.", ran.said
        assert set(here.asked()) == {"WEBSOCKET 200"}, here.asked()
    log = (folder / "log").read_text()
    assert log.count('"event":"websocket"') > 1, log


def main() -> None:
    said = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True)
    folder = Path.cwd() / "desk"
    folder.mkdir()
    with desk(folder) as here:
        _desks.append(here)
        run("codex", version=said.stdout.split()[-1])


if __name__ == "__main__":
    main()
