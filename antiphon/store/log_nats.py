"""Logs of background responses in NATS JetStream: for many replicas that stream a great deal.

One subject per run, ``antiphon.log.<part>.<project>.<id>``, in one of 16 streams. A chunk is one
message, or several if it is larger than a message may be; its header ``Antiphon-Chunk`` says
``epoch first count part parts``.

The fence: every message says what the last one of its subject must be (its sequence in the
stream), and the server refuses it if that is not so. A new owner writes a message without events
first, so whoever had the run before can never again name the right one. An answer that got lost is
no harm: the same message sent again is known by its id, or found to be the last one.

What is decided reads from the leader of the stream, which knows all that was acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.js import JetStreamContext
from nats.js.api import StorageType, StreamConfig
from nats.js.errors import (
    APIError,
    NoStreamResponseError,
    NotFoundError,
    ServiceUnavailableError,
)

from antiphon.errors import LocalProtocolError, RemoteError
from antiphon.store.content import PLAIN, Content
from antiphon.store.log import Chunk, Claim
from antiphon.store.work import Fenced

STREAMS = 16
SECONDS_MAX = 2.0
"""How long an answer of the server is waited for. A message may be sent again at no cost."""

HEADERS_BYTES = 8_192
PART_BYTES_MAX = 524_288
HOUR_MS = 3_600_000
DUPLICATES_SECONDS = 120.0
TAKEOVERS_MAX = 50
"""How often a new owner is overtaken by the old one's last messages before it gives up."""

REMEMBERED = 10_000
"""Writers and places in streams; beyond, the oldest are found again by reading."""

BATCH_MESSAGES = 256
BATCH_BYTES = 4_194_304

_BATCHES_SINCE = (2, 11)
_NAME_TAKEN = 10058
_WRONG_LAST = 10071
_FAILURES = (NatsError, OSError, TimeoutError)

_Key = tuple[str, str]


class _Mark(Struct, frozen=True):
    """What a message is: ``count`` 0 begins an epoch."""

    epoch: int
    first: int
    count: int
    part: int = 0
    parts: int = 1

    @property
    def text(self) -> str:
        return f"{self.epoch} {self.first} {self.count} {self.part} {self.parts}"

    @property
    def whole(self) -> bool:
        return self.part == self.parts - 1

    def covers(self, other: _Mark) -> bool:
        """Is that the same message, or an earlier part of the same chunk?"""
        same = (self.epoch, self.first, self.count, self.parts)
        return same == (other.epoch, other.first, other.count, other.parts) and (
            self.part >= other.part
        )

    @property
    def next(self) -> int:
        """The number of the event that follows when this message is the last one."""
        return self.first + self.count if self.whole else self.first


class _Message(Struct, frozen=True):
    """A message in its stream."""

    mark: _Mark
    sequence: int
    payload: bytes


class _Writer(Struct):
    """A run this process writes to. ``last``: the mark of the subject's last message, which has
    the number ``sequence`` in its stream. ``going``: the chunk under way as it is stored, which is
    another one each time it is encrypted: parts of two would never open."""

    last: _Mark
    sequence: int
    going: tuple[int, int, bytes] | None = None


