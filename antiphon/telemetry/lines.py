"""Lines on their way out: written together and in order, by one system call for many.

A line that can wait is written with those around it: when 100 wait or 32 KB, when one comes
that cannot wait, and at the latest a tenth of a second later. Without a running event loop
nobody would come back to it, so it is written at once. What waits when the interpreter ends is
written then; only a process that is killed loses it.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import TextIO

DELAY_SECONDS = 0.1
LINES_MAX = 100
BYTES_MAX = 32_768


class Lines:
    """Writes to ``stream``. May be called from any thread, and from a signal's handler."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop that will come back to what waits."""
        # Reentrant: a signal's handler may flush in the middle of a flush of its own thread.
        self._lock = threading.RLock()
        weakref.finalize(self, _write, stream, self._waiting)

    def add(self, line: bytes) -> None:
        """A line, without its line break, that may wait a moment."""
        waiting = self._waiting
        waiting.append(line)
        self._bytes += len(line)
        if len(waiting) >= LINES_MAX or self._bytes >= BYTES_MAX:
            self.flush()
        elif self._loop is None or self._loop.is_closed():
            self._come_back()

    def add_now(self, line: bytes) -> None:
        """A line to be written before this returns, after those that wait."""
        self._waiting.append(line)
        self.flush()

    def flush(self) -> None:
        """Write what waits. It is no error if nobody reads any more (closed pipe)."""
        with self._lock:
            self._bytes = 0
            _write(self._stream, self._waiting)

    def _come_back(self) -> None:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
            self.flush()
        else:
            # Never cancelled: that would have to happen in the loop's thread.
            self._loop.call_later(DELAY_SECONDS, self._back)

    def _back(self) -> None:
        self._loop = None
        self.flush()


def _write(stream: TextIO, waiting: list[bytes]) -> None:
    count = len(waiting)
    if not count:
        return
    text = b"\n".join(waiting[:count]).decode() + "\n"
    # Always the same list: another thread may be adding to it.
    del waiting[:count]
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        pass  # nobody reads the log any more (closed pipe): that must not end a response
    except RuntimeError:
        pass  # a signal's handler came between the halves of a write; the process is ending
