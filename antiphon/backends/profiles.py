"""The habits of chat-completions servers, as flags in a table.

A quirk is a flag here and nowhere else: no other file asks what a server or a model is called.
``generic`` sends only what any server that keeps to the published API takes. A refusal that
names an optional field changes the profile of that model for this process (``without``).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from antiphon.backends.base import Capabilities

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Reasoning efforts from least to most."""

_PASSED_ON = Capabilities()
_CONSTRAINED = Capabilities(json_schema="enforced", tool_choice="enforced")


class Profile(Struct, frozen=True, kw_only=True):
    """What one kind of server takes and how it answers.

    ``developer_role``: knows ``developer``; otherwise it is sent as ``system``.
    ``merge_system``: its templates want one system message, first: all are merged there.
    ``join_text``: content must be a string unless there is an image.
    ``reasoning_field``: name under which reasoning goes back inside a tool turn; None: dropped.
    ``max_tokens_field``: how the token limit is called.
    ``stream_usage``: takes ``stream_options.include_usage``.
    ``efforts``: values of ``reasoning_effort`` it takes; empty: the field is not sent.
    ``parallel``: when ``parallel_tool_calls`` is sent: never, only to forbid, or always.
    ``choices``: ``named``: the object form works; ``words``: only the words do, so a named
    tool is sent alone and required; ``none``: not sent at all.
    ``json_schema``, ``json_object``: values of ``response_format`` it takes; what it does not
    take is said in words instead.
    ``seed_field``: how the seed is called; None: not sent.
    ``safety_field``: how the safety identifier is called; None: not sent.
    ``call_ids``: ``nine``: only ids of nine letters and digits.
    ``call_extra``: what every call in the history must carry besides.
    ``inline_thinking``: reasoning arrives as ``<think>…</think>`` at the start of the text.
    ``reasoning_in_total``: reasoning is counted in ``total_tokens`` only.
    ``key_header``: where the key goes; ``authorization`` gets the word Bearer before it.
    ``tokenize``: counts a conversation's tokens at ``/tokenize`` beside ``/v1``.
    """

    developer_role: bool = False
    merge_system: bool = False
    join_text: bool = False
    reasoning_field: str | None = None
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    stream_usage: bool = True
    efforts: tuple[str, ...] = ("minimal", "low", "medium", "high")
    verbosity: bool = False
    parallel: Literal["never", "forbid", "always"] = "forbid"
    choices: Literal["named", "words", "none"] = "named"
    strict_tools: bool = True
    json_schema: bool = True
    json_object: bool = True
    penalties: bool = True
    logprobs: bool = True
    seed_field: Literal["seed", "random_seed"] | None = "seed"
    prompt_cache_key: bool = False
    safety_field: Literal["safety_identifier", "user"] | None = None
    call_ids: Literal["any", "nine"] = "any"
    call_extra: Mapping[str, Any] | None = None
    inline_thinking: bool = False
    reasoning_in_total: bool = False
    key_header: str = "authorization"
    tokenize: bool = False
    capabilities: Capabilities = _PASSED_ON

    @property
    def dialect(self) -> tuple[Hashable, ...]:
        """Equal for profiles, alive at the same time, under which messages are worded the same."""
        return (
            "chat",
            self.developer_role,
            self.merge_system,
            self.join_text,
            self.reasoning_field,
            self.call_ids,
            id(self.call_extra),
        )

    @property
    def unsent(self) -> frozenset[str]:
        """The API's names of the settings this kind of server has no field for."""
        if self.penalties and self.efforts and self.seed_field:
            return frozenset()
        names = () if self.penalties else ("presence_penalty", "frequency_penalty")
        effort = () if self.efforts else ("reasoning.effort",)
        return frozenset((*names, *effort, *(() if self.seed_field else ("seed",))))


_OPENAI = Profile(
    developer_role=True,
    max_tokens_field="max_completion_tokens",
    efforts=EFFORTS,
    verbosity=True,
    prompt_cache_key=True,
    safety_field="safety_identifier",
    capabilities=Capabilities(
        json_schema="enforced", strict_tools="enforced", tool_choice="enforced"
    ),
)
_VLLM = Profile(
    reasoning_field="reasoning",
    efforts=("none", "low", "medium", "high"),
    tokenize=True,
    capabilities=_CONSTRAINED,
)

