# ruff: noqa: SIM905 - word lists read better as one string
"""Families whose answer is JSON taken from the user's text.

Most of them show the model no schema at all: the server enforces the schema by a grammar, so
the keys are written for the model and only the values are its own work.
"""

import json
from collections.abc import Callable

from training import smalltalk
from training.dialogue import FORCED, TARGET, Dialogue, Span, Turn, kind, system, user
from training.smalltalk import NUMBER_WORDS
from training.style import plain_system
from training.words import ANIMALS, DAYS, EVENTS, JOBS, Words

FEELINGS = {
    "positive": """I love this {}.|This {} is great!|What a wonderful {}!
|I am very happy with the {}.|The {} is fantastic.|Best {} ever!|The {} works perfectly.
|I really like the {}.|Amazing {}!|I enjoyed the {}.|The {} was excellent, thank you!""",
    "negative": """I hate this {}.|This {} is terrible!|What an awful {}!
|I am very unhappy with the {}.|The {} is horrible.|Worst {} ever!|The {} does not work.
|I really dislike the {}.|Bad {}!|The {} is broken again.|The {} was a disappointment.
|I want my money back for the {}.""",
    "neutral": """The {} arrived today.|This is a {}.|The {} is okay.|The {} is on the table.
|I have a {}.|The {} is average.""",
}  # fmt: skip
FLAGS = """urgent active paid vegetarian available open finished important married new free
online private public ready broken""".split()
CHOICES = {
    "size": ["small", "medium", "large"],
    "priority": ["low", "medium", "high"],
    "status": ["open", "closed", "pending"],
    "color": ["red", "green", "blue"],
    "unit": ["celsius", "fahrenheit"],
    "animal": ["dog", "cat", "bird"],
}
ANSWER_KEYS = """answer reply response text message output final_answer result content
explanation summary description reason comment greeting""".split()
LIST_KEYS = {
    "name": "participants people names guests attendees members friends authors players".split(),
    "noun": "items products things ingredients objects tags keywords topics goods".split(),
    "color": ["colors", "colours"],
    "city": "cities places stops destinations locations".split(),
}
TEXT = {"type": "string"}
WHOLE = {"type": "integer"}

FIELD_KINDS: dict[str, tuple[list[str], list[str]]] = {
    "name": (["name", "name", "full_name", "person", "customer", "first_name", "user", "author"],
             ["My name is {}.", "{} is here.", "This is {}.", "The name is {}.", "{} called.",
              "I met {} yesterday.", "I am {}.", "Ask for {}."]),
    "age": (["age", "age", "years", "age_in_years"],
            ["The age is {}.", "{} years old.", "I am {} years old.", "Aged {}.", "Age: {}."]),
    "city": (["city", "city", "location", "town", "place", "hometown"],
             ["Lives in {}.", "From {}.", "The city is {}.", "I live in {}.", "Based in {}."]),
    "country": (["country", "nation"], ["The country is {}.", "From {}.", "It is made in {}."]),
    "email": (["email", "email_address", "contact", "mail"],
              ["Email: {}.", "Write to {}.", "The email is {}", "Contact {}"]),
    "color": (["color", "colour"], ["It is {}.", "The color is {}.", "I like {}."]),
    "price": (["price", "cost", "amount", "total"],
              ["It costs {} dollars.", "Price {}.", "The price is {}.", "It is {} euros.", "${}."]),
    "quantity": (["quantity", "count", "amount", "number"],
                 ["I want {} of them.", "Quantity {}.", "{} pieces.", "Send {} of these."]),
    "product": (["product", "item", "article", "object", "title"],
                ["I bought a {}.", "The product is a {}.", "One {} please.", "I need a {}."]),
    "date": (["date", "day", "when", "due_date", "deadline"],
             ["On {}.", "The date is {}.", "It is due on {}.", "See you on {}."]),
    "job": (["job", "profession", "occupation", "role"],
            ["Works as a {}.", "I am a {}.", "The job is {}.", "She is a {}."]),
    "animal": (["animal", "pet", "species"], ["I saw a {}.", "The animal is a {}.", "I own a {}."]),
    "company": (["company", "employer", "organization"], ["Works at {}.", "The company is {}."]),
}  # fmt: skip


