"""The hot routes: creating a response and reading one, answered in the connection itself.

What this file is. ``Http`` is uvicorn's HTTP/1.1 connection. In front of uvicorn it looks at
every request: a plain ``POST /v1/responses`` or ``GET /v1/responses/{id}`` is answered here, from
the bytes read to the bytes written, with no ASGI and no task between; any other request is
uvicorn's, and so ASGI's, unseen. Both roads make the same ``Live`` and send the same bytes.

    data_received → head, body → decode → resolve → Runs.start          (one callback)
    upstream's data_received → Live.take → events → _Streamed.write     (one callback per read)
    store's flush → Live._settled → end → the last bytes                (one callback)

Rules
1. Hot is only what is certain: HTTP/1.1, a head that arrives in one piece and has no header that
   changes how a message is framed or coded, a good key, a path to the letter, room under
   ``requests_max``. Of everything else nothing was touched, and uvicorn reads the same bytes.
2. A head is believed only after uvicorn's own parser has read it, and its key was checked; what
   it meant is remembered by its bytes (``heads.py``).
3. Nothing here waits. What has to (another store, documents) is resolved in one task.
4. One answer at a time per connection. What a caller sends meanwhile stays in ``_unread``, and
   the socket is not read while that is too much. Nothing is answered to one who takes nothing.
5. A caller who reads slowly pauses the model (``pause_writing`` → ``Live.pause`` → the upstream's
   socket); one who takes nothing for ``STALLED_AFTER_SECONDS`` has left. A caller who left cancels.
6. What leaves together is one ``write``: head and body of a plain answer, all events of a read;
   and the writes of one turn of the loop are made together (``outbox.py``).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from antiphon.errors import ClientError, RemoteError
from antiphon.observe import Broke, RequestFinished
from antiphon.outbox import Outbox
from antiphon.runs import stored
from antiphon.runs.context import Context, at_once, resolves_at_once
from antiphon.runs.live import Live
from antiphon.server import presence
from antiphon.server.connection import HEAD_BYTES_MAX, Connection
from antiphon.server.errors import Headers, problem_of, stopping
from antiphon.server.exchange import LEFT_STATUS, OPENAI_VERSION, Deps
from antiphon.server.frames import CONTENT_TYPE, DONE, HEADERS, frames, is_veiled, obfuscated
from antiphon.server.heads import Head, Heads
from antiphon.types.codec import decode_create
from antiphon.types.events import Event
from antiphon.types.request import CreateResponse

UNREAD_BYTES_MAX = 65_536
"""What a caller may send ahead, while an answer is under way, before the socket is not read."""

_CREATE = b"POST /v1/responses HTTP/1.1\r\n"
_RETRIEVE = re.compile(rb"GET /v1/responses/(resp_[0-9a-f]{34}) HTTP/1\.1\r\n")
_READING = b"GET /v1/responses/resp_"
_END = b"\r\n\r\n"

_JSON = b"application/json"
_VERSION = b"openai-version: %b\r\n" % OPENAI_VERSION
_STREAMED: Headers = [*HEADERS, (b"transfer-encoding", b"chunked")]
_LAST_CHUNK = b"0\r\n\r\n"
_PING = b": keep-alive\n\n"

Lines = Sequence[tuple[bytes, bytes]]


class Http(Connection):
    """One connection. Made by uvicorn; ``protocol`` says for which server."""

    deps: Deps
    heads: Heads
    outbox: Outbox
    __slots__ = ("_answer", "_gathered", "_missing_bytes", "_unread", "_used_at", "last")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._answer: _Answer | None = None
        self._unread = b""
        self._gathered: list[bytes] = []
        self._missing_bytes = 0
        self._used_at = 0.0
        self.last = False

    # -- from the socket --------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._missing_bytes:
            self._gather(data)
        elif self._answer is not None or self._unread or self.flow.write_paused:
            self._keep(data)
        else:
            self._look(data)

    def _look(self, data: bytes) -> None:
        """Answer the request that begins here, if it is hot; else all of it is uvicorn's."""
        taken = 0 if self.is_uvicorns else self._take(data)
        if not taken:
            self.outbox.flush()  # uvicorn writes at once, and may close
            super().data_received(data)
        elif taken < len(data):
            self._unread = data[taken:]
            if self._answer is None:
                self._go_on_soon()

    def _take(self, data: bytes) -> int:
        """Begin to answer the first request in ``data``; how many bytes it took, 0: not hot."""
        asked = None
        deps = self.deps
        if data.startswith(_CREATE):
            line = len(_CREATE)
        elif data.startswith(_READING) and (asked := _RETRIEVE.match(data)):
            line = asked.end()
        else:
            return 0
        end = data.find(_END, line - 2) + 4
        if not 4 <= end <= HEAD_BYTES_MAX or deps.crowded():
            return 0
        head = self.heads.of(data[line:end])
        if head is None or self.transport.is_closing():
            return 0
        whole = end + head.length
        if asked is not None:
            if head.length or not deps.store.local:
                return 0
            _retrieve(self, head, asked[1].decode())
        elif len(data) < whole:
            self._gathered = [data]
            self._missing_bytes = whole - len(data)
            return len(data)
        elif not _create(self, head, memoryview(data)[end:whole]):  # megabytes perhaps: no copy
            return 0
        return whole

    def _gather(self, data: bytes) -> None:
        """More of a body that is still on its way."""
        self._missing_bytes -= len(data)
        self._gathered.append(data)
        if self._missing_bytes <= 0:
            whole, self._gathered, self._missing_bytes = b"".join(self._gathered), [], 0
            self._look(whole)

    def _keep(self, data: bytes) -> None:
        self._unread += data
        if len(self._unread) > UNREAD_BYTES_MAX:
            self.flow.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        answer, self._answer = self._answer, None
        self._unread, self._gathered = b"", []
        if answer is not None:
            answer.left()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn leaves it where the connection was reset

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._answer is not None:
            self._answer.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._answer is not None:
            self._answer.resume()
        else:
            self._go_on()

    # -- from the server --------------------------------------------------------------------

    def shutdown(self) -> None:
        """No more requests: close now, or after the answer under way."""
        self.last = True
        if self._answer is None and not self._missing_bytes:
            self.outbox.flush()
            super().shutdown()

    def cut(self) -> None:
        """There is no more time for the answer under way."""
        if self._answer is not None:
            self._answer.cut()

    def timeout_keep_alive_handler(self) -> None:
        """The connection may have been used since the timer was set: hot requests leave it."""
        self.timeout_keep_alive_task = None
        if self._answer is not None or self._missing_bytes:
            return
        left = self._used_at + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._close_when_idle(left)
        elif self.transport.get_write_buffer_size():
            self.transport.abort()  # it would wait for ever for a caller who takes nothing
        else:
            super().timeout_keep_alive_handler()

    def _close_when_idle(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    # -- from the answers -------------------------------------------------------------------

    def answering(self, answer: _Answer) -> None:
        self._answer = answer
        self.deps.under_way.count += 1

    def answered(self) -> None:
        """The last byte of the answer under way was written."""
        self._answer = None
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.last:
            self.outbox.flush()
            self.transport.close()
            return
        self._used_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._close_when_idle(self.timeout_keep_alive)
        if self._unread:
            self._go_on_soon()

    def _go_on_soon(self) -> None:
        """Not at once: what was answered is written first, and shows whether the caller reads."""
        self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Look at what came meanwhile, unless there is an answer to wait for or to be taken."""
        unread = self._unread
        if unread and self._answer is None and not self.flow.write_paused:
            self._unread = b""
            if not self.transport.is_closing():
                self.flow.resume_reading()
                self._look(unread)


class _Answer:
    """One request being answered, and the reader of its response. Ended once: by the last byte
    (``_ended``) or by a caller who has left (``left``)."""

    __slots__ = ("_began_at", "_http", "_lenient", "_live", "_project", "_request_id", "_task")
    method = "POST"
    route = "/v1/responses"

    def __init__(self, http: Http, head: Head) -> None:
        deps = http.deps
        self._http = http
        self._project, self._lenient = head.project, head.lenient
        self._request_id = head.request_id or deps.ids.mint("req")
        self._began_at = deps.seconds()
        self._live: Live | None = None
        self._task: asyncio.Task[None] | None = None
        http.answering(self)

    # -- what the connection calls ----------------------------------------------------------

    def pause(self) -> None:
        if self._live is not None:
            self._live.pause()

    def resume(self) -> None:
        if self._live is not None:
            self._live.resume()

    def left(self) -> None:
        """The caller closed the connection: nobody works for one who left."""
        self._stop()
        self._over(LEFT_STATUS, None)

    def cut(self) -> None:
        """The server has no more time."""
        self._stop()
        self.refuse(stopping())

    def _stop(self) -> None:
        if self._live is not None:
            self._live.cancel()
        if self._task is not None:
            self._task.cancel()

    # -- what a response calls (driver.Reader) ----------------------------------------------

    def refuse(self, error: Exception) -> None:
        """Before the first byte: an HTTP status. What nobody expected is the operator's."""
        if isinstance(error, ClientError | RemoteError):
            error.__traceback__ = None  # its frames hold the request and the error: a cycle
        else:
            self._http.deps.observe(Broke("request", error, None))
        problem = problem_of(error, self._request_id)
        self._send(problem.status, problem.body, problem.headers, problem.error.code)

    def write(self, events: Sequence[Event]) -> None:
        """A plain answer shows no events."""

    def end(self, events: Sequence[Event]) -> None:
        live = self._live
        assert live is not None
        if live.unstored is not None:
            self.refuse(RemoteError(live.unstored, status=500))
        else:
            self._send(200, live.spelled(), _downgrades(live))

    # -- writing ----------------------------------------------------------------------------

    def _send(self, status: int, body: bytes, headers: Lines = (), code: str | None = None) -> None:
        """The whole answer, in one write."""
        lines = self._lines(status, _JSON, headers)
        whole = b"%bcontent-length: %d\r\n\r\n%b" % (lines, len(body), body)
        self._http.outbox.put(self._http.transport, whole)
        self._ended(status, code)

    def _lines(self, status: int, content_type: bytes, headers: Lines) -> bytes:
        """The head of an answer, but for how its body is framed."""
        http = self._http
        lines = b"%b%bcontent-type: %b\r\nx-request-id: %b\r\nopenai-processing-ms: %d\r\n%b" % (
            STATUS_LINE[status],
            http.date_line(),
            content_type,
            self._request_id.encode(),
            (http.deps.seconds() - self._began_at) * 1000,
            _VERSION,
        )
        for name, value in headers:
            if name == b"connection":  # the only one there is says: close
                http.last = True
                continue
            lines += b"%b: %b\r\n" % (name, value)
        return lines + b"connection: close\r\n" if http.last else lines

    def _ended(self, status: int, code: str | None = None) -> None:
        self._over(status, code)
        self._http.answered()

    def _over(self, status: int, code: str | None) -> None:
        deps = self._http.deps
        self._live = None
        deps.under_way.leave()
        deps.observe(
            RequestFinished(
                self._request_id,
                self.method,
                self.route,
                status,
                deps.seconds() - self._began_at,
                self._project or None,
                code,
            )
        )

    # -- making -----------------------------------------------------------------------------

    def create(self, asked: CreateResponse) -> None:
        """Resolve the request and start the response, here or, if that has to wait, in a task."""
        if resolves_at_once(asked, self._http.deps.runs.memory, self._project):
            self._start(at_once(self._resolve(asked)))
        else:
            self._task = self._http.loop.create_task(self._wait_and_start(asked))

    def _resolve(self, asked: CreateResponse) -> Coroutine[Any, Any, Context]:
        return self._http.deps.runs.resolve(asked, self._project, "openai", lenient=self._lenient)

    async def _wait_and_start(self, asked: CreateResponse) -> None:
        try:
            context = await self._resolve(asked)
            self._task = None
            self._start(context)
        except Exception as failure:
            self.refuse(failure)

    def _start(self, context: Context) -> None:
        self._live = self._http.deps.runs.start(context, self)
        if self._http.flow.write_paused:
            self.pause()


class _Streamed(_Answer):
    """An answer as SSE: every group of events is one chunk in one write."""

    __slots__ = ("_begun", "_outbox", "_paused_at", "_silent", "_timer", "_transport", "_veiled")

    def __init__(self, http: Http, head: Head) -> None:
        super().__init__(http, head)
        self._outbox, self._transport = http.outbox, http.transport
        self._begun = self._veiled = self._silent = False
        self._paused_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def create(self, asked: CreateResponse) -> None:
        self._veiled = is_veiled(asked)
        super().create(asked)

    def write(self, events: Sequence[Event]) -> None:
        data = frames(self._shown(events) if self._veiled else events)
        if not self._begun:
            return self._chunk(data)
        self._silent = False
        self._outbox.put(self._transport, b"%x\r\n%b\r\n" % (len(data), data))

    def end(self, events: Sequence[Event]) -> None:
        live = self._live
        assert live is not None
        last = frames(self._shown(events), live.spelled()) + DONE
        self._chunk(last, _LAST_CHUNK)
        self._ended(200)

    def pause(self) -> None:
        self._paused_at = self._http.loop.time()
        super().pause()

    def resume(self) -> None:
        self._paused_at = None
        super().resume()

    def cut(self) -> None:
        if self._begun:
            self._http.transport.abort()  # an end would say that the stream is complete
        else:
            super().cut()

    def _shown(self, events: Sequence[Event]) -> Sequence[Event]:
        return obfuscated(events, self._http.deps.random) if self._veiled else events

    def _chunk(self, data: bytes, after: bytes = b"") -> None:
        http = self._http
        lines = b""
        if not self._begun:
            self._begun = True
            lines = self._lines(200, CONTENT_TYPE, _STREAMED + _downgrades(self._live)) + b"\r\n"
            self._watch()
        chunk = b"%b%x\r\n%b\r\n%b" % (lines, len(data), data, after)
        http.outbox.put(http.transport, chunk)
        self._silent = False

    def _watch(self) -> None:
        """Look twice in a silence that should be broken: so no chunk has to ask for the time."""
        silence = self._http.deps.settings.keepalive_seconds or presence.STALLED_AFTER_SECONDS
        self._timer = self._http.loop.call_later(silence / 2, self._look)

    def _look(self) -> None:
        http = self._http
        if self._paused_at is not None:
            if http.loop.time() - self._paused_at >= presence.STALLED_AFTER_SECONDS:
                return http.transport.abort()
        elif not self._silent:
            self._silent = True
        elif http.deps.settings.keepalive_seconds:
            self._chunk(_PING)
        self._watch()

    def _over(self, status: int, code: str | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super()._over(status, code)


class _Retrieval(_Answer):
    """``GET /v1/responses/{id}``: the object."""

    __slots__ = ()
    method = "GET"
    route = "/v1/responses/{response_id}"

    def retrieve(self, response_id: str) -> None:
        deps = self._http.deps
        self._send(200, at_once(stored.retrieve(deps.runs, self._project, response_id)))


def _create(http: Http, head: Head, body: memoryview) -> bool:
    """``POST /v1/responses``. Only ``stream`` chooses the projection, never ``Accept``. False: it
    is not for this road, and nothing was done."""
    answer: _Answer | None = None
    try:
        asked = decode_create(body)
        if asked.background:
            return False
        answer = (_Streamed if asked.stream else _Answer)(http, head)
        answer.create(asked)
    except Exception as failure:
        (answer or _Answer(http, head)).refuse(failure)
    return True


def _retrieve(http: Http, head: Head, response_id: str) -> None:
    answer = _Retrieval(http, head)
    try:
        answer.retrieve(response_id)
    except Exception as failure:
        answer.refuse(failure)


def _downgrades(live: Live | None) -> Headers:
    if live is None or not live.downgrades:
        return []
    return [(b"x-antiphon-downgrades", ", ".join(live.downgrades).encode())]


def protocol(deps: Deps) -> type[Http]:
    """The connection class of the server that ``deps`` describe, for uvicorn's ``http``."""
    return type("Http", (Http,), {"deps": deps, "heads": Heads(deps), "outbox": Outbox()})
