"""One frozen tree of settings; every key carries its sentence (the reference is made from it).

A struct per TOML section. Where values come from (file, environment, flags) is
``config_sources``; this file only says what there is, and imports nothing of ours.
Units are last in names. Secrets are given by ``key_env`` or ``key_file`` rather than in place.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import platformdirs
from msgspec import Meta, field

from antiphon.config_backends import ChatSettings as ChatSettings
from antiphon.config_backends import ResponsesSettings as ResponsesSettings
from antiphon.config_base import (
    SECRET,
    Seconds,
    SecondsAboveZero,
    Secret,
    Section,
    Word,
)
from antiphon.config_mcp import McpSettings, RemoteMcpSettings
from antiphon.config_state import (
    BackgroundSettings,
    BusSettings,
    CompactionSettings,
    EncryptionSettings,
    FunctionSettings,
    ProjectSettings,
    WebhookSettings,
    WebSocketSettings,
)

DEMO_MODEL = "demo-antiphon"
OPEN_PROJECT = "default"
"""Everybody's project where no keys are set."""
_Tokens = Annotated[int, Meta(ge=64)]
_Threads = Annotated[int, Meta(ge=1, le=1_024)]


class ServerSettings(Section, frozen=True, kw_only=True):
    """Where the server listens, and its limits."""

    host: Annotated[
        str,
        Meta(min_length=1, description="Address to listen on; `0.0.0.0` means every interface."),
    ] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65_535, description="TCP port; 0 takes any free one and prints it.")
    ] = 8484
    body_limit_bytes: Annotated[
        int,
        Meta(ge=1_024, description="Largest request body; a larger one is answered 413."),
    ] = 134_217_728
    requests_max: Annotated[
        int,
        Meta(
            ge=1,
            description="Requests answered at the same time; one more is answered 503 at once.",
        ),
    ] = 4_096
    keepalive_seconds: Annotated[
        Seconds,
        Meta(
            description="Longest silence in a stream: at the latest then a comment line keeps it "
            "open; 0: never."
        ),
    ] = 15.0
    idle_seconds: Annotated[
        Seconds, Meta(description="How long an unused connection is kept for the next request.")
    ] = 75.0
    shutdown_seconds: Annotated[
        Seconds,
        Meta(description="On SIGTERM, how long answers under way may take before being cancelled."),
    ] = 20.0
    access_log: Annotated[
        bool,
        Meta(description="Log every request at level info, not only those answered with an error."),
    ] = False
    lenient_clients: Annotated[
        list[str],
        Meta(
            description="How the `originator` or `user-agent` header of coding agents begins, in "
            "lower case (see `runs.unsupported_tools`)."
        ),
    ] = field(default_factory=lambda: ["codex"])

    profile: Annotated[
        Literal["openai", "open-responses"],
        Meta(
            description="Whose rules hold where OpenAI's API and the Open Responses specification "
            "exclude each other (see [Open Responses](open-responses.md))."
        ),
    ] = "openai"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class KeySettings(Secret, frozen=True, kw_only=True):
    """A key callers may use. Without any, everybody is the project `default`.

    Keys that name the same project see the same responses; without a name, each key is a
    project of its own.
    """

    project: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_.-]{0,64}$",
            description="Whose responses the key may see; empty derives it from the key.",
            extra={"takes": "at most 64 letters, digits, `_`, `.` and `-`"},
        ),
    ] = ""

    def __post_init__(self) -> None:
        Secret.__post_init__(self)
        if self.key is None and self.key_env is None and self.key_file is None:
            raise ValueError("one of key, key_env and key_file must be set")


