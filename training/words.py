# ruff: noqa: SIM905 - word lists read better as one string
"""Word lists and a random source of words, names, numbers and phrases.

A share of the words is invented from syllables, so that the model learns to copy any
spelling instead of remembering a list. With `unseen=True` only invented words are drawn.
"""

import random
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

NAMES = """Ada Alan Alice Amir Ana Anton Aisha Ben Bella Bruno Carla Carlos Chen Clara Dana
David Diego Dora Elena Eli Emma Eric Eva Fatima Felix Fiona Frank Grace Greta Hana Hugo Ian Ines
Ivan Jack Jana Jane Jin John Jonas Julia Karl Kenji Kim Lara Leo Lena Liam Lina Luca Lucy Maria
Mario Mark Marta Max Maya Mia Mina Nadia Nico Nina Noah Nora Olga Omar Oscar Paul Petra Priya
Rafael Rosa Ruth Sam Sara Sofia Stefan Tara Theo Tom Uma Vera Victor Wei Yuki Zara Zoe Bob Eve
Sally Peter Anna Robert Linda Michael Susan James Mary Daniel Laura Thomas Sarah Jose Zoë
René""".split()
SURNAMES = """Smith Jones Brown Miller Garcia Lopez Novak Silva Kim Chen Tanaka Singh Khan Weber
Fischer Rossi Martin Dubois Berg Larsen Kowalski Murphy Clark Young King Hill Green Baker""".split()
CITIES = """Paris London Berlin Madrid Rome Oslo Vienna Prague Lisbon Dublin Athens Cairo Tokyo
Seoul Lima Quito Delhi Dhaka Boston Chicago Denver Dallas Seattle Toronto Ottawa Sydney Perth
Nairobi Lagos Accra Tunis Munich Hamburg Milan Naples Porto Seville Krakow Warsaw Riga Helsinki
Bergen Zurich Geneva Lyon Nice Brussels Moscow Kyiv Istanbul Dubai Mumbai Bangkok Hanoi Manila
Beijing Shanghai Osaka Kyoto Bogotá Santiago Havana Miami Austin Phoenix Amsterdam Barcelona
Budapest Stockholm New_York San_Francisco Los_Angeles Rio_de_Janeiro Cape_Town Hong_Kong
Mexico_City Buenos_Aires San_Diego New_Delhi São_Paulo Kuala_Lumpur Tel_Aviv Las_Vegas St._Louis
Zürich""".split()
COUNTRIES = {
    "France": "Paris", "Germany": "Berlin", "Spain": "Madrid", "Italy": "Rome", "Norway": "Oslo",
    "Austria": "Vienna", "Portugal": "Lisbon", "Ireland": "Dublin", "Greece": "Athens",
    "Egypt": "Cairo",
    "Japan": "Tokyo", "Peru": "Lima", "India": "New Delhi", "Canada": "Ottawa", "Kenya": "Nairobi",
    "Finland": "Helsinki", "Poland": "Warsaw", "Russia": "Moscow", "Thailand": "Bangkok",
    "China": "Beijing",
    "Cuba": "Havana", "Chile": "Santiago", "Belgium": "Brussels", "Sweden": "Stockholm",
    "Denmark": "Copenhagen", "Hungary": "Budapest", "Colombia": "Bogotá", "England": "London",
    "Australia": "Canberra", "Brazil": "Brasília", "Mexico": "Mexico City", "Turkey": "Ankara",
}  # fmt: skip
NOUNS = """apple bread book chair table lamp river stone cloud train ticket garden window door
bottle paper pencil phone camera guitar violin coffee tea sugar milk honey rice soup cake candle
blanket pillow mirror basket hammer ladder engine bridge tower castle forest mountain island
ocean desert valley rocket planet comet tiger rabbit horse sheep eagle parrot dolphin turtle
spider flower tree leaf root seed berry lemon orange banana grape cherry onion carrot potato
pepper tomato cheese butter report invoice letter parcel order meeting lesson project budget
contract backup server database printer laptop keyboard monitor cable router message song movie
game photo unicorn dragon robot cat dog fox whale moon star sun ship semicolon function statue
language model music history science weather dinner school bubble bath""".split()
ADJECTIVES = """red blue green yellow black white pink purple small big large tiny old new fast
slow quiet loud warm cold bright dark happy sad brave calm clever gentle heavy light round
square soft sharp sweet sour fresh dry wet clean broken open closed empty full cheap rich early
late silver golden wooden double single simple long short""".split()
COLORS = "red blue green yellow black white pink purple orange brown grey silver gold teal".split()
VERBS = """get find search create delete update send list read write open close start stop check
book cancel move copy count convert translate play show add remove save load fetch lookup""".split()
ACTIONS = """runs jumps sleeps sings works reads swims eats waits falls grows shines moves stops
helps plays cooks smiles dances listens""".split()
JOBS = """baker teacher doctor nurse pilot farmer singer painter driver engineer writer lawyer
student manager designer chef developer gardener plumber scientist""".split()
ANIMALS = (
    "dog cat horse tiger rabbit sheep eagle turtle unicorn dragon fox bear owl lion whale".split()
)
EVENTS = """meeting party concert wedding lunch dinner picnic conference workshop lecture
science_fair book_fair birthday_party team_meeting dentist_appointment football_match
movie_night""".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = """January February March April May June July August September October November
December""".split()
LANGUAGES = "French German Spanish Italian Chinese Japanese Portuguese Dutch Polish".split()
PROGRAMMING = "Python JavaScript Rust Java C Go Ruby SQL TypeScript Haskell Bash HTML".split()
FIELDS = """name age city email color price quantity product title date country job id day
animal phone company code note status tag category topic size""".split()

