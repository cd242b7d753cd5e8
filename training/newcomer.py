"""Prompts a newcomer types, written by hand; most of them no family can produce.

Each says which answers are acceptable: a text that must occur, the exact text, a JSON value, or
tool calls.
The honest fallback counts as acceptable only where no family covers the question.
"""

import json
from dataclasses import dataclass, field

from training.dialogue import Turn
from training.smalltalk import FALLBACK

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Retrieves current weather for the given location.",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "City and country"},
                "units": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["location"],
            "additionalProperties": False,
        },
    },
}
MAIL = {
    "type": "function",
    "function": {
        "name": "send_email",
        "description": "Send an email to a given recipient with a subject and message.",
        "parameters": {
            "type": "object",
            "properties": {
                "to": {"type": "string"},
                "subject": {"type": "string"},
                "body": {"type": "string"},
            },
            "required": ["to", "body"],
            "additionalProperties": False,
        },
    },
}
CALCULATOR = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Works out arithmetic",
        "parameters": {
            "type": "object",
            "properties": {"expression": {"type": "string"}},
            "required": ["expression"],
        },
    },
}


def _object(**properties: dict) -> dict:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


TEXT = {"type": "string"}
PERSON = _object(name=TEXT, age={"type": "integer"})
EVENT = _object(name=TEXT, date=TEXT, participants={"type": "array", "items": TEXT})
BOOK = _object(title=TEXT, author=TEXT, year={"type": "integer"})


@dataclass
class Prompt:
    """A conversation, what is offered with it, and the acceptable answers."""

    said: list[tuple[str, str]]
    texts: list[str] = field(default_factory=list)
    exact: str = ""
    calls: list[tuple[str, dict]] = field(default_factory=list)
    value: object = None
    tools: list[dict] = field(default_factory=list)
    schema: dict | None = None

    @property
    def label(self) -> str:
        extra = " (tools)" if self.tools else " (schema)" if self.schema else ""
        text = " / ".join(text for role, text in self.said if role != "assistant")
        return text.replace("\n", " ").replace("|", "\\|") + extra

    @property
    def messages(self) -> list[dict]:
        return [{"role": role, "content": text} for role, text in self.said]

    def accepts(self, got: Turn) -> bool:
        if self.calls or got.calls:
            return [(call["name"], call["arguments"]) for call in got.calls] == self.calls
        if self.value is not None:
            try:
                return json.loads(got.text) == self.value
            except ValueError:
                return False
        if self.exact:
            return got.text == self.exact
        return any(text in got.text for text in self.texts)


def _user(text: str, *texts: str, **more) -> Prompt:
    return Prompt([("user", text)], texts=list(texts), **more)


def _after(said: list[tuple[str, str]], *texts: str, **more) -> Prompt:
    return Prompt(said, texts=list(texts), **more)


