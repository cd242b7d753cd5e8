"""All families with their shares, and the source of dialogues."""

from collections.abc import Callable

from training import extraction, recall, smalltalk, style, tool_calls
from training.dialogue import Dialogue
from training.words import Words

FAMILIES: dict[str, tuple[Callable[[Words], Dialogue], float]] = {
    "greeting": (smalltalk.greet, 5),
    "identity": (smalltalk.identity, 3),
    "echo": (smalltalk.echo, 10),
    "small facts": (smalltalk.facts, 8),
    "story and poem": (
        lambda words: (smalltalk.story if words.chance(0.7) else smalltalk.poem)(words),
        2.5,
    ),
    "text operation": (smalltalk.operation, 2.5),
    "fallback": (smalltalk.fallback, 8),
    "recall": (recall.recall, 14),
    "recall over a long text": (recall.long_recall, 0.5),
    "style": (style.style, 9),
    "extraction": (extraction.extraction, 18),
    "tool use": (tool_calls.tool_use, 26),
}


class Source:
    """An endless, seeded stream of dialogues."""

    def __init__(self, seed: int, unseen: bool = False) -> None:
        self.words = Words(seed, unseen)
        self._names = list(FAMILIES)
        self._shares = [share for _, share in FAMILIES.values()]

    def sample(self, family: str | None = None) -> tuple[str, Dialogue]:
        name = family or self.words.random.choices(self._names, self._shares)[0]
        return name, FAMILIES[name][0](self.words)
