"""The programs and settings of docs/how-to/use-mcp-servers.md, as they stand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from antiphon.config_sources import load
from tests.examples.pages import blocks
from tests.process.server import Server

PAGE = "docs/how-to/use-mcp-servers.md"
PROGRAM, CALLER = [block.text for block in blocks("python") if block.page == PAGE]
SETTINGS, *OTHERS = [block.text for block in blocks("toml") if block.page == PAGE]


@pytest.mark.requirement("mcp:docs:how_to")
def test_the_page_tells_all_it_takes(tmp_path: Path) -> None:
    (tmp_path / "notes.py").write_text(PROGRAM)
    settings = tmp_path / "antiphon.toml"
    here = SETTINGS.replace('"python"', json.dumps(sys.executable)).replace(
        '"notes.py"', json.dumps(str(tmp_path / "notes.py"))
    )
    settings.write_text('[[backends]]\nkind = "scripted"\n\n' + here)
    with Server(tmp_path, "--config", str(settings)) as server:
        done = subprocess.run(
            [sys.executable, "-c", CALLER.replace("127.0.0.1:8484", f"127.0.0.1:{server.port}")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        'mcp_approval_request add_note {"text":"example"}',
        "mcp_call Noted as number 1.",
    ]


def test_the_other_settings_are_taken(tmp_path: Path) -> None:
    for number, text in enumerate(OTHERS):
        settings = tmp_path / f"{number}.toml"
        settings.write_text(text)
        config = load(file=str(settings)).config
        assert config.mcp or config.remote_mcp.allowed
