"""Where settings come from: defaults, then a TOML file, then the environment, then flags.

Every value remembers its source, so that a mistake can be reported as one line that names the
key and the place to correct it. Lists from a later source replace those of an earlier one as a
whole, except that an environment variable may set one field of one element.
"""

from __future__ import annotations

import difflib
import itertools
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, inspect

from antiphon.config import Config, LlamaCppSettings, projects
from antiphon.config_base import Secret
from antiphon.config_mcp import doubled

ENVIRONMENT_PREFIX = "ANTIPHON__"
ENVIRONMENT_FILE = "ANTIPHON_CONFIG"
DEFAULT = "default"

_GGUF_MAGIC = b"GGUF"

KeyPath = tuple[str | int, ...]

_POSITION = re.compile(r" - at `\$(?P<path>[^`]*)`\Z")
_STEP = re.compile(r"\.(?P<name>\w+)|\[(?P<index>\d+)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`\Z", re.DOTALL)


class ConfigError(ValueError):
    """A mistake in the settings; the message is one line and names the key and its source."""


class Flag(Struct, frozen=True):
    """A value given on the command line: ``path`` such as ``server.port``, ``source`` its name."""

    path: str
    value: Any
    source: str


class Loaded(Struct, frozen=True):
    """The settings, and for every value that was set the place that set it."""

    config: Config
    origins: Mapping[KeyPath, str]

    def origin(self, path: KeyPath) -> str:
        """The source of a value; ``default`` if nobody set it."""
        return source_of(path, self.origins) or DEFAULT


def source_of(path: KeyPath, origins: Mapping[KeyPath, str]) -> str | None:
    """Who set the value, the table it is in, or something inside it."""
    for length in range(len(path), 0, -1):
        if path[:length] in origins:
            return origins[path[:length]]
    return next((origins[known] for known in origins if known[: len(path)] == path), None)


def written(path: KeyPath) -> str:
    """A path as people write it: ``backends[0].url``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def load(
    *,
    file: str | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Sequence[Flag] = (),
) -> Loaded:
    """Merge all sources and check them. ``file`` None: the one ``ANTIPHON_CONFIG`` names, if any.

    Raises ``ConfigError`` for the first mistake found.
    """
    environment = environment or {}
    layers = _Layers()
    file = file or environment.get(ENVIRONMENT_FILE) or None
    if file is not None:
        for name, value in _read(file).items():
            layers.put((name,), value, file)
    for variable in sorted(environment):
        if variable.startswith(ENVIRONMENT_PREFIX):
            path, info = _variable_path(variable, layers)
            layers.put(path, _from_text(environment[variable], info), variable)
    for flag in flags:
        layers.put(tuple(flag.path.split(".")), flag.value, flag.source)
    loaded = Loaded(layers.decode(), layers.origins)
    _check_outside(loaded)
    return loaded


class _Layers:
    """The merged tree of plain values, and who set what."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {}
        self.origins: dict[KeyPath, str] = {}

    def put(self, path: KeyPath, value: Any, source: str) -> None:
        """Set a value, or a whole table; the steps on the way are created."""
        node: Any = self.tree
        for step, following in itertools.pairwise(path):
            empty: Any = [] if isinstance(following, int) else {}
            if isinstance(step, int):
                if step >= len(node):
                    node.append(empty)
            elif not isinstance(node.get(step), type(empty)):
                node[step] = empty
            node = node[step]
        last = path[-1]
        if isinstance(last, int) and last == len(node):
            node.append(value)
        else:
            node[last] = value
        self._forget(path)
        self._remember(path, value, source)

    def _forget(self, path: KeyPath) -> None:
        for known in [known for known in self.origins if known[: len(path)] == path]:
            del self.origins[known]

    def _remember(self, path: KeyPath, value: Any, source: str) -> None:
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                self._remember((*path, name), inner, source)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for index, inner in enumerate(value):
                self._remember((*path, index), inner, source)
        else:
            self.origins[path] = source

    def decode(self) -> Config:
        try:
            return msgspec.convert(self.tree, Config)
        except msgspec.ValidationError as error:
            raise ConfigError(self._explain(str(error))) from None

    def _explain(self, message: str) -> str:
        position = _POSITION.search(message)
        path = _steps(position["path"]) if position else ()
        reason = message[: position.start()] if position else message
        info = type_at(path, self.tree)
        if unknown := _UNKNOWN.match(reason):
            path = (*path, unknown["name"])
            return self._line(path, "there is no such setting" + _perhaps(unknown["name"], info))
        if missing := _MISSING.match(reason):
            what = _names_of_tags(info) if missing["name"] == "kind" else ""
            return self._line((*path, missing["name"]), f"must be set{what}")
        if reason.startswith("Invalid value ") and path and path[-1] == "kind":
            return self._line(
                path, "there is no such kind" + _names_of_tags(type_at(path[:-1], {}))
            )
        if reason.startswith(("Expected ", "Invalid ")) and info is not None:
            return self._line(path, f"expected {described(info)}, got {self._shown(path, info)}")
        return self._line(path, reason)

    def _line(self, path: KeyPath, problem: str) -> str:
        source = source_of(path, self.origins) or source_of(path[:-1], self.origins)
        text = f"{written(path)}: {problem}" + (f" ({source})" if source else "")
        return " ".join(text.split())

    def _shown(self, path: KeyPath, info: inspect.Type) -> str:
        if any(is_secret(type_at(path[:n], self.tree)) for n in range(1, len(path) + 1)):
            return "something else"
        node: Any = self.tree
        for step in path:
            node = node[step]
        match node:
            case dict() if not isinstance(unwrapped(info), inspect.DictType):
                return "a table"  # unseen: it may hold a key
            case list():
                return "a list"
            case dict() | str() | bool() | int() | float():
                return msgspec.json.encode(node).decode()
            case _:
                return str(node)