class NatsLog:
    """``antiphon.store.log.Log`` in JetStream. ``client`` gives the connection
    (``NatsBus.client``), ``log_ms`` is how long a log stays, ``copies`` on how many servers."""

    def __init__(
        self,
        client: Callable[[], Client],
        content: Content = PLAIN,
        *,
        log_ms: int,
        copies: int = 1,
    ) -> None:
        self._client = client
        self._content = content
        self._max_age_seconds = (log_ms + HOUR_MS) / 1_000  # an event is older than its end
        self._copies = copies
        self._streams: set[int] = set()
        self._writers: OrderedDict[_Key, _Writer] = OrderedDict()
        self._places: OrderedDict[tuple[str, str, int], int] = OrderedDict()

    async def open(self) -> None:
        """As the port says. Raises ``RemoteError`` if the server has no JetStream, or refuses a
        stream as the settings want it."""
        try:
            await self._jetstream().account_info()
            await self._ensure(0)
        except (NotFoundError, ServiceUnavailableError, NoRespondersError) as error:
            raise RemoteError(
                "the event log needs JetStream: start nats-server with -js -sd DIRECTORY, or set "
                "bus.jetstream = false",
                status=503,
            ) from error
        except (*_FAILURES, APIError) as error:
            raise _unreachable(error) from error

    async def close(self) -> None:
        """The connection is closed by who opened it."""

    # --- writing ---

    async def begin(self, claim: Claim) -> int:
        """As the port says."""
        for _ in range(TAKEOVERS_MAX):
            last, sequence = await self._last(claim.project, claim.id)
            if last is not None and last.epoch > claim.epoch:
                raise Fenced(claim.id)
            if last is not None and last.epoch == claim.epoch:
                self._remember(claim, _Writer(last, sequence))
                return last.next
            mark = _Mark(claim.epoch, 0 if last is None else last.next, 0)
            writer = _Writer(mark, sequence)
            try:
                await self._publish(claim, writer, mark, b"")
            except Fenced:
                continue  # the owner before wrote once more
            self._remember(claim, writer)
            return mark.next
        raise RemoteError(f"the log of {claim.id} cannot be taken over", retryable=True)

    async def append(self, appends: Sequence[tuple[Claim, Chunk]]) -> Mapping[str, Exception]:
        """As the port says: the runs side by side."""
        if len(appends) == 1:
            claim, chunk = appends[0]
            outcomes = [await self._append(claim, chunk)]
        else:
            outcomes = await asyncio.gather(*(self._append(*one) for one in appends))
        return {
            claim.id: error
            for (claim, _), error in zip(appends, outcomes, strict=True)
            if error is not None
        }

    async def _append(self, claim: Claim, chunk: Chunk) -> Exception | None:
        try:
            await self._append_parts(claim, chunk)
        except (Fenced, LocalProtocolError, RemoteError) as error:
            return error
        return None

    async def _append_parts(self, claim: Claim, chunk: Chunk) -> None:
        writer = await self._writer(claim)
        last = writer.last
        if last.whole and (last.first, last.count) == (chunk.first, chunk.count):
            return
        if chunk.first != last.next:
            raise LocalProtocolError(
                f"the log of {claim.id} goes on with event {last.next}; a chunk of {chunk.count} "
                f"events from {chunk.first} on does not follow it"
            )
        if writer.going is None or writer.going[:2] != (chunk.first, chunk.count):
            await self._content.ready(claim.project)
            shut = self._content.shut(claim.project, chunk.events)
            writer.going = chunk.first, chunk.count, shut
        parts = _parts(writer.going[2], self._part_bytes())
        for part, payload in enumerate(parts):
            mark = _Mark(claim.epoch, chunk.first, chunk.count, part, len(parts))
            if not writer.last.covers(mark):  # else it went before something failed
                await self._publish(claim, writer, mark, payload)
        writer.going = None

    async def _writer(self, claim: Claim) -> _Writer:
        """Where the run's log stands, if it is ours. Raises ``Fenced``."""
        key = (claim.project, claim.id)
        writer = self._writers.get(key)
        if writer is None or writer.last.epoch < claim.epoch:
            last, sequence = await self._last(*key)
            if last is None or last.epoch != claim.epoch:
                raise Fenced(claim.id)
            writer = _Writer(last, sequence)
            self._remember(claim, writer)
        if writer.last.epoch != claim.epoch:
            raise Fenced(claim.id)
        self._writers.move_to_end(key)
        return writer

    def _remember(self, claim: Claim, writer: _Writer) -> None:
        self._writers[claim.project, claim.id] = writer
        if len(self._writers) > REMEMBERED:
            self._writers.popitem(last=False)

    async def _publish(self, claim: Claim, writer: _Writer, mark: _Mark, payload: bytes) -> None:
        """Send one message; then the writer stands behind it. Raises ``Fenced``."""
        subject, stream = _subject(claim.project, claim.id)
        headers = {
            "Antiphon-Chunk": mark.text,
            "Nats-Msg-Id": f"{claim.project}/{claim.id}/{mark.text}",
            "Nats-Expected-Last-Subject-Sequence": str(writer.sequence),
        }
        try:
            sequence = await self._sent(stream, subject, payload, headers)
        except APIError as error:
            if error.err_code != _WRONG_LAST:
                raise _unreachable(error) from error
            last, sequence = await self._last(claim.project, claim.id)
            if last is None or not last.covers(mark):
                raise Fenced(claim.id) from None
            mark = last  # it was ours, and only the answer got lost
        except _FAILURES as error:
            raise _unreachable(error) from error
        writer.last, writer.sequence = mark, sequence

    async def _sent(
        self, stream: int, subject: str, payload: bytes, headers: dict[str, Any]
    ) -> int:
        for again in (True, False):
            await self._ensure(stream)
            try:
                answer = await self._jetstream().publish(subject, payload, headers=dict(headers))
                return answer.seq
            except NoStreamResponseError:
                self._streams.discard(stream)  # somebody removed it
                if not again:
                    raise
        raise AssertionError("unreachable")

    # --- reading ---

    async def read(self, project: str, id: str, after: int = -1, limit: int = 64) -> list[Chunk]:
        """As the port says. What follows on something that was read here before is found at
        once; else the log is gone through from its beginning."""
        await self._content.ready(project, writing=False)
        subject, stream = _subject(project, id)
        place = self._places.get((project, id, after + 1))
        sequence, size = (1, BATCH_MESSAGES) if place is None else (place, limit)
        chunks: list[Chunk] = []
        parts: list[bytes] = []
        begins = sequence
        async with aclosing(self._from(stream, subject, sequence, size)) as messages:
            async for message in messages:
                mark = message.mark
                if mark.part == 0:
                    parts, begins = [], message.sequence
                parts.append(message.payload)
                if not mark.count or not mark.whole or len(parts) < mark.parts:
                    continue
                self._place((project, id, mark.first), begins)
                self._place((project, id, mark.next), message.sequence + 1)
                if mark.next > after + 1:
                    events = self._content.open(project, b"".join(parts))
                    chunks.append(Chunk(mark.first, mark.count, events))
                if len(chunks) == limit:
                    break
        return chunks

    async def _from(
        self, stream: int, subject: str, sequence: int, size: int
    ) -> AsyncGenerator[_Message, None]:
        """The subject's messages from that number on. One or two are asked of the leader; what is
        more comes quicker in batches from any server, which may know less than the leader: so it
        has the last word. ``size``: of a batch."""
        known = self._client().connected_server_version
        batches = (known.major, known.minor) >= _BATCHES_SINCE
        asked = 0
        while True:
            if asked == 2 and batches:
                asked = 0
                size = max(16, min(size, BATCH_MESSAGES))
                for message in await self._batch(stream, subject, sequence, size):
                    yield message
                    sequence = message.sequence + 1
            found = await self._get(stream, seq=sequence, subject=subject, next=True)
            if found is None:
                return
            asked += 1
            yield found
            sequence = found.sequence + 1

    async def _batch(self, stream: int, subject: str, sequence: int, size: int) -> list[_Message]:
        """Some of the subject's messages from that number on; empty where there are none."""
        client = self._client()
        query = {
            "seq": sequence,
            "next_by_subj": subject,
            "batch": size,
            "max_bytes": BATCH_BYTES,
        }
        messages: list[_Message] = []
        inbox = client.new_inbox()
        try:
            answers = await client.subscribe(inbox)
            try:
                topic = f"$JS.API.DIRECT.GET.{_name(stream)}"
                await client.publish(topic, json.dumps(query).encode(), reply=inbox)
                while True:
                    answer = await answers.next_msg(timeout=SECONDS_MAX)
                    headers = answer.headers or {}
                    if "Status" in headers:  # the end of the batch, or nothing at all
                        return messages
                    mark = _mark_of(headers)
                    messages.append(_Message(mark, int(headers["Nats-Sequence"]), answer.data))
            finally:
                await answers.unsubscribe()
        except _FAILURES as error:
            raise _unreachable(error) from error

    def _place(self, event: tuple[str, str, int], sequence: int) -> None:
        self._places[event] = sequence
        self._places.move_to_end(event)
        if len(self._places) > REMEMBERED:
            self._places.popitem(last=False)

    async def drop(self, project: str, id: str) -> None:
        """As the port says."""
        subject, stream = _subject(project, id)
        try:
            await self._jetstream().purge_stream(_name(stream), subject=subject)
        except NotFoundError:
            pass
        except (APIError, *_FAILURES) as error:
            raise _unreachable(error) from error

    async def _last(self, project: str, id: str) -> tuple[_Mark | None, int]:
        """The mark and the sequence of the subject's last message."""
        subject, stream = _subject(project, id)
        message = await self._get(stream, subject=subject)
        return (None, 0) if message is None else (message.mark, message.sequence)

    async def _get(self, stream: int, **query: Any) -> _Message | None:
        """A message, from the leader."""
        try:
            found = await self._jetstream().get_msg(_name(stream), **query)
            assert found.seq is not None
            return _Message(_mark_of(found.headers), found.seq, found.data or b"")
        except NotFoundError:  # the message, or the whole stream
            return None
        except (APIError, *_FAILURES) as error:
            raise _unreachable(error) from error

    # --- the server ---

    def _jetstream(self) -> JetStreamContext:
        client = self._client()
        if not client.is_connected:  # it would wait, and send it when nobody waits any more
            raise RemoteError("NATS is not connected", status=503, retryable=True)
        return client.jetstream(timeout=SECONDS_MAX)

    def _part_bytes(self) -> int:
        return min(PART_BYTES_MAX, self._client().max_payload - HEADERS_BYTES)

    async def _ensure(self, stream: int) -> None:
        """The stream is there, and keeps things as long as the settings say."""
        if stream in self._streams:
            return
        config = StreamConfig(
            name=_name(stream),
            subjects=[f"antiphon.log.{stream}.>"],
            storage=StorageType.FILE,
            num_replicas=self._copies,
            allow_direct=True,
            max_age=self._max_age_seconds,
            duplicate_window=min(DUPLICATES_SECONDS, self._max_age_seconds),
        )
        jetstream = self._jetstream()
        try:
            await jetstream.add_stream(config)
        except APIError as error:
            if error.err_code != _NAME_TAKEN:
                raise
            await jetstream.update_stream(config)
        self._streams.add(stream)


def _subject(project: str, id: str) -> tuple[str, int]:
    """A run's subject, and which stream has it."""
    words = [quote(word, safe="").replace(".", "%2E") for word in (project, id)]
    stream = zlib.crc32("/".join(words).encode()) % STREAMS
    return f"antiphon.log.{stream}.{words[0]}.{words[1]}", stream


def _name(stream: int) -> str:
    return f"antiphon-log-{stream}"


def _mark_of(headers: Mapping[str, str] | None) -> _Mark:
    return _Mark(*map(int, (headers or {})["Antiphon-Chunk"].split()))


def _parts(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)] or [b""]


def _unreachable(error: Exception) -> RemoteError:
    return RemoteError(f"the event log in NATS failed: {error}", status=503, retryable=True)