class StoreSettings(Section, frozen=True, kw_only=True):
    """Where responses are kept, and for how long."""

    url: Annotated[
        str | None,
        Meta(
            description="`postgresql://…`: keep everything in PostgreSQL, replicas share it; "
            "unset: an SQLite file in the data directory.",
            extra=SECRET,
        ),
    ] = None
    connections_max: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000,
            description="Connections to PostgreSQL for reading, kept per process; two more write.",
        ),
    ] = 8
    pooler: Annotated[
        bool,
        Meta(
            description="A pooler that gives each transaction another session (pgbouncer's "
            "`transaction` mode) stands before PostgreSQL: prepare no statements."
        ),
    ] = False
    data: Annotated[
        Word | None,
        Meta(
            description="Data directory; unset: the platform's user-data directory for antiphon.",
        ),
    ] = None
    file: Annotated[
        str,
        Meta(
            pattern=r"^[^/\\]+$",
            description="Name of the SQLite file in it; `:memory:` keeps nothing.",
            extra={"takes": "a file name"},
        ),
    ] = "antiphon.db"
    retention_days: Annotated[
        float,
        Meta(ge=0, le=36_500, description="Days a stored response lives; 0 keeps it for ever."),
    ] = 30.0
    sweep_seconds: Annotated[
        SecondsAboveZero,
        Meta(description="Pause between two looks for expired responses."),
    ] = 60.0

    def __post_init__(self) -> None:
        if self.url is not None and urlsplit(self.url).scheme not in ("postgresql", "postgres"):
            raise ValueError("url must begin with postgresql://; without it, SQLite is used")

    @property
    def keeps_files(self) -> bool:
        """Whether responses are kept in the data directory."""
        return self.url is None and self.file != ":memory:"

    @property
    def directory(self) -> Path:
        """The data directory, absolute; it need not exist yet."""
        if self.data is None:
            return Path(platformdirs.user_data_dir("antiphon", appauthor=False))
        return Path(self.data).expanduser().absolute()

    @property
    def path(self) -> Path | Literal[":memory:"]:
        """What SQLite opens."""
        return ":memory:" if self.file == ":memory:" else self.directory / self.file

    @property
    def retention_ms(self) -> int | None:
        """Milliseconds a response lives, or None for ever."""
        return math.ceil(self.retention_days * 86_400_000) or None


class RunSettings(Section, frozen=True, kw_only=True):
    """How a response is made."""

    first_event_wait_seconds: Annotated[
        Seconds,
        Meta(
            description="How long a stream waits for the model before it starts, so that an early "
            "failure is an HTTP status and not an event."
        ),
    ] = 10.0
    attempts: Annotated[
        int,
        Meta(
            ge=1,
            le=10,
            description="Model calls per turn when the answer breaks a demand of the request "
            "(a schema, a required call).",
        ),
    ] = 3
    turn_seconds_max: Annotated[
        SecondsAboveZero, Meta(description="Longest model call; then the response fails.")
    ] = 600.0
    tool_rounds_max: Annotated[
        int,
        Meta(
            ge=1,
            description="In so many turns of one response the model may call functions that the "
            "server answers; if it then still calls, the response fails.",
        ),
    ] = 32
    context_items_max: Annotated[
        int, Meta(ge=1, description="Items one response may have before it, history included.")
    ] = 10_000
    memory_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="Conversations kept in memory between their turns, estimated in bytes; "
            "what does not fit is read from the store again. 0 keeps none.",
        ),
    ] = 33_554_432
    unsupported_tools: Annotated[
        Literal["auto", "refuse", "drop"],
        Meta(
            description="Hosted tools that nobody can run (`web_search`, …): `refuse` answers 400; "
            "`drop` leaves them out and says so in `x-antiphon-downgrades`; `auto` drops the web "
            "search and image generation that coding agents (`server.lenient_clients`) always "
            "send, and refuses the rest."
        ),
    ] = "auto"
    raw_reasoning: Annotated[
        Literal["content", "none"],
        Meta(
            description="`content` shows a model's raw reasoning as the content of the reasoning "
            "item; `none` keeps it from callers."
        ),
    ] = "content"


