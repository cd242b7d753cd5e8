"""What the scripted model can be asked to do: one small function per name, and their table.

A script is a generator: it yields batches of deltas and pauses, or raises what a backend would
raise. It ends with ``Finish`` unless ending without one is its point. The first line of its
docstring is what ``GET /v1/models`` says about it. Unless a script is about unending calls, it
answers in words once the conversation's last item is a tool's output.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from antiphon.backends.sample import (
    sample,
)
from antiphon.backends.script_client_tools import commands, patch, safety
from antiphon.backends.script_faults import (
    crash,
    error,
    error_after,
    error_in_call,
    flaky,
    overflow,
    timeout,
)
from antiphon.backends.script_parts import (
    A_DAY,
    COUNTING,
    GREETING,
    HAND_OVER,
    NAME,
    Batch,
    Pause,
    Play,
    Script,
    arguments_for,
    call,
    call_or_say,
    calling,
    calls_since_user,
    chosen_tool,
    first_user_text,
    last_user_text,
    line_of,
    pieces,
    plain,
    say,
    start,
    tool_results,
    user_texts,
    words,
    words_instead,
)
from antiphon.backends.script_search import search_tools
from antiphon.stream.deltas import (
    Annotated,
    CallArguments,
    Declined,
    Finish,
    Spent,
    Text,
    Thought,
)
from antiphon.types.content import (
    InputImage,
)
from antiphon.types.items import Reasoning
from antiphon.types.tool_items import Screenshot
from antiphon.types.tools import (
    CustomTool,
    FunctionTool,
    JsonObjectFormat,
    JsonSchemaFormat,
)

# Answers


def echo(play: Play) -> Iterator[Batch]:
    """Repeats the last user text word by word."""
    return say(last_user_text(play.turn))


def hello(play: Play) -> Iterator[Batch]:
    """Greets."""
    return say(GREETING)


def long(play: Play) -> Iterator[Batch]:
    """Writes many words; long-200 writes 200 (default 100)."""
    return say(" ".join(f"word{n}" for n in range(1, (play.number or 100) + 1)))


def burst(play: Play) -> Iterator[Batch]:
    """Writes many words in one batch; burst-200 writes 200 (default 100)."""
    deltas = [delta for batch in long(play) for delta in batch]
    yield deltas


def slow(play: Play) -> Iterator[Batch | Pause]:
    """Counts to ten with a pause before every word; slow-50ms pauses 50 ms (default 100)."""
    for batch in say(COUNTING):
        yield Pause((100 if play.number is None else play.number) / 1000)
        yield batch


def reasoning(play: Play) -> Iterator[Batch]:
    """Thinks aloud, then repeats the last user text."""
    for word in words("The user wrote something. I will repeat it."):
        yield [Thought(word)]
    yield from echo(play)


def refusal(play: Play) -> Iterator[Batch]:
    """Declines to answer."""
    for word in words("I cannot help with that."):
        yield [Declined(word)]
    yield [Finish("stop")]


def recall(play: Play) -> Iterator[Batch]:
    """Says the user's name if the conversation told it."""
    names = [name for text in user_texts(play.turn) for name in NAME.findall(text)]
    return say(f"Your name is {names[-1]}." if names else "I do not know your name.")


def summary(play: Play) -> Iterator[Batch]:
    """Tells what users said; asked for a hand-over note, sums that up in one line."""
    told = user_texts(play.turn)
    if told and told[-1].startswith(HAND_OVER):
        return say(f"Summary of {len(told) - 1}: " + " / ".join(map(_brief, told[:-1])))
    return say("I was told: " + " / ".join(map(_brief, told)))


def _brief(text: str) -> str:
    return text.rsplit("\n\n", 1)[-1][:80]


def rethink(play: Play) -> Iterator[Batch]:
    """Thinks of a number, then says which thoughts of earlier it was shown."""
    shown = [
        part.text
        for item in play.turn.items
        if isinstance(item, Reasoning) and isinstance(item.content, list)
        for part in item.content
    ]
    for word in words(f"Thought number {len(user_texts(play.turn))}."):
        yield [Thought(word)]
    yield from say("I remember: " + (" / ".join(shown) or "nothing"))


def instructions(play: Play) -> Iterator[Batch]:
    """Repeats the instructions it was given."""
    return say(play.turn.instructions or "I was given no instructions.")


def transcript(play: Play) -> Iterator[Batch]:
    """Repeats the context it was given, one line per item."""
    return say("\n".join(map(line_of, plain(play.turn.items))))


def settings(play: Play) -> Iterator[Batch]:
    """Repeats every setting of the turn as JSON."""
    known = msgspec.to_builtins(play.turn)
    hidden = {"items", "instructions"}
    return say(msgspec.json.encode({k: v for k, v in known.items() if k not in hidden}).decode())


def vision(play: Play) -> Iterator[Batch]:
    """Says how many images it was shown."""
    count = 0
    for item in play.turn.items:
        content: Any = getattr(item, "content", getattr(item, "output", None)) or ""
        parts = [content] if isinstance(content, Screenshot) else content
        count += sum(isinstance(part, InputImage | Screenshot) for part in parts)
    return say(f"I see {count} image(s).")


