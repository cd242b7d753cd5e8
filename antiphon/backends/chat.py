"""The backend for everything that speaks chat completions.

A turn becomes a body (``chat_body``, ``messages``), the answer becomes deltas
(``chat_reading``), a refusal becomes an error that says whose fault it is (``chat_errors``).
What a kind of server takes stands in ``profiles``; how it is called, in ``upstream``.

Hooks for a backend that builds on this one (an engine we run ourselves): ``target``, ``shape``,
``reader``, ``capabilities`` and ``count`` may be overridden.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urljoin

import msgspec
from msgspec import Struct

from antiphon.backends.base import Capabilities, Turn
from antiphon.backends.chat_body import Body, Offered, chat_body, encoded_body, offered
from antiphon.backends.chat_errors import Complaint, error_of, refused_field
from antiphon.backends.chat_reading import Reader
from antiphon.backends.profiles import Profile, profile_named, without
from antiphon.backends.transport import Transport
from antiphon.backends.upstream import MODELS_BYTES_MAX, Upstream
from antiphon.config import ChatSettings
from antiphon.errors import RemoteError
from antiphon.observe import Observe, nobody

_encode = msgspec.json.Encoder().encode


_NO_TOOLS: Mapping[str, Offered] = {}


class _Counted(Struct):
    count: int


class Chat(Upstream[Profile]):
    """One upstream. ``ValueError`` for a profile nobody knows or a key that cannot be read."""

    endpoint = "/chat/completions"

    def __init__(
        self,
        settings: ChatSettings,
        transport: Transport | None = None,
        observe: Observe = nobody,
    ) -> None:
        self.settings = settings
        profile = profile_named(settings.profile, settings.url)
        super().__init__(settings, profile, profile.key_header, transport, observe)
        self._shapes = type(self).shape is not Chat.shape

    # What may be overridden

    def reader(self, turn: Turn) -> Reader:
        """What reads the answer to this turn."""
        known = offered(turn) if turn.tools else _NO_TOOLS
        return Reader(self.profile_of(turn.model), known, logprobs=turn.logprobs)

    def shape(self, body: Body, turn: Turn) -> Body:
        """Last word on the body of a turn, before it is encoded."""
        return body

    async def count(self, turn: Turn) -> int | None:
        """Exact input tokens if the server has ``/tokenize`` (vLLM), else None."""
        profile = self.profile_of(turn.model)
        if not profile.tokenize:
            return None
        whole = self._body(turn, profile)
        body = {key: whole[key] for key in ("model", "messages", "tools") if key in whole}
        try:
            url = urljoin((await self.target()).url + "/", "/tokenize")
            answer = await self.asked_aside("POST", url, _encode(body), MODELS_BYTES_MAX)
            return msgspec.json.decode(answer, type=_Counted).count
        except (RemoteError, msgspec.DecodeError):
            return None

    # What is said to ``Upstream``

    def promised(self, profile: Profile) -> Capabilities:
        """What the profile claims, less what it is not sent."""
        known = profile.capabilities
        if known.json_schema == "enforced" and not profile.json_schema:
            known = msgspec.structs.replace(known, json_schema="asked")
        if known.strict_tools == "enforced" and not profile.strict_tools:
            known = msgspec.structs.replace(known, strict_tools="asked")
        if not profile.reasoning_field:
            known = msgspec.structs.replace(known, takes_reasoning=False)
        if unsent := profile.unsent:
            known = msgspec.structs.replace(known, unsent=unsent)
        return known

    def encoded(self, turn: Turn, profile: Profile) -> bytes:
        if self._shapes:
            return _encode(self._body(turn, profile))
        return encoded_body(turn, profile)

    def spared(
        self, complaint: Complaint, turn: Turn, profile: Profile
    ) -> tuple[str, Profile] | None:
        field = refused_field(complaint, self._body(turn, profile))
        return None if field is None else (field, without(profile, field))

    def failure(self, status: int, headers: Mapping[str, str], complaint: Complaint) -> RemoteError:
        return error_of(status, headers, complaint)

    def _body(self, turn: Turn, profile: Profile) -> Body:
        return self.shape(chat_body(turn, profile), turn)
