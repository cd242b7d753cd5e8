# ruff: noqa: SIM905 - word lists read better as one string
"""Families that ask about earlier turns: names, facts, what was said."""

from training import smalltalk
from training.dialogue import Dialogue, Turn, assistant, system, user
from training.words import Words

TELL_NAME = """My name is {}.|I am {}.|I'm {}.|Hi, my name is {}.|Hello, I am {}!|Call me {}.
|Hello! My name is {}. Please remember it.|Hi, I'm {}. Remember my name.|Hi! I'm {}.
|Hey, {} here.|My name is {}. Remember it.|Please call me {}
|Hello, my name is {}. Nice to meet you!|I'm called {}.|Hi, I'm {}!|Remember that my name is {}.
|The name is {}.""".replace("\n", "").split("|")
ASK_NAME = """What is my name?|What's my name?|Who am I?|Do you remember my name?
|Tell me my name.|Can you tell me my name?|What was my name again?|Say my name.
|What did I say my name was?|Do you know my name?|How am I called?|Remind me of my name.
|And what is my name?|So, who am I?|What is my name""".replace("\n", "").split("|")
TELL_CITY = "I live in {}.|My city is {}.|My home is in {}.|I am from {}.|I'm from {}.".split("|")
ASK_CITY = """Where do I live?|What is my city?|Which city do I live in?|Where am I from?
|Do you know where I live?|What city am I from?|Where is my home?""".replace("\n", "").split("|")
TELL_FACT = """My {l} is {v}.|Remember: my {l} is {v}.|Remember that my {l} is {v}.
|Please remember that my {l} is {v}.|Please remember my {l}: {v}.|Note that my {l} is {v}.
|Just so you know, my {l} is {v}.|Remember my {l} is {v}""".replace("\n", "").split("|")
ASK_FACT = """What is my {l}?|What's my {l}?|Tell me my {l}.|Do you remember my {l}?
|Can you tell me my {l}?|What was my {l}?|What did I say my {l} is?""".replace("\n", "").split("|")
LABELS = {
    "word": ["favorite food", "favorite thing", "favorite animal", "favorite fruit", "password",
             "secret word", "hobby", "favorite drink", "magic word", "codeword"],
    "number": ["code", "lucky number", "secret number", "room number", "order number", "age",
               "favorite number", "pin", "phone number", "locker number"],
    "name": ["dog's name", "cat's name", "pet's name", "sister's name", "brother's name",
             "friend's name", "boss's name", "son's name", "daughter's name", "teacher's name"],
    "color": ["favorite color", "car's color", "favourite colour"],
    "city": ["favorite city", "birthplace", "hometown"],
    "email": ["email", "email address"],
    "day": ["favorite day", "birthday", "appointment"],
}  # fmt: skip

Fact = tuple[str, str, str, str]
"""Statement, confirmation, question, answer."""


def fact(words: Words) -> Fact:
    kind = words.pick(["name", "name", "city", "label", "label", "label"])
    if kind == "name":
        value = words.name() if words.chance(0.85) else words.full_name()
        tell, ask = words.pick(TELL_NAME), words.pick(ASK_NAME)
        return tell.format(value), f"Nice to meet you, {value}!", ask, f"Your name is {value}."
    if kind == "city":
        value = words.city()
        tell, ask = words.pick(TELL_CITY), words.pick(ASK_CITY)
        return tell.format(value), f"I will remember {value}.", ask, f"You live in {value}."
    source = words.pick(list(LABELS))
    value = str(
        {"word": words.noun, "number": words.number, "name": words.name, "color": words.color,
         "city": words.city, "email": words.email, "day": words.date}[source]()
    )  # fmt: skip
    label = words.pick(LABELS[source])
    if words.chance(0.15):
        label = f"{words.adjective()} {words.noun()}"
    tell = words.pick(TELL_FACT).replace("{l}", label).replace("{v}", value)
    ask = words.pick(ASK_FACT).replace("{l}", label)
    return tell, f"I will remember {value}.", ask, f"Your {label} is {value}."


