"""Writes the reference pages that are made from the code: ``make docs``.

``tests/test_docs.py`` fails when a page in the tree differs from what this writes.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
from msgspec import NODEFAULT, Struct, inspect

from antiphon.cli import main as command
from antiphon.config import BackendSettings, Config, KeySettings
from antiphon.config_mcp import McpSettings
from antiphon.config_sources import described, unwrapped
from antiphon.config_state import FunctionSettings, ProjectSettings
from antiphon.server.openapi import document_json
from antiphon.telemetry.metrics import Counter, Histogram, Metrics

REFERENCE = Path(__file__).parent / "reference"
PACKAGE = Path(__file__).parent.parent / "antiphon"

CODE_MAP_HEAD = """\
# Code map

Every module of the package, in its own words. Folders are stages, files are nouns;
[ARCHITECTURE.md](../../ARCHITECTURE.md) says how they fit together and what none of them may do.
"""

CONFIG_HEAD = """\
# Settings

Nothing has to be set. What is set comes from, in this order, later ones winning:

1. one TOML file: `--config FILE`, or the file the environment variable `ANTIPHON_CONFIG` names;
2. environment variables: `ANTIPHON__` and the path of the setting, with two underscores between
   the steps, such as `ANTIPHON__SERVER__PORT=9000` or `ANTIPHON__BACKENDS__0__URL=…`.
   Lists may be given as JSON or separated by commas, tables as JSON;
3. options of the command (see [the command](cli.md)). `--api-key` replaces all `[[keys]]`;
   `--upstream`, `--model` and `--scripted` replace all `[[backends]]`.

`antiphon config show` prints every value and where it came from, keys masked.
`antiphon config check` says `ok`, or names the first mistake in one line and exits with 2:

```text
antiphon: server.prot: there is no such setting; did you mean port? (antiphon.toml)
```

A file with an upstream, two tenants and a week's retention:

```toml
[server]
port = 9000

[store]
retention_days = 7

[[keys]]
key_env = "TEAM_A_KEY"
project = "team-a"

[[keys]]
key_file = "/run/secrets/team-b"
project = "team-b"

[[backends]]
kind = "chat"
url = "http://127.0.0.1:8000/v1"
profile = "vllm"
```
"""

CLI_HEAD = """\
# The command

`antiphon` and `python -m antiphon` are the same. Exit codes: 0 all well, 1 something could not
be started or is missing, 2 a mistake in the settings or the arguments.
"""

METRICS_HEAD = """\
# Metrics

`GET /metrics` shows them in the Prometheus text format, together with memory and CPU of the
process (`process_…`). Times are in seconds. At most 200 model names get a series of their own;
the rest is counted as `other`.

