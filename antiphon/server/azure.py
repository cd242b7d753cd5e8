"""Azure's flavour: a dialect at the edge, one wrapper round the application.

Nothing behind it knows Azure, except that ``scope["state"]["flavour"]`` is ``"azure"``:

    /openai/responses?api-version=2025-03-01-preview      → /v1/responses
    /openai/v1/responses                                  → /v1/responses
    /openai/deployments/D/responses?api-version=…         → /v1/responses, model D
    /openai/v1/deployments/D/responses                    → /v1/responses, model D
    /openai/deployments/D/chat/completions?api-version=…  → /v1/chat/completions, model D
    /openai/v1/dashboard/webhook_endpoints                → /v1/webhook_endpoints

On the way in: path, deployment names, and in emulation mode the refusals of
``azure_catalogue``. On the way out: Azure's headers, and its error bodies for the errors its
gateway makes (bad key, no such route, deployment or region). All other errors have the same
body in both flavours. A path that must not be served is passed on as it is, so that it is
authenticated, logged and refused like any other unknown path; only the answer is translated.
Every path that does not begin with ``/openai`` passes through untouched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote

import msgspec
from msgspec import Struct
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.config import AzureSettings
from antiphon.errors import ClientError
from antiphon.server import azure_catalogue
from antiphon.server.azure_catalogue import UNDATED, Catalogue, older, refusal
from antiphon.server.body import read_body
from antiphon.server.websocket_asgi import REWORK

NO_REGION = "local"
"""What ``x-ms-region`` says when no region is configured."""

BODY_LIMIT_BYTES = 134_217_728

_PREFIX = "/openai"
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}(-preview|-alpha|-beta)?")
_UNDATED = frozenset({"v1", "preview", "latest"})
_CHAT = "/v1/chat/completions"
_WITH_MODEL = frozenset(
    {"/v1/responses", "/v1/responses/compact", "/v1/responses/input_tokens", _CHAT}
)
_GATEWAY_STATUS = frozenset({401, 404})


class AzureError(Struct, frozen=True):
    """An error of Azure's gateway: its body has no ``type`` and no ``param``."""

    status: int
    code: str
    message: str

    @property
    def body(self) -> bytes:
        return msgspec.json.encode({"error": {"code": self.code, "message": self.message}})


NOT_FOUND = AzureError(404, "404", "Resource not found")
BAD_KEY = AzureError(
    401,
    "401",
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide "
    "a valid key for an active subscription and use a correct regional API endpoint for your "
    "resource.",
)
NO_DEPLOYMENT = AzureError(
    404,
    "DeploymentNotFound",
    "The API deployment for this resource does not exist. If you created the deployment within "
    "the last 5 minutes, please wait a moment and try again.",
)


class Place(Struct, frozen=True):
    """Where a request of this flavour goes.

    ``path`` is one of our own, ``version`` an api-version or ``v1``, ``deployment`` the one
    named in the path; ``error`` what to answer instead of serving it.
    """

    path: str
    version: str = UNDATED
    deployment: str | None = None
    error: AzureError | None = None


def locate(path: str, query: bytes, first: str) -> Place | None:
    """The place of a URL, or None if it is not Azure's. ``first``: the oldest api-version.

    Under ``/openai/v1/`` the api-version is optional and may be anything; elsewhere it is
    required, and for responses it must not be older than ``first``.
    """
    if path != _PREFIX and not path.startswith(_PREFIX + "/"):
        return None
    rest = path.removeprefix(_PREFIX).removeprefix("/")
    if rest == "v1" or rest.startswith("v1/"):
        deployment, rest = _deployment(rest.removeprefix("v1").removeprefix("/"))
        return Place(f"/v1/{_without_dashboard(rest)}", UNDATED, deployment)
    version = _version(query)
    if version is None:
        return Place(path, error=NOT_FOUND)
    deployment, rest = _deployment(rest)
    if rest.partition("/")[0] == "responses" and older(version, first):
        message = f"Azure OpenAI Responses API is enabled only for api-version {first} and later"
        return Place(path, version, error=AzureError(400, "BadRequest", message))
    return Place(f"/v1/{_without_dashboard(rest)}", version, deployment)


def _without_dashboard(rest: str) -> str:
    """Webhook endpoints stand under ``dashboard/`` there."""
    return rest.removeprefix("dashboard/") if rest.startswith("dashboard/webhook_") else rest


def _deployment(rest: str) -> tuple[str | None, str]:
    """Takes ``deployments/D/`` off a path."""
    if not rest.startswith("deployments/"):
        return None, rest
    name, _, rest = rest.removeprefix("deployments/").partition("/")
    return name, rest


def _version(query: bytes) -> str | None:
    """The api-version of a dated path: as it is, ``v1`` for its other names, None if none."""
    values = parse_qs(query.decode("latin-1")).get("api-version", [""])
    version = values[-1].lower()
    if version in _UNDATED:
        return UNDATED
    return version if _DATED.fullmatch(version) else None


def rework(body: bytes, place: Place, settings: AzureSettings, known: Catalogue) -> bytes:
    """The body of a create or a count, with the deployment's model in place of its name.

    Raises ClientError in emulation mode, in Azure's words. A body that is not a JSON object
    comes back as it is: the application says what is wrong with it.
    """
    try:
        raw = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(raw, dict):
        return body
    deployment = place.deployment or raw.get("model")
    if not isinstance(deployment, str):
        return body
    model = settings.deployments.get(deployment, deployment)
    if settings.emulate:
        _emulate({**raw, "model": deployment}, place, settings, known)
    return body if raw.get("model") == model else msgspec.json.encode({**raw, "model": model})


