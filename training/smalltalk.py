# ruff: noqa: SIM905 - word lists read better as one string
"""Families without tools or JSON: greetings, identity, echo, small facts, stories, fallback."""

from training.dialogue import Dialogue, Turn, assistant, user
from training.words import (
    ANIMALS,
    COUNTRIES,
    DAYS,
    LANGUAGES,
    MONTHS,
    PROGRAMMING,
    VERBS,
    Words,
)

FALLBACK = (
    "I am demo-antiphon, a tiny demo model, and cannot answer that. Please connect a larger model."
)
IDENTITY = "I am demo-antiphon, a tiny built-in demo model."
ABILITIES = (
    "I can greet, repeat text, remember what you tell me, extract JSON, call tools and answer "
    "from their results. For anything else, please connect a larger model."
)
HELP = "Hello! How can I help you?"
JOKE = "Why did the tiny model cross the road? It forgot."
NUMBER_WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen
fourteen fifteen sixteen seventeen eighteen nineteen twenty""".split()
OPPOSITES = {
    "hot": "cold", "big": "small", "fast": "slow", "old": "new", "dark": "bright", "up": "down",
    "left": "right", "open": "closed", "full": "empty", "happy": "sad", "wet": "dry",
    "early": "late",
    "loud": "quiet",
    "day": "night", "yes": "no", "good": "bad", "black": "white", "hard": "soft", "true": "false",
}  # fmt: skip
GREETINGS = {
    "Hello!": "Say hello|Say hello!|Please say hello|Can you say hello?|Greet me|Greet me please"
    "|Just say hello|Could you say hello to me?|Say hello.|Say hello in one word",
    "Hi!": "Say hi|Say hi!|Please say hi|Just say hi.|Can you say hi?",
    HELP: "Hello|Hi|Hey|Hey there|Hello there!|Hi there|Hello!|Hi!|Hello, how can you help me?"
    "|Hello, world!|Hello world|Hello World!|hello world|Hola|Greetings|Yo|Hello assistant"
    "|Bonjour|Guten Tag|Hallo|Ciao|Salut|Hi, I have a question.|Hello, are you there?"
    "|Are you there?|Can you help me?|Hiya",
    "Good morning! How can I help you?": "Good morning|Good morning!|Morning",
    "Good evening! How can I help you?": "Good evening|Good evening!",
    "Good afternoon! How can I help you?": "Good afternoon|Good afternoon!",
    "Good night!": "Good night|Good night!|Sleep well",
    "I am fine, thank you. How can I help you?": "How are you?|How are you doing?|How is it going?"
    "|How do you do?|Hello, how are you?|Hi, how are you?|How are you today?|What's up?",
    "You are welcome!": "Thanks!|Thank you|Thanks|Thank you very much!|Thanks a lot|Great, thanks!"
    "|Thank you for your help.|Perfect, thank you",
    "Goodbye!": "Bye|Goodbye!|Goodbye|See you later|Bye bye|Say goodbye|Say bye",
    "pong": "ping|Ping|ping!|Ping?",
    "The test works. How can I help you?": "test|Test|testing|Just a test|This is only a test"
    "|Testing 1 2 3|test message|A quick test",
    "Who is there?": "knock knock|Knock knock.|Knock, knock!|knock knock knock",
    "Okay!": "Ok|Okay|OK|I see|Cool|Nice|Great!|Good|Sure|Alright|Fine|Got it|Understood|Yes|No",
    "Congratulations!": "Today is my birthday.|I got a new job!|I passed the exam!|I won!",
}
WHO = """Who are you?|What are you?|What is your name?|What's your name?|Which model are you?
|Are you a human?|Are you GPT?|Tell me about yourself.|What model is this?|What model are you?
|Introduce yourself.|Are you a robot?|Are you ChatGPT?|What is this?|Who am I talking to?
|Do you have a name?|Who made you?|Which model am I talking to?|Are you real?|Are you an AI?
|What kind of model are you?
|Please introduce yourself|Hi, who are you?|Hello, what are you?
|What is demo-antiphon?""".replace("\n", "").split("|")
CAN_DO = """What can you do?|Help|How can you help me?|What are you able to do?
|What are your skills?|What can I ask you?|What do you know?|Show me what you can do.
|What are your abilities?|help me|What can I do with you?
|How do I use you?""".replace("\n", "").split("|")
VERBATIM = """Repeat after me: {}|Say: {}|Repeat: {}|Echo {}|Echo: {}|Repeat this: {}
|Say exactly: {}|Say "{}"|Repeat "{}"|Reply with {}|Answer with the word {}|Please repeat: {}
|Output {}|Print {}|Reply with exactly "{}"|Respond with: {}|Echo this back: {}|Say '{}'
|Say '{}'.|Repeat '{}'|Reply with only: {}|Return only {}|Say the word {}|Please say "{}".
|Reply with exactly: {}|Respond with exactly '{}'|Output only: {}|Reply with the single word {}
|Respond with the word {}|Answer with exactly {}|Reply with the text {}|Just reply {}
|Say the following: {}|Write this: {}|Repeat the following text: {}|Can you repeat "{}"?
|Reply with just the word {}|Say only {}|Respond with only {}|Reply only with {}
|Please reply with {}|Please answer with "{}"|Repeat the words {}|Tell me "{}"
|Respond exactly with: {}|Copy this text: {}|Write "{}"|Write the word {}|Say just {}
|Only say {}""".replace("\n", "").split("|")
LOOSE = "Say {}|Just say {}|Please say {}|Write {}|Say {} please|Can you say {}?".split("|")
SMALL_FACTS = {
    "A week has 7 days.": "How many days are in a week?|How many days does a week have?",
    "A year has 12 months.": "How many months are in a year?|How many months does a year have?",
    "A day has 24 hours.": "How many hours are in a day?|How many hours does a day have?",
    "An hour has 60 minutes.": "How many minutes are in an hour?",
    "The sky is blue.": "What color is the sky?|Which color is the sky?",
    "Grass is green.": "What color is grass?|What color is the grass?",
    "Yes.": "Is water wet?|Is fire hot?|Is ice cold?|Is the sky blue?|Say yes|Answer yes or no: is"
    " snow cold?|Is the sun bright?",
    "No.": "Is fire cold?|Is ice hot?|Is snow black?|Say no|Is the night bright?",
    "42.": "What is the meaning of life?|What is the answer to life, the universe and everything?",
    "Yes, semicolons are optional in most JavaScript code.": ""
    "Are semicolons optional in JavaScript?"
    "|Do I need semicolons in JavaScript?|Are semicolons needed in JavaScript?"
    "|Does JavaScript need semicolons?|Can I omit semicolons in JavaScript?",
    JOKE: "Tell me a joke.|Tell me a joke|Do you know a joke?|Make me laugh|Tell a joke"
    "|Can you tell me a joke?|tell me a short joke|Please tell me a joke|Another joke please",
    "The joke is that a tiny model forgets things.": "Explain the joke.|Why is that funny?"
    "|explain why this is funny.|I do not get the joke.|Explain why that is funny.",
    "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z": "Say the alphabet|List the alphabet."
    "|Recite the alphabet|Write the alphabet.",
}
SERIES = {
    "fruit": "apple banana orange cherry grape lemon".split(),
    "color": "red blue green yellow black white".split(),
    "animal": "tiger rabbit horse sheep eagle turtle".split(),
    "day": DAYS,
    "month": MONTHS[:6],
}
STORY = (
    "Once upon a time there was {a} {x}.",
    "Every night the {x} looked at the stars and made a wish.",
    "Then the {x} closed its eyes and slept happily.",
)


def _choice(words: Words, table: dict[str, str]) -> tuple[str, str]:
    answer = words.pick(list(table))
    return words.pick(table[answer].split("|")), answer


def _pair(words: Words, question: str, answer: str) -> Dialogue:
    return Dialogue([user(words.casual(question)), assistant(answer)])


def greet(words: Words) -> Dialogue:
    if words.chance(0.25):
        name = words.name()
        forms = [
            (f"Say hello to {name}", f"Hello, {name}!"),
            (f"Greet {name}.", f"Hello, {name}!"),
            (f"Please greet {name}", f"Hello, {name}!"),
            (f"Say goodbye to {name}", f"Goodbye, {name}!"),
            (f"Say hi to {name}.", f"Hi, {name}!"),
            (f"Say hello to my friend {name}.", f"Hello, {name}!"),
            (f"Hello {name}", HELP),
            (f"Say good morning to {name}.", f"Good morning, {name}!"),
        ]
        return _pair(words, *words.pick(forms))
    return _pair(words, *_choice(words, GREETINGS))


def identity(words: Words) -> Dialogue:
    if words.chance(0.3):
        return _pair(words, words.pick(CAN_DO), ABILITIES)
    return _pair(words, words.pick(WHO), IDENTITY)


def echo(words: Words) -> Dialogue:
    kind = words.random.random()
    if kind < 0.2:
        text = words.statement()
        answer = text[0].upper() + text[1:] + "."
        return Dialogue([user(words.casual(words.pick(LOOSE).format(text))), assistant(answer)])
    if kind < 0.3:
        text, count = words.phrase(1, 3), words.between(2, 10)
        shown = words.pick([str(count), NUMBER_WORDS[count]])
        question = words.pick(
            [f"Say '{text}' {shown} times fast.", f'Say "{text}" {shown} times.',
             f"Repeat '{text}' {shown} times.", f"Write {text} {shown} times",
             f'Repeat the phrase "{text}" {shown} times.']
        )  # fmt: skip
        return Dialogue([user(question), assistant(", ".join([text] * count))])
    text = words.sentence() if kind > 0.75 else words.phrase()
    if words.chance(0.05):
        text = words.foreign()
    elif words.chance(0.08):
        text = words.phrase(6, 14)
    if kind > 0.93:
        text = words.pick(["OK", "yes", "no", "hello", "pong", "done", "true", words.email()])
    template = words.pick(VERBATIM if words.chance(0.8) or kind > 0.75 else LOOSE)
    return Dialogue([user(template.format(text)), assistant(text)])


def facts(words: Words) -> Dialogue:
    kind = words.between(0, 9)
    if kind == 0:
        country = words.pick(list(COUNTRIES))
        forms = ["What is the capital of {}?", "Capital of {}?", "What's the capital city of {}?",
                 "Which city is the capital of {}?", "Name the capital of {}.",
                 "Tell me the capital of {}"]  # fmt: skip
        answer = f"The capital of {country} is {COUNTRIES[country]}."
        return _pair(words, words.pick(forms).format(country), answer)
    if kind == 1:
        word = words.pick(list(OPPOSITES))
        form = words.pick(["What is the opposite of {}?", "Opposite of {}?"])
        return _pair(words, form.format(word), f"The opposite of {word} is {OPPOSITES[word]}.")
    if kind == 2:
        names = words.pick([DAYS, MONTHS])
        index, label = words.between(0, len(names) - 1), "day" if names is DAYS else "month"
        answer = f"{names[(index + 1) % len(names)]} comes after {names[index]}."
        return _pair(words, f"Which {label} comes after {names[index]}?", answer)
    if kind in (3, 4):
        return count(words)
    if kind == 5:
        series = words.pick(list(SERIES))
        size = words.between(2, 5)
        start = words.pick(["List", "Name", "Give me", "Tell me"])
        shown = words.pick([str(size), NUMBER_WORDS[size]])
        answer = ", ".join(SERIES[series][:size])
        return _pair(words, f"{start} {shown} {series}s.", answer)
    if kind == 6:
        return reading(words)
    return _pair(words, *_choice(words, SMALL_FACTS))


def count(words: Words) -> Dialogue:
    end = words.between(2, 10) if words.chance(0.7) else words.between(11, 20)
    shown = words.pick([str(end), NUMBER_WORDS[end]])
    forms = ["Count to {}.", "Count from 1 to {}.", "Count from one to {}", "Please count to {}",
             "Can you count to {}?", "Count up to {}"]  # fmt: skip
    answer = ", ".join(str(number) for number in range(1, end + 1))
    return _pair(words, words.pick(forms).format(shown), answer)


def reading(words: Words) -> Dialogue:
    """Two facts and a question about one of them."""
    subjects = [f"The {words.noun()}", f"The {words.noun()}"]
    if words.chance(0.5):
        subjects = [words.name(), words.name()]
    verb, place, question = words.pick(
        [("is in", lambda: "the " + words.noun(), "Where is {}?"),
         ("lives in", words.city, "Where does {} live?"),
         ("is", words.color, "What color is {}?"),
         ("costs", lambda: f"{words.number()} dollars", "How much does {} cost?"),
         ("likes", words.noun, "What does {} like?")]
    )  # fmt: skip
    lines = [f"{subject} {verb} {place()}." for subject in subjects]
    asked = words.between(0, 1)
    subject = subjects[asked].replace("The ", "the ")
    text = " ".join(lines)
    question = question.format(subject)
    form = words.pick([f"{text} {question}", f"{text}\n{question}", f"{question} {text}"])
    return Dialogue([user(form), assistant(lines[asked])])


def _article(word: str) -> str:
    return "an" if word[0].lower() in "aeiou" else "a"


def story(words: Words) -> Dialogue:
    """A canned story with the user's hero, as long as asked."""
    hero = words.pick(ANIMALS) if words.chance(0.4) else words.thing()
    size = words.between(1, 3)
    label = words.pick(
        [f"{NUMBER_WORDS[size]} sentence", f"{NUMBER_WORDS[size]}-sentence", f"{size} sentence"]
    )
    if words.chance(0.4):
        size, label = 3, words.pick(["short", "", "little", "nice"])
    kind = words.pick(["bedtime story", "story", "tale", "bedtime story"])
    start = words.pick(["Tell me a", "Write a", "Can you tell me a", "Give me a", "Tell a"])
    question = f"{start} {label} {kind} about {_article(hero)} {hero}.".replace("  ", " ")
    if words.chance(0.15):
        hero = words.noun()
        question = f"{start} {label} {kind} about {hero}s.".replace("  ", " ")
    lines = [line.format(a=_article(hero), x=hero) for line in STORY]
    return _pair(words, question, " ".join(lines[:size]))


