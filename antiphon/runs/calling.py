"""Calls of tools under way: all those of one model turn, side by side.

To a ``Live`` it is what a model call is, a ``backends.base.Call``: closed when the response ends
before it. In a background response each call is a step (``steps.py``), so that who takes the
response over does not make it a second time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Protocol

import msgspec

from antiphon.observe import Broke, Observe, ToolFinished
from antiphon.runs.rounds import Asked
from antiphon.runs.steps import Interrupted, Steps
from antiphon.tools.base import INTERRUPTED, Failure, Output, ServerTool, ToolFailed

_outcome: Callable[[bytes], Output] = msgspec.json.Decoder(Output).decode


class Sink(Protocol):
    """Who waits for the outputs. Its methods never wait and never raise."""

    def answered(self, call_id: str, output: Output) -> None: ...

    def broke(self, error: Exception) -> None:
        """No output will come: ``Fenced``, or what nobody expected."""


class Calling:
    """The calls of one turn. ``steps`` None: nobody can take the response over.

    A call is known, to its tool and its journal, by the id of its item: call_ids are the model
    server's, and may be the same in another response.
    """

    _tasks: set[asyncio.Task[None]] = set()

    def __init__(
        self,
        calls: Sequence[Asked],
        tools: Mapping[str, ServerTool],
        sink: Sink,
        *,
        response_id: str,
        steps: Steps | None,
        observe: Observe,
    ) -> None:
        self._tools = tools
        self._sink = sink
        self._response_id = response_id
        self._steps = steps
        self._observe = observe
        self._closed = False
        self._own = [asyncio.create_task(self._make(call)) for call in calls]
        for task in self._own:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def pause(self) -> None:
        """An output is small, and comes once: nothing has to be held up."""

    def resume(self) -> None:
        """Nothing was paused."""

    def close(self) -> None:
        self._closed = True
        for task in self._own:
            if task is not asyncio.current_task():
                task.cancel()

    async def _make(self, call: Asked) -> None:
        try:
            output = await self._output(call)
        except Exception as error:
            if not self._closed:
                self._sink.broke(error)
            return
        if not self._closed:
            self._sink.answered(call.call_id, output)

    async def _output(self, call: Asked) -> Output:
        tool = self._tools[call.name]
        if self._steps is None:
            return await self._call(tool, call.arguments, call.key)

        async def step() -> bytes:
            return msgspec.json.encode(await self._call(tool, call.arguments, call.key))

        try:
            done = await self._steps.step(call.key, "again" if tool.again else "once", step)
        except Interrupted:
            self._tell(tool, 0.0, "interrupted")
            return Failure(INTERRUPTED)
        return _outcome(done)

    async def _call(self, tool: ServerTool, arguments: str, key: str) -> Output:
        """What came of one attempt. A failure is an output as well."""
        began = monotonic()
        outcome = "cancelled"
        output: Output
        try:
            output = await tool.call(arguments, key=key)
            outcome = "ok"
        except ToolFailed as failure:
            output, outcome = Failure(failure.message, failure.detail), "failed"
        except Exception as error:
            self._observe(Broke("tool", error, self._response_id))
            output, outcome = Failure(f"The function {tool.name} failed."), "failed"
        finally:
            self._tell(tool, monotonic() - began, outcome)
        return output

    def _tell(self, tool: ServerTool, seconds: float, outcome: str) -> None:
        self._observe(ToolFinished(self._response_id, tool.name, outcome, seconds))