PROFILES: dict[str, Profile] = {
    "generic": Profile(),
    "openai": _OPENAI,
    "azure": msgspec.structs.replace(_OPENAI, key_header="api-key"),
    "vllm": _VLLM,
    "sglang": msgspec.structs.replace(_VLLM, reasoning_field="reasoning_content", tokenize=False),
    "llamacpp": Profile(
        merge_system=True,
        reasoning_field="reasoning_content",
        efforts=(),
        parallel="always",
        choices="words",
        capabilities=Capabilities(json_schema="enforced"),
    ),
    "ollama": Profile(
        reasoning_field="reasoning",
        efforts=("none", "low", "medium", "high"),
        parallel="never",
        choices="none",
        strict_tools=False,
        capabilities=Capabilities(json_schema="enforced", tool_choice="none"),
    ),
    "lmstudio": Profile(
        efforts=("low", "medium", "high"),
        parallel="never",
        choices="words",
        strict_tools=False,
        json_object=False,
        logprobs=False,
        capabilities=Capabilities(json_schema="enforced", logprobs=False),
    ),
    "deepseek": Profile(
        join_text=True,
        reasoning_field="reasoning_content",
        efforts=(),
        parallel="never",
        json_schema=False,
        strict_tools=False,
        seed_field=None,
        capabilities=Capabilities(images=False),
    ),
    "mistral": Profile(
        stream_usage=False,
        efforts=(),
        call_ids="nine",
        logprobs=False,
        seed_field="random_seed",
        capabilities=Capabilities(logprobs=False, json_schema="enforced"),
    ),
    "gemini": Profile(
        merge_system=True,
        efforts=("none", "minimal", "low", "medium", "high"),
        parallel="never",
        strict_tools=False,
        penalties=False,
        logprobs=False,
        seed_field=None,
        reasoning_in_total=True,
        call_extra={"google": {"thought_signature": "skip_thought_signature_validator"}},
        capabilities=Capabilities(logprobs=False),
    ),
    "anthropic": Profile(
        merge_system=True,
        efforts=(),
        strict_tools=False,
        json_schema=False,
        json_object=False,
        penalties=False,
        logprobs=False,
        seed_field=None,
        capabilities=Capabilities(logprobs=False),
    ),
    "openrouter": Profile(reasoning_field="reasoning", efforts=EFFORTS),
    "groq": Profile(efforts=("none", "low", "medium", "high"), penalties=False, logprobs=False),
    "inline-thinking": Profile(inline_thinking=True),
}
"""Every profile by the name ``profile = …`` takes. The last one is ``generic`` for a server
that leaves ``<think>`` in the text."""

_HOSTS = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure",
    "services.ai.azure.com": "azure",
    "cognitiveservices.azure.com": "azure",
    "api.deepseek.com": "deepseek",
    "api.mistral.ai": "mistral",
    "generativelanguage.googleapis.com": "gemini",
    "api.anthropic.com": "anthropic",
    "openrouter.ai": "openrouter",
    "api.groq.com": "groq",
}
_LOOPBACK_PORTS = {11434: "ollama", 1234: "lmstudio"}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "host.docker.internal"})


def profile_named(name: str, url: str) -> Profile:
    """The profile of that name; ``auto`` looks at the address. ``ValueError`` if unknown."""
    if name == "auto":
        name = name_for(url)
    if name not in PROFILES:
        raise ValueError(f"profile must be auto or one of {', '.join(sorted(PROFILES))}")
    return PROFILES[name]


def name_for(url: str) -> str:
    """The profile an address gives away: a provider's host, or a well-known local port.

    Port 8000 or 8080 says nothing, so vLLM and llama.cpp have to be named.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    for known, name in _HOSTS.items():
        if host == known or host.endswith("." + known):
            return name
    if host in _LOOPBACK:
        return _LOOPBACK_PORTS.get(parts.port or 0, "generic")
    return "generic"


def effort_for(profile: Profile, asked: str) -> str | None:
    """The nearest effort the server knows, the lesser of two; None: better not sent.

    ``none`` is never turned into some thinking.
    """
    if asked in profile.efforts:
        return asked
    if asked not in EFFORTS or asked == "none":
        return None
    wanted = EFFORTS.index(asked)
    known = [effort for effort in profile.efforts if effort != "none"]
    return min(known, key=lambda effort: abs(EFFORTS.index(effort) - wanted), default=None)


_WITHOUT: dict[str, dict[str, Any]] = {
    "stream_options": {"stream_usage": False},
    "parallel_tool_calls": {"parallel": "never"},
    "strict": {"strict_tools": False},
    "prompt_cache_key": {"prompt_cache_key": False},
    "safety_identifier": {"safety_field": None},
    "user": {"safety_field": None},
    "verbosity": {"verbosity": False},
    "max_tokens": {"max_tokens_field": "max_completion_tokens"},
    "max_completion_tokens": {"max_tokens_field": "max_tokens"},
}
DISPENSABLE = (*_WITHOUT, "response_format")
"""Fields that can be left out or said otherwise: their loss is harmless or checked by the run."""


def without(profile: Profile, field: str) -> Profile:
    """The profile for a server that refused ``field`` (one of ``DISPENSABLE``).

    A refused schema is asked for as a plain JSON object, then in words only.
    """
    if field == "response_format":
        changes: dict[str, Any] = (
            {"json_schema": False} if profile.json_schema else {"json_object": False}
        )
    else:
        changes = _WITHOUT[field]
    return msgspec.structs.replace(profile, **changes)
