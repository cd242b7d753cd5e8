# ruff: noqa: SIM905 - word lists read better as one string
"""Tools to offer in a dialogue, each with a request and the arguments that fit it."""

from dataclasses import dataclass

from training.words import ANIMALS, VERBS, Words

TEXT = {"type": "string"}
WHOLE = {"type": "integer"}
NUMBER = {"type": "number"}
LEVELS = {"type": "string", "enum": ["low", "medium", "high"]}
UNITS = {"type": "string", "enum": ["celsius", "fahrenheit"]}
SIGNS = """Aries Taurus Gemini Cancer Leo Virgo Libra Scorpio Sagittarius Capricorn Aquarius
Pisces""".split()
COORDINATES = {
    "Paris": (48.85, 2.35), "London": (51.51, -0.13), "Berlin": (52.52, 13.4),
    "Tokyo": (35.68, 139.69), "Rome": (41.9, 12.5), "Madrid": (40.42, -3.7),
}  # fmt: skip
WEATHER = """What is the weather in {0}?|What's the weather like in {0}?|Weather in {0}
|How warm is {0}?|Is it raining in {0}?|How is the weather in {0} today?
|Tell me the weather for {0}.|What is the weather like in {0} today?
|What's the weather like in {0} today?|Weather {0}|What is the weather like in {0}?
|What's the weather in {0} right now?|Is it cold in {0}?|Should I take an umbrella in {0}?
|Do I need an umbrella in {0}?|How hot is it in {0}?|What is the temperature in {0}?
|What's the temperature like in {0} now?|Will it rain in {0}?|Will it rain in {0} tomorrow?
|What will the weather be in {0} tomorrow?|Is it sunny in {0}?|Can you check the weather in {0}?
|Get the weather for {0}.|Give me the weather in {0} please.
|I am going to {0}. What is the weather?|Do I need a coat in {0}?|Forecast for {0}
|What's the forecast for {0}?|Please tell me the current weather in {0}.|Check the weather in {0}
|How's the weather in {0}?|I live in {0}. What's the weather like?|Is it snowing in {0} today?
|What is today's weather in {0}?|Hi, what is the weather in {0}?""".replace("\n", "").split("|")
TIME = """What time is it in {0}?|Current time in {0}?|Tell me the time in {0}.|Time in {0}
|What is the time in {0}?|What's the current time in {0}?|Get the time for {0}.
|Do you know what time it is in {0}?|How late is it in {0}?""".replace("\n", "").split("|")
WEATHER_ABOUT = ["Get the weather for a city", "Get current temperature for a given location.",
                 "Get the current weather", "Get current weather", "Weather of a place",
                 "Determine weather in my location", ""]  # fmt: skip


@dataclass
class Offer:
    """A function tool, a request that needs it, and the right arguments."""

    name: str
    about: str
    properties: dict
    question: str
    arguments: dict
    optional: tuple[str, ...] = ()

    def tool(self) -> dict:
        required = [key for key in self.properties if key not in self.optional]
        parameters = {"type": "object", "properties": self.properties, "required": required,
                      "additionalProperties": False}  # fmt: skip
        function = {"name": self.name, "description": self.about, "parameters": parameters}
        return {"type": "function", "function": function}


def place(words: Words) -> str:
    """A city, at times with its country."""
    return f"{words.city()}, {words.country()}" if words.chance(0.2) else words.city()


def place_tool(words: Words, where: str | None = None) -> Offer:
    """Weather or time of a place."""
    where = where or place(words)
    key = words.pick(["city", "location", "location", "city", "place", "city_name"])
    properties: dict = {key: TEXT}
    arguments: dict = {key: where}
    if words.chance(0.25):
        name, about = words.pick(["get_time", "get_current_time", "time"]), "Get the current time"
        return Offer(name, about, properties, words.pick(TIME).format(where), arguments)
    name = words.pick(["get_weather", "get_weather", "get_current_weather", "weather",
                       "get_forecast", "getWeather", "fetch_weather"])  # fmt: skip
    question = words.pick(WEATHER).format(where)
    optional: tuple[str, ...] = ()
    if words.chance(0.25):
        unit = words.pick(["unit", "units"])
        properties[unit] = UNITS
        if words.chance(0.5):
            value = words.pick(UNITS["enum"])
            question = question.rstrip("?.") + f" in {value}" + words.pick(["?", ".", ""])
            arguments[unit] = value
        elif words.chance(0.6):
            optional = (unit,)
        else:
            arguments[unit] = "celsius"
    return Offer(name, words.pick(WEATHER_ABOUT), properties, question, arguments, optional)


