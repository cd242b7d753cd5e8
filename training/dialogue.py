"""The shape of a training dialogue, and its text as the chat template writes it."""

import json
from dataclasses import dataclass, field
from pathlib import Path

TEMPLATE_FILE = Path(__file__).with_name("chat_template.jinja")
DESCRIPTION_LIMIT = 80
TARGET = 1.0
"""Weight of text the model has to write."""
CONTEXT = 0.07
"""Weight of text the model only reads."""
FORCED = 0.0
"""Weight of text a grammar writes for the model, such as the keys of a JSON schema."""

Span = tuple[str, float]


@dataclass
class Turn:
    """One message. `spans` splits an assistant text into weighted parts."""

    role: str
    text: str = ""
    calls: list[dict] = field(default_factory=list)
    spans: list[Span] | None = None


@dataclass
class Dialogue:
    """Turns, the tools on offer, and the schema an evaluation may enforce on the last turn."""

    turns: list[Turn]
    tools: list[dict] = field(default_factory=list)
    schema: dict | None = None
    only_with_grammar: bool = False


def user(text: str) -> Turn:
    return Turn("user", text)


def system(text: str) -> Turn:
    return Turn("system", text)


def assistant(text: str) -> Turn:
    return Turn("assistant", text)


def calls(*items: tuple[str, dict]) -> Turn:
    return Turn("assistant", calls=[{"name": n, "arguments": a} for n, a in items])


def tool(text: str) -> Turn:
    return Turn("tool", text)


def kind(schema: object) -> str:
    """A schema in a few words, as the template's macro `kind` writes it."""
    if not isinstance(schema, dict):
        return "any"
    name = schema.get("type")
    if schema.get("enum"):
        return "|".join(str(item) for item in schema["enum"])
    if name == "array":
        return "list of " + kind(schema.get("items"))
    if name == "object" and schema.get("properties"):
        return "{" + fields(schema) + "}"
    if isinstance(name, str):
        return name
    if name:
        return " or ".join(name)
    if schema.get("anyOf"):
        return " or ".join(kind(item) for item in schema["anyOf"])
    return "any"


def fields(schema: object) -> str:
    """The properties of an object schema; a question mark follows an optional one."""
    if not isinstance(schema, dict) or not schema.get("properties"):
        return ""
    required = schema.get("required") or []
    return ", ".join(
        f"{key}{'' if key in required else '?'}: {kind(value)}"
        for key, value in schema["properties"].items()
    )


def signature(function: dict) -> str:
    """The line that shows one tool to the model."""
    line = f"{function['name']}({fields(function.get('parameters'))})"
    if function.get("description"):
        line += " " + function["description"][:DESCRIPTION_LIMIT]
    return line


def call_text(call: dict) -> str:
    return f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>"


def render(dialogue: Dialogue) -> list[Span]:
    """The whole dialogue as weighted text; the text equals the chat template's output."""
    spans: list[Span] = []
    if dialogue.tools:
        lines = "".join(signature(item["function"]) + "\n" for item in dialogue.tools)
        spans.append((f"<|im_start|>tools\n{lines}<|im_end|>\n", CONTEXT))
    for turn in dialogue.turns:
        if turn.role != "assistant":
            spans.append((f"<|im_start|>{turn.role}\n{turn.text}<|im_end|>\n", CONTEXT))
            continue
        spans.append(("<|im_start|>assistant\n", CONTEXT))
        spans += turn.spans or [(turn.text, TARGET)]
        if turn.calls:
            spans.append(("\n".join(call_text(call) for call in turn.calls), TARGET))
        spans += [("<|im_end|>", TARGET), ("\n", CONTEXT)]
    return spans


def messages(turns: list[Turn]) -> list[dict]:
    """The turns in chat-completions form."""
    result: list[dict] = []
    pending: list[str] = []
    for turn in turns:
        message: dict = {"role": turn.role, "content": turn.text}
        if turn.calls:
            pending = [f"call_{len(result)}_{index}" for index in range(len(turn.calls))]
            message["tool_calls"] = [
                {
                    "id": call_id,
                    "type": "function",
                    "function": {
                        "name": call["name"],
                        "arguments": json.dumps(call["arguments"], ensure_ascii=False),
                    },
                }
                for call_id, call in zip(pending, turn.calls, strict=True)
            ]
        if turn.role == "tool":
            message["tool_call_id"] = pending.pop(0)
        result.append(message)
    return result
