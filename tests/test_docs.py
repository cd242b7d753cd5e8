"""The reference says what the code does (snippets are run by ``tests/examples``)."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from antiphon.server.asgi import routes
from antiphon.types import events, tool_events

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.requirement("house:docs:fresh")
@pytest.mark.requirement("capabilities:page")
def test_the_generated_pages_are_what_the_code_says() -> None:
    for name, text in generator().pages().items():
        assert (DOCS / "reference" / name).read_text(encoding="utf-8") == text, "run: make docs"


@pytest.mark.requirement("house:docs:links")
def test_links_between_the_documents_lead_somewhere() -> None:
    broken = []
    for page in sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")]):
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path = target.partition("#")[0]
            if path and "://" not in path and not (page.parent / path).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


@pytest.mark.requirement("house:docs:complete")
def test_every_route_event_and_error_code_is_documented() -> None:
    reference = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*"))
    templates = {route.path.replace(":path", "") for route in routes()}
    missing = {path for path in templates if f"{path}`" not in reference}
    every = [*vars(events).values(), *vars(tool_events).values()]
    kinds = [kind for kind in every if isinstance(kind, type)]
    tags = {str(kind.__struct_config__.tag) for kind in kinds if issubclass(kind, msgspec.Struct)}
    missing |= {tag for tag in tags if tag.islower() and f"`{tag}`" not in reference}
    missing |= {code for code in error_codes() if f"`{code}`" not in reference}
    assert missing == set()


def error_codes() -> set[str]:
    """Every literal ``code=`` of an error raised in the package."""
    found = set()
    for path in (ROOT / "antiphon").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "code":
                word = node.value.value if isinstance(node.value, ast.Constant) else None
                if isinstance(word, str):
                    found.add(word)
    return found