def coordinate_tool(words: Words) -> Offer:
    city = words.pick(list(COORDINATES))
    latitude, longitude = COORDINATES[city]
    return Offer("get_weather", "Get current temperature for provided coordinates.",
                 {"latitude": NUMBER, "longitude": NUMBER}, words.pick(WEATHER).format(city),
                 {"latitude": latitude, "longitude": longitude})  # fmt: skip


def search_tool(words: Words) -> Offer:
    query = words.phrase(1, 4)
    if words.chance(0.3):
        query = words.pick(["latest news about ", "history of ", "price of "]) + words.noun()
    name, about, forms = words.pick(
        [("search", "Search the web", ["Search for {}", "Search the web for {}.", "Look up {}"]),
         ("web_search", "Search the web",
          ["Search the web for {}", "Find {} on the web.", "Google {}", "Search online for {}."]),
         ("file_search", "Search the files",
          ["Find {} in my files.", "Search the files for {}", "Look for {} in the documents."]),
         ("search_docs", "Search the docs", ["Search the docs for {}", "Find {} in the docs."]),
         ("search_knowledge_base", "Query a knowledge base",
          ["Find {} in the knowledge base.", "Search the knowledge base for {}"])]
    )  # fmt: skip
    key = words.pick(["query", "query", "q", "text", "search_term"])
    return Offer(name, about, {key: TEXT}, words.pick(forms).format(query), {key: query})


def email_tool(words: Words) -> Offer:
    to, subject = words.email(), words.phrase(1, 3).lower()
    forms = ["Send an email to {0} about {1}.", "Email {0} with subject {1}.",
             "Write to {0} about {1}",
             "Can you send an email to {0} about {1}?"]  # fmt: skip
    keys = words.pick([("to", "subject"), ("recipient", "subject"), ("to", "body")])
    question = words.pick(forms).format(to, subject)
    if keys[1] == "body" or words.chance(0.2):
        question = f"Send an email to {to} saying {subject}."
        keys = (keys[0], "body")
    properties = {keys[0]: TEXT, keys[1]: TEXT}
    return Offer("send_email", words.pick(["Send an email", "Send an email to a given recipient"]),
                 properties, question, {keys[0]: to, keys[1]: subject})  # fmt: skip


def sum_tool(words: Words) -> Offer:
    """Arithmetic belongs to a tool: a named operation or an expression."""
    a, b = words.number(), words.number()
    if words.chance(0.5):
        sign = words.pick(["+", "-", "*", "/"])
        text = words.pick([f"{a} {sign} {b}", f"{a}{sign}{b}"])
        forms = ["What is {}?", "Calculate {}", "Compute {}.", "{}",
                 "How much is {}?", "What's {}?",
                 "Use the calculator: {}", "{} = ?"]  # fmt: skip
        name = words.pick(["calculate", "calculator", "evaluate", "math", "compute"])
        about = words.pick(["Evaluate an expression", "Calculate an expression", "A calculator"])
        question = words.pick(forms).format(text)
        return Offer(name, about, {"expression": TEXT}, question, {"expression": text})
    name, forms = words.pick(
        [("add", ["Add {0} and {1}.", "What is {0} plus {1}?", "Sum {0} and {1}", "{0} + {1}",
                  "What is {0} + {1}?", "What is the sum of {0} and {1}?"]),
         ("multiply", ["Multiply {0} by {1}.", "What is {0} times {1}?", "{0} * {1}",
                       "What is {0} * {1}?"]),
         ("subtract", ["What is {0} minus {1}?", "{0} - {1}", "What is {0} - {1}?"]),
         ("divide", ["Divide {0} by {1}.", "{0} / {1}", "What is {0} divided by {1}?"])]
    )  # fmt: skip
    keys = words.pick([("a", "b"), ("a", "b"), ("x", "y"), ("first", "second")])
    schema = words.pick([WHOLE, NUMBER])
    return Offer(name, f"{name.capitalize()} two numbers", {keys[0]: schema, keys[1]: schema},
                 words.pick(forms).format(a, b), {keys[0]: a, keys[1]: b})  # fmt: skip