def unicode(play: Play) -> Iterator[Batch]:
    """Writes emoji, combining marks, right-to-left text and separators."""
    for piece in ("👩‍👩‍👧‍👦", "e", "\u0301", " שלום", " 日本語", "\u2028", '\u0000\t"\\/', " 🇦🇶"):
        yield [Text(piece)]
    yield [Finish("stop")]


def cited(play: Play) -> Iterator[Batch]:
    """Writes a sentence with a URL citation."""
    yield [Text("Antarctica is cold.")]
    source = {"url": "https://example.com/", "title": "Example", "start_index": 0, "end_index": 10}
    yield [Annotated({"type": "url_citation", **source})]
    yield [Finish("stop")]


def empty(play: Play) -> Iterator[Batch]:
    """Finishes without a word."""
    yield [Finish("stop")]


def no_usage(play: Play) -> Iterator[Batch]:
    """Greets and does not tell how many tokens it used."""
    return say(GREETING)


def cached(play: Play) -> Iterator[Batch]:
    """Greets and reports its usage twice, the second time with cached tokens."""
    yield [Spent(10, 1), *(Text(word) for word in words(GREETING))]
    yield [Spent(20, 7, 8, 0), Finish("stop")]


# Tools


def tool(play: Play) -> Iterator[Batch]:
    """Calls the first offered tool, then tells what it said."""
    return calling(play, 1)


def tools_parallel(play: Play) -> Iterator[Batch]:
    """Makes two calls in one turn, whatever the caller allowed, then tells what they said."""
    return calling(play, 2)


def tools_interleaved(play: Play) -> Iterator[Batch]:
    """Makes two calls whose arguments arrive alternately."""
    chosen = chosen_tool(play.turn)
    if chosen is None or tool_results(play.turn):
        yield from words_instead(play.turn) or ()
        return
    yield [start(0, chosen), start(1, chosen)]
    for piece in pieces(arguments_for(chosen, play.turn), 2):
        yield [CallArguments(0, piece), CallArguments(1, piece)]
    yield [Finish("calls")]


def tool_ids(play: Play) -> Iterator[Batch]:
    """Makes two calls with ids of its own."""
    return calling(play, 2, ids=("call_one", "call_two"))


def tool_same_ids(play: Play) -> Iterator[Batch]:
    """Makes two calls that carry the same id."""
    return calling(play, 2, ids=("call_same", "call_same"))


def text_then_tool(play: Play) -> Iterator[Batch]:
    """Announces the call in words, then calls the first offered tool."""
    if (answer := words_instead(play.turn)) is None:
        yield from say("Let me look that up.", finish=False)
        answer = tool(play)
    yield from answer


def reasoning_tool(play: Play) -> Iterator[Batch]:
    """Thinks, then calls the first offered tool."""
    if not tool_results(play.turn):
        for word in words("A tool will know."):
            yield [Thought(word)]
    yield from tool(play)


def custom(play: Play) -> Iterator[Batch]:
    """Calls the first custom tool with the last user text."""
    tools = [t for t in play.turn.tools if isinstance(t, CustomTool)]
    yield from call_or_say(play, tools, last_user_text(play.turn))


def bad_custom(play: Play) -> Iterator[Batch]:
    """Calls the first custom tool with '!!' n times (bad-custom-2), then the first user text."""
    tools = [t for t in play.turn.tools if isinstance(t, CustomTool)]
    bad = play.attempt <= (play.number or 1)
    yield from call_or_say(play, tools, "!!" if bad else first_user_text(play.turn))


def bad_arguments(play: Play) -> Iterator[Batch]:
    """Calls the first function with arguments that break its schema n times, then valid."""
    tools = [t for t in play.turn.tools if isinstance(t, FunctionTool)]
    bad = play.attempt <= (play.number or 1)
    good = arguments_for(tools[0], play.turn) if tools else ""
    yield from call_or_say(play, tools, '{"no_such_property": [1]}' if bad else good)


def not_json_arguments(play: Play) -> Iterator[Batch]:
    """Calls the first function with arguments that are not JSON."""
    tools = [t for t in play.turn.tools if isinstance(t, FunctionTool)]
    yield from call_or_say(play, tools, '{"city": "Par')


def no_arguments(play: Play) -> Iterator[Batch]:
    """Calls the first function and never sends arguments."""
    tools = [t for t in play.turn.tools if isinstance(t, FunctionTool)]
    yield from call_or_say(play, tools, "")


def endless_tools(play: Play) -> Iterator[Batch]:
    """Calls the first offered tool again and again, whatever it said."""
    chosen = next(iter(play.turn.tools), None)
    if chosen is None:
        yield from say("There is no tool I could call.")
        return
    yield from call(0, chosen, arguments_for(chosen, play.turn))
    yield [Finish("calls")]


