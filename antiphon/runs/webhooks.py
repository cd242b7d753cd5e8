"""Webhook endpoints as their owners see them, and the events a response's end gives.

Background responses tell how they ended: ``ending`` writes the event into the outbox in the
transaction of the response's row, so there is an event if and only if there is that end;
``deliveries.py`` delivers it. Event types of what does not happen on this server are refused, for
nobody would ever hear of them.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import urlsplit

from antiphon.addresses import Guard, literal
from antiphon.bus.base import Bus
from antiphon.errors import ClientError
from antiphon.ids import Ids, ItemIds
from antiphon.runs.context import Ending
from antiphon.runs.echo import Flavour
from antiphon.runs.webhook_post import SECRET_PREFIX, Outcome, Post, signed
from antiphon.sealing.base import Seals, Unsealable
from antiphon.store.base import StoredResponse
from antiphon.store.webhooks import ENDPOINTS_MAX, StoredEndpoint, StoredWebhooks
from antiphon.store.work import Begin
from antiphon.types.base import UNSET
from antiphon.types.codec import encode
from antiphon.types.explain import echoed, wrong_value
from antiphon.types.resources import Page
from antiphon.types.webhooks import (
    ELSEWHERE,
    ENDED,
    CreateEndpoint,
    EndpointDeleted,
    EndpointTest,
    EndpointTested,
    EventTypes,
    RotateSecret,
    UpdateEndpoint,
    WebhookEndpoint,
    WebhookEvent,
)

ENDPOINTS = "webhook_endpoints"
"""Topic; the payload is a project that may have its first endpoint now."""

KEPT_MS = 86_400_000
"""How long the secret before goes on signing, if that is asked for."""
PROJECTS_MAX = 1_000
"""If more projects have endpoints, each end of a background response asks the database."""
COMMIT_SECONDS = 0.03
"""When an event that was handed to the store is looked for: it is there by then, nearly always."""

_SECRET_BYTES = 32
_SHOWN = 4


class Webhooks:
    """The operations on webhook endpoints, each giving JSON, and ``ending``. Methods raise
    ``ClientError``: 404 ``webhook_endpoint_not_found``, or 400.

    ``allow_http``: addresses need not be HTTPS; ``random(n)`` gives n random bytes. ``wake`` is
    called when this process has written something to deliver.
    """

    def __init__(
        self,
        stored: StoredWebhooks,
        seals: Seals,
        ids: Ids,
        bus: Bus,
        post: Post,
        guard: Guard,
        *,
        allow_http: bool = False,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._stored = stored
        self._seals = seals
        self._ids = ids
        self._bus = bus
        self._post = post
        self._guard = guard
        self._allow_http = allow_http
        self._random = random
        self._projects: set[str] | None = None  # who may have endpoints; None: anybody may
        self._news: set[str] = set()
        self.wake: Callable[[], None] = _nobody

    # --- endpoints ---

    async def create(self, project: str, asked: CreateEndpoint, flavour: Flavour) -> bytes:
        """``POST /v1/webhook_endpoints``."""
        types = _known(asked.event_types)
        _check_name(asked.name)
        self._check_url(asked.url)
        secret, now = self._new_secret(), self._ids.clock()
        endpoint = StoredEndpoint(
            id=self._ids.mint("we"),
            name=asked.name,
            url=asked.url,
            event_types=types,
            created_at=now,
            updated_at=now,
            secret=self._seals.seal(project, "webhook", secret.encode()),
            hint=_hint(secret),
        )
        if not await self._stored.create(project, endpoint):
            raise ClientError(
                f"A project may have {ENDPOINTS_MAX} webhook endpoints; delete one first.",
                code="too_many_webhook_endpoints",
            )
        self._may_have(project)
        self._bus.publish(ENDPOINTS, project.encode())
        return encode(_shown(endpoint, flavour, secret))

    async def retrieve(self, project: str, id: str, flavour: Flavour) -> bytes:
        """``GET /v1/webhook_endpoints/{id}``."""
        return encode(_shown(_found(await self._stored.load(project, id), id), flavour))

    async def page(self, project: str, *, after: str | None, limit: int, flavour: Flavour) -> bytes:
        """``GET /v1/webhook_endpoints``, newest first. An ``after`` that is none is a 400."""
        found = await self._stored.page(project, after=after, limit=limit + 1)
        if found == "unknown":
            raise ClientError(f"No webhook endpoint with id {echoed(after)}.", param="after")
        shown = [_shown(endpoint, flavour) for endpoint in found[:limit]]
        return encode(
            Page(
                data=shown,
                first_id=shown[0].id if shown else None,
                last_id=shown[-1].id if shown else None,
                has_more=len(found) > limit,
            )
        )

    async def update(self, project: str, id: str, asked: UpdateEndpoint, flavour: Flavour) -> bytes:
        """``POST /v1/webhook_endpoints/{id}``: what is absent stays. Events that wait go to the
        new address."""
        types = None if asked.event_types is None else _known(asked.event_types)
        if asked.name is not None:
            _check_name(asked.name)
        if asked.url is not None:
            self._check_url(asked.url)
        found = await self._stored.update(
            project, id, name=asked.name, url=asked.url, event_types=types, now=self._ids.clock()
        )
        return encode(_shown(_found(found, id), flavour))

    async def delete(self, project: str, id: str, flavour: Flavour) -> bytes:
        """``DELETE /v1/webhook_endpoints/{id}``: what waits for it is not delivered any more."""
        if not await self._stored.delete(project, id):
            raise _missing(id)
        return encode(EndpointDeleted(id=id, object=_object(flavour) + ".deleted"))

    async def rotate(self, project: str, id: str, asked: RotateSecret, flavour: Flavour) -> bytes:
        """``POST /v1/webhook_endpoints/{id}/rotate_secret``."""
        secret, now = self._new_secret(), self._ids.clock()
        found = await self._stored.rotate(
            project,
            id,
            secret=self._seals.seal(project, "webhook", secret.encode()),
            hint=_hint(secret),
            keep_until=now + KEPT_MS if asked.keep_old_secret_active_for_24_hours else None,
            now=now,
        )
        return encode(_shown(_found(found, id), flavour, secret))

    async def test(self, project: str, id: str, asked: EndpointTest, flavour: Flavour) -> bytes:
        """``POST /v1/webhook_endpoints/{id}/test``: one delivery, now, of an event that names no
        response. Raises ``ClientError`` 400 if nobody answers; any status is a result."""
        _check_known(asked.event_type, "event_type")
        endpoint = _found(await self._stored.load(project, id), id)
        now = self._ids.clock()
        body = event_body(self._ids, asked.event_type, self._ids.mint("resp"), now)
        sealed = [endpoint.secret]
        if endpoint.old_secret is not None and now < (endpoint.old_until or 0):
            sealed.append(endpoint.old_secret)
        outcome = await self.send(project, endpoint.url, self._ids.mint("wh"), body, sealed)
        if outcome.status is None:
            raise ClientError(
                f"The test event was not delivered: {outcome.reason}.",
                code="webhook_delivery_failed",
            )
        return encode(
            EndpointTested(
                object=_object(flavour) + ".test",
                webhook_endpoint_id=id,
                event_type=asked.event_type,
                status_code=outcome.status,
            )
        )

    def event_types(self) -> bytes:
        """``GET /v1/webhook_event_types``."""
        return encode(EventTypes(data=list(ENDED)))

    # --- events ---

    def ending(self, project: str) -> Ending:
        """For ``Context.also`` of a background response: writes down how it ended for every
        endpoint that wants to hear. Nearly nothing where the project has none."""
        return partial(self._end, project)

    def _end(self, project: str, row: StoredResponse) -> Sequence[Begin[object]]:
        if self._projects is not None and project not in self._projects:
            return ()
        event = f"response.{row.status}"
        if event not in ENDED:
            return ()
        event_id = self._ids.mint("evt")
        body = event_body(self._ids, event, row.id, self._ids.clock(), event_id)
        asyncio.get_running_loop().call_later(COMMIT_SECONDS, self.wake)
        return [
            self._stored.announcing(
                project, event=event, subject=row.id, body=body, ids=partial(_delivery, event_id)
            )
        ]

    async def send(
        self, project: str, url: str, id: str, body: bytes, sealed: Sequence[str]
    ) -> Outcome:
        """One POST, signed now with every secret. Raises ``RemoteError`` if there is no key to
        open them with."""
        if not self._allow_http and not url.lower().startswith("https://"):
            return Outcome(None, "its address is not HTTPS")
        try:
            secrets = [self._seals.open(project, "webhook", one).decode() for one in sealed]
        except Unsealable as fault:
            reason = f"its signing secret does not open ({fault.reason}); rotate it"
            return Outcome(None, reason)
        timestamp = self._ids.clock() // 1000
        return await self._post(
            url, signed(body, id=id, timestamp=timestamp, secrets=secrets), body
        )

    async def close(self) -> None:
        """Close kept connections. May be called twice."""
        self.wake = _nobody
        await self._post.close()

    # --- who has endpoints ---

    async def look(self) -> None:
        """Find out which projects have endpoints. Raises ``RemoteError``; then anybody may."""
        self._projects, self._news = None, set()
        found = await self._stored.projects(PROJECTS_MAX + 1)
        if len(found) <= PROJECTS_MAX:
            self._projects = {*found, *self._news}

    def heard_of(self, payload: bytes) -> None:
        """What was published on ``ENDPOINTS``."""
        self._may_have(payload.decode(errors="replace"))

    def _may_have(self, project: str) -> None:
        self._news.add(project)  # a look under way may have begun too early to see it
        if self._projects is not None:
            self._projects.add(project)

    # --- rules ---

    def _new_secret(self) -> str:
        return SECRET_PREFIX + base64.b64encode(self._random(_SECRET_BYTES)).decode()

    def _check_url(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host, parts = None, urlsplit("")
        schemes = ("https", "http") if self._allow_http else ("https",)
        odd = any(ord(character) <= 32 or ord(character) == 127 for character in url)
        if not host or odd or parts.scheme not in schemes:
            raise ClientError(
                "Invalid 'url': expected an HTTPS URL, such as 'https://example.com/hooks'.",
                param="url",
            )
        if parts.username is not None or parts.password is not None:
            raise ClientError(
                "Invalid 'url': it must hold no user name or password; check the signature of "
                "what arrives instead.",
                param="url",
            )
        address = literal(host)
        if address is not None and not self._guard.trusts(host):
            why = self._guard.refusal(address)
            if why is not None:
                raise ClientError(
                    f"Invalid 'url': webhooks go to public addresses only, and this one is {why}.",
                    param="url",
                )


def _nobody() -> None:
    """Nothing delivers."""


def event_body(ids: Ids, event: str, response_id: str, now_ms: int, event_id: str = "") -> bytes:
    """What is sent, byte for byte."""
    return encode(
        WebhookEvent(
            id=event_id or ids.mint("evt"),
            type=event,
            created_at=now_ms // 1000,
            data={"id": response_id},
        )
    )


def _delivery(event_id: str, number: int) -> str:
    """The id of the event's n-th delivery."""
    return ItemIds(event_id, number - 1).mint("wh")


