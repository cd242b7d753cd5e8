"""The legal order of a response's events, as tables.

Rules of this file: everything about what may follow what lives here; it knows nothing of
backends, runs or transports, and it does not know how events are made.

Theory of operation. A response is in one of the states of ``LIFE``; each open output item is
in one of the states of its table in ``ITEMS``. An event is legal if the pair (state, event
class) has an entry; the entry is the next state. An item's table starts at ``"added"`` (just
after ``output_item.added``) and ends when ``output_item.done`` leads to ``"done"``.
Text-like items loop over content parts: ``part`` is inside a part before its ``*.done``,
``closing`` after it and before ``content_part.done``, which returns to ``added``.

What is not covered here: that indexes are dense, that ids agree, that a ``done`` repeats the
sum of its deltas. The gate checks those (``gate.py``).

A cut item (token limit, failure, cancel) walks the same way to its end: its closers are sent
and only its ``status`` says ``incomplete``.
"""

from __future__ import annotations

from antiphon.types.events import (
    AnnotationAdded,
    Compacting,
    Completed,
    ContentPartAdded,
    ContentPartDone,
    Created,
    CustomToolCallInputDelta,
    CustomToolCallInputDone,
    Event,
    Failed,
    FunctionCallArgumentsDelta,
    FunctionCallArgumentsDone,
    Incomplete,
    InProgress,
    OutputItemAdded,
    OutputItemDone,
    OutputTextDelta,
    OutputTextDone,
    Queued,
    ReasoningTextDelta,
    ReasoningTextDone,
    RefusalDelta,
    RefusalDone,
    SummaryPartAdded,
    SummaryPartDone,
    SummaryTextDelta,
    SummaryTextDone,
)
from antiphon.types.tool_events import (
    STAGES,
    CodeDelta,
    CodeDone,
    McpCallArgumentsDelta,
    McpCallArgumentsDone,
    McpCallCompleted,
    McpCallFailed,
    McpCallInProgress,
    McpListToolsCompleted,
    McpListToolsFailed,
    McpListToolsInProgress,
    ShellCommandAdded,
    ShellCommandDelta,
    ShellCommandDone,
)

Table = dict[tuple[str, type[Event]], str]

NEW, QUEUED, STARTED, RUNNING, OVER = "new", "queued", "started", "running", "over"
ADDED, PART, CLOSING, DONE = "added", "part", "closing", "done"
CALLING = "calling"
SUMMING, SUMMED = "summing", "summed"

LIFE: Table = {
    (NEW, Created): STARTED,
    (STARTED, Queued): QUEUED,
    (STARTED, InProgress): RUNNING,
    (QUEUED, InProgress): RUNNING,
    (QUEUED, Failed): OVER,
    (STARTED, Failed): OVER,
    (RUNNING, OutputItemAdded): RUNNING,
    (RUNNING, Completed): OVER,
    (RUNNING, Failed): OVER,
    (RUNNING, Incomplete): OVER,
}
"""The life of the response. Item events are legal only while it is running."""


def _parts(*kinds: tuple[type[Event], type[Event]], annotated: bool = False) -> Table:
    """An item made of content parts; each kind is (delta event, done event)."""
    table: Table = {(ADDED, ContentPartAdded): PART, (CLOSING, ContentPartDone): ADDED}
    for delta, done in kinds:
        table[(PART, delta)] = PART
        table[(PART, done)] = CLOSING
    if annotated:
        table[(PART, AnnotationAdded)] = PART
    table[(ADDED, OutputItemDone)] = DONE
    return table


def _call(delta: type[Event], done: type[Event]) -> Table:
    """A call whose arguments come in pieces and are closed once."""
    return {
        (ADDED, delta): ADDED,
        (ADDED, done): CLOSING,
        (CLOSING, OutputItemDone): DONE,
    }


def _hosted(kind: str) -> Table:
    """Stages one after the other; cut, it ends after any of them."""
    table: Table = {(ADDED, OutputItemDone): DONE}
    state = ADDED
    for stage in STAGES[kind]:
        if stage is CodeDone:
            table[(state, CodeDelta)] = state
        table[(state, stage)] = stage.__name__
        state = stage.__name__
        table[(state, OutputItemDone)] = DONE
    return table


_WHOLE: Table = {(ADDED, OutputItemDone): DONE}

ITEMS: dict[str, Table] = {
    "message": _parts(
        (OutputTextDelta, OutputTextDone), (RefusalDelta, RefusalDone), annotated=True
    ),
    "reasoning": {
        **_parts((ReasoningTextDelta, ReasoningTextDone)),
        (ADDED, SummaryPartAdded): SUMMING,
        (SUMMING, SummaryTextDelta): SUMMING,
        (SUMMING, SummaryTextDone): SUMMED,
        (SUMMED, SummaryPartDone): ADDED,
    },
    "function_call": _call(FunctionCallArgumentsDelta, FunctionCallArgumentsDone),
    "custom_tool_call": _call(CustomToolCallInputDelta, CustomToolCallInputDone),
    "function_call_output": _WHOLE,
    "local_shell_call": _WHOLE,
    "apply_patch_call": _WHOLE,
    "computer_call": _WHOLE,
    "tool_search_call": _WHOLE,
    "tool_search_output": _WHOLE,
    "mcp_approval_request": _WHOLE,
    "shell_call": {
        (ADDED, ShellCommandAdded): PART,
        (PART, ShellCommandDelta): PART,
        (PART, ShellCommandDone): ADDED,
        (ADDED, OutputItemDone): DONE,
    },
    "mcp_list_tools": {
        (ADDED, McpListToolsInProgress): PART,
        (PART, McpListToolsCompleted): CLOSING,
        (PART, McpListToolsFailed): CLOSING,
        (PART, OutputItemDone): DONE,
        (CLOSING, OutputItemDone): DONE,
    },
    "mcp_call": {
        (ADDED, McpCallInProgress): PART,
        (PART, McpCallArgumentsDelta): PART,
        (PART, McpCallArgumentsDone): CALLING,
        (CALLING, McpCallCompleted): CLOSING,
        (CALLING, McpCallFailed): CLOSING,
        (CALLING, OutputItemDone): DONE,
        (CLOSING, OutputItemDone): DONE,
    },
    **{kind: _hosted(kind) for kind in STAGES},
    "compaction": {(ADDED, Compacting): ADDED, (ADDED, OutputItemDone): DONE},
}
"""What may happen inside an item, by the item's ``type``."""

PART_OF_DELTA: dict[type[Event], str] = {
    OutputTextDelta: "output_text",
    OutputTextDone: "output_text",
    AnnotationAdded: "output_text",
    RefusalDelta: "refusal",
    RefusalDone: "refusal",
    ReasoningTextDelta: "reasoning_text",
    ReasoningTextDone: "reasoning_text",
    SummaryTextDelta: "summary_text",
    SummaryTextDone: "summary_text",
}
"""Which kind of part an event belongs to: a text delta inside a refusal part is illegal."""
