"""The settings of upstreams: servers over HTTP that have the models."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from antiphon.config_base import SECRET, SecondsAboveZero, Secret, Word
from antiphon.config_mcp import HOSTED

NATIVE = (
    "function",
    "custom",
    "shell",
    "local_shell",
    "apply_patch",
    "computer",
    "computer_use_preview",
    *HOSTED,
)
"""Tool types that an upstream may have itself; all others are the same for every upstream."""

Profile = Literal[
    "auto",
    "generic",
    "anthropic",
    "azure",
    "deepseek",
    "gemini",
    "groq",
    "inline-thinking",
    "llamacpp",
    "lmstudio",
    "mistral",
    "ollama",
    "openai",
    "openrouter",
    "sglang",
    "vllm",
]

Dialect = Literal["auto", "generic", "antiphon", "azure", "llamacpp", "openai", "vllm"]

Promise = Literal["json_schema", "strict_tools", "tool_choice", "grammar"]


class UpstreamSettings(Secret, frozen=True, kw_only=True):
    """What all of them have."""

    url: Annotated[str, Meta(description="Base address; ends in `/v1` nearly always.")]
    name: Annotated[
        str, Meta(min_length=1, max_length=64, description="Its name in logs and metrics.")
    ] = "upstream"
    models: Annotated[
        list[str],
        Meta(
            description="Model names it serves, `*` and `?` allowed; empty: whatever no other "
            "backend serves."
        ),
    ] = []
    rename: Annotated[
        dict[str, str], Meta(description="Model name callers use → name the upstream knows.")
    ] = {}
    headers: Annotated[
        dict[str, str], Meta(description="Headers to add to every request.", extra=SECRET)
    ] = {}
    connect_seconds: Annotated[
        SecondsAboveZero, Meta(description="Limit for opening a connection.")
    ] = 10.0
    first_byte_seconds: Annotated[
        SecondsAboveZero, Meta(description="Limit for the first byte of the answer.")
    ] = 300.0
    idle_seconds: Annotated[
        SecondsAboveZero,
        Meta(description="Longest silence inside an answer; noticed at most a quarter later."),
    ] = 120.0
    retries: Annotated[
        int,
        Meta(ge=0, le=10, description="Calls made again when nothing was produced (429, 5xx)."),
    ] = 2

    def __post_init__(self) -> None:
        Secret.__post_init__(self)
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url must look like http://HOST:PORT/v1")


class ChatSettings(UpstreamSettings, frozen=True, kw_only=True, tag_field="kind", tag="chat"):
    """An upstream that speaks chat completions: vLLM, llama.cpp, Ollama, a provider."""

    profile: Annotated[
        Profile,
        Meta(
            description="Whose habits it has (field names, roles, limits); `auto` knows them by "
            "the address."
        ),
    ] = "auto"


class ResponsesSettings(
    UpstreamSettings, frozen=True, kw_only=True, tag_field="kind", tag="responses"
):
    """An upstream that speaks the Responses API itself: OpenAI, Azure, another Antiphon."""

    profile: Annotated[
        Dialect,
        Meta(
            description="Which kind of server it is (what it takes); `auto` knows OpenAI and Azure "
            "by the address."
        ),
    ] = "auto"
    api_version: Annotated[
        Word | None,
        Meta(description="Azure's `api-version`, where the address is not one ending in `/v1`."),
    ] = None
    native: Annotated[
        list[str] | None,
        Meta(
            description="Types of tools it has itself, such as `web_search`, `shell` or `custom`; "
            "unset: those of its kind. Any other tool is sent as a function, or refused."
        ),
    ] = None
    enforces: Annotated[
        list[Promise] | None,
        Meta(
            description="What its models cannot break (`json_schema`, `strict_tools`, "
            "`tool_choice`, `grammar`); all else is checked here. Unset: what its kind does."
        ),
    ] = None
    encrypted_reasoning: Annotated[
        bool | None,
        Meta(
            description="Ask for its reasoning encrypted and give it back so in later turns; "
            "unset: where its kind shows no other."
        ),
    ] = None

    def __post_init__(self) -> None:
        UpstreamSettings.__post_init__(self)
        if "mcp" in (self.native or ()):
            raise ValueError("native cannot have mcp: this server calls MCP servers itself")
        for kind in self.native or ():
            if kind not in NATIVE:
                raise ValueError(f"native takes {', '.join(NATIVE)}")