def poem(words: Words) -> Dialogue:
    topic = words.thing()
    kind = words.pick(["poem", "short poem", "haiku", "rhyme", "little poem", "song", "limerick"])
    start = words.pick(["Write a", "Write me a", "Give me a", "Compose a", "Tell me a"])
    about = words.pick([f"about the {topic}", f"about {_article(topic)} {topic}", f"about {topic}"])
    lines = (
        f"The {topic} is quiet,\nthe {topic} is bright,\nit wishes you luck\nand a very good night."
    )
    return _pair(words, f"{start} {kind} {about}.", lines)


def operation(words: Words) -> Dialogue:
    """Small changes of a text: case, first and last word, number of words."""
    text = words.phrase(1, 4)
    parts = text.split()
    forms = [
        ("Write in uppercase: {}", text.upper()), ("Uppercase: {}", text.upper()),
        ("Convert to uppercase: {}", text.upper()), ("Make this lowercase: {}", text.lower()),
        ("What is the first word of: {}", parts[0]), ("What is the last word of: {}", parts[-1]),
        ("How many words are in: {}", str(len(parts))), ("Say {} in uppercase", text.upper()),
    ]  # fmt: skip
    question, answer = words.pick(forms)
    return Dialogue([user(words.casual(question.format(text))), assistant(answer)])