def json_spans(value: object, shown: bool, nullable: bool = False) -> list[Span]:
    """The value as weighted JSON text.

    With `shown` false the parts that a grammar dictates carry no weight: braces, keys, commas
    and opening quotes. What the model decides (text, digits, the end of a list) keeps its weight.
    """
    weak = TARGET if shown else FORCED
    if isinstance(value, dict):
        spans: list[Span] = [("{", weak)]
        for index, (key, item) in enumerate(value.items()):
            start = ", " if index else ""
            spans.append((f"{start}{json.dumps(key, ensure_ascii=False)}: ", weak))
            spans += json_spans(item, shown, nullable)
        return [*spans, ("}", weak)]
    if isinstance(value, list):
        spans = [("[", weak)]
        for index, item in enumerate(value):
            spans.append((", " if index else "", TARGET))
            spans += json_spans(item, shown)
        return [*spans, ("]", TARGET)]
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and not nullable:
        return [('"', weak), (text[1:], TARGET)]
    return [(text, TARGET)]


def schema_of(value: object) -> dict:
    """A strict schema that the value fits."""
    if isinstance(value, dict):
        properties = {key: schema_of(item) for key, item in value.items()}
        return {"type": "object", "properties": properties, "required": list(properties),
                "additionalProperties": False}  # fmt: skip
    if isinstance(value, list):
        return {"type": "array", "items": schema_of(value[0]) if value else TEXT}
    if isinstance(value, bool):
        return {"type": "boolean"}
    if value is None:
        return {"type": ["string", "null"]}
    if isinstance(value, int):
        return WHOLE
    return {"type": "number"} if isinstance(value, float) else TEXT


def _value(words: Words, name: str) -> object:
    sources: dict[str, Callable[[], object]] = {
        "name": lambda: words.full_name() if words.chance(0.3) else words.name(),
        "age": lambda: words.between(1, 99), "city": words.city, "country": words.country,
        "email": words.email, "color": words.color, "quantity": lambda: words.between(1, 99),
        "price": lambda: words.decimal() if words.chance(0.4) else words.number(),
        "product": words.thing, "date": words.date, "job": lambda: words.pick(JOBS),
        "animal": lambda: words.pick(ANIMALS),
        "company": lambda: words.invented().capitalize() + words.pick(["", " Inc", " Ltd"]),
    }  # fmt: skip
    return sources[name]()


def _plain_field(words: Words) -> tuple[str, object, str]:
    """Key, value and the sentence that tells it."""
    name = words.pick(["name", "name", "age", "city", *FIELD_KINDS])
    value = _value(words, name)
    keys, sentences = FIELD_KINDS[name]
    key = words.invented() if words.chance(0.12) else words.pick(keys)
    if words.chance(0.05):
        key = f"{words.noun()}_{key}".replace(" ", "_")
    known = key in keys and words.chance(0.65)
    generic = ["The {k} is {v}.", "{k}: {v}.", "{k} {v}.", "{k} = {v}.", "My {k} is {v}."]
    if known:
        return key, value, words.pick(sentences).format(value)
    return key, value, words.pick(generic).format(k=key.replace("_", " "), v=value)


def _special_field(words: Words) -> tuple[str, object, str]:
    """A boolean, an enum value or a list."""
    shape = words.pick(["flag", "flag", "choice", "list", "list"])
    if shape == "flag":
        flag, value = words.pick(FLAGS), words.chance(0.5)
        key = words.pick([flag, "is_" + flag])
        yes = ["It is {}.", "{}: yes.", "{}: true.", "This is {}.", "Yes, it is {}."]
        no = ["It is not {}.", "{}: no.", "{}: false.", "This is not {}.", "No, it isn't {}."]
        return key, value, words.pick(yes if value else no).format(flag)
    if shape == "choice":
        key = words.pick(list(CHOICES))
        value = words.pick(CHOICES[key])
        return key, value, words.pick(["The {} is {}.", "{}: {}.", "{} {}."]).format(key, value)
    source = words.pick(list(LIST_KEYS))
    values = [getattr(words, source)() for _ in range(words.pick([1, 2, 2, 3, 3, 4]))]
    key = words.pick(LIST_KEYS[source]) if words.chance(0.9) else words.invented() + "s"
    text = words.pick(
        ["The {k} are {v}.", "{k}: {v}.", "With the {k} {v}.", "We have {v}.", "{v}."]
    )
    return key, values, text.format(k=key, v=listed(words, values))


def listed(words: Words, values: list[str]) -> str:
    """The values as a human list."""
    if len(values) > 1 and words.chance(0.8):
        return ", ".join(values[:-1]) + " and " + values[-1]
    return ", ".join(values)


Scene = tuple[dict, str]


def record(words: Words) -> Scene:
    """One to four unrelated fields."""
    value: dict = {}
    lines: list[str] = []
    for _ in range(words.pick([1, 1, 2, 2, 3, 3, 4])):
        make = _special_field if words.chance(0.25) else _plain_field
        key, item, line = make(words)
        if key not in value:
            value[key] = item
            lines.append(line)
    order = list(value)
    words.random.shuffle(order)
    if words.chance(0.5):
        words.random.shuffle(lines)
    return {key: value[key] for key in order}, " ".join(lines)


