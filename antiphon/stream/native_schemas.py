"""What a model is shown of the tools that have items of their own: descriptions and JSON Schemas.

They are written for models that were never trained for these tools, so they say all a model has
to know: how a diff is written, which actions there are. The schemas are what calls are checked
with; ``strictly`` makes of one what constrained decoding takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Schema = dict[str, Any]

_NOT_STRICT = frozenset({"minItems", "minLength"})
"""Words some servers do not take in a strict schema."""


def _object(properties: Mapping[str, Schema], *optional: str) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _integer(about: str = "", *, nullable: bool = False) -> Schema:
    schema: Schema = {"type": ["integer", "null"] if nullable else "integer"}
    return {**schema, "description": about} if about else schema


def _strings(about: str, *, some: bool = True) -> Schema:
    schema: Schema = {"type": "array", "items": {"type": "string"}, "description": about}
    return {**schema, "minItems": 1} if some else schema


def strictly(schema: Schema) -> Schema:
    """The schema as strict mode wants it: every property required, those that may be left out
    nullable, ``anyOf`` for ``oneOf``."""
    made = {key: value for key, value in schema.items() if key not in _NOT_STRICT}
    if "oneOf" in made:
        made["anyOf"] = [strictly(option) for option in made.pop("oneOf")]
    if "items" in made:
        made["items"] = strictly(made["items"])
    if "properties" in made:
        required = made.get("required", ())
        made["properties"] = {
            name: strictly(inner) if name in required else _nullable(strictly(inner))
            for name, inner in made["properties"].items()
        }
        made["required"] = list(made["properties"])
    return made


def _nullable(schema: Schema) -> Schema:
    kind = schema.get("type")
    if isinstance(kind, list) and "null" in kind:
        return schema
    return {**schema, "type": [kind, "null"]}


# Shells -------------------------------------------------------------------------------------

SHELL = (
    "Run commands in the user's shell, on the user's machine. They run one after the other, "
    "each in a new shell that ends with it: a `cd` or a variable does not outlive its command, so "
    "join what belongs together with `&&`. Nobody can type anything in while they run. You get "
    "stdout, stderr and the exit code of every command."
)
SHELL_SCHEMA = _object(
    {
        "commands": _strings("The commands, as they would be typed into a shell."),
        "timeout_ms": _integer("Milliseconds each command may take.", nullable=True),
        "max_output_length": _integer(
            "Characters of output you want at most of each command.", nullable=True
        ),
    },
    "timeout_ms",
    "max_output_length",
)


def shell_description(environment: Mapping[str, Any] | None) -> str:
    """What the model is told of a shell. ``environment``: the tool's, whose skills are listed."""
    skills = (environment or {}).get("skills") or ()
    if not skills:
        return SHELL
    lines = [
        f"- {skill.get('name', '')}: {skill.get('description', '')} (folder: "
        f"{skill.get('path', '')})"
        for skill in skills
    ]
    return (
        f"{SHELL}\n\nThere are skills on that machine, each a folder whose file SKILL.md says how "
        "something is done there. Read that file before you do what a skill is about:\n"
        + "\n".join(lines)
    )


LOCAL_SHELL = (
    "Run one program on the user's machine and get its output. There is no shell unless you start "
    "one: pass ['bash', '-lc', 'ls | wc -l'] for pipes, variables or several commands. Nobody can "
    "type anything in while it runs."
)
LOCAL_SHELL_SCHEMA = _object(
    {
        "command": _strings("The program and its arguments, one string each."),
        "timeout_ms": _integer("Milliseconds it may take.", nullable=True),
        "working_directory": {
            "type": ["string", "null"],
            "description": "Where it runs; else where the user's program does.",
        },
        "user": {"type": ["string", "null"], "description": "As whom it runs."},
    },
    "timeout_ms",
    "working_directory",
    "user",
)

# Patches ------------------------------------------------------------------------------------

APPLY_PATCH = """\
Create, change or delete ONE file of the user's; call again for another file. You are told whether \
it worked. `type` says what to do with the file at `path`, `diff` holds the text:

- create_file: every line of the new file, each with a `+` in front of it.
- update_file: one or more hunks. There are no line numbers: a hunk is found by its lines, so it \
shows about three unchanged lines before and after each change, exactly as they are in the file. \
Every line of a hunk begins with one character that is not part of the file: a space for a line \
that stays, `-` for a line that goes, `+` for a new line. A hunk begins with a line `@@`; where \
its lines could be found in several places, write a line that stands above them behind it, \
such as `@@ def area(self):`. A hunk that reaches to the end of the file ends with the line \
`*** End of File`.
- delete_file: an empty diff.

There is no other syntax: no `*** Begin Patch`, no `---` and `+++` file names, no code fence. \
Read a file before you change it. This diff adds an argument to a function:

@@ class Circle:
     def area(self):
-        return math.pi * self.radius
+        return math.pi * self.radius**2

     def name(self):"""