PROMPTS = [
    _user("hey!! anyone home?", "How can I help you", FALLBACK),
    _user("Say hello in a friendly way", "Hello!", FALLBACK),
    _user("This is a test.", "test"),
    _user("Say this is a test", exact="This is a test."),
    _user("Please say: the quick brown fox jumps over the lazy dog",
          exact="the quick brown fox jumps over the lazy dog"),
    _user("Reply with the single word PONG and nothing else.", exact="PONG"),
    _user("Say 'double bubble bath' ten times fast.",
          exact=", ".join(["double bubble bath"] * 10)),
    _user("Write a one-sentence bedtime story about a unicorn.", "unicorn"),
    _user("Write a haiku about recursion in programming.", "recursion", FALLBACK),
    _user("What's 2+2?", FALLBACK),
    _user("What is the airspeed velocity of an unladen swallow?", FALLBACK),
    _user("Explain quantum computing like I'm five.", FALLBACK),
    _user("Write a Python script that renames all files in a folder", FALLBACK),
    _user("Who was the first person on the moon?", FALLBACK),
    _user("Translate 'good morning' to French", FALLBACK),
    _user("Recommend three sci-fi novels", FALLBACK),
    _user("How much gold would it take to coat the Statue of Liberty in a 1mm layer?", FALLBACK),
    _user("What is the capital of Spain?", "Madrid"),
    _user("whats the capital of japan", "Tokyo"),
    _user("Count from 1 to 5", exact="1, 2, 3, 4, 5"),
    _user("What are you capable of?", "I can greet", FALLBACK),
    _user("Are you an OpenAI model?", "demo-antiphon"),
    _user("What is the weather like in Paris today?", FALLBACK),
    _after([("system", "You are a coding assistant that talks like a pirate."),
            ("user", "How do I check if a Python object is an instance of a class?")],
           "Arr! " + FALLBACK),
    _after([("system", "Talk like a pirate."), ("user", "Hello there, matey")], "Arr!"),
    _after([("system", "You are Marvin, a gloomy robot."),
            ("user", "What's your name?")], "Marvin"),
    _after([("system", "Answer only in capital letters."), ("user", "Say hi to Priyanka")],
           "PRIYANKA"),
    _after([("user", "My name is Marguerite and I live in Toulouse."),
            ("assistant", "Nice to meet you, Marguerite!"), ("user", "What is my name?")],
           "Marguerite"),
    _after([("user", "Hi! I'm Bartholomew."), ("assistant", "Nice to meet you, Bartholomew!"),
            ("user", "thanks"), ("assistant", "You are welcome!"), ("user", "who am I?")],
           "Bartholomew"),
    _after([("user", "Remember the number 7421 for me."), ("assistant", "Okay!"),
            ("user", "Which number did I tell you?")], "7421"),
    _after([("user", "My dog is called Biscuit."), ("assistant", "Okay!"),
            ("user", "What is my dog called?")], "dog's name is Biscuit", "called Biscuit"),
    _after([("user", "I'm vegan and I live in Leeds."), ("assistant", "Okay!"),
            ("user", "Tell me a joke"), ("assistant", "Why did it cross the road?"),
            ("user", "Where do I live?")], "Leeds"),
    _after([("user", "tell me a joke"), ("assistant", "Why did the chicken cross the road?"),
            ("user", "tell me another")], "tiny model", FALLBACK),
    _user("What's the weather in San Francisco?", tools=[WEATHER],
          calls=[("get_weather", {"location": "San Francisco"})]),
    _user("What is the weather like in Bogotá, Colombia?", tools=[MAIL, WEATHER],
          calls=[("get_weather", {"location": "Bogotá, Colombia"})]),
    _user("Will I need sunglasses in Reykjavik?", tools=[WEATHER],
          calls=[("get_weather", {"location": "Reykjavik"})]),
    _user("Compare the weather in Lisbon and Madrid", tools=[WEATHER],
          calls=[("get_weather", {"location": "Lisbon"}), ("get_weather", {"location": "Madrid"})]),
    _user("Can you send an email to ilan@example.com and katia@example.com saying hi?",
          tools=[MAIL], calls=[("send_email", {"to": "ilan@example.com", "body": "hi"}),
                               ("send_email", {"to": "katia@example.com", "body": "hi"})]),
    _user("Email bob@example.com saying lunch is at noon", tools=[MAIL, WEATHER],
          calls=[("send_email", {"to": "bob@example.com", "body": "lunch is at noon"})]),
    _user("What is 12 * 7?", tools=[CALCULATOR, WEATHER],
          calls=[("calculator", {"expression": "12 * 7"})]),
    _user("hello there", "Hello", tools=[WEATHER, MAIL]),
    _user("Thanks, that is all.", "welcome", FALLBACK, "Okay", tools=[WEATHER]),
    _user("Jane is 54 years old.", schema=PERSON, value={"name": "Jane", "age": 54}),
    _user("I met Tomasz yesterday, he turned 33.", schema=PERSON,
          value={"name": "Tomasz", "age": 33}),
    _after([("system", "Extract the event information."),
            ("user", "Alice and Bob are going to a science fair on Friday.")], schema=EVENT,
           value={"name": "science fair", "date": "Friday", "participants": ["Alice", "Bob"]}),
    _user("Emma by Jane Austen came out in 1815.", schema=BOOK,
          value={"title": "Emma", "author": "Jane Austen", "year": 1815}),
    _user('Return JSON with name and age: "Kofi, aged 41"', value={"name": "Kofi", "age": 41}),
]  # fmt: skip