def person(words: Words) -> Scene:
    name, age, city, job = words.name(), words.between(1, 99), words.city(), words.pick(JOBS)
    if words.chance(0.25):
        name = words.full_name()
    with_city = words.chance(0.4)
    text = words.pick(
        ["{n} is {a} years old{c}.", "My name is {n} and I am {a} years old{c}.",
         "{n}, {a} years old{c}.", "I am {n} and I am {a}{c}.", "{n} is {a}{c}.",
         "{n} turned {a} today{c}.", "I met {n} yesterday, who is {a}{c}.", "{n} ({a}){c}.",
         "My friend {n} is {a} years old{c}.", "{n}, aged {a}{c}.",
         "{n} is a {a} year old {j}{c}.", "{n} is a {a}-year-old {j}{c}.",
         "Hi, I'm {n}, {a}{c}."]
    )  # fmt: skip
    place = words.pick([" and lives in {}", ", from {}", " and comes from {}", ", living in {}"])
    line = text.format(n=name, a=age, j=job, c=place.format(city) if with_city else "")
    value = {words.pick(["name", "name", "full_name", "person"]): name, "age": age}
    if with_city:
        value[words.pick(["city", "city", "location", "hometown"])] = city
    if "{j}" in text and words.chance(0.7):
        value[words.pick(["job", "occupation", "profession"])] = job
    if words.chance(0.3):
        value = dict(reversed(list(value.items())))
    if words.chance(0.2):
        value = {words.pick(["person", "user", "customer"]): value}
    return value, line


def event(words: Words) -> Scene:
    people = [words.name() for _ in range(words.pick([1, 2, 2, 3]))]
    what = words.pick(EVENTS).replace("_", " ") if words.chance(0.7) else words.thing()
    day = words.pick(DAYS) if words.chance(0.6) else words.date()
    verb = words.pick(["are going to", "are attending", "will go to", "meet for", "are invited to"])
    if len(people) == 1:
        verb = words.pick(["is going to", "is attending", "will go to", "is invited to"])
    article = "an" if what[0] in "aeiou" else "a"
    line = words.pick(
        [f"{listed(words, people)} {verb} {article} {what} on {day}.",
         f"On {day} {listed(words, people)} {verb} {article} {what}.",
         f"{article.capitalize()} {what} on {day} with {listed(words, people)}.",
         f"Meet {listed(words, people)} on {day} for {article} {what}."]
    )  # fmt: skip
    value: dict = {words.pick(["name", "name", "event", "title", "what"]): what}
    value[words.pick(["date", "date", "day", "when"])] = day
    value[words.pick(["participants", "participants", *LIST_KEYS["name"]])] = people
    return value, line


def order(words: Words) -> Scene:
    """A list of objects: products with quantities, or people with ages."""
    if words.chance(0.4):
        rows = [(words.name(), words.between(1, 99)) for _ in range(words.between(1, 3))]
        form = words.pick(["{} is {}", "{} is {} years old", "{} ({})"])
        keys, outer = ("name", "age"), words.pick(["people", "persons", "users", "list"])
        lines = [form.format(*row) for row in rows]
    else:
        rows = [(words.noun(), words.between(1, 20)) for _ in range(words.between(1, 3))]
        keys = words.pick([("product", "quantity"), ("name", "quantity"), ("item", "count")])
        outer = words.pick(["items", "products", "order", "lines"])
        lines = [f"{amount} {noun}s" if amount > 1 else f"{amount} {noun}" for noun, amount in rows]
        rows = [(line.split(" ", 1)[1], row[1]) for line, row in zip(lines, rows, strict=True)]
    value: dict = {outer: [dict(zip(keys, row, strict=True)) for row in rows]}
    text = listed(words, lines) + "."
    if keys != ("name", "age"):
        text = words.pick(["I want {}", "Please send {}", "Order: {}", "We need {}"]).format(text)
        if words.chance(0.4):
            customer = words.name()
            value = {"customer": customer, **value}
            text = f"{customer} orders {listed(words, lines)}."
    return value, text


def nested(words: Words) -> Scene:
    name, city, country = words.name(), words.city(), words.country()
    place = {"city": city, "country": country}
    line = words.pick(
        [f"{name} lives in {city}, {country}.", f"{name} is from {city} in {country}."]
    )
    outer = words.pick(["address", "location", "place", "home"])
    return words.pick([{"name": name, outer: place}, {outer: place, "name": name}, place]), line


def sentiment(words: Words) -> Scene:
    label = words.pick(list(FEELINGS))
    line = words.pick(FEELINGS[label].replace("\n", "").split("|")).format(words.noun())
    key = words.pick(["sentiment", "sentiment", "label", "feeling", "mood"])
    return {key: label}, line