def _known(types: Sequence[str]) -> list[str]:
    for index, event_type in enumerate(types):
        _check_known(event_type, f"event_types[{index}]")
    return list(dict.fromkeys(types))


def _check_known(event_type: str, param: str) -> None:
    if event_type in ELSEWHERE:
        raise ClientError(
            f"Unsupported value: '{event_type}' never happens on this server. It sends: "
            f"{', '.join(ENDED)}.",
            code="unsupported_value",
            param=param,
        )
    if event_type not in ENDED:
        raise wrong_value(param, event_type, ENDED)


def _check_name(name: str) -> None:
    if "\0" in name:
        raise ClientError("Invalid 'name': it holds a NUL character.", param="name")


def _hint(secret: str) -> str:
    return f"{SECRET_PREFIX}...{secret[-_SHOWN:]}"


def _object(flavour: Flavour) -> str:
    return "webhook.endpoint" if flavour == "azure" else "webhook_endpoint"


def _shown(
    endpoint: StoredEndpoint, flavour: Flavour, secret: str | None = None
) -> WebhookEndpoint:
    return WebhookEndpoint(
        id=endpoint.id,
        object=_object(flavour),
        created_at=endpoint.created_at // 1000,
        updated_at=endpoint.updated_at // 1000,
        name=endpoint.name,
        url=endpoint.url,
        event_types=list(endpoint.event_types),
        signing_secret_hint=endpoint.hint,
        signing_secret=UNSET if secret is None else secret,
    )


def _found(endpoint: StoredEndpoint | None, id: str) -> StoredEndpoint:
    if endpoint is None:
        raise _missing(id)
    return endpoint


def _missing(id: str) -> ClientError:
    return ClientError(
        f"Webhook endpoint with id {echoed(id)} not found.",
        code="webhook_endpoint_not_found",
        param="webhook_endpoint_id",
        status=404,
    )
