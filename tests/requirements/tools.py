"""Tools that the server runs."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "tools:function:called": Requirement(
        "ours", "A function is asked with the arguments as written, a key and its bearer token."
    ),
    "tools:function:failures": Requirement(
        "ours", "A failing function is told in words that hold no secret."
    ),
    "tools:function:patience": Requirement("ours", "A silent function fails in time."),
    "tools:function:settings": Requirement("ours", "A function without a good address is refused."),
    "tools:loop:answered": Requirement(
        "issue", "A call of a function the server answers is made, and the model goes on with it."
    ),
    "tools:loop:usage": Requirement("ours", "Usage is summed over all model calls of the loop."),
    "tools:loop:parallel": Requirement(
        "ours", "Calls of one turn run side by side; their outputs stand in the order of the calls."
    ),
    "tools:loop:one-call": Requirement(
        "api-surface", "With parallel_tool_calls false one call per turn is made."
    ),
    "tools:loop:mixed": Requirement(
        "api-surface",
        "In a turn with both kinds of calls the server's are answered, then the caller is asked.",
    ),
    "tools:loop:chained": Requirement(
        "ours", "The next turn is shown calls and outputs, from memory and from the store."
    ),
    "tools:loop:carried": Requirement("ours", "Calls and outputs may be sent back as input."),
    "tools:loop:replay": Requirement("ours", "A replay spells outputs as the stream did."),
    "tools:loop:reasoning": Requirement(
        "ours", "The model sees its thoughts between calls, also those nobody else is shown."
    ),
    "tools:loop:compacted": Requirement(
        "ours", "Calls behind a compaction go on from its window, and not from what it stands for."
    ),
    "tools:limit:calls": Requirement(
        "api-surface", "max_tool_calls bounds the calls of a response; more are told so, not made."
    ),
    "tools:limit:rounds": Requirement(
        "ours", "A model that never stops calling fails clearly after runs.tool_rounds_max turns."
    ),
    "tools:budget": Requirement("api-surface", "max_output_tokens is for all rounds together."),
    "tools:choice:once": Requirement("ours", "A demanded call is demanded of the first turn only."),
    "tools:arguments:invalid": Requirement(
        "ours", "Arguments that are no JSON object are not sent; the model is told."
    ),
    "tools:failure:told": Requirement("ours", "The model is told of a failed call and goes on."),
    "tools:settings:described": Requirement(
        "ours", "Description and parameters a tool leaves open come from the settings."
    ),
    "tools:docs:how-to": Requirement("house", "The how-to works as it is written."),
    "tools:settings:names": Requirement("ours", "A function is declared once."),
    "tools:cancel": Requirement("ours", "Who leaves or cancels stops the calls under way."),
    "tools:outputs:order": Requirement(
        "ours", "An output is told as soon as those of the calls before it are."
    ),
    "tools:outputs:any-order": Requirement(
        "ours", "Whatever is called, in whatever order answers come: one legal response."
    ),
    "tools:outputs:never-missing": Requirement(
        "ours", "A call of the server's never stays without an output, however the response ends."
    ),
    "tools:prompt:extends": Requirement(
        "ours", "Each model call's prompt begins with that of the one before."
    ),
    "tools:prompt:remembered": Requirement(
        "ours", "What was written for a round is not written again for the next."
    ),
    "tools:background": Requirement(
        "issue", "In the background calls and outputs are in the log like everything else."
    ),
    "tools:takeover:any-cut": Requirement(
        "ours", "Wherever a log with calls ends, the response goes on to one legal whole."
    ),
    "tools:takeover:answered": Requirement(
        "ours", "Calls in the log are made, not asked for again; their outputs there are kept."
    ),
    "tools:takeover:repeatable": Requirement(
        "issue",
        "A call whose end nobody heard of is made again with its key if it is repeatable, else the "
        "model is told that it was interrupted.",
    ),
    "tools:takeover:done": Requirement("issue", "A call that ended is not made again."),
    "tools:takeover:usage": Requirement(
        "ours", "Usage of the model calls before a takeover counts after it."
    ),
    "tools:takeover:fenced": Requirement(
        "issue", "Who has lost the response says nothing more of its calls."
    ),
    "tools:takeover:kill:unanswered": Requirement(
        "issue", "After kill -9 during a call the next process finishes the response."
    ),
    "tools:takeover:kill:answered": Requirement(
        "issue", "After kill -9 behind a call it is not made a second time."
    ),
    "tools:roads:json": Requirement("issue", "Plain answers hold call, output and message."),
    "tools:roads:sse": Requirement("issue", "Streams and their replays tell of outputs."),
    "tools:roads:quiet": Requirement("ours", "Streams are kept alive while a function thinks."),
    "tools:roads:chained": Requirement(
        "ours", "Turns that follow and input lists know of outputs."
    ),
    "tools:roads:mixed": Requirement("ours", "The caller answers the calls of his own functions."),
    "tools:roads:conversation": Requirement("ours", "A conversation keeps calls and outputs."),
    "tools:roads:background": Requirement("issue", "Polled and followed from any event."),
    "tools:roads:websocket": Requirement("ours", "The same over a WebSocket."),
    "tools:roads:chat": Requirement(
        "ours", "A chat completion shows what was said, and only calls the caller has to answer."
    ),
    "tools:roads:failure": Requirement("ours", "A function's failure is told without secrets."),
}