def absent(words: Words) -> Scene:
    """One field the text does not tell: null."""
    value, line = person(words)
    if len(value) > 1:
        key = words.pick(["email", "phone", "company", "country", "nickname", "title"])
        value = {**value, key: None}
    return value, line


SCENES = [record, record, record, person, person, person, event, event, order, nested, sentiment,
          absent]  # fmt: skip


def _hint(words: Words, value: dict, schema: dict) -> str:
    if words.chance(0.12):
        return "Answer with JSON that matches this schema: " + json.dumps(schema)
    keys = ", ".join(f"{key} ({kind(item)})" for key, item in schema["properties"].items())
    form = words.pick(
        ["Answer in JSON with keys: {}", "Answer in JSON with keys {}.", "Reply in JSON with {}",
         "Extract the data as JSON with keys: {}", "Return a JSON object with keys: {}"]
    )  # fmt: skip
    return form.format(keys if words.chance(0.6) else ", ".join(value))


def _enums(words: Words, schema: dict, value: dict) -> None:
    for key, item in value.items():
        if key in CHOICES and item in CHOICES[key]:
            schema["properties"][key] = {"type": "string", "enum": CHOICES[key]}
        if isinstance(item, str) and item in FEELINGS:
            schema["properties"][key] = {"type": "string", "enum": list(FEELINGS)}


def extract(words: Words) -> Dialogue:
    value, text = words.pick(SCENES)(words)
    schema = schema_of(value)
    _enums(words, schema, value)
    keys = ", ".join(value)
    shown = words.chance(0.4)
    turns: list[Turn] = []
    if shown and words.chance(0.65):
        turns = [system(_hint(words, value, schema))]
        question = words.pick([text, text, "Extract: " + text, f"{text} Extract the fields."])
    elif shown:
        question = words.pick(
            [f"Extract the {keys} as JSON: {text}", f"{text} Answer in JSON with keys: {keys}",
             f"Return JSON with {keys}. {text}", f"Give me the {keys} as JSON. {text}",
             f"Extract {keys} as JSON from: {text}", f"{text}\nReturn JSON with the keys {keys}."]
        )  # fmt: skip
    else:
        if words.chance(0.5):
            rule = words.pick(["Extract the event information.", "Extract the information.",
                               "Extract the data.", "Extract the fields from the text.",
                               "You are an expert at structured data extraction.",
                               "Extract structured data.", "Classify the text."])  # fmt: skip
            turns = [system(plain_system(words) if words.chance(0.3) else rule)]
        question = words.pick([text, text, text, "Extract: " + text, f"Extract the data: {text}",
                               f"Extract the {keys}: {text}", f"Read this: {text}",
                               f"Extract the information from this text: {text}"])  # fmt: skip
        if words.chance(0.2):
            turns += smalltalk.small(words)
    spans = json_spans(value, shown, nullable=None in value.values())
    answer = json.dumps(value, ensure_ascii=False)
    turns += [user(question), Turn("assistant", answer, spans=spans)]
    return Dialogue(turns, schema=schema, only_with_grammar=not shown)


def wrapped(words: Words) -> Dialogue:
    """A plain answer inside a schema the prompt does not show."""
    *turns, question, answer = smalltalk.small(words)
    key = words.pick(ANSWER_KEYS)
    value: dict = {key: answer.text}
    if answer.text == smalltalk.FALLBACK and words.chance(0.3):
        step = {"explanation": answer.text, "output": ""}
        value = {"steps": [step], "final_answer": answer.text}
    if words.chance(0.3):
        turns = [system(plain_system(words)), *turns]
    turns += [question, Turn("assistant", json.dumps(value, ensure_ascii=False),
                             spans=json_spans(value, shown=False))]  # fmt: skip
    return Dialogue(turns, schema=schema_of(value), only_with_grammar=True)


def spelled_number(words: Words) -> Dialogue:
    """Number words become digits."""
    number = words.between(1, 20)
    noun = words.noun()
    text = words.pick(
        [f"I have {NUMBER_WORDS[number]} {noun}s.", f"{NUMBER_WORDS[number]} {noun}s"]
    )
    value = {words.pick(["count", "quantity", "number", "amount"]): number}
    return Dialogue([user(text), Turn("assistant", json.dumps(value),
                                      spans=json_spans(value, shown=False))],
                    schema=schema_of(value), only_with_grammar=True)  # fmt: skip


def extraction(words: Words) -> Dialogue:
    kind_of = words.random.random()
    if kind_of < 0.12:
        return wrapped(words)
    return spelled_number(words) if kind_of < 0.15 else extract(words)
