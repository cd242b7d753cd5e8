"""A search for tools by words: BM25 over names, descriptions, parameters and namespaces.

Deterministic and small: what is searched is what one request declares, a few hundred tools at
most, so the index is made when it is first asked.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from antiphon.tools.base import Found, ToolFailed
from antiphon.types.tools import CallableTool, FunctionTool, NamespaceTool

FOUND_MAX = 5
"""Tools one search loads at most."""
ABOUT_LENGTH_MAX = 300
"""Characters of a namespace's description in that of the search."""

QUERY = {
    "type": "object",
    "properties": {
        "query": {
            "type": "string",
            "description": "What the tool should do, in a few words, or a part of its name.",
        }
    },
    "required": ["query"],
    "additionalProperties": False,
}
"""What a search takes."""

_SATURATION = 1.2
_LENGTH_SHARE = 0.75
_WEIGHTS = {"name": 4, "namespace": 2, "text": 1}
_SHARE_OF_BEST = 0.3
"""What scores less than this share of the best is no find."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\dA-Za-z_]+")
_DEPTH_MAX = 4


class Entry(Struct, frozen=True):
    """A tool that can be found, as it was declared, and the namespace it is in; or one of an MCP
    ``server``, by its label."""

    tool: CallableTool
    namespace: str = ""
    about: str = ""
    server: bool = False

    @property
    def group(self) -> str:
        """Where it is, in words; nothing if it is nowhere."""
        if not self.namespace:
            return ""
        return f"{'MCP server' if self.server else 'namespace'} '{self.namespace}'"


class ToolSearch:
    """The search as a tool of the server's. Its calls have no effect, so they may be repeated."""

    name = "tool_search"
    again = True
    parameters: dict[str, Any] | None = QUERY

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._counts: list[Counter[str]] | None = None
        self.description: str | None = _overview(entries)

    async def call(self, arguments: str, *, key: str) -> Found:
        """Tools that fit the ``query`` best, the best first. Raises ``ToolFailed``."""
        try:
            asked = msgspec.json.decode(arguments, type=_Asked)
        except msgspec.DecodeError as problem:
            raise ToolFailed(f"The search takes one string, 'query': {problem}") from None
        return Found(definitions(self.found(asked.query)))

    async def close(self) -> None:
        """Nothing is open."""

    def having(self, more: Sequence[Entry]) -> ToolSearch:
        """A search that finds these as well."""
        return ToolSearch([*self._entries, *more])

    def found(self, query: str) -> list[Entry]:
        """The entries that fit, the best first, those declared first among equals."""
        scores = self._scores(terms(query))
        best = max(scores, default=0.0)
        if best <= 0:
            return []
        order = sorted(range(len(scores)), key=lambda at: (-scores[at], at))
        fitting = [at for at in order if scores[at] >= best * _SHARE_OF_BEST]
        return [self._entries[at] for at in fitting[:FOUND_MAX]]

    def _scores(self, query: Sequence[str]) -> list[float]:
        if self._counts is None:
            self._counts = [_counted(entry) for entry in self._entries]
        counts = self._counts
        sizes = [count.total() for count in counts]
        usual = (sum(sizes) / len(sizes) if sizes else 0) or 1.0
        scores = [0.0] * len(counts)
        for term in dict.fromkeys(query):
            having = sum(term in count for count in counts)
            rarity = math.log(1 + (len(counts) - having + 0.5) / (having + 0.5))
            for at, count in enumerate(counts):
                times = count.get(term, 0)
                if times:
                    length = 1 - _LENGTH_SHARE + _LENGTH_SHARE * sizes[at] / usual
                    scores[at] += (
                        rarity * times * (_SATURATION + 1) / (times + _SATURATION * length)
                    )
        return scores


def _overview(entries: Sequence[Entry]) -> str:
    """What can be found, without the definitions."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.group, []).append(entry)
    lines = [
        f"- {_count(len(members))} in the {name}: {_shortened(members[0].about)}".rstrip(": ")
        for name, members in groups.items()
        if name
    ]
    if "" in groups:
        lines.append(f"- {_count(len(groups['']))} without a namespace")
    return "\n".join(
        [
            "Search for tools that are not shown yet. What it finds can be called afterwards; at "
            f"most {FOUND_MAX} tools are found at a time. There are:",
            *(lines or ["- no such tools"]),
        ]
    )


class _Asked(Struct):
    query: str


def definitions(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """The tools as a ``tool_search_output`` has them: those of a namespace inside it, those of an
    MCP server by their names."""
    groups: dict[tuple[str, int], list[Entry]] = {}
    for number, entry in enumerate(entries):
        alone = number + 1 if not entry.namespace else 0
        groups.setdefault((entry.group, alone), []).append(entry)
    return [_definition(members) for members in groups.values()]


def _definition(members: Sequence[Entry]) -> dict[str, Any]:
    first = members[0]
    tools = [entry.tool for entry in members]
    found: dict[str, Any]
    if first.server:
        names = [tool.name for tool in tools]
        found = {"type": "mcp", "server_label": first.namespace, "allowed_tools": names}
        return {**found, "defer_loading": True}
    if first.namespace:
        found = msgspec.to_builtins(NamespaceTool(first.namespace, first.about, tools))
    else:
        found = msgspec.to_builtins(first.tool)
    return found


def terms(text: str) -> list[str]:
    """The words of a text or a name (``getUser_id`` → get, user, id), without their endings."""
    return [_stem(word.lower()) for word in _WORD.findall(text)]


def _stem(word: str) -> str:
    for ending in ("ing", "ies", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word.removesuffix("e") if len(word) > 3 else word


def _counted(entry: Entry) -> Counter[str]:
    """How much each word says of a tool: one of its name more than one of its description."""
    tool = entry.tool
    said = [tool.description or "", entry.about]
    if isinstance(tool, FunctionTool):
        said += _parameters(tool.parameters or {})
    count: Counter[str] = Counter()
    for words, weight in (
        (tool.name, _WEIGHTS["name"]),
        (entry.namespace, _WEIGHTS["namespace"]),
        (" ".join(said), _WEIGHTS["text"]),
    ):
        for term in terms(words):
            count[term] += weight
    return count


def _parameters(schema: Any, depth: int = 0) -> Iterator[str]:
    """The names of parameters, and what is said of them."""
    if depth > _DEPTH_MAX or not isinstance(schema, dict):
        return
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        yield str(name)
        if isinstance(inner, dict) and isinstance(inner.get("description"), str):
            yield inner["description"]
        yield from _parameters(inner, depth + 1)
    yield from _parameters(schema.get("items"), depth + 1)


def _count(number: int) -> str:
    return f"{number} tool" if number == 1 else f"{number} tools"


def _shortened(text: str) -> str:
    return text if len(text) <= ABOUT_LENGTH_MAX else text[: ABOUT_LENGTH_MAX - 1] + "…"
