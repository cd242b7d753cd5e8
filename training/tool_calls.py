# ruff: noqa: SIM905 - word lists read better as one string
"""Families with tools on offer: one call, two calls at once, no call, answers from results."""

import json

from training import recall, smalltalk
from training.dialogue import Dialogue, Turn, assistant, calls, system, tool, user
from training.style import plain_system
from training.tool_offers import Offer, offer, place, place_tool
from training.words import ACTIONS, Words

CONDITIONS = "sunny rainy cloudy windy snowy foggy clear stormy".split()


def beside(words: Words, chosen: list[Offer]) -> list[dict]:
    """The chosen tools, mixed with up to three others."""
    offers = {item.name: item for item in chosen}
    for _ in range(words.pick([0, 0, 0, 1, 1, 2, 3])):
        other = offer(words)
        offers.setdefault(other.name, other)
    tools = [item.tool() for item in offers.values()]
    words.random.shuffle(tools)
    return tools


def result(words: Words) -> tuple[str, str]:
    """A tool's output and the answer that reports it."""
    kind = words.random.random()
    if kind < 0.2:
        text = words.sentence()
        if words.chance(0.3):
            text = f"{text} {words.sentence()}"
        return text, text
    if kind < 0.4:
        text = words.pick(
            [f"{words.pick(CONDITIONS)}, {words.between(-20, 40)} degrees", words.phrase(2, 5),
             f"{words.between(-20, 40)}°C", f"{words.pick(CONDITIONS).capitalize()}",
             f"{words.name()}: {words.sentence()}", f"It is {words.pick(CONDITIONS)}.",
             f"{words.between(0, 23)}:{words.between(10, 59)}", words.email(),
             f"{words.between(-20, 40)} C"]
        )  # fmt: skip
        return text, text if text.endswith((".", "!")) else f"The result is: {text}"
    if kind < 0.55:
        value = words.pick([words.number(), words.decimal(), True, False, words.between(-20, 40)])
        return json.dumps(value), f"The result is: {json.dumps(value)}"
    if kind < 0.62:
        items = [words.pick([words.noun, words.name])() for _ in range(words.between(1, 4))]
        return json.dumps(items, ensure_ascii=False), "The results are: " + ", ".join(items) + "."
    if kind < 0.68:
        reason = f"{words.noun()} {words.pick(['not found', 'failed', 'missing', 'timed out'])}"
        return json.dumps({"error": reason}), f"The tool reported an error: {reason}."
    return object_result(words)


def object_result(words: Words) -> tuple[str, str]:
    makers = [
        ("temperature", words.between(-20, 40)), ("temperature", words.decimal()),
        ("time", f"{words.between(0, 23)}:{words.between(10, 59)}"), ("result", words.number()),
        ("status", words.pick(["ok", "done", "failed", "pending", "sent"])),
        ("total", words.decimal()),
        ("condition", words.pick(CONDITIONS)), ("email", words.email()), ("id", words.number()),
        (words.word(), words.word()), ("unit", words.pick(["celsius", "fahrenheit", "C"])),
        ("city", words.city()), ("name", words.name()), ("success", words.chance(0.7)),
        ("message", words.phrase(2, 5)), ("answer", words.number()),
        ("humidity", words.between(1, 99)),
        (f"{words.noun()}_id", words.number()),
    ]  # fmt: skip
    value = dict(words.pick(makers) for _ in range(words.pick([1, 1, 2, 2, 3])))
    text = json.dumps(value, ensure_ascii=words.chance(0.1))
    if words.chance(0.15):
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    lines = []
    for key, item in value.items():
        shown = item if isinstance(item, str) else json.dumps(item)
        lines.append(f"The {key.replace('_', ' ')} is {shown}.")
    return text, " ".join(lines)


def _opening(words: Words) -> list[Turn]:
    turns: list[Turn] = []
    if words.chance(0.2):
        turns.append(system(plain_system(words)))
    if words.chance(0.15):
        turns += smalltalk.greet(words).turns
    return turns


def one_call(words: Words) -> Dialogue:
    """A request, the call, in half of the cases its result and the answer, maybe more."""
    item = offer(words)
    turns = _opening(words)
    offered = [item]
    question = words.casual(item.question) if "print" not in item.question else item.question
    if words.chance(0.06):
        question = f"{words.pick(['Please', 'Hi.', 'Hello!', 'Hey,'])} {question}"
    turns += [user(question), calls((item.name, item.arguments))]
    if words.chance(0.55):
        output, answer = result(words)
        turns += [tool(output), assistant(answer)]
        kind = words.random.random()
        if kind < 0.15:
            turns += smalltalk.greet(words).turns
        elif kind < 0.4:
            again = offer(words)
            offered.append(again)
            if again.name != item.name:
                turns += [user(words.casual(again.question)), calls((again.name, again.arguments))]
    return Dialogue(turns, tools=beside(words, offered))


def two_calls(words: Words) -> Dialogue:
    """Two calls in one turn: two places, or two different tools."""
    turns = _opening(words)
    if words.chance(0.6):
        places = [place(words) if words.chance(0.2) else words.city() for _ in range(2)]
        if words.chance(0.15):
            places.append(words.city())
        marker = "\0"
        item = place_tool(words, marker)
        joined = ", ".join(places[:-1]) + words.pick([" and ", " and in "]) + places[-1]
        question = item.question.replace(marker, joined)
        offered = [item]
        made = []
        for where in places:
            arguments = {key: where if v == marker else v for key, v in item.arguments.items()}
            made.append((item.name, arguments))
    else:
        offered = [offer(words), offer(words)]
        if offered[0].name == offered[1].name:
            return one_call(words)
        first, second = (item.question.rstrip("?.") for item in offered)
        mark = words.pick([". ", " and ", "? ", ", then "])
        question = first + mark + second + words.pick([".", "?", ""])
        made = [(item.name, item.arguments) for item in offered]
    turns += [user(question), calls(*made)]
    if words.chance(0.5):
        results = [result(words) for _ in made]
        turns += [tool(output) for output, _ in results]
        turns.append(assistant(" ".join(answer for _, answer in results)))
    return Dialogue(turns, tools=beside(words, offered))


def no_call(words: Words) -> Dialogue:
    """Tools are on offer, but the message needs none of them."""
    tools = beside(words, [offer(words)])
    kind = words.random.random()
    if kind < 0.35:
        turns = _opening(words) + smalltalk.greet(words).turns
    elif kind < 0.75:
        turns = _opening(words) + words.pick(
            [smalltalk.echo, smalltalk.identity, smalltalk.facts, smalltalk.story]
        )(words).turns  # fmt: skip
    elif kind < 0.85:
        verb, noun = words.pick(ACTIONS), words.noun()
        question = words.pick([f"Why does the {noun} {verb}?", f"What is a {noun}?",
                               f"Write an essay about {noun}s.",
                               f"Explain {noun} to me."])  # fmt: skip
        turns = [user(question), assistant(smalltalk.FALLBACK)]
    else:
        turns = recall.recall(words).turns
    return Dialogue(turns, tools=tools)


def tool_use(words: Words) -> Dialogue:
    kind = words.random.random()
    if kind < 0.68:
        return one_call(words)
    return two_calls(words) if kind < 0.81 else no_call(words)