def _read(file: str) -> dict[str, Any]:
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: cannot be read: it is not UTF-8 text") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from None


def _steps(text: str) -> KeyPath:
    """``.backends[0].url`` → its steps; what follows a dictionary key is not told by msgspec."""
    return tuple(
        step["name"] if step["name"] is not None else int(step["index"])
        for step in _STEP.finditer(text.partition("[...]")[0])
    )


def _variable_path(variable: str, layers: _Layers) -> tuple[KeyPath, inspect.Type]:
    """The setting a variable names, and its type. Raises ``ConfigError`` if there is none."""
    path: KeyPath = ()
    for word in variable.removeprefix(ENVIRONMENT_PREFIX).split("__"):
        info = type_at(path, layers.tree)
        if isinstance(info, inspect.VarTupleType | inspect.ListType):
            node: Any = layers.tree
            for step in path:
                node = node.get(step, []) if isinstance(node, dict) else node[step]
            if not word.isdigit() or int(word) > len(node):
                raise ConfigError(
                    f"{variable}: {written(path)} takes a number from 0 to {len(node)} here, "
                    f"not {word}"
                )
            path = (*path, int(word))
        else:
            name = word.lower()
            if name not in _fields(info):
                hint = _perhaps(name, info)
                raise ConfigError(f"{variable}: there is no setting {written((*path, name))}{hint}")
            path = (*path, name)
    info = type_at(path, layers.tree)
    assert info is not None, "every step was checked"
    return path, info


def _from_text(text: str, info: inspect.Type) -> Any:
    """A variable's text as the setting's type; left as it is where it does not fit."""
    inner = unwrapped(info)
    if isinstance(inner, inspect.ListType | inspect.VarTupleType) and text[:1] != "[":
        return [part.strip() for part in text.split(",") if part.strip()]
    numbers = {inspect.IntType: int, inspect.FloatType: float, inspect.BoolType: bool}
    try:
        if type(inner) in numbers:
            return msgspec.convert(text, numbers[type(inner)], strict=False)
        if isinstance(inner, inspect.ListType | inspect.VarTupleType | inspect.DictType):
            return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        pass  # decode() then says what was expected, naming the variable
    return text


def type_at(path: KeyPath, tree: Any) -> inspect.Type | None:
    """The type of a setting; ``tree`` tells which kind an element of a union is."""
    info: inspect.Type | None = inspect.type_info(Config)
    node = tree
    for step in path:
        inner = unwrapped(info) if info is not None else None
        if isinstance(step, int):
            node = node[step] if isinstance(node, list) and step < len(node) else {}
            listed = isinstance(inner, inspect.VarTupleType | inspect.ListType)
            info = inner.item_type if listed else None  # type: ignore[union-attr]
            if isinstance(info, inspect.UnionType) and isinstance(node, dict):
                kinds = [t for t in info.types if getattr(t, "tag", None) == node.get("kind")]
                info = kinds[0] if kinds else info
        else:
            node = node.get(step, {}) if isinstance(node, dict) else {}
            info = _fields(inner).get(step)
    return info


def unwrapped(info: inspect.Type) -> inspect.Type:
    """Without its metadata and without ``None``."""
    while isinstance(info, inspect.Metadata):
        info = info.type
    if isinstance(info, inspect.UnionType):
        real = [member for member in info.types if not isinstance(member, inspect.NoneType)]
        if len(real) == 1:
            return unwrapped(real[0])
    return info