| name | kind | labels | what |
|---|---|---|---|
"""


def main() -> None:
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
    sys.stdout.write(f"wrote {', '.join(pages())} in {REFERENCE.name}/\n")


def pages() -> dict[str, str]:
    """File name in ``docs/reference`` → its whole text."""
    return {
        "config.md": _config(),
        "cli.md": _cli(),
        "metrics.md": _metrics(),
        "openapi.json": document_json().decode(),
        "compatibility.md": _compatibility(),
        "capabilities.md": _capabilities(),
        "code-map.md": _code_map(),
    }


def _code_map() -> str:
    """Every module with the first sentence it says of itself, folder by folder."""
    written = [CODE_MAP_HEAD]
    folders = [path for path in PACKAGE.rglob("*") if (path / "__init__.py").is_file()]
    for folder in (PACKAGE, *sorted(folders)):
        name = folder.relative_to(PACKAGE.parent)
        written.append(f"\n## `{name.as_posix()}/`\n\n{_says(folder / '__init__.py')}\n")
        modules = [path for path in sorted(folder.glob("*.py")) if path.stem[:2] != "__"]
        if modules:
            written.append("")
        written += [f"- `{path.name}`: {_says(path)}" for path in modules]
    return "\n".join(written) + "\n"


def _says(path: Path) -> str:
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(said.partition("\n\n")[0].split()).replace("``", "`")


def _compatibility() -> str:
    """From what the last ``make clients`` saw."""
    root = str(Path(__file__).parent.parent)
    if root not in sys.path:
        sys.path.insert(0, root)
    text: str = import_module("tests.clients.page").text()
    return text


def _capabilities() -> str:
    """From what the code does with a sample of everything, and what tests prove."""
    root = str(Path(__file__).parent.parent)
    if root not in sys.path:
        sys.path.insert(0, root)
    text: str = import_module("docs.capabilities").text()
    return text


def _config() -> str:
    lines = [CONFIG_HEAD]
    for field in _struct(Config).fields:
        if field.name == "keys":
            lines += _table("[[keys]]", KeySettings)
        elif field.name == "projects":
            lines += _table("[[projects]]", ProjectSettings)
        elif field.name == "functions":
            lines += _table("[[functions]]", FunctionSettings)
        elif field.name == "mcp":
            lines += _table("[[mcp]]", McpSettings)
        elif field.name == "backends":
            for kind in BackendSettings.__args__:
                tag = kind.__struct_config__.tag
                lines += _table(f'[[backends]], kind = "{tag}"', kind)
        else:
            info = unwrapped(field.type)
            assert isinstance(info, inspect.StructType)
            lines += _table(f"[{field.name}]", info.cls)
    return "\n".join(lines).rstrip() + "\n"


def _table(title: str, section: type[Struct]) -> Iterator[str]:
    yield f"## `{title}`\n"
    yield f"{_prose(section)}\n"
    fields = _struct(section).fields
    if not fields:
        return
    yield "| setting | takes | default | |"
    yield "|---|---|---|---|"
    for field in fields:
        about = field.type
        assert isinstance(about, inspect.Metadata), f"{section.__name__}.{field.name}: no sentence"
        sentence = (about.extra_json_schema or {})["description"]
        takes = described(about).replace("|", "\\|")
        yield f"| `{field.name}` | {takes} | {_default(field)} | {sentence} |"
    yield ""


def _default(field: inspect.Field) -> str:
    if field.required:
        return "must be set"
    value = field.default
    if field.default_factory is not NODEFAULT:
        value = field.default_factory()
    if value is None or value == "":
        return "unset" if value is None else "empty"
    if isinstance(value, list | dict):
        return "empty"
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _prose(section: type) -> str:
    return "\n".join(line.strip() for line in (section.__doc__ or "").strip().splitlines())


def _struct(section: type[Struct]) -> inspect.StructType:
    info = inspect.type_info(section)
    assert isinstance(info, inspect.StructType)
    return info


def _cli() -> str:
    commands = dict(_commands(command, "antiphon"))
    lines = [CLI_HEAD, "| command | |", "|---|---|"]
    lines += [
        f"| `{name}` | {' '.join((it.help or '').split())} |" for name, it in commands.items()
    ]
    common = list(_options(commands["antiphon serve"]))
    lines += [
        "",
        "Each takes these options; `serve` obeys them, the others look where it would.\n",
        *("| option | |", "|---|---|", *common),
    ]
    for name, it in commands.items():
        own = [row for row in _options(it) if row not in common]
        assert set(common) <= set(_options(it)), f"{name} lacks some of the settings' options"
        if own:
            taken = [str(p.metavar) for p in it.params if isinstance(p, click.Argument)]
            lines += ["", f"`{' '.join([name, *taken])}` takes these too.", ""]
            lines += ["| option | |", "|---|---|", *own]
    return "\n".join(lines) + "\n"


def _commands(node: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(node, click.Group):
        for child in node.commands:
            yield from _commands(node.commands[child], f"{name} {child}")
    else:
        yield name, node


def _options(node: click.Command) -> Iterator[str]:
    for option in node.params:
        if isinstance(option, click.Option):
            shown = f"{option.opts[0]} {option.metavar}" if option.metavar else option.opts[0]
            yield f"| `{shown}` | {option.help} |"


def _metrics() -> str:
    rows = []
    for series in vars(Metrics()).values():
        if isinstance(series, Counter | Histogram):
            kind, ending = (
                ("counter", "_total") if isinstance(series, Counter) else ("histogram", "")
            )
            labels = ", ".join(series.labels)
            rows.append(
                f"| `antiphon_{series.name}{ending}` | {kind} | {labels} | {series.about} |"
            )
    rows.append("| `antiphon_requests_in_flight` | gauge | | Requests under way |")
    rows.append("| `antiphon_websockets_open` | gauge | | WebSockets that are open |")
    rows.append(
        "| `antiphon_background_waiting` | gauge | | Background responses queued, on all replicas |"
    )
    rows.append("| `antiphon_background_making` | gauge | | Background responses being made |")
    rows.append("| `antiphon_engine_ready` | gauge | | 1 while the embedded engine serves |")
    return METRICS_HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
