"""Random conversations a run may hand to a backend: every call answered, in any order."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from antiphon.backends.base import Turn
from antiphon.types.content import InputImage, InputText, OutputText, ReasoningText, Refusal
from antiphon.types.items import (
    Call,
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    Item,
    Message,
    Opaque,
    Reasoning,
)
from antiphon.types.tool_items import (
    ApplyPatchCall,
    ApplyPatchCallOutput,
    CodeInterpreterCall,
    ComputerCall,
    ComputerCallOutput,
    FileSearchCall,
    ImageGenerationCall,
    LocalShellAction,
    LocalShellCall,
    LocalShellCallOutput,
    McpCall,
    Screenshot,
    ShellAction,
    ShellCall,
    ShellCallOutput,
    WebSearchCall,
)
from antiphon.types.tools import (
    CustomTool,
    Format,
    FunctionTool,
    GrammarInput,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedChoice,
    TextFormat,
)

words = st.text(max_size=12)
names = st.from_regex(r"[a-zA-Z0-9_-]{1,128}", fullmatch=True)
images = st.builds(
    InputImage,
    image_url=st.just("data:image/png;base64,AAAA"),
    detail=st.sampled_from([None, "low", "high", "auto", "original"]),
) | st.just(InputImage(file_id="file_1"))
input_parts = st.lists(st.builds(InputText, text=words) | images, min_size=1, max_size=3)
output_parts = st.lists(
    st.builds(OutputText, text=words) | st.builds(Refusal, refusal=words), min_size=1, max_size=2
)
identity: dict[str, Any] = {"id": st.just("x_1"), "status": st.just("completed")}
messages = st.one_of(
    st.builds(Message, role=st.just("user"), content=words | input_parts, **identity),
    st.builds(Message, role=st.just("assistant"), content=words | output_parts, **identity),
    st.builds(Message, role=st.sampled_from(["system", "developer"]), content=words | input_parts),
)
thoughts = st.builds(
    Reasoning,
    summary=st.none(),
    content=st.none() | st.lists(st.builds(ReasoningText, text=words), max_size=2),
    **identity,
)
arguments = st.sampled_from(
    ["{}", '{"city":"Paris"}', "", "nonsense", '{"cut": "he', "[1]", "null"]
)
calls = st.builds(
    FunctionCall, call_id=st.just(""), name=names | words, arguments=arguments, **identity
) | st.builds(CustomToolCall, call_id=st.just(""), name=names, input=words, **identity)
opaque = st.just(Opaque("program", {"type": "program"}))
later = st.builds(
    FunctionCall, call_id=st.just(""), name=names, arguments=arguments, later=st.just(True)
)
native = st.one_of(
    st.builds(ShellCall, call_id=st.just(""), action=st.builds(ShellAction, st.lists(words))),
    st.builds(
        LocalShellCall,
        call_id=st.just(""),
        action=st.builds(LocalShellAction, st.lists(words), type=st.just("exec"), env=st.just({})),
    ),
    st.builds(
        ApplyPatchCall,
        call_id=st.just(""),
        operation=st.just({"type": "delete_file", "path": "a"}),
    ),
    st.builds(ComputerCall, call_id=st.just(""), action=st.just({"type": "screenshot"})),
)
finished = st.one_of(
    st.builds(
        McpCall,
        server_label=names,
        name=names,
        arguments=arguments,
        id=words,
        output=st.none() | words,
        error=st.sampled_from([None, {"type": "http_error", "code": 500, "message": "no"}]),
    ),
    st.builds(WebSearchCall, id=words, action=st.just({"type": "search", "query": "q"})),
    st.builds(FileSearchCall, queries=st.lists(words), id=words),
    st.builds(CodeInterpreterCall, container_id=st.just("c"), code=words, id=words),
    st.builds(ImageGenerationCall, result=st.none() | words, id=words),
)
OUTPUTS: dict[type[Any], Any] = {
    ShellCall: lambda id: ShellCallOutput(id, [{"stdout": "a", "stderr": "", "outcome": {}}]),
    LocalShellCall: lambda id: LocalShellCallOutput("a", call_id=id),
    ApplyPatchCall: lambda id: ApplyPatchCallOutput(id, "failed", "why"),
    ComputerCall: lambda id: ComputerCallOutput(id, Screenshot("data:image/png;base64,AAAA")),
}
schemas = st.sampled_from([None, {}, {"type": "object", "properties": {"a": {"type": "string"}}}])
tools = st.one_of(
    st.builds(
        FunctionTool,
        name=names,
        description=st.none() | words,
        parameters=schemas,
        strict=st.sampled_from([None, True, False]),
    ),
    st.builds(
        CustomTool,
        name=names,
        description=st.none() | words,
        format=st.sampled_from([None, GrammarInput("lark", 'start: "a"')]),
    ),
)
formats: st.SearchStrategy[Format] = st.sampled_from(
    [
        TextFormat(),
        JsonObjectFormat(),
        JsonSchemaFormat(name="n", schema={"type": "object"}),
        JsonSchemaFormat(name="n", schema={}, description="d", strict=True),
    ]
)


@st.composite
def histories(draw: st.DrawFn) -> list[Item]:
    """Items with unique call ids; each call's output stands anywhere behind it."""
    items: list[Item] = draw(
        st.lists(
            st.one_of(messages, thoughts, calls, calls, opaque, later, native, finished),
            min_size=1,
            max_size=10,
        )
    )
    found = [item for item in items if isinstance(item, Call)]
    for number, call in enumerate(found):
        call.call_id = f"call_{number}"
        if isinstance(call, FunctionCall) and call.later and draw(st.booleans()):
            continue  # it may stay open
        at = draw(st.integers(items.index(call) + 1, len(items)))
        if type(call) in OUTPUTS:
            items.insert(at, OUTPUTS[type(call)](call.call_id))
            continue
        text = draw(words | input_parts)
        function = isinstance(call, FunctionCall)
        kind: type[Any] = FunctionCallOutput if function else CustomToolCallOutput
        items.insert(at, kind(call_id=call.call_id, output=text))
    return items