def small_tool(words: Words) -> Offer:
    """Assorted tools with one or two arguments."""
    minutes, name, noun = words.between(1, 90), words.name(), words.noun()
    count, sign, other = words.between(2, 50), words.pick(SIGNS), words.city()
    dice = words.pick([f"{words.between(1, 9)}d{words.between(2, 20)}",
                       f"{words.between(1, 9)}d6+{words.between(1, 9)}"])  # fmt: skip
    dice_key = words.pick(["expression", "dice", "diceRollExpression"])
    code = words.pick([f"print({count})", f"{noun} = {count}", f"len('{noun}')", f"{count} + 1"])
    task, done = words.phrase(1, 3).lower(), words.chance(0.5)
    city = words.city()
    return words.pick(
        [Offer("set_timer", "Set a timer", {"minutes": WHOLE}, words.pick(
            ["Set a timer for {} minutes.",
             "Timer {} minutes please", "Start a timer for {} minutes"]
         ).format(minutes), {"minutes": minutes}),
         Offer("get_user", "Look up a user", {"name": TEXT}, words.pick(
            ["Who is {}? Look up the user.", "Find the user {}.", "Look up {} in the users."]
         ).format(name), {"name": name}),
         Offer("create_order", "Create an order", {"product": TEXT, "quantity": WHOLE}, words.pick(
            ["Order {1} {0}s.", "Please order {1} {0}s.",
             "Create an order for {1} {0}s", "Buy {1} {0}s"]
         ).format(noun, count), {"product": noun + "s", "quantity": count}),
         Offer("get_horoscope", "Get today's horoscope for an astrological sign.", {"sign": TEXT},
               words.pick(["What is my horoscope? I am an {}.",
                           "My sign is {}. What is my horoscope?",
                           "Horoscope for {}", "I am a {}. Tell me my horoscope."]).format(sign),
               {"sign": sign}),
         Offer("roll", "Roll dice", {dice_key: TEXT}, words.pick(
             ["Roll {}", "Please roll {}.", "Roll {} for me"]).format(dice), {dice_key: dice}),
         Offer("run_python", "Run Python code", {"code": TEXT}, words.pick(
             ["Run this code: {}", "Run the Python code {}", "Execute {}"]).format(code),
             {"code": code}),
         Offer("add_task", "Add a task to the list", {"title": TEXT, "urgent": {"type": "boolean"}},
               f"Add the {'urgent ' if done else ''}task {task}.", {"title": task, "urgent": done}),
         Offer("set_light", "Switch the light", {"on": {"type": "boolean"}},
               f"{words.pick(['Turn', 'Switch'])} {'on' if done else 'off'} the light"
               + words.pick([".", " please.", ""]), {"on": done}),
         Offer("book_flight", "Book a flight", {"origin": TEXT, "destination": TEXT},
               words.pick(["Book a flight from {} to {}.", "Fly from {} to {}",
                           "I need a flight from {} to {}."]).format(other, city),
               {"origin": other, "destination": city}),
         ]
    )  # fmt: skip


def image_tool(words: Words) -> Offer:
    prompt = f"{words.pick(['a', 'one'])} {words.adjective()} {words.pick(ANIMALS)}"
    forms = [
        "Generate an image of {}.",
        "Draw {}.",
        "Make a picture of {}",
        "Create an image of {}",
    ]
    name = words.pick(["generate_image", "image_generation", "create_image"])
    return Offer(name, "Make an image", {"prompt": TEXT}, words.pick(forms).format(prompt),
                 {"prompt": prompt})  # fmt: skip


def list_tool(words: Words) -> Offer:
    """A list, an enum or an object as argument."""
    kind = words.pick(["list", "names", "enum", "object", "pair"])
    if kind == "list":
        items = [words.noun() for _ in range(words.between(1, 4))]
        text = ", ".join(items[:-1]) + " and " + items[-1] if len(items) > 1 else items[0]
        name, key = words.pick([("add_items", "items"), ("buy", "products"), ("add_tags", "tags")])
        question = words.pick(["Add {} to the list.", "Put {} on the list.", "Add {}."]).format(
            text
        )
        return Offer(name, "Add things to a list", {key: {"type": "array", "items": TEXT}},
                     question, {key: items})  # fmt: skip
    if kind == "names":
        people = [words.name() for _ in range(words.between(1, 3))]
        text = " and ".join(people)
        day = words.pick(["Monday", "Tuesday", "Friday", "Sunday"])
        key = words.pick(["attendees", "participants", "people"])
        question = words.pick(["Schedule a meeting with {} on {}.", "Book a meeting with {} on {}"])
        return Offer("create_event", "Create a calendar event",
                     {key: {"type": "array", "items": TEXT}, "day": TEXT},
                     question.format(text, day), {key: people, "day": day})  # fmt: skip
    if kind == "enum":
        level = words.pick(["low", "medium", "high"])
        title = words.phrase(1, 3).lower()
        return Offer("create_ticket", "Create a ticket",
                     {"title": TEXT, "priority": LEVELS},
                     words.pick([f"Create a ticket {title} with {level} priority.",
                                 f"Open a {level} priority ticket: {title}"]),
                     {"title": title, "priority": level})  # fmt: skip
    name, age, city = words.name(), words.between(1, 99), words.city()
    if kind == "pair":
        properties = {"name": TEXT, "age": WHOLE}
        return Offer("save_person", "Save a person", properties,
                     words.pick([f"Save {name}, {age} years old.", f"Save {name} who is {age}."]),
                     {"name": name, "age": age})  # fmt: skip
    inner = {
        "type": "object",
        "properties": {"name": TEXT, "city": TEXT},
        "required": ["name", "city"],
    }
    key = words.pick(["user", "customer", "person"])
    return Offer(f"create_{key}", f"Create a {key}", {key: inner},
                 words.pick([f"Create a {key} {name} from {city}.",
                             f"Add the {key} {name} in {city}."]),
                 {key: {"name": name, "city": city}})  # fmt: skip


