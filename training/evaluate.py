"""Measure a GGUF in the real engine: exact match per skill, and prompts written by hand.

Each family is asked new samples twice: with the words of training, and with invented words and
tools only. Answers are decoded at temperature 0. A row counts an answer as right when it equals
the expected text, JSON value, or list of tool calls.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import xllamacpp

from training.dialogue import Dialogue, Turn, messages
from training.export import MODEL_FILE
from training.families import FAMILIES, Source
from training.newcomer import PROMPTS, Prompt

SEED = 987_654_321
TOKENS = 200
FORMAT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class Engine:
    """One loaded model, asked through llama.cpp's chat completions."""

    def __init__(self, model: Path, temperature: float) -> None:
        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.n_ctx = 4096
        params.n_parallel = 1
        params.verbosity = -1
        params.warmup = False
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        self._server = xllamacpp.Server(params)
        self._temperature = temperature

    def answer(self, turns: list[dict], tools: list[dict], schema: dict | None) -> Turn:
        body: dict = {"messages": turns, "max_tokens": TOKENS, "temperature": self._temperature}
        if tools:
            body |= {"tools": tools, "parallel_tool_calls": True}
        if schema is not None:
            body["grammar"] = grammar(schema)
        try:
            message = self._server.handle_chat_completions(body)["choices"][0]["message"]
        except Exception as error:  # a refusal of the engine is a wrong answer, not a stop
            return Turn("assistant", f"[engine error: {error}]")
        made = [call["function"] for call in message.get("tool_calls") or []]
        return Turn(
            "assistant",
            message.get("content") or "",
            calls=[{"name": c["name"], "arguments": _parsed(c["arguments"])} for c in made],
        )


def grammar(schema: dict) -> str:
    """The grammar the server sends for a JSON schema."""
    return "%llguidance {}\nstart: %json " + json.dumps({**schema, "x-guidance": FORMAT})


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _same(expected: Turn, got: Turn, as_json: bool) -> bool:
    if expected.calls or got.calls:
        return expected.calls == got.calls
    if as_json:
        return _parsed(expected.text) == _parsed(got.text)
    return expected.text == got.text


def _row(family: str, dialogue: Dialogue, index: int) -> str:
    """The table row an answer belongs to."""
    turn = dialogue.turns[index]
    if len(turn.calls) > 1:
        return "tool call: two or more at once"
    if turn.calls:
        return "tool call: right tool, all arguments"
    if dialogue.tools:
        after = dialogue.turns[index - 1].role == "tool"
        return "answer from a tool's result" if after else "tools offered, no call needed"
    if family != "extraction":
        return family
    return "extraction, json_schema grammar" if dialogue.only_with_grammar else "extraction, prompt"


Score = dict[str, list[bool]]
Miss = tuple[str, str, str]


def score(engine: Engine, samples: int, unseen: bool) -> tuple[Score, list[Miss]]:
    """Ask every family for its last answer, and for every tool call on the way."""
    source = Source(SEED, unseen)
    rows: Score = defaultdict(list)
    misses: list[Miss] = []
    for family in FAMILIES:
        for _ in range(samples if family != "tool use" else 4 * samples):
            dialogue = source.sample(family)[1]
            for index, turn in enumerate(dialogue.turns):
                last = index == len(dialogue.turns) - 1
                if turn.role != "assistant" or not (last or turn.calls):
                    continue
                given = messages(dialogue.turns[:index])
                ways = [dialogue.only_with_grammar]
                if dialogue.schema and not dialogue.only_with_grammar:
                    ways = [False, True]
                for enforced in ways:
                    schema = dialogue.schema if enforced else None
                    got = engine.answer(given, dialogue.tools, schema)
                    right = _same(turn, got, as_json=dialogue.schema is not None)
                    row = _row(family, dialogue, index)
                    if enforced and not dialogue.only_with_grammar:
                        row = "extraction, prompt and grammar"
                    rows[row].append(right)
                    if not right:
                        misses.append((row, dialogue.turns[index - 1].text, _shown(turn, got)))
    return rows, misses


def _shown(expected: Turn, got: Turn) -> str:
    def text(turn: Turn) -> str:
        return json.dumps(turn.calls, ensure_ascii=False) if turn.calls else turn.text

    return f"expected {text(expected)!r}, got {text(got)!r}"


def ask_newcomer(engine: Engine, prompt: Prompt) -> tuple[bool, str]:
    got = engine.answer(prompt.messages, prompt.tools, prompt.schema)
    text = json.dumps(got.calls, ensure_ascii=False) if got.calls else got.text
    return prompt.accepts(got), text


def report(model: Path, samples: int, temperature: float, verbose: bool) -> None:
    """Print two Markdown tables: skills, and the newcomer prompts."""
    engine = Engine(model, temperature)
    seen, misses = score(engine, samples, unseen=False)
    unseen, more = score(engine, samples, unseen=True)
    print("| skill | new samples | unseen words, names and tools |\n|---|---|---|")
    for row in seen:
        cells = [
            f"{sum(column[row]) / len(column[row]):.0%} of {len(column[row])}"
            if column.get(row)
            else "-"
            for column in (seen, unseen)
        ]
        print(f"| {row} | {cells[0]} | {cells[1]} |")
    results = [(prompt, *ask_newcomer(engine, prompt)) for prompt in PROMPTS]
    right = sum(fine for _, fine, _ in results)
    print(f"\nNewcomer prompts: {right} of {len(results)} acceptable\n")
    print("| prompt | answer | acceptable |\n|---|---|---|")
    for prompt, fine, text in results:
        shown = text.replace("\n", " ").replace("|", "\\|")
        print(f"| {prompt.label} | `{shown}` | {'yes' if fine else '**no**'} |")
    if verbose:
        for row, question, difference in misses + more:
            print(f"\n{row}: {question!r}\n  {difference}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL_FILE)
    parser.add_argument("--samples", type=int, default=100, help="dialogues per family")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--verbose", action="store_true", help="print every wrong answer")
    options = parser.parse_args()
    report(options.model, options.samples, options.temperature, options.verbose)


if __name__ == "__main__":
    main()