class LlamaCppSettings(Section, frozen=True, kw_only=True, tag_field="kind", tag="llamacpp"):
    """A GGUF model in a child process of this server; without a path, the demo model."""

    path: Annotated[
        Word | None,
        Meta(description="GGUF file; unset: `demo-antiphon`, which is in the box."),
    ] = None
    name: Annotated[
        Word | None,
        Meta(description="Model name callers use; unset: the file's name."),
    ] = None
    context_tokens: Annotated[
        _Tokens | None,
        Meta(description="Window; unset: what the model was trained for, within reason."),
    ] = None
    parallel: Annotated[
        int, Meta(ge=1, le=256, description="Answers generated at the same time; more wait.")
    ] = 4
    threads: Annotated[
        _Threads | None,
        Meta(description="Threads; unset: the cores we may use, less one."),
    ] = None

    @property
    def model_name(self) -> str:
        """The name callers ask for."""
        if self.name is not None:
            return self.name
        return DEMO_MODEL if self.path is None else Path(self.path).stem


class ScriptedSettings(Section, frozen=True, kw_only=True, tag_field="kind", tag="scripted"):
    """Models under `scripted/…` that do what their name says, for tests and demonstrations."""


BackendSettings = ChatSettings | ResponsesSettings | LlamaCppSettings | ScriptedSettings


class AzureSettings(Section, frozen=True, kw_only=True):
    """Azure's flavour of the API, always served under `/openai/…`."""

    region: Annotated[
        str, Meta(description="Region to claim in headers, such as `eastus`; empty: none.")
    ] = ""
    emulate: Annotated[
        bool,
        Meta(description="Refuse, in Azure's words, what the region and api-version did not have."),
    ] = False
    deployments: Annotated[
        dict[str, str],
        Meta(description="Deployment name → model; a name not listed is taken as the model."),
    ] = {}


class LogSettings(Section, frozen=True, kw_only=True):
    """What is written to standard error. Never content of a conversation, never a key."""

    format: Annotated[
        Literal["auto", "json", "pretty"],
        Meta(description="`json` one object per line; `auto`: pretty on a terminal, else json."),
    ] = "auto"
    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least important lines shown; `debug` adds a line per request."),
    ] = "info"


class Config(Section, frozen=True, kw_only=True):
    """Everything that can be set."""

    server: ServerSettings = ServerSettings()
    keys: tuple[KeySettings, ...] = ()
    store: StoreSettings = StoreSettings()
    runs: RunSettings = RunSettings()
    backends: tuple[BackendSettings, ...] = (LlamaCppSettings(),)
    azure: AzureSettings = AzureSettings()
    projects: tuple[ProjectSettings, ...] = ()
    functions: tuple[FunctionSettings, ...] = ()
    mcp: tuple[McpSettings, ...] = ()
    remote_mcp: RemoteMcpSettings = RemoteMcpSettings()
    background: BackgroundSettings = BackgroundSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    compaction: CompactionSettings = CompactionSettings()
    webhooks: WebhookSettings = WebhookSettings()
    encryption: EncryptionSettings = EncryptionSettings()
    bus: BusSettings = BusSettings()
    log: LogSettings = LogSettings()


def project_of_key(key: str) -> str:
    """The project of a key that names none: ``proj_`` and 16 hex digits of its SHA-256."""
    return "proj_" + hashlib.sha256(key.encode()).hexdigest()[:16]


def projects(config: Config) -> dict[str, str]:
    """Key → project, for every configured key; empty means the server is open.

    Raises ``ValueError`` if a key cannot be read.
    """
    found: dict[str, str] = {}
    for settings in config.keys:
        key = settings.secret()
        assert key is not None, "KeySettings refuses to be made without a key"
        found[key] = settings.project or project_of_key(key)
    return found


def unnamed_projects(config: Config) -> list[str]:
    """Projects that have settings and no key: nobody can be in them, perhaps a name is mistyped.

    Raises ``ValueError`` if a key cannot be read.
    """
    reached = set(projects(config).values()) if config.keys else {OPEN_PROJECT}
    return [one.name for one in config.projects if one.name not in reached]