def handoff_tool(words: Words) -> Offer:
    """A transfer to another agent: no arguments."""
    desk = words.pick(["billing", "support", "sales", "refund", "spanish", words.noun()])
    desk = desk.replace(" ", "_")
    about = f"Handoff to the {desk}_agent agent to handle the request."
    question = words.pick([f"I want to talk to the {desk} agent.", f"Transfer me to {desk}.",
                           f"Connect me to {desk} please", f"I have a {desk} question.",
                           f"I need help with {desk}."])  # fmt: skip
    return Offer(f"transfer_to_{desk}_agent", about, {}, question, {})


def random_tool(words: Words) -> Offer:
    """An invented tool, named and called in general terms."""
    verb, noun = words.pick(VERBS), words.noun().replace(" ", "_")
    name = words.pick([f"{verb}_{noun}", f"{verb}_{noun}", f"{noun}_{verb}", words.invented(),
                       f"{words.invented()}_{noun}", f"{verb}{noun.capitalize()}",
                       f"{words.invented()}__{verb}_{noun}", f"{verb}-{noun}"])  # fmt: skip
    values: dict = {}
    properties: dict = {}
    for _ in range(words.pick([0, 1, 1, 1, 2, 2, 3])):
        key, schema, value = _parameter(words)
        values[key], properties[key] = value, schema
    optional: tuple[str, ...] = ()
    said = dict(values)
    if words.chance(0.2):
        extra = words.pick(["limit", "language", "note", words.noun().replace(" ", "_")])
        if extra not in values and words.chance(0.6):
            properties[extra], optional = words.pick([TEXT, WHOLE]), (extra,)
        elif extra not in values:
            properties[extra], values[extra] = {"type": ["string", "null"]}, None
    about = (
        f"{verb.capitalize()} a {noun}" if words.chance(0.75) else words.pick(["", words.phrase()])
    )
    shown = [f"{key} {_spoken(value)}" for key, value in said.items()]
    if not shown:
        forms = [
            f"Call {name}.",
            f"Use {name}",
            f"{verb.capitalize()} the {noun}.",
            f"Run {name} please",
            f"Please use the {name} tool.",
            f"Call the {name} function",
        ]
    else:
        text = words.pick([" and ", ", "]).join(shown)
        forms = [
            f"Call {name} with {text}.",
            f"Use {name} with {text}",
            f"Run {name}: {text}",
            f"{verb.capitalize()} the {noun} with {text}.",
            f"Use the {name} tool, {text}.",
        ]
    if len(said) == 1:
        value = _spoken(next(iter(said.values())))
        forms += [
            f"{verb.capitalize()} the {noun} {value}.",
            f"{verb.capitalize()} {noun} {value}",
            f"Call {name} for {value}.",
            f"Please {verb} a {noun} for {value}.",
        ]
    return Offer(name, about, properties, words.pick(forms), values, optional)


def _spoken(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(value) if isinstance(value, list) else str(value)


def _parameter(words: Words) -> tuple[str, dict, object]:
    invented = words.invented() if words.chance(0.5) else words.noun().replace(" ", "_")
    return words.pick(
        [("name", TEXT, words.name()), ("city", TEXT, words.city()), ("id", WHOLE, words.number()),
         ("count", WHOLE, words.number()), ("query", TEXT, words.phrase(1, 3)),
         ("text", TEXT, words.phrase(1, 4)), ("color", TEXT, words.color()),
         ("email", TEXT, words.email()), (invented, TEXT, words.phrase(1, 3).lower()),
         (invented, TEXT, words.word()), ("amount", NUMBER, words.decimal()),
         ("id", TEXT, f"{words.pick(['A', 'X', 'id_', 'order_'])}{words.number()}"),
         ("enabled", {"type": "boolean"}, words.chance(0.5)),
         ("input", TEXT, words.phrase(1, 4)),
         ("tags", {"type": "array", "items": TEXT}, [words.noun(), words.noun()])]
    )  # fmt: skip


MAKERS = [place_tool, place_tool, place_tool, search_tool, search_tool, email_tool, sum_tool,
          sum_tool, small_tool, small_tool, small_tool, list_tool, list_tool, handoff_tool,
          image_tool, coordinate_tool]  # fmt: skip


def offer(words: Words) -> Offer:
    if words.unseen or words.chance(0.45):
        return random_tool(words)
    return words.pick(MAKERS)(words)