APPLY_PATCH_SCHEMA = _object(
    {
        "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
        "path": {"type": "string", "minLength": 1, "description": "Path of the file."},
        "diff": {
            "type": "string",
            "description": "Every line begins with `+`, `-`, a space or `@@`. Empty for "
            "delete_file.",
        },
    }
)

# Computers ----------------------------------------------------------------------------------

_KEYS = "Keys that are held down meanwhile, such as CTRL or SHIFT."


def _action(name: str, about: str, properties: Mapping[str, Schema] = {}) -> Schema:
    kind: Schema = {"type": "string", "enum": [name], "description": about}
    optional = () if name == "keypress" else ("keys",)
    return _object({"type": kind, **properties}, *optional)


_AT: dict[str, Schema] = {"x": {"type": "integer"}, "y": {"type": "integer"}}
_HELD: dict[str, Schema] = {
    "keys": {"type": ["array", "null"], "items": {"type": "string"}, "description": _KEYS}
}
_BUTTON: Schema = {"type": "string", "enum": ["left", "right", "wheel", "back", "forward"]}
_PATH: Schema = {
    "type": "array",
    "items": _object(_AT),
    "minItems": 2,
    "description": "The points the pointer moves along while the left button is down.",
}

ACTIONS: Sequence[Schema] = (
    _action("click", "Click there.", {"button": _BUTTON, **_AT, **_HELD}),
    _action("double_click", "Double-click there.", {**_AT, **_HELD}),
    _action("drag", "Drag with the left button.", {"path": _PATH, **_HELD}),
    _action(
        "keypress",
        "Press these keys together.",
        {"keys": _strings("Such as ['ENTER'] or ['CTRL', 'A'].")},
    ),
    _action("move", "Move the pointer there.", {**_AT, **_HELD}),
    _action("screenshot", "Do nothing but look."),
    _action(
        "scroll",
        "Scroll what is under this point.",
        {
            **_AT,
            "scroll_x": _integer("Pixels to the right; negative: to the left."),
            "scroll_y": _integer("Pixels down; negative: up."),
            **_HELD,
        },
    ),
    _action(
        "type",
        "Type this text where the cursor is.",
        {"text": {"type": "string", "description": "The text, as it is to appear."}},
    ),
    _action("wait", "Wait a moment, for something to load."),
)
"""One schema per action, in the order of the API's documentation."""

_ACTION: Schema = {"oneOf": list(ACTIONS)}
_CHECKS: Schema = {
    "type": ["array", "null"],
    "items": _object(
        {
            "id": {"type": "string", "minLength": 1},
            "code": {"type": ["string", "null"]},
            "message": {"type": ["string", "null"]},
        },
        "code",
        "message",
    ),
    "description": "Leave it out, unless you were told to have something confirmed: what the user "
    "has to acknowledge before this is done, each with an id of your own.",
}

COMPUTER = (
    "Operate the user's computer with mouse and keyboard. {many} Coordinates are pixels of the "
    "screenshot, x from the left and y from the top, 0 being the first. Afterwards you are shown "
    "the screen as it is then; look at it before you go on. Take a screenshot first if you have "
    "not seen the screen."
)
ONE_ACTION = "`action` is one thing to do."
ACTIONS_AT_ONCE = (
    "`actions` are done one after the other: put into one call what needs no look at the screen "
    "in between."
)
COMPUTER_SCHEMA = _object(
    {
        "actions": {"type": "array", "items": _ACTION, "minItems": 1},
        "pending_safety_checks": _CHECKS,
    },
    "pending_safety_checks",
)
COMPUTER_PREVIEW_SCHEMA = _object(
    {"action": _ACTION, "pending_safety_checks": _CHECKS}, "pending_safety_checks"
)
_PLACES = {
    "windows": "a Windows desktop",
    "mac": "a Mac",
    "linux": "a Linux desktop",
    "ubuntu": "an Ubuntu desktop",
    "browser": "a web browser's page",
}


def computer_description() -> str:
    """What the model is told of the tool that takes a batch of actions."""
    return COMPUTER.format(many=ACTIONS_AT_ONCE)


def display_description(width: int, height: int, environment: str) -> str:
    """The same of the tool that takes one action, whose display is known (pixels)."""
    return (
        f"{COMPUTER.format(many=ONE_ACTION)} It is {_PLACES.get(environment, environment)}, "
        f"{width} pixels wide and {height} pixels high."
    )