def _sum_question(words: Words) -> str:
    a, b = words.number(), words.number()
    sign, name = words.pick([("+", "plus"), ("-", "minus"), ("*", "times"), ("/", "divided by")])
    return words.pick(
        [f"What is {a} {sign} {b}?", f"What's {a}{sign}{b}?", f"{a} {sign} {b}", f"{a}{sign}{b}=?",
         f"What is {a} {name} {b}?", f"Calculate {a} {sign} {b}.", f"How much is {a} {name} {b}?",
         f"Compute {a}{sign}{b}", f"Solve {a}x {sign} {b} = {words.number()}",
         f"What is the square root of {a}?", f"Is {a} a prime number?", f"Add {a} and {b}.",
         f"how can I solve {a}x + {b} = -{words.number()}", f"Multiply {a} by {b}."]
    )  # fmt: skip


def _open_question(words: Words) -> str:
    """A question or task that only a larger model can answer."""
    noun, other, verb = words.noun(), words.noun(), words.pick(VERBS)
    name, city, thing = words.name(), words.city(), words.thing()
    language, code = words.pick(LANGUAGES), words.pick(PROGRAMMING)
    work = words.pick(["novel", "essay", "blog post", "report", "program", "letter", "speech",
                       "paragraph", "article", "summary", "plan", "review", "tweet"])  # fmt: skip
    return words.pick(
        [f"Write a {work} about {thing}.", f"Explain {thing} to me.", f"How does a {noun} work?",
         f"Why do {noun}s {verb}?", f"Who invented the {noun}?", f"How do I {verb} a {noun}?",
         f"What do you think about {name}?", f"Summarize the history of {city}.",
         f"How do I {verb} a {noun} in {code}?", f"Write a {code} function to {verb} {noun}s.",
         f"When was {name} born?", f"Translate '{words.phrase(1, 3)}' to {language}.",
         f"How do you say {noun} in {language}?", f"Should I {verb} the {noun}?",
         f"Compare {noun} and {other}.", f"What is the difference between {noun} and {other}?",
         f"What is {noun}?", f"What is a {thing}?", f"What are {noun}s?", f"Who is {name}?",
         f"Who was {words.full_name()}?", f"Why is the {noun} {words.adjective()}?",
         f"How much {noun} would it take to {verb} the {other} of {city}?", f"Explain {code}.",
         f"What is the best {noun} in {city}?", f"Give me a recipe for {noun} {other}.",
         f"Write a {code} program that {verb}s a {noun}.", f"What happened in {words.number()}?",
         f"Where can I buy a {noun}?", f"When does the {noun} {verb}?", f"Plan a trip to {city}.",
         f"What was a positive {noun} story from today?", f"Is {noun} better than {other}?",
         f"What is in this {words.pick(['image', 'picture', 'photo', 'file', 'document'])}?",
         f"Describe the {noun}.", f"Can you {verb} my {noun}?", f"Fix this {code} code: {noun}()",
         f"How many {noun}s are in the {other}?",
         f"Give me {words.between(3, 20)} ideas for a {noun}",
         f"What is the population of {city}?", f"What is the weather like in {city}?",
         f"Weather in {city}?", f"How far is {city} from {words.city()}?",
         f"What time is it in {city}?",
         "What time is it?", "What day is it today?", "What's the weather like today?",
         f"What is the latest news about {noun}?", f"Generate a list of {noun}s.",
         f"Tell me about {thing}.", f"Tell me something about {city}.", f"Describe {city}.",
         f"I have a problem with my {noun}. What should I do?", f"Book a {noun} to {city}.",
         f"How tall is {name}?", f"Why did {name} {verb} the {noun}?", f"Teach me {language}.",
         f"Debug my {code} program.", f"What does {words.invented()} mean?", f"Define {noun}.",
         f"Let's talk about {thing}.", f"Search for {thing}", f"Send an email to {name}.",
         f"Set a timer for {words.between(1, 60)} minutes.", f"Roll {words.between(1, 9)}d6.",
         f"What are the main differences between {noun} and {other} in {code}?",
         f"{words.sentence()} What does that mean?", f"Who won the {noun} in {words.number()}?",
         f"Give me a synonym for {words.adjective()}.", f"Improve this text: {words.sentence()}",
         f"Summarize: {words.sentence()} {words.sentence()}", _sum_question(words)]
    )  # fmt: skip


def fallback(words: Words) -> Dialogue:
    if words.chance(0.06):
        likes = f"I {words.pick(['like', 'have', 'want', 'saw', 'need'])} a {words.thing()}."
        return _pair(words, words.pick([likes, words.sentence()]), "Okay!")
    question = _sum_question(words) if words.chance(0.15) else _open_question(words)
    if words.chance(0.04):
        long_text = " ".join(words.sentence() for _ in range(words.between(4, 40)))
        question = words.pick([f"{question}\n\n{long_text}", f"{long_text}\n{question}", long_text,
                               f"Summarize this text:\n{long_text}"])  # fmt: skip
    elif words.chance(0.04):
        question = words.pick([words.foreign(), words.foreign() + "?",
                               f"Count to {words.between(30, 1000)}"])  # fmt: skip
    elif words.chance(0.1):
        question = words.pick(["Please", "Hi,", "Hello,", "Hey,"]) + " " + question
    return _pair(words, question, FALLBACK)


def small(words: Words) -> list[Turn]:
    """One short exchange of any plain family."""
    family = words.pick([greet, echo, facts, identity, fallback, fallback, echo])
    return family(words).turns
