"""The backend for upstreams that speak the Responses API themselves.

A turn becomes a stateless request (``responses_body``, ``responses_items``), the answer becomes
deltas (``responses_reading``), a refusal an error that says whose fault it is
(``responses_errors``). What a kind of server takes stands in ``responses_profiles``; how it is
called, in ``upstream``.

State is ours: nothing is stored upstream, and no id of theirs is shown or needed. The one thing
that only they can read, reasoning they encrypted, callers and our store carry for them under a
mark (``deltas.CARRIED``) that says whose it is, so it never goes to another upstream.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from antiphon.backends.base import Capabilities, Turn
from antiphon.backends.chat_body import Offered, offered
from antiphon.backends.chat_errors import Complaint
from antiphon.backends.responses_body import encoded_body, settings
from antiphon.backends.responses_errors import failure_of, refused_field
from antiphon.backends.responses_items import Items
from antiphon.backends.responses_profiles import Dialect, dialect_named, without
from antiphon.backends.responses_reading import Reader
from antiphon.backends.transport import Transport
from antiphon.backends.upstream import Upstream
from antiphon.config import ResponsesSettings
from antiphon.errors import RemoteError
from antiphon.observe import Ignored, Observe, nobody
from antiphon.stream.deltas import CARRIED

COUNT_BYTES_MAX = 64 * 1024
IGNORED_KINDS_MAX = 100
_COUNTED = ("model", "input", "instructions", "tools", "tool_choice", "text", "reasoning")
_NO_TOOLS: Mapping[str, Offered] = {}


class _Counted(Struct):
    input_tokens: int


class Responses(Upstream[Dialect]):
    """One upstream. ``ValueError`` for a profile nobody knows or a key that cannot be read.
    ``ignored``: the types of events and items that were read over, and how often."""

    endpoint = "/responses"

    def __init__(
        self,
        settings: ResponsesSettings,
        transport: Transport | None = None,
        observe: Observe = nobody,
    ) -> None:
        self.settings = settings
        dialect = dialect_named(
            settings.profile,
            settings.url,
            native=settings.native,
            enforces=settings.enforces,
            encrypted=settings.encrypted_reasoning,
        )
        self.mark = f"{CARRIED}{hashlib.sha256(settings.url.encode()).hexdigest()[:8]}_"
        self.ignored: Counter[str] = Counter()
        self._items = dialect, Items(dialect, self.mark)  # of the profile used last
        query = f"?api-version={settings.api_version}" if settings.api_version else ""
        super().__init__(settings, dialect, dialect.key_header, transport, observe, query=query)

    def reader(self, turn: Turn) -> Reader:
        """What reads the answer to this turn."""
        known = offered(turn) if turn.tools else _NO_TOOLS
        return Reader(
            known, self.mark, logprobs=turn.logprobs, stop=turn.stop, ignored=self._ignore
        )

    async def count(self, turn: Turn) -> int | None:
        """Exact input tokens if the server has ``/responses/input_tokens``, else None."""
        dialect = self.profile_of(turn.model)
        if not dialect.counts:
            return None
        whole = msgspec.json.decode(self.encoded(turn, dialect))
        body = {key: whole[key] for key in _COUNTED if key in whole}
        try:
            url = (await self.target()).to(f"{self.endpoint}/input_tokens")
            sent = msgspec.json.encode(body)
            answer = await self.asked_aside("POST", url, sent, COUNT_BYTES_MAX)
            return msgspec.json.decode(answer, type=_Counted).input_tokens
        except (RemoteError, msgspec.DecodeError):
            return None

    def promised(self, profile: Dialect) -> Capabilities:
        known = profile.capabilities
        strict, grammar = known.strict_tools, known.grammar
        return msgspec.structs.replace(
            known,
            strict_tools="asked" if strict == "enforced" and not profile.strict else strict,
            grammar="none" if "custom" not in profile.native else grammar,
            takes_reasoning=profile.thoughts or profile.encrypted,
            unsent=profile.unsent,
            summaries=profile.summaries,
            carries=self.mark if profile.encrypted else "",
            native=profile.native,
        )

    def encoded(self, turn: Turn, profile: Dialect) -> bytes:
        if self._items[0] is not profile:
            self._items = profile, Items(profile, self.mark)
        return encoded_body(turn, profile, self._items[1])

    def spared(
        self, complaint: Complaint, turn: Turn, profile: Dialect
    ) -> tuple[str, Dialect] | None:
        field = refused_field(complaint, turn, profile, settings(turn, profile))
        return None if field is None else (field, without(profile, field))

    def failure(self, status: int, headers: Mapping[str, str], complaint: Complaint) -> RemoteError:
        return failure_of(status, headers, complaint)

    def _learn(self, model: str, profile: Dialect) -> None:
        """That one conversation's reasoning was not known again says nothing of the next."""
        lasting = msgspec.structs.replace(profile, resends=True)
        if lasting != self.profile_of(model):
            super()._learn(model, lasting)

    def _ignore(self, type: str) -> None:
        type = type[:64]
        if type not in self.ignored and len(self.ignored) >= IGNORED_KINDS_MAX:
            type = "other"  # an upstream may say anything
        self.ignored[type] += 1
        self._observe(Ignored(self.name, type))