def name_and_city(words: Words) -> Dialogue:
    """Both facts in one sentence; the question is about one."""
    name, city = words.name(), words.city()
    tell = words.pick(
        [f"My name is {name} and I live in {city}.", f"I am {name} from {city}.",
         f"Hi, I'm {name} and I'm from {city}.", f"I'm {name}, I live in {city}."]
    )  # fmt: skip
    ask, answer = words.pick(
        [
            (words.pick(ASK_NAME), f"Your name is {name}."),
            (words.pick(ASK_CITY), f"You live in {city}."),
        ]
    )
    turns = [user(words.casual(tell)), assistant(f"Nice to meet you, {name}!")]
    turns += distraction(words)
    return Dialogue([*turns, user(words.casual(ask)), assistant(answer)])


def distraction(words: Words) -> list[Turn]:
    turns: list[Turn] = []
    for _ in range(words.pick([0, 0, 0, 1, 1, 2])):
        turns += smalltalk.small(words)
    return turns


def told(words: Words) -> Dialogue:
    """One to three facts over turns, then a question about one of them."""
    shape = words.random.random()
    tell, confirm, ask, answer = fact(words)
    if shape < 0.1:
        return Dialogue([user(f"{tell} {ask}"), assistant(answer)])
    if shape < 0.13:
        return Dialogue([user(words.casual(tell)), user(words.casual(ask)), assistant(answer)])
    if shape < 0.18:
        return Dialogue([user(words.casual(tell)), assistant(confirm)])
    if shape < 0.24:
        line = tell.replace("My ", "The user's ").replace("my ", "the user's ")
        if line != tell and " I" not in line:
            return Dialogue([system(line), user(words.casual(ask)), assistant(answer)])
    turns = distraction(words) if words.chance(0.2) else []
    if words.chance(0.25):
        reply = words.pick([confirm, smalltalk.HELP, "Okay!", words.sentence(), "Noted."])
    else:
        reply = confirm
    turns += [user(words.casual(tell)), assistant(reply)]
    turns += distraction(words)
    if shape > 0.8:
        other = fact(words)
        if other[3].split(" is ")[0] != answer.split(" is ")[0]:
            turns += [user(words.casual(other[0])), assistant(other[1])]
            turns += distraction(words)
    return Dialogue([*turns, user(words.casual(ask)), assistant(answer)])


def unknown(words: Words) -> Dialogue:
    """A question about a fact the user never told."""
    ask, answer = words.pick(
        [(words.pick(ASK_NAME), "You have not told me your name yet."),
         (words.pick(ASK_CITY), "You have not told me where you live yet.")]
    )  # fmt: skip
    turns = smalltalk.small(words) if words.chance(0.4) else []
    return Dialogue([*turns, user(words.casual(ask)), assistant(answer)])


def said(words: Words) -> Dialogue:
    """Questions about the last message, the first one, or the model's own answer."""
    turns = smalltalk.small(words)
    if words.chance(0.6):
        turns += smalltalk.small(words)
    first, last, own = turns[0].text, turns[-2].text, turns[-1].text
    ask, answer = words.pick(
        [("What did I just say?", last), ("Repeat my last message.", last),
         ("What was my last message?", last), ("What did I say before?", last),
         ("What was my first message?", first), ("What did I say first?", first),
         ("Repeat that.", own), ("Say that again.", own), ("Please repeat your answer.", own),
         ("What did you say?", own), ("Can you repeat that?", own)]
    )  # fmt: skip
    return Dialogue([*turns, user(words.casual(ask)), assistant(answer)])


def recall(words: Words) -> Dialogue:
    kind = words.random.random()
    if kind < 0.72:
        return told(words)
    if kind < 0.82:
        return name_and_city(words)
    return unknown(words) if kind < 0.88 else said(words)


def long_recall(words: Words) -> Dialogue:
    """A fact, then many turns or a long text, then the question."""
    tell, confirm, ask, answer = fact(words)
    turns = [user(tell), assistant(confirm)]
    goal = words.between(1500, 4500)
    size = 0
    while size < goal:
        more = smalltalk.small(words)
        if words.chance(0.1):
            text = " ".join(words.sentence() for _ in range(words.between(5, 30)))
            more = [user(text), assistant(smalltalk.FALLBACK)]
        turns += more
        size += sum(len(turn.text) + 20 for turn in more)
    for turn in turns:
        if turn.role == "assistant":
            turn.spans = [(turn.text, 0.07)]
    return Dialogue([*turns, user(ask), assistant(answer)])
