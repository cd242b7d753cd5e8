"""Say, don't log: everything worth telling the outside is one of these records.

The code calls ``observe(<record>)``; logs, metrics and traces subscribe (``telemetry/``).
No record carries content of a conversation or a secret. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, get_args, runtime_checkable

from msgspec import Struct


class RequestFinished(Struct, frozen=True):
    """One HTTP request was answered (``status`` 499: the caller left before the answer). A create
    over a WebSocket is one too, of method WEBSOCKET; its connection's id is its request id."""

    request_id: str
    method: str
    route: str
    status: int
    seconds: float
    project: str | None = None
    code: str | None = None


class SocketOpened(Struct, frozen=True):
    """A WebSocket was accepted."""

    request_id: str
    project: str


class SocketClosed(Struct, frozen=True):
    """A WebSocket is closed: ``code`` as RFC 6455 has it (1006: no closing frame came),
    ``responses`` how many were begun on it."""

    request_id: str
    project: str
    code: int
    seconds: float
    responses: int


class ResponseFinished(Struct, frozen=True):
    """A response reached a terminal status."""

    response_id: str
    project: str
    model: str
    status: str
    seconds: float
    first_delta_seconds: float | None
    input_tokens: int
    output_tokens: int
    events: int
    streamed: bool
    stored: bool


class TurnFinished(Struct, frozen=True):
    """One model call ended (``outcome``: ok, or the code of the error)."""

    backend: str
    model: str
    outcome: str
    seconds: float
    attempt: int


class Retried(Struct, frozen=True):
    """A model call is made again: the backend failed early, or its output broke a demand."""

    backend: str
    model: str
    reason: str
    attempt: int


class Ignored(Struct, frozen=True):
    """An upstream said something nobody here knows, which was read over. ``kind``: the type of
    the event, or of the item behind ``item:``."""

    backend: str
    kind: str


class StoreCommitted(Struct, frozen=True):
    """One group commit reached the disk."""

    rows: int
    seconds: float


class Swept(Struct, frozen=True):
    """The sweeper has looked once; what expired and was removed. ``logs``: exact events of
    background responses."""

    responses: int
    completions: int = 0
    logs: int = 0


class ToolFinished(Struct, frozen=True):
    """The server called a function. ``outcome``: ok, failed (the model was told why), cancelled
    (the response ended before) or interrupted (begun by a process that died, not made again)."""

    response_id: str
    name: str
    outcome: str
    seconds: float


class Broke(Struct, frozen=True):
    """An exception nobody expected. ``where`` is request, run, tool, store, bus, webhooks or
    engine."""

    where: str
    error: BaseException
    response_id: str | None = None


class WebhookTried(Struct, frozen=True):
    """An event was sent to a webhook endpoint. ``outcome``: delivered, failed (it will be tried
    again) or given_up; ``reason`` is the status or why there was none."""

    delivery_id: str
    project: str
    endpoint: str
    type: str
    response_id: str
    outcome: str
    reason: str
    attempt: int


class RunChanged(Struct, frozen=True):
    """A background response came to this process or left it unfinished. ``change``: claimed, taken
    over (somebody had begun it), or lost (to another process, a deletion, or our own end)."""

    response_id: str
    project: str
    change: str
    epoch: int
    attempt: int


class QueueSeen(Struct, frozen=True):
    """Background responses: how many wait in the queue of all replicas (looked at now and then),
    and how many this process is making."""

    waiting: int
    making: int


class EngineChanged(Struct, frozen=True):
    """The embedded engine's child process changed state (starting, ready, exited …)."""

    state: str
    detail: str = ""


Observation = (
    RequestFinished
    | SocketOpened
    | SocketClosed
    | ResponseFinished
    | TurnFinished
    | Retried
    | Ignored
    | ToolFinished
    | StoreCommitted
    | Swept
    | Broke
    | WebhookTried
    | RunChanged
    | QueueSeen
    | EngineChanged
)

Observe = Callable[[Observation], None]

KINDS: tuple[type[Observation], ...] = get_args(Observation)


def nobody(observation: Observation) -> None:
    """The observer of those who do not care."""


_Hearers = tuple[Callable[[Any], None], ...]


@runtime_checkable
class Selective(Protocol):
    """An observer that has one callable per kind of record; other kinds it does not hear."""

    @property
    def hears(self) -> Mapping[type[Observation], Callable[[Any], None]]: ...


class Observers:
    """Fans one record out to those who hear its kind, in order of subscription.

    What one of them raises reaches who observed, and those after it do not hear the record.
    """

    def __init__(self) -> None:
        # A request makes three records: who hears which is settled when somebody subscribes.
        self._hearing: dict[type[Observation], _Hearers] = dict.fromkeys(KINDS, ())

    def subscribe(self, observer: Observe | Selective, *kinds: type[Observation]) -> None:
        """``observer`` hears records of ``kinds``; without any: all, or what it ``hears``."""
        if isinstance(observer, Selective):
            hears = {kind: observer.hears[kind] for kind in kinds or observer.hears}
        else:
            hears = dict.fromkeys(kinds or KINDS, observer)
        for kind, hearer in hears.items():
            self._hearing[kind] += (hearer,)

    def __call__(self, observation: Observation) -> None:
        for hearer in self._hearing[type(observation)]:
            hearer(observation)