@st.composite
def turns(draw: st.DrawFn) -> Turn:
    """Any turn that is legal: choices name offered tools, numbers are in range."""
    offered = draw(st.lists(tools, max_size=3, unique_by=lambda tool: tool.name))
    choices: list[Any] = ["auto", "none", "required"] if offered else ["auto"]
    for tool in offered:
        custom = isinstance(tool, CustomTool)
        choices.append(NamedChoice(type="custom" if custom else "function", name=tool.name))
    items = draw(histories())
    has_message = any(isinstance(item, Message) for item in items)
    return Turn(
        model="echo",
        items=items,
        instructions=draw(st.none() | words) if has_message else "Be kind.",
        tools=offered,
        tool_choice=draw(st.sampled_from(choices)),
        parallel_tool_calls=draw(st.booleans()),
        format=draw(formats),
        verbosity=draw(st.sampled_from([None, "low", "medium", "high"])),
        effort=draw(st.sampled_from([None, "none", "minimal", "low", "high", "xhigh", "max"])),
        max_output_tokens=draw(st.none() | st.integers(16, 100_000)),
        temperature=draw(st.none() | st.floats(0, 2)),
        top_p=draw(st.none() | st.floats(0, 1)),
        presence_penalty=draw(st.none() | st.floats(-2, 2)),
        frequency_penalty=draw(st.none() | st.floats(-2, 2)),
        logprobs=draw(st.booleans()),
        top_logprobs=draw(st.none() | st.integers(0, 20)),
        prompt_cache_key=draw(st.none() | words),
        safety_identifier=draw(st.none() | words),
        live=draw(st.booleans()),
    )
