"""What ``antiphon doctor`` makes of the interpreter's build."""

from __future__ import annotations

import json
import sys
import sysconfig
from pathlib import Path

import pytest
from click.testing import CliRunner

from antiphon.cli import main
from antiphon.doctor import is_optimised

SHARED = "'--with-ssl' '--enable-shared' 'CFLAGS=-O3 -g'"


@pytest.mark.requirement("config:doctor:python_build")
@pytest.mark.parametrize(
    ("built_with", "optimised"),
    [
        ("'--enable-shared' '--enable-optimizations' '--with-lto'", True),
        (SHARED, False),
        (f"{SHARED} 'CPPFLAGS=-I/a/--enable-optimizations/include'", False),
        ("", None),
        (None, None),
    ],
)
def test_an_optimised_build_is_told_by_the_words_it_was_configured_with(
    built_with: str | None, optimised: bool | None, tmp_path: Path
) -> None:
    assert is_optimised(built_with, tmp_path) is optimised


@pytest.mark.requirement("config:doctor:python_build")
def test_builds_that_do_not_tell_are_not_judged(tmp_path: Path) -> None:
    assert is_optimised(SHARED, Path("/usr")) is None
    (tmp_path / "conda-meta").mkdir()
    assert is_optimised(SHARED, tmp_path) is None
    assert is_optimised("--enable-optimizations", Path("/usr")) is True


@pytest.mark.requirement("config:doctor:python_build")
@pytest.mark.parametrize(
    ("built_with", "line"),
    [
        (SHARED, "built without --enable-optimizations\n      → Choose one that was"),
        ("--enable-optimizations", "an optimised build\n"),
    ],
)
def test_doctor_says_so(
    built_with: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"CONFIG_ARGS": built_with}
    monkeypatch.setattr(sysconfig, "get_config_var", told.get)
    monkeypatch.setattr("sys.base_prefix", str(tmp_path))
    command = ["doctor", "--scripted", "--port", "0", "--data", str(tmp_path)]
    said = CliRunner().invoke(main, command)
    assert said.exit_code == 0, said.output
    assert line in said.output


@pytest.mark.requirement("config:doctor:findings")
@pytest.mark.parametrize(
    ("settings", "line", "code"),
    [
        ({}, "ok    encryption: the master key is made beside the database", 0),
        ({"KEY": "hunter2"}, "fail  encryption: Nothing can be sealed or opened: an encr", 1),
        ({"KEY": "00" * 32}, "ok    encryption: the master keys can be read", 0),
    ],
)
def test_doctor_looks_at_the_master_keys(
    settings: dict[str, str],
    line: str,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"ANTIPHON__ENCRYPTION__{name}", value)
    command = ["doctor", "--scripted", "--port", "0", "--data", str(tmp_path)]
    said = CliRunner().invoke(main, command)
    assert said.exit_code == code and line in said.output, said.output
    assert "hunter2" not in said.output


@pytest.mark.requirement("config:doctor:findings")
def test_doctor_tells_that_replicas_have_no_master_key(postgres_url: str) -> None:
    command = ["doctor", "--scripted", "--port", "0", "--database", postgres_url]
    said = CliRunner().invoke(main, command)
    assert "warn  encryption: no master key" in said.output, said.output
    assert "→ Set encryption.key_file" in said.output


@pytest.mark.requirement("config:doctor:mcp")
@pytest.mark.parametrize(
    ("command", "presented", "code", "line"),
    [
        (sys.executable, "echo", 0, "ok    mcp desk: has the tools echo, note\n"),
        (sys.executable, "find", 1, "fail  mcp desk: it has no tool find; it has echo, note\n"),
        ("no-such-program", "echo", 1, "fail  mcp desk: The program of the MCP server cannot be"),
    ],
)
def test_doctor_asks_the_mcp_servers_for_their_tools(
    command: str, presented: str, code: int, line: str, tmp_path: Path
) -> None:
    root = str(Path(__file__).parents[2])
    file = tmp_path / "antiphon.toml"
    file.write_text(
        f"""
        [[mcp]]
        label = "desk"
        command = {json.dumps(command)}
        args = ["-m", "tests.tools.mcp_servers", "echo", "note"]
        directory = {json.dumps(root)}
        presents = {{ web_search = "{presented}" }}
        """,
        encoding="utf-8",
    )
    options = ["--config", str(file), "--scripted", "--port", "0", "--data", str(tmp_path)]
    said = CliRunner().invoke(main, ["doctor", *options])
    assert said.exit_code == code, said.output
    assert line in said.output