def each_tool(play: Play) -> Iterator[Batch]:
    """Calls each offered function and custom tool once, a turn each, then tells what they said."""
    called, results = calls_since_user(play.turn)
    tools = [t for t in play.turn.tools if isinstance(t, FunctionTool | CustomTool)]
    left = [t for t in tools if t.name not in called and play.turn.tool_choice != "none"]
    if not left:
        yield from say(f"The tools said: {'; '.join(results)}")
        return
    yield from call(0, left[0], arguments_for(left[0], play.turn))
    yield [Finish("calls")]


def unknown_tool(play: Play) -> Iterator[Batch]:
    """Calls a tool that nobody offered."""
    yield from call(0, FunctionTool(name="no_such_tool"), "{}")
    yield [Finish("calls")]


def ignores_choice(play: Play) -> Iterator[Batch]:
    """Answers in words although a call was required."""
    return say("I would rather talk.")


# Structured output


def json(play: Play) -> Iterator[Batch]:
    """Writes JSON that is valid for the schema asked for."""
    match play.turn.format:
        case JsonSchemaFormat(schema=schema):
            value = sample(schema)
        case JsonObjectFormat():
            value = {"answer": last_user_text(play.turn)}
        case _:
            value = {"answer": last_user_text(play.turn)}
    for piece in pieces(msgspec.json.encode(value).decode()):
        yield [Text(piece)]
    yield [Finish("stop")]


def bad_json(play: Play) -> Iterator[Batch]:
    """Writes invalid output n times (bad-json-2), then output valid for the schema."""
    return never_json(play) if play.attempt <= (play.number or 1) else json(play)


def never_json(play: Play) -> Iterator[Batch]:
    """Writes prose although JSON was asked for."""
    return say("Here is the data you asked for: {not json}")


# Ends


def length(play: Play) -> Iterator[Batch]:
    """Is cut by the token limit in the middle of its text."""
    yield from say("This sentence is cut", finish=False)
    yield [Finish("length")]


def length_in_call(play: Play) -> Iterator[Batch]:
    """Is cut by the token limit in the middle of a call's arguments."""
    yield [start(0, chosen_tool(play.turn) or FunctionTool(name="no_such_tool"))]
    yield [CallArguments(0, '{"cut": "he')]
    yield [Finish("length")]


def length_in_reasoning(play: Play) -> Iterator[Batch]:
    """Is cut by the token limit while thinking."""
    yield [Thought("This thought is")]
    yield [Finish("length")]


def filter(play: Play) -> Iterator[Batch]:
    """Is cut by a content filter in the middle of its text."""
    yield from say("This sentence is filtered", finish=False)
    yield [Finish("filter")]


def endless(play: Play) -> Iterator[Batch | Pause]:
    """Never finishes: a word every 10 ms until the caller leaves."""
    while True:
        yield [Text("and ")]
        yield Pause(0.01)


def stall(play: Play) -> Iterator[Batch | Pause]:
    """Says one word, then nothing for a day."""
    yield [Text("Well")]
    yield A_DAY


def silent(play: Play) -> Iterator[Batch | Pause]:
    """Says nothing at all for a day."""
    yield A_DAY


def no_finish(play: Play) -> Iterator[Batch]:
    """Breaks the backend contract: ends without saying that it ended."""
    return say(GREETING, finish=False)


SCRIPTS: dict[str, Script] = {
    "echo": echo,
    "hello": hello,
    "long": long,
    "burst": burst,
    "slow": slow,
    "reasoning": reasoning,
    "refusal": refusal,
    "recall": recall,
    "summary": summary,
    "rethink": rethink,
    "instructions": instructions,
    "transcript": transcript,
    "settings": settings,
    "vision": vision,
    "unicode": unicode,
    "cited": cited,
    "logprobs": hello,
    "empty": empty,
    "no-usage": no_usage,
    "cached": cached,
    "tool": tool,
    "tools-parallel": tools_parallel,
    "tools-interleaved": tools_interleaved,
    "tool-ids": tool_ids,
    "tool-same-ids": tool_same_ids,
    "text-then-tool": text_then_tool,
    "reasoning-tool": reasoning_tool,
    "custom": custom,
    "bad-custom": bad_custom,
    "bad-arguments": bad_arguments,
    "not-json-arguments": not_json_arguments,
    "no-arguments": no_arguments,
    "endless-tools": endless_tools,
    "each-tool": each_tool,
    "safety": safety,
    "patch": patch,
    "commands": commands,
    "search-tools": search_tools,
    "unknown-tool": unknown_tool,
    "ignores-choice": ignores_choice,
    "json": json,
    "bad-json": bad_json,
    "never-json": never_json,
    "length": length,
    "length-in-call": length_in_call,
    "length-in-reasoning": length_in_reasoning,
    "filter": filter,
    "endless": endless,
    "stall": stall,
    "silent": silent,
    "no-finish": no_finish,
    "error": error,
    "error-before": error,
    "error-after": error_after,
    "error-mid-stream": error_after,
    "error-in-call": error_in_call,
    "timeout": timeout,
    "flaky": flaky,
    "overflow": overflow,
    "crash": crash,
}
"""Every script by its name; a number may follow (``long-200``)."""

COUNTED = frozenset({flaky, bad_json, bad_custom, bad_arguments})
"""The scripts that behave differently at a repeated call."""
