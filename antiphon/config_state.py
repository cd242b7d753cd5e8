"""The settings of everything that has state: sections of ``config.Config``."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta

from antiphon.config_base import SECRET, SecondsAboveZero, Secret, Section

_HOST = re.compile(r"(?=.*[a-zA-Z])(\*\.)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?\Z")
"""A host name; one of digits and dots would be an address somebody mistyped."""

_Days = Annotated[float, Meta(ge=0, le=36_500)]


class ProjectSettings(Section, frozen=True, kw_only=True):
    """What holds for one project (tenant) only."""

    name: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="The project, as keys name it.")
    ]
    retention_days: Annotated[
        _Days | None,
        Meta(
            description="Days a stored response of this project lives; 0: for ever; unset: as "
            "`store` says.",
        ),
    ] = None
    zero_retention: Annotated[
        bool,
        Meta(
            description="Store nothing of this project: every response is made as with "
            "`store: false`."
        ),
    ] = False
    background_weight: Annotated[
        float,
        Meta(
            gt=0,
            le=1_000,
            description="So many background responses of this project are made for one of a "
            "project with weight 1, when both have more than there is room for.",
        ),
    ] = 1.0


class FunctionSettings(Secret, frozen=True, kw_only=True):
    """A function that the server answers itself. A request that lists a function tool of this name
    gets its calls answered by a POST to the address; the key, if any, goes along as a bearer token.
    """

    name: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]{1,128}$",
            description="As the request's function tool names it.",
        ),
    ]
    url: Annotated[
        str, Meta(description="Where the arguments are sent, as JSON; `http` or `https`.")
    ]
    description: Annotated[
        str | None, Meta(description="For requests whose tool has none of its own.")
    ] = None
    parameters: Annotated[
        dict[str, Any] | None,
        Meta(description="JSON Schema of the arguments, for requests whose tool has none."),
    ] = None
    seconds_max: Annotated[SecondsAboveZero, Meta(description="Longest call; then it failed.")] = (
        60.0
    )
    repeatable: Annotated[
        bool,
        Meta(
            description="A call may be made again when the server that made it died before it had "
            "an answer; otherwise the model is told that the outcome is unknown."
        ),
    ] = False

    def __post_init__(self) -> None:
        Secret.__post_init__(self)
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError("url must look like http://HOST:PORT/PATH")


class BackgroundSettings(Section, frozen=True, kw_only=True):
    """Responses made with `background: true`."""

    runs_max: Annotated[
        int,
        Meta(ge=0, description="So many are made at the same time by this process; more wait."),
    ] = 64
    lease_seconds: Annotated[
        SecondsAboveZero,
        Meta(
            description="A process that is silent for so long loses its background responses to "
            "another one."
        ),
    ] = 10.0
    log_hours: Annotated[
        float,
        Meta(gt=0, le=8_760, description="Hours the exact events of a background response stay."),
    ] = 24.0


class WebSocketSettings(Section, frozen=True, kw_only=True):
    """`/v1/responses` as a WebSocket."""

    enabled: Annotated[bool, Meta(description="Off: an upgrade is answered 426.")] = True
    message_limit_bytes: Annotated[
        int, Meta(ge=1_024, description="Largest message a caller may send.")
    ] = 67_108_864
    connection_minutes_max: Annotated[
        float, Meta(gt=0, le=1_440, description="Age at which a connection is closed.")
    ] = 60.0
    state_limit_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="What one connection may remember of responses with `store: false`, so "
            "that they can be continued.",
        ),
    ] = 33_554_432


class CompactionSettings(Section, frozen=True, kw_only=True):
    """Conversations that outgrow the model's window."""

    summary_tokens_max: Annotated[
        int, Meta(ge=64, description="Longest summary the model may write, thinking included.")
    ] = 4_096
    kept_tokens_max: Annotated[
        int,
        Meta(
            ge=0,
            description="About so many tokens of the newest user messages stay word for word where "
            "a caller asked for the compaction.",
        ),
    ] = 20_000


class WebhookSettings(Section, frozen=True, kw_only=True):
    """Calls to the caller's endpoints when a background response ends."""

    allow_http: Annotated[
        bool, Meta(description="Endpoints need not be HTTPS; what is sent can then be read.")
    ] = False
    allowed: Annotated[
        list[str],
        Meta(
            description="Private places endpoints may be at all the same: networks and addresses "
            "(`10.1.0.0/16`, `127.0.0.1`), or host names (`hooks.internal`, `*.svc.internal`). "
            "Without it only public addresses are called."
        ),
    ] = []
    answer_seconds_max: Annotated[
        float,
        Meta(gt=0, le=20, description="Longest wait for an endpoint; then it is tried again."),
    ] = 10.0

    def __post_init__(self) -> None:
        for entry in self.allowed:
            if not _HOST.match(entry):
                _check_network(entry)


def _check_network(text: str) -> None:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("allowed takes networks, addresses and host names") from None


class EncryptionSettings(Secret, frozen=True, kw_only=True):
    """Keys that seal what callers keep for us, and what is stored.

    A key is 32 random bytes in base64. Several, separated by blanks or commas, are a rotation: the
    first seals, all open. Without any, a server with an SQLite file makes one beside it.
    """

    at_rest: Annotated[
        bool,
        Meta(description="Encrypt what responses and conversations say before it is stored."),
    ] = False


class BusSettings(Section, frozen=True, kw_only=True):
    """How replicas wake each other."""

    url: Annotated[
        str | None,
        Meta(
            description="`nats://…` or `tls://…` (several with commas, `USER:PASSWORD@` or "
            "`TOKEN@` before a host), or `postgresql://…` to notify over an address of its own; "
            "unset: the store's PostgreSQL, else within the process.",
            extra=SECRET,
        ),
    ] = None
    jetstream: Annotated[
        bool,
        Meta(
            description="With NATS, keep the exact events of background responses there "
            "(`nats-server -js`) instead of in the store. Let all of them end before you change it."
        ),
    ] = True
    jetstream_copies: Annotated[
        int, Meta(ge=1, le=5, description="On how many servers of a NATS cluster they are kept.")
    ] = 1

    @property
    def kind(self) -> str | None:
        """``nats`` or ``postgresql``; None if no address is set."""
        scheme, mark, _ = (self.url or "").partition("://")
        return _BUSES.get(scheme.strip().lower()) if mark else None

    def __post_init__(self) -> None:
        if self.url is not None and self.kind is None:
            raise ValueError("url must look like nats://HOST:4222 or postgresql://HOST/DATABASE")


_BUSES = {"nats": "nats", "tls": "nats", "postgresql": "postgresql", "postgres": "postgresql"}
