"""The house stays a house: layers, sizes, and what nobody writes here.

Each rule is a list to read and a check to run. An exception to a rule stands in the rule's own
list, with its reason.
"""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from antiphon import app

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "antiphon"

# From the bottom up. What shares a line must not import each other.
LAYERS = (
    ("errors", "ids", "observe", "outbox", "config", "addresses"),
    ("types",),
    ("stream",),
    ("backends", "store", "bus", "sealing", "tools"),
    ("runs",),
    ("server", "telemetry"),
    ("app",),
    ("cli",),
)

# Files at the top that belong to a part of another name.
PART_OF = {
    "config_backends": "config",
    "config_base": "config",
    "config_mcp": "config",
    "config_sources": "config",
    "config_state": "config",
    "config_text": "config",
    "banner": "cli",
    "archive": "cli",
    "assistants": "cli",
    "doctor": "cli",
    "exporting": "cli",
    "importing": "cli",
    "process": "cli",
    "restoring": "cli",
    "__main__": "cli",
    "models": "backends",  # package data: the demo model
}

# All that other parts may know of backends and stores.
PORTS = {
    "antiphon.backends.base",
    "antiphon.backends.estimate",  # counts tokens where no backend does; knows no backend
    "antiphon.store.base",
    "antiphon.store.work",  # no database: the works the nouns below are made of
    "antiphon.store.approvals",
    "antiphon.store.archive",
    "antiphon.store.completions",
    "antiphon.store.content",
    "antiphon.store.conversations",
    "antiphon.store.idempotency",
    "antiphon.store.log",
    "antiphon.store.runs",
    "antiphon.store.webhooks",
    "antiphon.bus.base",
    "antiphon.tools.base",
    "antiphon.tools.mcp_base",
}

FUNCTION_LINES_MAX = 70
FUNCTION_LINES_P90 = 40
FILE_LINES_MAX = 500

# Where everything may be caught: round a request, a run, a tool call, and what is listed here.
BROAD = {
    ("antiphon/server/asgi.py", "_route"): "round a request",
    ("antiphon/server/hot.py", "_create"): "round a request",
    ("antiphon/server/hot.py", "_wait_and_start"): "round a request that had to wait",
    ("antiphon/server/hot.py", "_retrieve"): "round a request",
    ("antiphon/server/asgi.py", "_upgrade"): "round a handshake",
    ("antiphon/server/websocket_asgi.py", "accept"): "round a WebSocket",
    ("antiphon/server/websocket_making.py", "begin"): "round a create over WebSocket",
    ("antiphon/server/websocket_making.py", "_wait_and_start"): "round one that had to wait",
    ("antiphon/runs/live.py", "take"): "round a run",
    ("antiphon/runs/live.py", "answered"): "round a run whose calls are answered",
    ("antiphon/runs/calling.py", "_make"): "round a tool call and its journal",
    ("antiphon/runs/calling.py", "_call"): "round a tool call",
    ("antiphon/runs/mcp_plan.py", "_begin"): "round what is told of MCP servers",
    ("antiphon/runs/mcp_plan.py", "_list"): "round a list of an MCP server",
    ("antiphon/tools/mcp_connection.py", "_live"): "round a connection by a third party's code",
    ("antiphon/runs/maker.py", "_make"): "round the beginning of a background run",
    ("antiphon/runs/maker.py", "_repeat"): "round each look at the queue, and each renewal",
    ("antiphon/runs/journal.py", "write"): "round an append for many runs",
    ("antiphon/backends/base.py", "_run"): "round a run's model call",
}

# Imported on first use, because they cost time or memory nobody should pay at the start.
LAZY = {
    "aiohttp",
    "asyncpg",
    "cryptography",
    "httpx2",
    "jsonschema",
    "llguidance",
    "mcp",
    "mcp_types",
    "nats",
    "openai",
    "prometheus_client",
    "pydantic",
    "pypdfium2",
    "structlog",
    "websockets",
    "xllamacpp",
}

DRAWERS = re.compile(r"(?i)(utils?|helpers?|commons?|managers?|services?|handlers?|processors?)$")
LEFTOVER = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
MACHINE_PATH = re.compile(r"(?<![\w.~*])/(work|root|opt|home)/")
TEXTS = {".py", ".md", ".toml", ".sql", ".c", ".h", ".lock", ".txt", ".jinja", ""}
FOLDERS = ("antiphon", "tests", "docs", "examples", "bench", "training", "requirements", ".ci")


class Source(NamedTuple):
    """One file of the package. ``module`` is its dotted name."""

    path: Path
    module: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()


def read(path: Path) -> Source:
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Source(path, module, ast.parse(path.read_text(encoding="utf-8")))


SOURCES = [read(path) for path in sorted(PACKAGE.rglob("*.py"))]
MODULES = {source.module for source in SOURCES}


def part_of(module: str) -> str:
    """The part a module belongs to; empty for the package itself."""
    names = module.split(".")
    top = names[1] if len(names) > 1 else ""
    return PART_OF.get(top, top)


def imports(source: Source) -> Iterator[str]:
    """Our modules this file imports, inside functions too, but not for type checking only."""
    for node in walk_without_type_checking(source.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source.name}:{node.lineno}: imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in MODULES:
                    yield inner
                elif node.module in MODULES:
                    yield str(node.module)


