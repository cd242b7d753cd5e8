"""What the embedded engine promises."""

from __future__ import annotations

from tests.requirements.base import Requirement

TRAPS = "llama.cpp server, observed behaviour"
SURFACE = "Responses API"

REQUIREMENTS = {
    "engine:schema:enforced": Requirement(
        source=f"{SURFACE}: structured outputs",
        behaviour="A schema is kept whatever the model would like to say, recursion and "
        "unanchored patterns included.",
    ),
    "engine:schema:refused": Requirement(
        source=TRAPS,
        behaviour="A schema that cannot be enforced is a 400 with its path, never ignored.",
    ),
    "engine:tools:auto": Requirement(
        source=f"{SURFACE}: tools",
        behaviour="The model calls a tool when it fits and talks when it does not.",
    ),
    "engine:tools:named": Requirement(
        source=TRAPS,
        behaviour="A named tool choice calls exactly that tool, though llama.cpp takes the object "
        "form for auto.",
    ),
    "engine:tools:required": Requirement(
        source=TRAPS, behaviour="A required call comes, without a word before it."
    ),
    "engine:tools:strict": Requirement(
        source=f"{SURFACE}: strict functions",
        behaviour="Arguments of strict functions are valid in every tool choice.",
    ),
    "engine:tools:parallel": Requirement(
        source=f"{SURFACE}: parallel_tool_calls",
        behaviour="With parallel calls off at most one call is made.",
    ),
    "engine:tools:without_tools": Requirement(
        source=TRAPS, behaviour="Without tools the model cannot write the text of a call."
    ),
    "engine:tools:with_schema": Requirement(
        source=TRAPS,
        behaviour="Tools and a schema in one turn both hold; neither makes the other vanish.",
    ),
    "engine:custom:grammar": Requirement(
        source=f"{SURFACE}: custom tools",
        behaviour="The Lark grammar or regular expression of a custom tool is kept.",
    ),
    "engine:custom:bad_grammar": Requirement(
        source=TRAPS,
        behaviour="A grammar that does not compile is a 400; llama.cpp would ignore it.",
    ),
    "engine:grammar:takes": Requirement(
        source="llguidance",
        behaviour="The grammar of a turn takes what the turn allows and nothing else.",
    ),
    "engine:calls:any_cut": Requirement(
        source="house.md §7.5",
        behaviour="Calls are told apart from text wherever the pieces are cut.",
    ),
    "engine:capabilities:by_template": Requirement(
        source="issue",
        behaviour="Only what constrained decoding guarantees for this model is called enforced.",
    ),
    "engine:sampling:default": Requirement(
        source="issue",
        behaviour="The demo model answers at temperature 0 unless the caller says otherwise.",
        divergence="The API's default temperature is 1.",
    ),
    "engine:finish:length": Requirement(
        source=TRAPS, behaviour="An answer cut by the token limit says that it was cut."
    ),
    "engine:logprobs:real": Requirement(
        source=f"{SURFACE}: logprobs", behaviour="Log probabilities are the model's own."
    ),
    "engine:count:exact": Requirement(
        source=f"{SURFACE}: input_tokens",
        behaviour="Counting a turn gives exactly what the turn then costs.",
    ),
    "engine:context:overflow": Requirement(
        source=f"{SURFACE}: context_length_exceeded",
        behaviour="An input beyond the window is a 400 context_length_exceeded.",
    ),
    "engine:context:own_window": Requirement(
        source=TRAPS,
        behaviour="Answers side by side each have the whole window; none takes another's.",
    ),
    "engine:context:fits": Requirement(
        source=TRAPS,
        behaviour="The window is what was set or what fits into memory, never more than trained.",
    ),
    "engine:thinking:only_if_asked": Requirement(
        source="issue",
        behaviour="A thinking model thinks only when asked to and where the grammar allows it.",
    ),
    "engine:output:not_text": Requirement(
        source=TRAPS,
        behaviour="Bytes that are no text fail one answer at most, never the engine.",
    ),
    "engine:cancel:frees_slot": Requirement(
        source="issue", behaviour="Leaving an answer stops the engine at once."
    ),
    "engine:parallel:waits": Requirement(
        source=TRAPS, behaviour="No more turns than slots reach the engine; the others wait."
    ),
    "engine:child:closed_to_others": Requirement(
        source=TRAPS,
        behaviour="The child listens on loopback only, wants a key, and shows no page or CORS.",
    ),
    "engine:child:secret_hidden": Requirement(
        source="issue", behaviour="The child's key is in no argument and no environment."
    ),
    "engine:child:own_limits": Requirement(
        source=TRAPS, behaviour="Window, threads and memory are set by us, not by its defaults."
    ),
    "engine:child:restart": Requirement(
        source="issue",
        behaviour="A crash breaks off the answers under way with a 502 and the child comes back.",
    ),
    "engine:child:never_orphaned": Requirement(
        source="issue", behaviour="The child is gone within two seconds of a killed server."
    ),
    "engine:start:missing_file": Requirement(
        source="issue",
        behaviour="A missing model stops nothing else; its turns say what is missing.",
    ),
    "engine:start:reason": Requirement(
        source=TRAPS, behaviour="A model that does not load is refused with the engine's reason."
    ),
    "engine:start:missing_library": Requirement(
        source=TRAPS, behaviour="A missing system library is named with the command for it."
    ),
    "engine:start:old_processor": Requirement(
        source=TRAPS, behaviour="Death by an illegal instruction is told as what it is, once."
    ),
    "engine:probe:processor": Requirement(
        source=TRAPS, behaviour="A processor without AVX2 is recognised before it is tried."
    ),
    "engine:probe:package": Requirement(
        source="issue", behaviour="A missing package is named with the command that installs it."
    ),
    "engine:threads:leave_one": Requirement(
        source=TRAPS,
        behaviour="Threads are the cores this process may use (affinity, cgroup), less one.",
    ),
    "engine:gguf:head": Requirement(
        source="GGUF specification",
        behaviour="Template, window and memory need are read from the file before it is loaded.",
    ),
}