def is_secret(info: inspect.Type | None) -> bool:
    """Whether the value must not be shown."""
    return isinstance(info, inspect.Metadata) and bool((info.extra or {}).get("secret"))


def _fields(info: inspect.Type | None) -> dict[str, inspect.Type]:
    """The keys of a table; those of all its kinds if the kind is not known."""
    match unwrapped(info) if info is not None else None:
        case inspect.StructType() as struct:
            found = {field.name: field.type for field in struct.fields}
            return found if struct.tag is None else {"kind": inspect.StrType(), **found}
        case inspect.UnionType(types):
            merged: dict[str, inspect.Type] = {}
            for member in types:
                merged.update(_fields(member))
            return merged
        case _:
            return {}


def _perhaps(name: str, info: inspect.Type | None) -> str:
    close = difflib.get_close_matches(name.lower(), _fields(info), n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return "; there are " + ", ".join(_fields(info)) if _fields(info) else ""


def _names_of_tags(info: inspect.Type | None) -> str:
    members = info.types if isinstance(info, inspect.UnionType) else ()
    return ": one of " + ", ".join(str(getattr(member, "tag", "")) for member in members)


def described(info: inspect.Type) -> str:
    """A type in words: ``an integer from 0 to 65535``."""
    if isinstance(info, inspect.Metadata) and "takes" in (info.extra or {}):
        return str((info.extra or {})["takes"])
    match unwrapped(info):
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType() as number:
            return "an integer" + _range(number)
        case inspect.FloatType() as number:
            return "a number" + _range(number)
        case inspect.StrType() as text:
            longest = f" of at most {text.max_length} characters" if text.max_length else ""
            return "text" + longest + (", not empty" if text.min_length else "")
        case inspect.LiteralType(values):
            return "one of " + ", ".join(str(value) for value in values)
        case inspect.ListType(item_type):
            return f"a list of {described(item_type)}"
        case inspect.DictType():
            return "a table of text"
        case inspect.VarTupleType():
            return "a list of tables"
        case _:
            return "a table"


def _range(number: inspect.IntType | inspect.FloatType) -> str:
    if number.gt is not None:
        return f" above {number.gt:g}" + (f", at most {number.le:g}" if number.le else "")
    if number.ge is None:
        return ""
    return f" from {number.ge:g} to {number.le:g}" if number.le else f" of at least {number.ge:g}"


def _check_outside(loaded: Loaded) -> None:
    """What the tree says about the machine: keys can be read, files are there."""
    config = loaded.config
    sections = {
        "keys": config.keys,
        "backends": config.backends,
        "functions": config.functions,
        "mcp": config.mcp,
    }
    for name, listed in sections.items():
        for index, section in enumerate(listed):
            path: KeyPath = (name, index)
            if isinstance(section, Secret):
                _check_secret(section, path, loaded)
            if isinstance(section, LlamaCppSettings) and (wrong := _not_gguf(section.path)):
                _refuse((*path, "path"), wrong, loaded)
    _check_secret(config.encryption, ("encryption",), loaded)
    if len(projects(loaded.config)) < len(loaded.config.keys):
        _refuse(("keys",), "the same key is given twice", loaded)
    _check_names("projects", "the project '{}' has settings already", loaded)
    _check_names("functions", "the function '{}' is declared already", loaded)
    if twice := doubled(config.mcp):
        _refuse(("mcp",), twice, loaded)


def _check_names(section: str, problem: str, loaded: Loaded) -> None:
    seen: set[str] = set()
    for index, one in enumerate(getattr(loaded.config, section)):
        if one.name in seen:
            _refuse((section, index, "name"), problem.format(one.name), loaded)
        seen.add(one.name)


def _not_gguf(named: str | None) -> str | None:
    """Why the file, if one is named, cannot be a model (told by its first bytes), or None."""
    if named is None:
        return None
    path = Path(named).expanduser()
    if not path.is_file():
        return f"there is no file {path}"
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return None if magic == _GGUF_MAGIC else f"{path} is not a GGUF file"


def _check_secret(section: Secret, path: KeyPath, loaded: Loaded) -> None:
    try:
        section.secret()
    except ValueError as error:
        field = "key_env" if section.key_env is not None else "key_file"
        _refuse((*path, field), str(error), loaded)


def _refuse(path: KeyPath, problem: str, loaded: Loaded) -> None:
    raise ConfigError(f"{written(path)}: {problem} ({loaded.origin(path)})")
