"""``llm``: its Responses models from Python and from the command line."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPTS = ("echo", "tool", "json", "recall", "long-20", "reasoning-tool", "vision")
os.environ["LLM_USER_PATH"] = str(Path.cwd())  # read at import, as is the file of models

from checking import KEY, URL, check, run  # noqa: E402

MODELS = [
    {
        "model_id": name,
        "model_name": f"scripted/{name}",
        "api_base": URL,
        "api_key_name": "antiphon",
        "responses": True,
        "supports_tools": True,
        "supports_schema": True,
        "vision": True,
        "reasoning": True,
    }
    for name in SCRIPTS
]
Path("extra-openai-models.yaml").write_text(json.dumps(MODELS))  # JSON is YAML
Path("keys.json").write_text(json.dumps({"antiphon": KEY}))

import llm  # noqa: E402

SCHEMA: Any = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def command(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "llm", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr[-800:]
    return done.stdout.strip()


@check
def text() -> None:
    said = llm.get_model("echo").prompt("Say this back.", stream=False)
    assert said.text() == "Say this back." and said.usage().output


@check
async def text_async() -> None:
    said = await llm.get_async_model("echo").prompt("Say this back.").text()
    assert said == "Say this back."


@check
def streams_the_text() -> None:
    pieces = list(llm.get_model("long-20").prompt("Go."))
    assert len(pieces) == 20 and "".join(pieces).endswith("word20")


@check
def tool_round_trip() -> None:
    for script in ("tool", "reasoning-tool"):
        said = llm.get_model(script).chain("Weather?", tools=[get_weather]).text()
        assert said.endswith("The tool said: sunny in example")


@check
def structured_output() -> None:
    made = llm.get_model("json").prompt("Who?", schema=SCHEMA)
    assert json.loads(made.text()) == {"name": "example", "age": 1}


@check
def a_conversation() -> None:
    talk = llm.get_model("recall").conversation()
    talk.prompt("My name is Ada.").text()
    assert "Ada" in talk.prompt("Who am I?").text()


@check
def an_image() -> None:
    Path("dot.png").write_bytes(base64.b64decode(PNG))
    image = llm.Attachment(path="dot.png")
    said = llm.get_model("vision").prompt("What is it?", attachments=[image])
    assert said.text() == "I see 1 image(s)."


@check
def the_command_line() -> None:
    assert command("-m", "echo", "Say this back.") == "Say this back."
    function = "def get_weather(city: str) -> str:\n    return 'sunny in ' + city"
    said = command("-m", "tool", "--functions", function, "Weather?")
    assert said.endswith("The tool said: sunny in example")


@check
def the_command_line_goes_on() -> None:
    command("-m", "recall", "My name is Ada.")
    assert "Ada" in command("-c", "Who am I?")


@check
def any_endpoint_from_the_command_line() -> None:
    asked = ["openai", "endpoint", URL, "--key", KEY]
    said = command(*asked, "--responses", "-m", "scripted/echo", "Say this back.")
    assert said == "Say this back."
    assert "scripted/echo" in command(*asked, "--models")


if __name__ == "__main__":
    run("llm", "cat")