def walk_without_type_checking(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from walk_without_type_checking(child)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file a reader of the repository sees."""
    files = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in FOLDERS:
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in files:
        generated = {".build", "build", "__pycache__", "results"} & set(path.parts)
        if path.suffix in TEXTS and not generated:
            yield path, path.read_text(encoding="utf-8", errors="replace")


@pytest.mark.requirement("house:layers")
def test_imports_only_go_down() -> None:
    rank = {part: number for number, layer in enumerate(LAYERS) for part in layer}
    wrong = []
    for source in SOURCES:
        part = part_of(source.module)
        if not part:
            continue
        assert part in rank, f"{source.name}: no layer; add it to LAYERS or PART_OF"
        for target in imports(source):
            other = part_of(target)
            if other and other != part and rank[other] >= rank[part]:
                wrong.append(f"{source.name} imports {target}")
    assert not wrong


@pytest.mark.requirement("house:concrete_only_in_app")
def test_only_app_imports_concrete_backends_and_stores() -> None:
    wrong = [
        f"{source.name} imports {target}"
        for source in SOURCES
        for target in imports(source)
        if part_of(target) in ("backends", "store")
        and part_of(source.module) not in (part_of(target), "app")
        and target not in PORTS
    ]
    assert not wrong
    tables = (app.BACKENDS, app.STORES, app.BUSES)
    named = {path.partition(":")[0] for table in tables for path in table.values()}
    assert named <= MODULES


@pytest.mark.requirement("house:no_knots")
def test_no_files_import_each_other_in_a_circle() -> None:
    graph = {source.module: set(imports(source)) - {source.module} for source in SOURCES}
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.requirement("house:sizes")
def test_functions_are_short() -> None:
    sizes = sorted(
        (lines_of(node), f"{source.name}:{node.name}")
        for source in SOURCES
        for node in functions(source.tree)
    )
    assert [size for size in sizes if size[0] > FUNCTION_LINES_MAX] == []
    assert sizes[int(len(sizes) * 0.9)][0] <= FUNCTION_LINES_P90


@pytest.mark.requirement("house:sizes")
def test_files_are_short() -> None:
    long = {
        path.relative_to(ROOT).as_posix(): text.count("\n")
        for path, text in texts()
        if path.suffix in (".py", ".c", ".h")
        and text.count("\n") > FILE_LINES_MAX
        and path.relative_to(ROOT).parts[0] != "tests"
    }
    assert long == {}


@pytest.mark.requirement("house:broad_excepts")
def test_everything_is_caught_at_few_places_only() -> None:
    found = set()
    for source in SOURCES:
        for function in functions(source.tree):
            for node in ast.walk(function):
                if isinstance(node, ast.ExceptHandler) and is_broad(node):
                    found.add((source.name, function.name))
    assert found == set(BROAD)


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Catches everything and does not pass it on."""
    caught = "" if handler.type is None else ast.unparse(handler.type)
    broad = handler.type is None or re.search(r"\b(Base)?Exception\b", caught)
    passes_on = isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None
    return bool(broad) and not passes_on


@pytest.mark.requirement("house:banned_calls")
def test_nobody_calls_what_is_banned() -> None:
    banned = {"time.time", "uuid.uuid4", "uuid4", "datetime.now", "asyncio.get_event_loop"}
    wrong = []
    for source in SOURCES:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in banned or (called == "print" and source.module != "antiphon.cli"):
                    wrong.append(f"{source.name}:{node.lineno}: {called}")
            if isinstance(node, ast.Expr) and drops_a_task(node.value):
                wrong.append(f"{source.name}:{node.lineno}: a task nobody keeps")
    assert wrong == []


def drops_a_task(value: ast.expr) -> bool:
    """A task whose result nobody keeps may vanish, and its error with it; a task group keeps."""
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute):
        return False
    owner = ast.unparse(value.func.value)
    return value.func.attr in ("create_task", "ensure_future") and "group" not in owner.lower()


@pytest.mark.requirement("house:names")
def test_nothing_is_called_a_drawer() -> None:
    names = [(path.stem, path.name) for path, _ in texts() if path.suffix == ".py"]
    for source in SOURCES:
        names += [
            (node.name, f"{source.name}:{node.name}")
            for node in ast.walk(source.tree)
            if isinstance(node, ast.ClassDef)
        ]
    assert [where for name, where in names if DRAWERS.search(name)] == []


@pytest.mark.requirement("house:no_leftovers")
def test_nothing_is_left_to_do_and_no_machine_is_named() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if LEFTOVER.search(line) or (MACHINE_PATH.search(line) and path != Path(__file__))
    ]
    assert wrong == []


@pytest.mark.requirement("house:lazy_imports")
def test_the_server_starts_without_heavy_libraries() -> None:
    code = "import sys, antiphon.process; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert LAZY & set(loaded) == set()
    assert "antiphon.app" in loaded


@pytest.mark.requirement("house:locks")
def test_the_lock_files_hold_every_dependency_and_no_address() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locks = {name: (ROOT / "requirements" / f"{name}.lock").read_text() for name in LOCKS}
    assert all("://" not in text and "file:" not in text for text in locks.values())
    extras = project["optional-dependencies"]
    for needed, lock in (
        (project["dependencies"], "run"),
        (project["dependencies"] + extras["dev"], "dev"),
        (extras["local"], "local"),
    ):
        pinned = set(re.findall(r"^([a-z0-9-]+)==", locks[lock], re.MULTILINE))
        assert {re.split(r"[^a-zA-Z0-9-]", text)[0] for text in needed} <= pinned
    pins = {name: dict(re.findall(r"^([a-z0-9-]+)==(\S+)", locks[name], re.M)) for name in LOCKS}
    assert pins["run"].items() <= pins["dev"].items()


LOCKS = ("run", "local", "dev")
