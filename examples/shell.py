"""A shell the model may use: run its commands here, send back what they gave.

Only programs on a list are started, without a shell: whatever else a model asks for is answered
with a refusal, which it can read. The scripted model of the default here runs the lines of its
input; start the server with `antiphon serve --scripted`, or set MODEL to one that calls functions.
"""

import os
import shlex
import subprocess
import sys

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "any"),
)
model = os.environ.get("MODEL", "scripted/commands")

ALLOWED = {"echo", "ls", "pwd", "cat", "head", "wc", "grep"}
TOOLS = [{"type": "shell", "environment": {"type": "local"}}]
TURNS_MAX = 10


def run(command: str, seconds: float) -> dict:
    words = shlex.split(command)
    if not words or words[0] not in ALLOWED:
        told = f"Not allowed here; the programs you may use are {', '.join(sorted(ALLOWED))}."
        return {"stdout": "", "stderr": told, "outcome": {"type": "exit", "exit_code": 126}}
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return {"stdout": "", "stderr": "", "outcome": {"type": "timeout"}}
    ended = {"type": "exit", "exit_code": done.returncode}
    return {"stdout": done.stdout, "stderr": done.stderr, "outcome": ended}


asked = sys.argv[1] if len(sys.argv) > 1 else "echo hello\nrm -rf /"
response = client.responses.create(model=model, input=asked, tools=TOOLS)
for _ in range(TURNS_MAX):
    calls = [item for item in response.output if item.type == "shell_call"]
    if not calls:
        break
    outputs = []
    for call in calls:
        seconds = (call.action.timeout_ms or 10_000) / 1000
        results = [run(command, seconds) for command in call.action.commands]
        for command, result in zip(call.action.commands, results, strict=True):
            print(f"$ {command}\n{result['stdout'] or result['stderr']}".rstrip())
        outputs.append({"type": "shell_call_output", "call_id": call.call_id, "output": results})
    response = client.responses.create(
        model=model, input=outputs, previous_response_id=response.id, tools=TOOLS
    )

print(response.output_text)
