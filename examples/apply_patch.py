"""Files the model may change: apply its diffs in one folder, tell it whether that worked.

The scripted model of the default here creates a file, changes it and deletes it; start the server
with `antiphon serve --scripted`, or set MODEL to one that calls functions.
"""

import os
import sys
import tempfile
from pathlib import Path

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8484/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "any"),
)
model = os.environ.get("MODEL", "scripted/patch")

TOOLS = [{"type": "apply_patch"}]
TURNS_MAX = 20


class CannotApply(Exception):
    """The model reads why, and writes another diff."""


def created(diff: str) -> str:
    lines = diff.split("\n")
    if lines[-1] == "":
        lines.pop()
    if not all(line.startswith("+") for line in lines):
        raise CannotApply("Every line of a new file begins with '+'.")
    return "\n".join(line[1:] for line in lines)


def updated(text: str, diff: str) -> str:
    lines = text.split("\n")
    start = 0
    for header, hunk in hunks(diff):
        if header:
            start = found(lines, [header], start) + 1
        old = [line[1:] for line in hunk if line[0] in " -"]
        new = [line[1:] for line in hunk if line[0] in " +"]
        start = found(lines, old, start)
        lines[start : start + len(old)] = new
        start += len(new)
    return "\n".join(lines)


def hunks(diff: str) -> list[tuple[str, list[str]]]:
    """Each as the line its `@@` names, and its lines."""
    made: list[tuple[str, list[str]]] = []
    for line in diff.rstrip("\n").split("\n"):
        if line.startswith("@@"):
            made.append((line[2:].strip(), []))
        elif line != "*** End of File":
            if not made:
                made.append(("", []))
            if line and line[0] not in " +-":
                raise CannotApply(f"A line of a diff begins with ' ', '+' or '-': {line!r}")
            made[-1][1].append(line or " ")
    return made


def found(lines: list[str], wanted: list[str], start: int) -> int:
    for at in range(start, len(lines) - len(wanted) + 1):
        here = lines[at : at + len(wanted)]
        if [line.strip() for line in here] == [line.strip() for line in wanted]:
            return at
    raise CannotApply("These lines are not in the file:\n" + "\n".join(wanted))


def apply(folder: Path, operation) -> str:
    path = (folder / operation.path).resolve()
    if not path.is_relative_to(folder):
        raise CannotApply("The path leads out of the folder.")
    if operation.type == "delete_file":
        path.unlink()
    elif operation.type == "create_file":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(created(operation.diff), encoding="utf-8")
    else:
        path.write_text(updated(path.read_text(encoding="utf-8"), operation.diff), encoding="utf-8")
    return f"{operation.type} {operation.path}"


def main(folder: Path, asked: str) -> None:
    response = client.responses.create(model=model, input=asked, tools=TOOLS)
    for _ in range(TURNS_MAX):
        calls = [item for item in response.output if item.type == "apply_patch_call"]
        if not calls:
            break
        outputs = []
        for call in calls:
            try:
                status, told = "completed", apply(folder, call.operation)
            except (CannotApply, OSError) as problem:
                status, told = "failed", str(problem)
            print(f"{status}: {told}")
            output = {"type": "apply_patch_call_output", "call_id": call.call_id}
            outputs.append({**output, "status": status, "output": told})
        response = client.responses.create(
            model=model, input=outputs, previous_response_id=response.id, tools=TOOLS
        )
    print(response.output_text)


if __name__ == "__main__":
    asked = sys.argv[1] if len(sys.argv) > 1 else "Write a note about penguins, then tidy up."
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder).resolve(), asked)