def _emulate(
    body: Mapping[str, Any], place: Place, settings: AzureSettings, known: Catalogue
) -> None:
    deployment = body["model"]
    if settings.deployments and deployment not in settings.deployments:
        raise ClientError(
            NO_DEPLOYMENT.message, code=NO_DEPLOYMENT.code, status=NO_DEPLOYMENT.status
        )
    if place.path == _CHAT:
        return  # the catalogue is about the Responses API
    resolved = settings.deployments.get(deployment)
    refused = refusal(body, place.version, settings.region, known, resolved=resolved)
    if refused is not None:
        raise refused


def translate(body: bytes, place: Place, *, emulate: bool) -> AzureError | None:
    """Azure's form of an error body of the gateway's kind, or None if it stays as it is."""
    try:
        error = msgspec.json.decode(body)["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return None
    match code:
        case "invalid_api_key":
            return BAD_KEY
        case "unknown_url":
            return place.error or NOT_FOUND
        case "model_not_found" if emulate:
            return NO_DEPLOYMENT
        case "DeploymentNotFound" | "NotFound":
            return AzureError(404, code, message)
    return None


class AzureDialect:
    """The wrapper: ``AzureDialect(app, settings, catalogue)`` is the application to serve.

    ``body_limit_bytes`` bounds a body that has to be read here (deployments, emulation).
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: AzureSettings,
        catalogue: Catalogue | None = None,
        *,
        body_limit_bytes: int = BODY_LIMIT_BYTES,
    ) -> None:
        self._app = app
        self._settings = settings
        self._catalogue = catalogue or azure_catalogue.catalogue()
        self._limit_bytes = body_limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = None
        if scope["type"] in ("http", "websocket"):
            path, query = scope["path"], scope.get("query_string", b"")
            place = locate(path, query, self._catalogue.first)
        if place is None:
            return await self._app(scope, receive, send)
        inner = _rewritten(scope, place)
        if self._concerns_body(scope, place):
            receive = self._reworking(inner, receive, place)
        elif scope["type"] == "websocket" and place.error is None:
            # Every create on it is reworked when it is read, and refused there.
            known = self._settings, self._catalogue
            inner["state"][REWORK] = lambda body: rework(body, place, *known)
        answer = _Answer(send, place, self._settings)
        await self._app(inner, receive, answer.send)

    def _concerns_body(self, scope: Scope, place: Place) -> bool:
        settings = self._settings
        if scope.get("method") != "POST" or place.path not in _WITH_MODEL:
            return False
        return bool(settings.emulate or settings.deployments or place.deployment)

    def _reworking(self, scope: Scope, receive: Receive, place: Place) -> Receive:
        """A ``receive`` that gives the reworked body in one piece, once.

        The application calls it after it has let the caller in, and answers what it raises.
        """
        headers = dict(scope["headers"])
        # It is decompressed here, and its length may change.
        unread = (b"content-encoding", b"content-length")
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] not in unread]
        done = False

        async def reworked() -> Message:
            nonlocal done
            if done:
                return await receive()
            done = True
            body = await read_body(receive, headers, self._limit_bytes)
            body = rework(body, place, self._settings, self._catalogue)
            return {"type": "http.request", "body": body, "more_body": False}

        return reworked


def _rewritten(scope: Scope, place: Place) -> Scope:
    state = {**(scope.get("state") or {}), "flavour": "azure"}
    raw_path = quote(place.path, safe="/:@!$&'()*+,;=~").encode()
    return {**scope, "state": state, "path": place.path, "raw_path": raw_path}


class _Answer:
    """The answer on its way out. Errors of the gateway's kind are held back and translated."""

    def __init__(self, send: Send, place: Place, settings: AzureSettings) -> None:
        self._send = send
        self._place = place
        self._settings = settings
        self._held: dict[str, Any] | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        # In place of a WebSocket's acceptance the same messages carry a prefix (ASGI extension).
        match message["type"].removeprefix("websocket."):
            case "http.response.start":
                await self._start(dict(message))
            case "http.response.body" if self._held is not None:
                await self._finish(message)
            case _:
                await self._send(message)

    async def _start(self, message: dict[str, Any]) -> None:
        message["headers"] = _headers(message, self._settings.region or NO_REGION)
        if message["status"] in _GATEWAY_STATUS:
            self._held = message
        else:
            await self._send(message)

    async def _finish(self, message: Message) -> None:
        self._body += message.get("body", b"")
        if message.get("more_body") or self._held is None:
            return
        start, body = self._held, bytes(self._body)
        error = translate(body, self._place, emulate=self._settings.emulate)
        if error is not None:
            body = error.body
            start["status"] = error.status
            kept = [pair for pair in start["headers"] if pair[0] != b"content-length"]
            start["headers"] = [*kept, (b"content-length", b"%d" % len(body))]
        await self._send(start)
        await self._send({**message, "body": body})


def _headers(message: Mapping[str, Any], region: str) -> list[tuple[bytes, bytes]]:
    headers = list(message["headers"])
    known = dict(headers)
    if b"x-request-id" in known:
        headers.append((b"apim-request-id", known[b"x-request-id"]))
    headers.append((b"x-ms-region", region.encode("latin-1", "replace")))
    seconds = known.get(b"retry-after", b"")
    if message["status"] == 429 and b"retry-after-ms" not in known and seconds.isdigit():
        headers.append((b"retry-after-ms", b"%d" % (int(seconds) * 1000)))
    return headers
