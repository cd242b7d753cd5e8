"""Settings, command line and doctor of an upstream that speaks the Responses API."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from click.testing import CliRunner, Result

from antiphon import app
from antiphon.backends.responses import Responses
from antiphon.backends.responses_profiles import (
    CLIENT_TOOLS,
    DIALECTS,
    HOSTED_TOOLS,
    Dialect,
    dialect_named,
    name_for,
)
from antiphon.backends.router import Route, Router
from antiphon.cli import main
from antiphon.config import Config, ResponsesSettings
from antiphon.config_backends import NATIVE
from antiphon.config_sources import ConfigError, load
from tests.backends.strict_responses import strict_responses


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"ANTIPHON_CONFIG": None})


@pytest.fixture
def upstream_url() -> Iterator[str]:
    """A strict upstream in a thread of its own, for what runs its own loop."""
    loop, started = asyncio.new_event_loop(), threading.Event()
    urls: list[str] = []
    ending = asyncio.Event()

    async def serve() -> None:
        async with strict_responses() as upstream:
            urls.append(upstream.url)
            started.set()
            await ending.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert started.wait(5)
    yield urls[0]
    loop.call_soon_threadsafe(ending.set)
    thread.join(5)
    loop.close()


def loaded(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "a.toml"
    file.write_text(text)
    return load(file=str(file), environment={}).config


@pytest.mark.requirement("responses-upstream:settings")
def test_a_file_may_name_such_an_upstream(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        '[[backends]]\nkind = "responses"\nurl = "http://h/v1"\nprofile = "vllm"\n'
        'native = ["shell"]\nenforces = ["grammar"]\nencrypted_reasoning = true\n'
        'models = ["gpt-*"]\napi_version = "preview"\n',
    )
    (settings,) = config.backends
    assert isinstance(settings, ResponsesSettings)
    backend = app._backend(settings, lambda seen: None)
    assert isinstance(backend, Responses)
    known = backend.capabilities("m")
    assert known.native == {"shell"} and known.carries and known.json_schema == "asked"
    for wrong in (
        'native = ["mcp"]',
        'native = ["web_serch"]',
        'url = "h"',
        'enforces = ["all"]',
        'profile = "none"',
    ):
        with pytest.raises(ConfigError):
            loaded(tmp_path, f'[[backends]]\nkind = "responses"\nurl = "http://h/v1"\n{wrong}\n')


@pytest.mark.requirement("responses-upstream:settings")
def test_the_settings_know_every_profile() -> None:
    hint = get_type_hints(ResponsesSettings, include_extras=False)["profile"]
    assert set(get_args(hint)) == {"auto", *DIALECTS}
    with pytest.raises(ValueError, match="profile must be auto or one of"):
        dialect_named("none", "http://h/v1")


@pytest.mark.requirement("responses-upstream:settings")
def test_the_settings_know_every_tool_an_upstream_may_have() -> None:
    assert set(NATIVE) == {"function"} | CLIENT_TOOLS | HOSTED_TOOLS


@pytest.mark.requirement("responses-upstream:native-tools")
def test_a_tool_is_native_only_where_every_upstream_of_the_model_has_it() -> None:
    settings = [
        ResponsesSettings(url="http://h/v1", profile="openai"),
        ResponsesSettings(url="http://i/v1", profile="generic", native=["shell"]),
    ]
    routes = [Route(name=str(n), backend=Responses(one)) for n, one in enumerate(settings)]
    assert "web_search" in Router(routes[:1]).capabilities("m").native
    both = Router(routes).capabilities("m")
    assert both.native == {"shell"} and not both.summaries


@pytest.mark.requirement("responses-upstream:settings")
def test_an_address_gives_the_kind_away() -> None:
    assert name_for("https://api.openai.com/v1") == "openai"
    assert name_for("https://x.openai.azure.com/openai/v1") == "azure"
    assert name_for("https://notapi.openai.com.evil.example/v1") == "generic"
    assert dialect_named("auto", "https://api.openai.com/v1") is DIALECTS["openai"]


@pytest.mark.requirement("responses-upstream:settings")
def test_the_command_line_takes_what_an_upstream_speaks() -> None:
    shown = run("config", "show", "--upstream", "http://h/v1", "--upstream-api", "responses")
    assert shown.exit_code == 0 and re.search(r'kind = "responses"', shown.output)
    shown = run("config", "show", "--upstream", "http://h/v1")
    assert re.search(r'kind = "chat"', shown.output)
    for wrong in (("--upstream", "http://h/v1", "--upstream-api", "x"), ("--upstream-api", "chat")):
        said = run("config", "show", *wrong)
        assert said.exit_code == 2 and "--upstream-api" in said.output


@pytest.mark.requirement("responses-upstream:settings")
def test_models_and_doctor_ask_it(upstream_url: str, tmp_path: Path) -> None:
    upstream = ("--upstream", upstream_url, "--upstream-api", "responses")
    assert "thinking" in run("models", *upstream).output.split()
    said = run("doctor", *upstream, "--port", "0", "--data", str(tmp_path))
    assert re.search(r"ok +upstream upstream: http://127\.0\.0\.1 port \d+ serves ", said.output)


@pytest.mark.requirement("responses-upstream:settings")
def test_every_profile_and_every_flag_stands_in_the_page() -> None:
    page = Path(__file__).parents[2] / "docs/reference/responses-upstreams.md"
    before, flags = page.read_text(encoding="utf-8").split("| flag | meaning |")
    described = before.split("| profile | schemas |")[1]
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for text in (described, flags.split("\n\n")[0])
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    told = {row[0].strip("`"): row[1:] for row in rows}
    ours = frozenset({"capabilities", "resends"})
    known = [name for name in Dialect.__struct_fields__ if name not in ours]
    assert list(told) == [*DIALECTS, *known]
    for name, dialect in DIALECTS.items():
        able = dialect.capabilities
        promised = [able.json_schema, able.strict_tools, able.tool_choice, able.grammar]
        differs = [f for f in known if getattr(dialect, f) != getattr(Dialect(), f)]
        assert told[name][:4] == promised
        assert re.findall(r"`(\w+)`", told[name][4]) == differs, name
