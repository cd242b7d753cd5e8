"""The rivals' data, and what becomes of it."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from bench.rivals import STAMP, missing, rivals

ENTRY = """
[one]
requirements = ["one-server==1.2.3", "more==4"]
python = ["{python}"]
command = ["${{bin}}/one"]
"""
THIS = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.mark.requirement("bench:rivals:data")
def test_every_rival_is_pinned_exactly_and_takes_the_address_it_is_given() -> None:
    found = {rival.name: rival for rival in rivals()}
    assert set(found) == {"agentic-api", "smg", "llm-rosetta", "litellm", "ogx"}
    for rival in found.values():
        assert all(requirement.count("==") == 1 for requirement in rival.requirements)
        told = " ".join([*rival.command, *rival.files.values()])
        assert "${port}" in told and "${mock}" in told + rival.model
        assert not rival.model or "${models}" in told
    assert {r.name for r in found.values() if r.goal == "state"} == {"agentic-api", "smg"}
    assert {r.name for r in found.values() if r.goal == "python"} == {"litellm", "ogx"}


@pytest.mark.requirement("bench:rivals:data")
def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError, match="connection_max"):
        rivals(ENTRY.format(python=THIS) + "connection_max = 3\n")


@pytest.mark.requirement("bench:rivals:data")
def test_a_rival_is_there_only_with_a_finished_installation_of_these_pins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_BENCH_RIVALS", str(tmp_path))
    (rival,) = rivals(ENTRY.format(python=THIS))
    assert rival.place == tmp_path / "one-1.2.3"
    assert "not installed" in missing(rival)
    rival.place.mkdir()
    (rival.place / STAMP).write_text("one-server==1.2.3\nmore==3\n")
    assert "another installation" in missing(rival)
    (rival.place / STAMP).write_text(rival.pins)
    assert missing(rival) == ""


@pytest.mark.requirement("bench:rivals:data")
def test_a_rival_without_its_python_says_which_one_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_BENCH_RIVALS", str(tmp_path))
    (rival,) = rivals(ENTRY.format(python="3.2"))
    assert missing(rival) == "needs Python 3.2, and none was found"
