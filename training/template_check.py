"""Compare the chat template in a GGUF with the text the network was trained on.

Through the engine: the same dialogues must give the same text and the same tokens, and odd
messages and tools must not break the template.
"""

import argparse
import json
import urllib.error
import urllib.request
from pathlib import Path

import xllamacpp
from tokenizers import Tokenizer

from training.dialogue import messages, render
from training.export import MODEL_FILE
from training.families import Source
from training.train import BUILD

DIALOGUES = 500
ASK = [{"role": "user", "content": "hi"}]


def _tool(name: str, **more: object) -> dict:
    return {"type": "function", "function": {"name": name, **more}}


def _call(call_id: str, arguments: str) -> dict:
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": arguments}}


ODD_PROPERTIES = {
    "items": {"type": ["string", "null"]},
    "keys": {"type": "array"},
    "rows": {"type": "array", "items": {"type": "object", "properties": {"z": {}}}},
    "values": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    "required": {"enum": [1, "b"]},
    "type": {"type": "object", "properties": {"a": {"type": "object"}}},
    "free": {},
}
ODD = {
    "content as a list of parts": {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            }
        ]
    },
    "content null": {"messages": [*ASK, {"role": "assistant", "content": None}, *ASK]},
    "tool without parameters": {"messages": ASK, "tools": [_tool("f")]},
    "parameters without properties": {
        "messages": ASK,
        "tools": [_tool("f", parameters={}), _tool("g", parameters={"type": "object"})],
    },
    "parameters null": {"messages": ASK, "tools": [_tool("f", parameters=None)]},
    "odd properties": {
        "messages": ASK,
        "tools": [_tool("f", parameters={"type": "object", "properties": ODD_PROPERTIES})],
    },
    "description missing, then long": {
        "messages": ASK,
        "tools": [_tool("f", parameters={}), _tool("g", description="x" * 999, parameters={})],
    },
    "two tool calls and their results": {
        "messages": [
            *ASK,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [_call("a", "{}"), _call("b", "{}")],
            },
            {"role": "tool", "tool_call_id": "a", "content": "1"},
            {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}]},
        ],
        "tools": [_tool("f", parameters={"type": "object", "properties": {}})],
    },
}


class Template:
    """The template and tokenizer of a loaded model."""

    def __init__(self, model: Path) -> None:
        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.n_ctx = 512
        params.n_parallel = 1
        params.verbosity = -1
        params.warmup = False
        self._server = xllamacpp.Server(params)

    def _post(self, path: str, body: dict) -> dict:
        request = urllib.request.Request(
            self._server.listening_address + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return {"error": error.read().decode()}

    def apply(self, body: dict) -> dict:
        return self._post("/apply-template", body)

    def tokens(self, text: str) -> list[int]:
        return self._post("/tokenize", {"content": text, "parse_special": True})["tokens"]


def check(model: Path, tokenizer_file: Path) -> int:
    """Print each difference; return how many there are."""
    template = Template(model)
    tokenizer = Tokenizer.from_file(str(tokenizer_file)) if tokenizer_file.exists() else None
    source, wrong = Source(77), 0
    for _ in range(DIALOGUES):
        dialogue = source.sample()[1]
        asked = [*messages(dialogue.turns), *ASK]
        text = "".join(part for part, _ in render(dialogue))
        text += "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
        body = {"messages": asked, **({"tools": dialogue.tools} if dialogue.tools else {})}
        got = template.apply(body)
        if got.get("prompt") != text:
            wrong += 1
            print(f"template: {got}\n  expected {text!r}")
        if tokenizer and template.tokens(text) != tokenizer.encode(text).ids:
            wrong += 1
            print(f"tokens differ: {text!r}")
    for name, body in ODD.items():
        got = template.apply(body)
        if "prompt" not in got:
            wrong += 1
        print(f"{name}: {got.get('prompt', got)!r}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL_FILE)
    parser.add_argument("--tokenizer", type=Path, default=BUILD / "demo-antiphon.tokenizer.json")
    options = parser.parse_args()
    wrong = check(options.model, options.tokenizer)
    print(f"{wrong} differences")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
