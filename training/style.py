# ruff: noqa: SIM905 - word lists read better as one string
"""Families in which a system message sets the style of the answer."""

import json
from collections.abc import Callable

from training import smalltalk
from training.dialogue import Dialogue, Turn, assistant, system, user
from training.words import JOBS, Words

PLAIN = """You are a helpful assistant.|You are helpful.|Be brief.|Answer politely.|Be concise.
|You are a friendly assistant.|Answer in one sentence.|You are a helpful assistant. Be brief.
|Keep answers short.|You are a coding assistant.|Answer truthfully.|Think step by step.
|You are a chatbot on a web page.|Help the user.|Use simple language.|Always be polite.
|You are a helpful assistant that answers questions.|Follow the user's instructions.
|You only respond in short sentences.""".replace("\n", "").split("|")
PIRATE = """Talk like a pirate.|You talk like a pirate.|You are a pirate.|Speak like a pirate.
|You are a coding assistant that talks like a pirate.|Answer like a pirate.
|Respond like a pirate.|You are a helpful pirate assistant.|Talk as a pirate would.
|Always talk like a pirate.|You are an assistant that talks like a pirate.
|Use pirate speech.""".replace("\n", "").split("|")
UPPER = """Answer in uppercase.|Always use uppercase.|Write in capital letters.
|Use only uppercase.|Reply in all caps.|ALWAYS ANSWER IN UPPERCASE.|Respond in capital letters.
|You always shout in uppercase.""".replace("\n", "").split("|")
LOWER = "Answer in lowercase.|Always use lowercase.|Reply in lowercase only.".split("|")
ALWAYS = """Always answer with {}|Reply only with {}|Whatever the user says, answer {}
|Always say {}|Always reply "{}".|Always respond with "{}".|Only answer "{}"
|Answer every message with {}|No matter what, say "{}".
|Always answer '{}'.""".replace("\n", "").split("|")
ENDING = """End every answer with {}|Finish each reply with "{}".|Always end with {}
|End your answers with "{}".""".replace("\n", "").split("|")
START = """Start every answer with {}|Begin each reply with "{}".|Always start with {}
|Start your answers with "{}".""".replace("\n", "").split("|")
JSON_KEY = """Answer in JSON with the key {0}.|Reply as a JSON object with one key "{0}".
|Answer in JSON with keys: {0} (string)|Respond in JSON: {{"{0}": string}}
|Always answer as JSON with key {0}""".replace("\n", "").split("|")


def plain_system(words: Words) -> str:
    """A system message without any effect on the answer."""
    lines = [words.pick(PLAIN)]
    if words.chance(0.25):
        lines = [f"You are an assistant for {words.pick([words.name(), words.city()])}."]
    if words.chance(0.1):
        lines = [f"You are a helpful {words.pick(JOBS)}."]
    if words.chance(0.2):
        lines += [words.sentence() for _ in range(words.between(1, 6))]
    return " ".join(lines)


def _exchange(words: Words) -> list[Turn]:
    family = words.pick(
        [smalltalk.greet, smalltalk.facts, smalltalk.facts, smalltalk.echo, smalltalk.fallback,
         smalltalk.identity, smalltalk.fallback]
    )  # fmt: skip
    return family(words).turns


def _changed(words: Words, rule: str, change: Callable[[str], str]) -> Dialogue:
    """One or two exchanges whose answers follow the rule."""
    turns = [system(rule)]
    for _ in range(words.pick([1, 1, 1, 2])):
        for turn in _exchange(words):
            turns.append(assistant(change(turn.text)) if turn.role == "assistant" else turn)
    return Dialogue(turns)


def persona(words: Words) -> Dialogue:
    name = words.pick([words.name, words.name, words.full_name])()
    if words.chance(0.2):
        name = f"{words.pick(['Captain', 'Doctor', 'Professor', 'Agent', 'Chef'])} {name}"
    rule = words.pick(
        [f"Your name is {name}.", f"You are {name}.", f"You are {name}, a helpful assistant.",
         f"You are {name}, a {words.pick(JOBS)}.", f"Your name is {name}. Be helpful.",
         f"You are a helpful assistant named {name}.", f"You are an assistant called {name}."]
    )  # fmt: skip
    if words.chance(0.25):
        return Dialogue([system(rule), *smalltalk.fallback(words).turns])
    question = words.pick(
        ["What is your name?", "Who are you?", "What's your name?", "Tell me your name.",
         "Introduce yourself.", "Hi, who are you?", "And you are?"]
    )  # fmt: skip
    return Dialogue([system(rule), user(words.casual(question)), assistant(f"I am {name}.")])


def fixed(words: Words) -> Dialogue:
    answer = words.phrase(1, 3)
    rule = words.pick(ALWAYS).format(answer)
    turns = [system(rule)]
    for _ in range(words.pick([1, 1, 2])):
        turns += [_exchange(words)[0], assistant(answer)]
    return Dialogue(turns)


def json_answer(words: Words) -> Dialogue:
    key = words.pick(["answer", "reply", "text", "message", "response", "result", words.invented()])
    return _changed(
        words,
        words.pick(JSON_KEY).format(key),
        lambda text: json.dumps({key: text}, ensure_ascii=False),
    )


def style(words: Words) -> Dialogue:
    kind = words.random.random()
    if kind < 0.15:
        return _changed(words, words.pick(PIRATE), lambda text: "Arr! " + text)
    if kind < 0.3:
        return fixed(words)
    if kind < 0.45:
        return persona(words)
    if kind < 0.57:
        return _changed(words, words.pick(UPPER), str.upper)
    if kind < 0.62:
        return _changed(words, words.pick(LOWER), str.lower)
    if kind < 0.7:
        mark = words.phrase(1, 2)
        return _changed(words, words.pick(ENDING).format(mark), lambda text: f"{text} {mark}")
    if kind < 0.76:
        mark = words.phrase(1, 2)
        return _changed(words, words.pick(START).format(mark), lambda text: f"{mark} {text}")
    if kind < 0.84:
        return json_answer(words)
    turns = [system(plain_system(words)) for _ in range(words.pick([1, 1, 1, 2]))]
    return Dialogue(turns + _exchange(words))
