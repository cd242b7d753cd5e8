"""The scripted model: deterministic answers and faults, chosen by the model's name.

``scripted/echo`` repeats the user, ``scripted/error-after-3`` breaks after three batches: the
whole list is the table ``SCRIPTS`` (``scripts.py``), and ``GET /v1/models`` shows it. A number
at the end of a name is the script's argument (``long-200``, ``slow-50ms``). One delta with
text counts as one token, so ``max_output_tokens`` cuts a script the way it cuts a model, and
so do the texts of ``stop``.

It needs no network and no weights; it is for tests, demos and for trying a client's handling
of trouble with nothing but curl.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Sequence

from antiphon.backends.base import Backend, Capabilities, Model, Turn
from antiphon.backends.estimate import turn_tokens
from antiphon.backends.script_parts import Batch, Pause, Play, Script, first_user_text
from antiphon.backends.scripts import COUNTED, SCRIPTS, no_usage
from antiphon.errors import RemoteError
from antiphon.stream.deltas import (
    CallArguments,
    Declined,
    Delta,
    Finish,
    Spent,
    Text,
    Thought,
)
from antiphon.types.content import Logprob, TopLogprob

PREFIX = "scripted/"
REMEMBERED_MAX = 1_000
_NUMBERED = re.compile(r"(.+)-(\d+)(?:ms)?")


class Scripted(Backend):
    """The backend whose models are scripts. Holds only counters (``flaky-2``, ``bad-json-2``)."""

    def __init__(self) -> None:
        self._attempts: dict[tuple[str, str], int] = {}

    async def open(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to release."""

    async def models(self) -> Sequence[Model]:
        """Every script, with the sentence that describes it."""
        return [
            Model(id=PREFIX + name, owned_by="antiphon", about=about_of(script))
            for name, script in SCRIPTS.items()
        ]

    def capabilities(self, model: str) -> Capabilities:
        """Everything is passed on and nothing enforced: scripts may break any demand."""
        return Capabilities()

    async def count(self, turn: Turn) -> int | None:
        """The same number the script reports as its input tokens."""
        return turn_tokens(turn)

    async def stream(self, turn: Turn) -> AsyncIterator[Sequence[Delta]]:
        """Perform the script named by the model. 404 if there is none of that name."""
        script, number = script_of(turn.model)
        performance = script(
            Play(turn, number, self._attempt(turn, number) if script in COUNTED else 1)
        )
        meter = _Meter(turn, reports=script is not no_usage)
        for step in performance:
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                continue
            batch = meter.measure(step)
            yield batch
            if batch and isinstance(batch[-1], Finish):
                return

    def _attempt(self, turn: Turn, number: int | None) -> int:
        """1 for the first call of this script in this conversation, then 2, 3 …

        Starts again after ``number`` failures and one success. A conversation is known by
        its first user text, since a repeated call may have more items than the first.
        """
        key = (turn.model, first_user_text(turn))
        attempt = self._attempts.pop(key, 0) + 1
        if attempt <= (number or 1):
            self._attempts[key] = attempt
        if len(self._attempts) > REMEMBERED_MAX:
            del self._attempts[next(iter(self._attempts))]
        return attempt


class _Meter:
    """Counts tokens, cuts at the limit, adds logprobs when asked and the usage at the end."""

    def __init__(self, turn: Turn, *, reports: bool) -> None:
        self._turn = turn
        self._reports = reports
        self._left = math.inf if turn.max_output_tokens is None else turn.max_output_tokens
        self._spoken = 0
        self._thought = 0
        self._held = ""  # written, but perhaps the beginning of a stop

    def measure(self, batch: Batch) -> Batch:
        measured: Batch = []
        for delta in batch:
            if self._turn.stop and isinstance(delta, Text | Finish):
                text = delta.text if isinstance(delta, Text) else ""
                text, stopped = self._before_stop(text, last=isinstance(delta, Finish))
                if stopped:
                    measured += [Text(text)] if text else []
                    return [*measured, *self._spent(), Finish("stop")]
                if isinstance(delta, Text):
                    if not text:
                        continue
                    delta = Text(text)
                elif text:
                    measured.append(Text(text))
            if isinstance(delta, Finish):
                return [*measured, *self._spent(), delta]
            if isinstance(delta, Spent):
                self._reports = False
            if isinstance(delta, Text | Thought | Declined | CallArguments):
                if self._spoken >= self._left:
                    return [*measured, *self._spent(), Finish("length")]
                self._spoken += 1
                self._thought += isinstance(delta, Thought)
            if isinstance(delta, Text) and self._turn.logprobs and delta.logprobs is None:
                delta = Text(delta.text, self._logprobs(delta.text))
            measured.append(delta)
        return measured

    def _before_stop(self, text: str, *, last: bool) -> tuple[str, bool]:
        """What can be said of the text now, and whether a stop ends it there."""
        text, self._held = self._held + text, ""
        found = [at for stop in self._turn.stop if stop and (at := text.find(stop)) >= 0]
        if found or last:
            return text[: min(found, default=len(text))], bool(found)
        keep = len(text)
        for stop in self._turn.stop:
            for size in range(1, len(stop)):
                if text.endswith(stop[:size]):
                    keep = min(keep, len(text) - size)
        self._held = text[keep:]
        return text[:keep], False

    def _spent(self) -> list[Spent]:
        if not self._reports:
            return []
        return [Spent(turn_tokens(self._turn), self._spoken, 0, self._thought)]

    def _logprobs(self, text: str) -> list[Logprob]:
        rivals = [text, *(f"rival-{n}" for n in range(1, 20))][: self._turn.top_logprobs or 0]
        top = [TopLogprob(rival, -0.25 - n, list(rival.encode())) for n, rival in enumerate(rivals)]
        return [Logprob(text, -0.25, list(text.encode()), top)]


def about_of(script: Script) -> str:
    """The first sentence of a script's docstring, for people."""
    return (script.__doc__ or "").partition("\n")[0]


def script_of(model: str) -> tuple[Script, int | None]:
    """The script of a model name and the number in it; RemoteError 404 if there is none."""
    name = model.removeprefix(PREFIX)
    if name in SCRIPTS:
        return SCRIPTS[name], None
    numbered = _NUMBERED.fullmatch(name)
    if numbered and numbered[1] in SCRIPTS:
        return SCRIPTS[numbered[1]], int(numbered[2])
    raise RemoteError(
        f"The model '{PREFIX}{name[:64]}' does not exist; GET /v1/models lists the scripts.",
        status=404,
        code="model_not_found",
        param="model",
    )