_ONSETS = "b c d f g h j k l m n p r s t v w z br dr kr st tr pl gr sh ch th x qu".split()
_VOWELS = "a e i o u a e i o u ai ou ee é ö y".split()
_SCRIPTS = [(0x430, 0x44F), (0x3B1, 0x3C9), (0x4E00, 0x4FFF), (0x3042, 0x3093), (0x1F600, 0x1F640),
            (0x5D0, 0x5EA), (0xE0, 0xFF)]  # fmt: skip
_VOWEL_WEIGHTS = [4] * 10 + [3, 3, 3, 0.3, 0.3, 1]


class Words:
    """A seeded source of random text pieces."""

    def __init__(self, seed: int, unseen: bool = False) -> None:
        self.random = random.Random(seed)
        self.unseen = unseen

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def pick(self, items: Sequence[Item]) -> Item:
        return self.random.choice(items)

    def between(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def invented(self) -> str:
        """A word made of one to three syllables that no list holds."""
        syllables = self.pick([1, 2, 2, 2, 3])
        vowels = self.random.choices(_VOWELS, _VOWEL_WEIGHTS, k=syllables)
        word = "".join(self.pick(_ONSETS) + vowel for vowel in vowels)
        return word + self.pick(["", "", "n", "r", "s", "l", "k", "nd", "rt", "x"])

    def _mixed(self, items: list[str], invented: float) -> str:
        if self.unseen or self.chance(invented):
            return self.invented()
        return self.pick(items).replace("_", " ")

    def name(self) -> str:
        first = self._mixed(NAMES, 0.5)
        return first[0].upper() + first[1:]

    def full_name(self) -> str:
        last = self._mixed(SURNAMES, 0.4)
        return f"{self.name()} {last[0].upper()}{last[1:]}"

    def city(self) -> str:
        city = self._mixed(CITIES, 0.4)
        return city[0].upper() + city[1:]

    def country(self) -> str:
        country = self._mixed(list(COUNTRIES), 0.2)
        return country[0].upper() + country[1:]

    def noun(self) -> str:
        return self._mixed(NOUNS, 0.2)

    def adjective(self) -> str:
        return self.pick(ADJECTIVES)

    def color(self) -> str:
        return self._mixed(COLORS, 0.1)

    def word(self) -> str:
        return self._mixed(NOUNS + ADJECTIVES, 0.25)

    def thing(self) -> str:
        """A noun, or a noun with an adjective."""
        return f"{self.adjective()} {self.noun()}" if self.chance(0.4) else self.noun()

    def number(self) -> int:
        ranges = [(0, 9), (10, 99), (10, 99), (100, 999), (1000, 9999)]
        return self.between(*self.pick(ranges))

    def decimal(self) -> float:
        value = self.between(0, 999) + self.between(1, 99) / 100
        return round(value, self.pick([1, 2]))

    def phrase(self, low: int = 1, high: int = 5) -> str:
        """A few words, at times with a number or a capital."""
        words = [self.word() for _ in range(self.between(low, high))]
        if self.chance(0.15):
            words[self.between(0, len(words) - 1)] = str(self.number())
        text = " ".join(words)
        if self.chance(0.04):
            return text.upper()
        return text[0].upper() + text[1:] if self.chance(0.4) else text

    def foreign(self) -> str:
        """Letters of other scripts, or signs: copying has to work byte by byte."""
        first, last = self.pick(_SCRIPTS)
        size = self.between(1, 6)
        text = "".join(chr(self.between(first, last)) for _ in range(size))
        return f"{text} {self.word()}" if self.chance(0.3) else text

    def statement(self) -> str:
        """A short sentence without its capital and full stop."""
        subject = self.pick(["this", "that", "it", "the " + self.thing(), self.name(), "here"])
        if self.chance(0.5):
            subject = self.pick(["this", "this", "it", "the " + self.noun()])
        return self.pick(
            [
                f"{subject} is a {self.thing()}",
                f"{subject} is {self.adjective()}",
                f"{subject} is just a {self.noun()}",
                f"{subject} is the {self.noun()} of {self.name()}",
                f"the {self.thing()} {self.pick(ACTIONS)} in {self.city()}",
                f"{self.name()} likes the {self.thing()}",
                f"I am a {self.thing()}",
                f"we are {self.adjective()}",
                f"the {self.noun()} is {self.adjective()} and {self.adjective()}",
            ]
        )

    def sentence(self) -> str:
        text = self.statement()
        return text[0].upper() + text[1:] + self.pick([".", ".", ".", "!"])

    def email(self) -> str:
        return f"{self.name().lower()}@{self.word()}.{self.pick(['com', 'org', 'net', 'io'])}"

    def date(self) -> str:
        month, day = self.pick(MONTHS), self.between(1, 28)
        iso = f"20{self.between(10, 39)}-{self.between(1, 12):02d}-{day:02d}"
        return self.pick([f"{month} {day}", f"{day} {month}", iso, self.pick(DAYS)])

    def casual(self, text: str) -> str:
        """The text as people type it: at times without capital or final mark."""
        if self.chance(0.15):
            text = text[0].lower() + text[1:]
        if self.chance(0.15):
            text = text.rstrip(".?!") or text
        if self.chance(0.03):
            text = text.rstrip(".?!") + "!"
        return text
