"""The search for tools by itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.tools.base import Found, ToolFailed
from antiphon.tools.search import FOUND_MAX, Entry, ToolSearch, definitions, terms
from antiphon.types.tool_codec import open_tools
from antiphon.types.tools import CustomTool, FunctionTool, NamespaceTool

pytestmark = pytest.mark.anyio


def function(name: str, description: str | None = None, **parameters: str) -> FunctionTool:
    properties = {key: {"type": "string", "description": said} for key, said in parameters.items()}
    return FunctionTool(name, description, {"type": "object", "properties": properties})


OFFICE = [
    Entry(function("send_email", "Writes to somebody", recipient="Who gets it")),
    Entry(function("getWeather", "What the sky will do", city="Where")),
    Entry(function("find_customer", "Looks somebody up", ssn="Number"), "crm", "Sales and clients"),
    Entry(function("list_orders", "What was bought", customer_id="Whose"), "crm", "Sales"),
    Entry(CustomTool("run_sql", "Asks the warehouse in SQL")),
    Entry(function("createIssue", "Opens a ticket in the tracker")),
]


def names(query: str, entries: list[Entry] = OFFICE) -> list[str]:
    return [entry.tool.name for entry in ToolSearch(entries).found(query)]


@pytest.mark.requirement("offering:search:finds")
@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("email", "send_email"),
        ("sending mails by send_email", "send_email"),
        ("weather in Paris", "getWeather"),
        ("recipient", "send_email"),
        ("the warehouse", "run_sql"),
        ("SQL", "run_sql"),
        ("creating tickets", "createIssue"),
        ("orders of a customer", "list_orders"),
        ("ssn", "find_customer"),
        ("clients", "find_customer"),
    ],
)
def test_a_tool_is_found_by_what_is_known_of_it(query: str, first: str) -> None:
    assert names(query)[0] == first


def test_a_namespace_is_found_by_its_name() -> None:
    assert set(names("crm")) == {"find_customer", "list_orders"}


@pytest.mark.parametrize("query", ["", "   ", "zebra quagga", "!?", "the"])
def test_what_fits_nothing_finds_nothing(query: str) -> None:
    assert query == "the" or names(query) == []


def test_a_search_is_bounded() -> None:
    many = [Entry(function(f"mail_{number}")) for number in range(40)]
    assert names("mail", many) == [f"mail_{number}" for number in range(FOUND_MAX)]


words = st.text("abcde_ABC 1", min_size=1, max_size=12)
entries = st.lists(
    st.builds(
        Entry,
        st.builds(function, words, st.none() | words),
        st.sampled_from(["", "crm", "mail"]),
        words,
    ),
    max_size=12,
)


@pytest.mark.requirement("offering:search:deterministic")
@given(entries, words)
def test_the_same_search_finds_the_same(office: list[Entry], query: str) -> None:
    first = ToolSearch(office).found(query)
    assert ToolSearch(list(office)).found(query) == first
    assert len(first) <= FOUND_MAX
    known = [term for entry in office for term in terms(entry.tool.name)]
    if not set(terms(query)) & set(known):
        for entry in first:
            said = f"{entry.tool.description} {entry.about} {entry.namespace}"
            assert set(terms(query)) & set(terms(said))


@given(entries)
def test_what_is_found_can_be_declared_as_it_stands(office: list[Entry]) -> None:
    for number, entry in enumerate(office):
        entry.tool.name = f"tool_{number}"
    declared = definitions(office)
    opened = open_tools(msgspec.json.decode(msgspec.json.encode(declared)))
    inside = sum(len(one.tools) if isinstance(one, NamespaceTool) else 1 for one in opened)
    assert (len(opened), inside) == (len(declared), len(office))


async def test_a_call_gives_definitions_with_their_namespaces() -> None:
    found = await ToolSearch(OFFICE).call('{"query": "customer orders"}', key="k")
    assert isinstance(found, Found)
    (group,) = [tool for tool in found.tools if tool["type"] == "namespace"]
    assert group["name"] == "crm"
    assert {tool["name"] for tool in group["tools"]} == {"list_orders", "find_customer"}


@pytest.mark.parametrize("arguments", ["{}", '{"query": 1}', "[]"])
async def test_a_search_without_words_fails_with_a_reason(arguments: str) -> None:
    with pytest.raises(ToolFailed, match="query"):
        await ToolSearch(OFFICE).call(arguments, key="k")


def test_the_description_counts_and_names_no_tool() -> None:
    about: Any = ToolSearch(OFFICE).description
    assert "2 tools in the namespace 'crm': Sales and clients" in about
    assert "4 tools without a namespace" in about
    assert "send_email" not in about
