"""The settings of everything that has state: sections of ``config.Config``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from antiphon.config_base import SECRET, SecondsAboveZero, Section


_Days = Annotated[float, Meta(ge=0, le=36_500)]


class ProjectSettings(Section, frozen=True, kw_only=True):
    """What holds for one project (tenant) only."""

    name: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="The project, as keys name it.")
    ]
    retention_days: Annotated[
        _Days | None,
        Meta(
            description="Days a stored response of this project lives; unset: as `store` says.",
        ),
    ] = None
    zero_retention: Annotated[
        bool,
        Meta(
            description="Store nothing of this project: every response is made as with "
            "`store: false`."
        ),
    ] = False


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


class CompactionSettings(Section, frozen=True, kw_only=True):
    """Conversations that outgrow the model's window."""


class WebhookSettings(Section, frozen=True, kw_only=True):
    """Calls to the caller's endpoints when a background response ends."""


class EncryptionSettings(Section, frozen=True, kw_only=True):
    """Keys that seal what callers keep for us, and what is stored."""


class BusSettings(Section, frozen=True, kw_only=True):
    """How replicas wake each other."""

    url: Annotated[
        str | None,
        Meta(
            description="`nats://…`; unset: PostgreSQL's notifications where the store is "
            "PostgreSQL, else within the process.",
            extra=SECRET,
        ),
    ] = None
