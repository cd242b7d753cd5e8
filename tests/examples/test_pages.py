"""The pages agree with the code and with each other."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from antiphon.types.request import CreateResponse
from antiphon.types.response import Response
from tests.examples.pages import ROOT, anchors, links, pages
from tests.examples.pages import name_of as page_name

CODE_MAP = "docs/reference/code-map.md"
SOURCES = sorted((ROOT / "antiphon").rglob("*.py"))


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.requirement("docs:pages:links")
@pytest.mark.parametrize("page", pages(), ids=page_name)
def test_links_to_headings_lead_to_headings(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        if anchor and not re.match(r"[a-z]+://", target):
            goal = (page.parent / path).resolve() if path else page
            assert anchor in anchors(goal), f"{page_name(page)} links to {target}"


@pytest.mark.requirement("docs:pages:links")
def test_every_page_can_be_reached_from_the_index() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md", ROOT / "docs" / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        goals = ((page.parent / link.partition("#")[0]).resolve() for link in links(page))
        waiting += [goal for goal in goals if goal.suffix == ".md" and goal.is_file()]
    assert [page_name(page) for page in pages() if page not in seen] == []


# The reference --------------------------------------------------------------------------------


@pytest.mark.requirement("docs:reference:complete")
def test_every_parameter_and_every_key_of_the_response_is_documented() -> None:
    text = text_of("docs/reference/responses.md")
    parameters, _, rest = text.partition("## Items")
    _, _, keys = rest.partition("## The response object")
    for field in CreateResponse.__struct_fields__:
        assert re.search(rf"^\|[^|]*`{field}`", parameters, re.M), field
    for field in Response.__struct_fields__:
        assert re.search(rf"^\|[^|]*`{field}`", keys, re.M), field


@pytest.mark.requirement("docs:reference:complete")
def test_every_kind_of_log_line_is_documented() -> None:
    code = text_of("antiphon/telemetry/logs.py")
    kinds = set(re.findall(r'"(?:debug|info|warning|error)", "(\w+)"', code))
    kinds |= set(re.findall(r' else "\w+", "(\w+)"', code))
    assert {"response", "webhook", "background", "broke"} <= kinds
    text = text_of("docs/how-to/observe.md")
    assert {kind for kind in kinds if f"`{kind}`" not in text} == set()


@pytest.mark.requirement("docs:reference:complete")
def test_every_dependency_has_its_reason() -> None:
    text = text_of("docs/explanation/dependencies.md")
    listed = re.search(r"^dependencies = \[(.*?)^\]", text_of("pyproject.toml"), re.M | re.S)
    assert listed is not None
    for name in re.findall(r'"([a-z]+(?:-[a-z]+)*)[>=]', listed[1]):
        assert re.search(rf"^\| `{name}` \|", text, re.M), name


@pytest.mark.requirement("docs:differences:fresh")
def test_the_page_of_differences_is_fresh() -> None:
    spec = importlib.util.spec_from_file_location("differences", ROOT / "docs" / "differences.py")
    assert spec is not None and spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    now = text_of("docs/reference/differences.md")
    assert now == writer.page(), "write it again: python docs/differences.py"


# The architecture -----------------------------------------------------------------------------


@pytest.mark.requirement("docs:architecture:true")
def test_the_code_map_names_every_module_and_the_architecture_no_other() -> None:
    text = text_of("ARCHITECTURE.md")
    assert len(text.splitlines()) <= 200
    there = {path.name for path in SOURCES if not path.name.startswith("__")}
    code_map = dict(re.findall(r"^- `(\w+\.py)`: (.+)$", text_of(CODE_MAP), re.M))
    assert sorted(code_map) == sorted(there)
    assert [name for name, says in code_map.items() if not 20 < len(says) < 200] == []
    named = set(re.findall(r"`([a-z_]+\.py)`", text.partition("## Code map")[2]))
    assert sorted(named - there) == []


@pytest.mark.requirement("docs:architecture:true")
def test_the_traced_request_goes_through_names_that_exist() -> None:
    _, _, trace = text_of("ARCHITECTURE.md").partition("## One traced request")
    code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    owned = re.findall(r"`([A-Z]\w+)\.(\w+)`", trace)
    assert len(owned) > 15
    for owner, method in owned:
        body = re.search(rf"^class {owner}\b.*?(?=^\S|\Z)", code, re.M | re.S)
        assert body is not None, owner
        assert re.search(rf"def {method}\(", body[0]), f"{owner}.{method}"
    for name in re.findall(r"`([a-z_]+_[a-z_]+|[A-Z]\w+)`", trace):
        assert re.search(rf"\b(def|class) {name}\b|\b{name}\b *[:=]", code), name


@pytest.mark.requirement("docs:architecture:true")
def test_entry_points_exist() -> None:
    _, _, rest = text_of("ARCHITECTURE.md").partition("## Entry points")
    table, _, _ = rest.partition("## Code map")
    points = re.findall(r"`([a-z_.]+\.\w+(?:\.\w+)?)`", table)
    assert len(points) > 8
    for point in points:
        assert _exists(point), point


def _exists(point: str) -> bool:
    """A module below the package, or something defined in one."""
    steps = point.split(".")
    for size in range(len(steps), 0, -1):
        module = ROOT.joinpath("antiphon", *steps[:size]).with_suffix(".py")
        if module.is_file():
            code = module.read_text(encoding="utf-8")
            return all(re.search(rf"\b(def|class) {step}\b", code) for step in steps[size:])
    return False
