"""No promise without a test, no test of an unwritten promise."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

from tests.requirements.base import Requirement

HERE = Path(__file__).parent
AREAS = sorted(
    path.stem for path in (HERE / "requirements").glob("[!_]*.py") if path.stem != "base"
)


def manifest() -> dict[str, Requirement]:
    """All areas in one table. An id may stand in one area only."""
    every: dict[str, Requirement] = {}
    for area in AREAS:
        entries = import_module(f"tests.requirements.{area}").REQUIREMENTS
        assert not every.keys() & entries.keys(), f"{area} repeats ids"
        every.update(entries)
    return every


def proven() -> dict[str, str]:
    """Id → the test file that marks a test with it."""
    found: dict[str, str] = {}
    for path in sorted(HERE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.requirement":
                where = f"{path.relative_to(HERE)}:{node.lineno}"
                for argument in node.args:
                    assert isinstance(argument, ast.Constant), f"{where}: ids are literal"
                    found[str(argument.value)] = where
    return found


@pytest.mark.requirement("house:manifest")
def test_every_requirement_has_a_test() -> None:
    kept = {name for name, entry in manifest().items() if not entry.deferred}
    assert sorted(kept - proven().keys()) == []


@pytest.mark.requirement("house:manifest")
def test_every_marked_id_is_a_requirement() -> None:
    known = manifest()
    assert {name: where for name, where in proven().items() if name not in known} == {}


def test_a_requirement_says_who_asks_and_what_must_hold() -> None:
    for name, entry in manifest().items():
        assert name.count(":") >= 1 and name == name.lower(), name
        assert entry.source and entry.behaviour.endswith("."), name
