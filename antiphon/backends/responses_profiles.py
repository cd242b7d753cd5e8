"""What kinds of servers speak the Responses API, as flags in a table.

As with ``profiles``: a quirk is a flag here and nowhere else, and ``generic`` sends only what any
of them takes. A refusal that names a field which can be spared changes the profile of that model
for this process (``without``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from antiphon.backends.base import Capabilities
from antiphon.backends.profiles import EFFORTS

CLIENT_TOOLS = frozenset(
    {
        "custom",
        "shell",
        "local_shell",
        "apply_patch",
        "computer",
        "computer_use_preview",
    }
)
"""Tools whose calls the caller answers; ``function`` is known to every server."""

HOSTED_TOOLS = frozenset(
    {
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
        "file_search",
        "code_interpreter",
        "image_generation",
    }
)
"""Tools the upstream runs itself."""

_ENFORCED = Capabilities(
    json_schema="enforced", strict_tools="enforced", tool_choice="enforced", grammar="enforced"
)


class Dialect(Struct, frozen=True, kw_only=True):
    """What one kind of server takes.

    ``native``: types of tools it knows besides ``function``; any other is sent as a function.
    ``encrypted``: it gives its reasoning encrypted and takes it back that way only.
    ``resends``: what it encrypted is sent back; not in a turn where it did not know it again.
    ``thoughts``: it takes the text of reasoning back.
    ``item_ids``: every item needs an id and a status, and a text its annotations.
    ``summaries``: takes ``reasoning.summary``. ``context``: takes ``reasoning.context``.
    ``efforts``: values of ``reasoning.effort`` it takes; empty: the field is not sent.
    ``verbosity``: takes ``text.verbosity``. ``phases``: takes the ``phase`` of a message.
    ``penalties``: takes ``presence_penalty`` and ``frequency_penalty``.
    ``plain_stream``: takes ``stream_options`` that spare the padding of its events.
    ``parallel``: takes ``parallel_tool_calls``. ``strict``: takes ``strict`` in a function.
    ``cache_key``: takes ``prompt_cache_key``. ``safety``: takes ``safety_identifier``.
    ``counts``: tells a turn's tokens at ``/responses/input_tokens``.
    ``key_header``: where the key goes; ``authorization`` gets the word Bearer before it.
    """

    native: frozenset[str] = frozenset()
    encrypted: bool = False
    resends: bool = True
    thoughts: bool = True
    item_ids: bool = False
    summaries: bool = False
    context: bool = False
    efforts: tuple[str, ...] = ("minimal", "low", "medium", "high")
    verbosity: bool = False
    phases: bool = False
    penalties: bool = False
    plain_stream: bool = False
    parallel: bool = True
    strict: bool = True
    cache_key: bool = False
    safety: bool = False
    counts: bool = False
    key_header: str = "authorization"
    capabilities: Capabilities = Capabilities()

    @property
    def unsent(self) -> frozenset[str]:
        """The API's names of the settings this kind of server has no field for."""
        names = ["seed"]  # of chat completions; the Responses API has none
        if not self.penalties:
            names += ["presence_penalty", "frequency_penalty"]
        if not self.efforts:
            names.append("reasoning.effort")
        return frozenset(names)


_OPENAI = Dialect(
    native=CLIENT_TOOLS | HOSTED_TOOLS,
    encrypted=True,
    thoughts=False,
    summaries=True,
    context=True,
    efforts=EFFORTS,
    verbosity=True,
    phases=True,
    plain_stream=True,
    cache_key=True,
    safety=True,
    counts=True,
    capabilities=_ENFORCED,
)

DIALECTS: Mapping[str, Dialect] = {
    "generic": Dialect(),
    "openai": _OPENAI,
    "azure": msgspec.structs.replace(_OPENAI, key_header="api-key", counts=False),
    "antiphon": Dialect(
        native=CLIENT_TOOLS,
        summaries=True,
        context=True,
        efforts=EFFORTS,
        verbosity=True,
        phases=True,
        penalties=True,
        cache_key=True,
        safety=True,
        counts=True,
        capabilities=_ENFORCED,
    ),
    "vllm": Dialect(
        item_ids=True,
        efforts=("none", "low", "medium", "high"),
        capabilities=Capabilities(json_schema="enforced", tool_choice="enforced"),
    ),
    "llamacpp": Dialect(efforts=(), parallel=False, strict=False),
}
"""Every kind by the name ``profile = …`` takes."""

_HOSTS = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure",
    "services.ai.azure.com": "azure",
    "cognitiveservices.azure.com": "azure",
}


def dialect_named(
    name: str,
    url: str,
    *,
    native: Sequence[str] | None = None,
    enforces: Sequence[str] | None = None,
    encrypted: bool | None = None,
) -> Dialect:
    """The kind of that name; ``auto`` looks at the address. ``native``, ``enforces`` and
    ``encrypted`` stand for the kind's own where they are given. ``ValueError`` if unknown."""
    if name == "auto":
        name = name_for(url)
    if name not in DIALECTS:
        raise ValueError(f"profile must be auto or one of {', '.join(sorted(DIALECTS))}")
    changes: dict[str, Any] = {}
    dialect = DIALECTS[name]
    if native is not None:
        changes["native"] = frozenset(native) - {"function"}
    if enforces is not None:
        kept = dict.fromkeys(("json_schema", "strict_tools", "tool_choice"), "asked")
        promises: dict[str, Any] = {**kept, "grammar": "none"}
        promises.update(dict.fromkeys(enforces, "enforced"))
        changes["capabilities"] = msgspec.structs.replace(dialect.capabilities, **promises)
    if encrypted is not None:
        changes["encrypted"] = encrypted
    return msgspec.structs.replace(dialect, **changes) if changes else dialect


def name_for(url: str) -> str:
    """The kind an address gives away by its host; most servers have to be named."""
    host = (urlsplit(url).hostname or "").lower()
    for known, name in _HOSTS.items():
        if host == known or host.endswith("." + known):
            return name
    return "generic"


_WITHOUT: Mapping[str, dict[str, Any]] = {
    "stream_options": {"plain_stream": False},
    "parallel_tool_calls": {"parallel": False},
    "prompt_cache_key": {"cache_key": False},
    "safety_identifier": {"safety": False},
    "reasoning.summary": {"summaries": False},
    "reasoning.context": {"context": False},
    "text.verbosity": {"verbosity": False},
    "reasoning.encrypted_content": {"encrypted": False},
    "encrypted_content": {"resends": False},
    "phase": {"phases": False},
    "strict": {"strict": False},
    "id": {"item_ids": True},
}


def without(dialect: Dialect, field: str) -> Dialect:
    """The dialect for a server that refused ``field``, or a type of tool (``tool:TYPE``)."""
    if field.startswith("tool:"):
        native = dialect.native - {field.removeprefix("tool:")}
        return msgspec.structs.replace(dialect, native=native)
    return msgspec.structs.replace(dialect, **_WITHOUT[field])
