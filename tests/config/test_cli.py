"""The command line, without starting a server."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from antiphon import __version__
from antiphon.backends import llamacpp_probe
from antiphon.banner import banner, base_url, sample_model
from antiphon.cli import main
from antiphon.config import (
    ChatSettings,
    Config,
    KeySettings,
    LlamaCppSettings,
    ScriptedSettings,
    ServerSettings,
    StoreSettings,
)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"ANTIPHON_CONFIG": None})


def test_the_version_is_told() -> None:
    assert run("--version").output == f"antiphon, version {__version__}\n"


@pytest.mark.requirement("config:check:command")
def test_check_says_ok_or_one_line_and_exits_with_2(tmp_path: Path) -> None:
    good = run("config", "check", "--port", "9000")
    assert (good.exit_code, good.output) == (0, "ok: --port\n")
    (tmp_path / "a.toml").write_text("[server]\nprot = 1\n")
    bad = run("config", "check", "--config", str(tmp_path / "a.toml"))
    assert bad.exit_code == 2
    assert bad.stderr == (
        "antiphon: server.prot: there is no such setting; did you mean port? "
        f"({tmp_path / 'a.toml'})\n"
    )


@pytest.mark.requirement("config:flags:backends")
def test_the_short_options_stand_for_backends_and_keys(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"GGUF")
    shown = run(
        *("config", "show", "--upstream", "http://h/v1", "--upstream-key-env", "PATH"),
        *("--profile", "vllm", "--model", str(model), "--scripted"),
        *("--api-key", "a", "--api-key", "b", "--data", str(tmp_path)),
    )
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("[[backends]]") == 3
    assert shown.output.count("[[keys]]") == 2
    for line in (
        'key_env = "PATH"',
        'profile = "vllm"',
        f'path = "{model}"',
        'kind = "scripted"',
        f'data = "{tmp_path}"',
    ):
        assert line in shown.output
    assert run("config", "show", "--profile", "vllm").exit_code == 2


def test_models_lists_the_scripts() -> None:
    listed = run("models", "--scripted")
    assert listed.exit_code == 0
    assert "scripted/echo  Repeats the last user text word by word." in listed.output


def test_models_says_when_the_embedded_model_cannot_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(llamacpp_probe, "find_spec", lambda name: None)
    listed = run("models")
    assert listed.exit_code == 1
    assert "demo-antiphon cannot answer here. The package xllamacpp is not" in listed.stderr


def test_models_tells_what_to_do_where_the_upstream_lists_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
    listed = run("models", "--upstream", url)
    assert listed.exit_code == 0
    assert "`antiphon doctor` says whether it can be reached" in listed.output


@pytest.mark.requirement("config:doctor:findings")
def test_doctor_names_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    well = run("doctor", "--scripted", "--port", "0", "--data", str(tmp_path / "new"))
    assert well.exit_code == 0, well.output
    assert not (tmp_path / "new").exists()
    assert "ok    sqlite: SQLite 3." in well.output
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ill = run("doctor", "--scripted", "--port", str(port), "--data", str(tmp_path))
    assert ill.exit_code == 1
    assert (
        f"fail  port: cannot listen on 127.0.0.1 port {port}: Address already in use" in ill.output
    )
    assert "→ Stop the program that has it, or choose another: --port N." in ill.output


def test_doctor_warns_of_an_open_server(tmp_path: Path) -> None:
    said = run("doctor", "--scripted", "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path))
    assert "warn  keys: none, and the server listens on 0.0.0.0" in said.output


def test_doctor_tells_of_an_upstream_that_is_not_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    said = run("doctor", "--upstream", url, "--port", "0", "--data", str(tmp_path))
    assert said.exit_code == 1
    assert f"fail  upstream upstream: http://127.0.0.1 port {port}: Connection ref" in said.output


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:1/v1"),
        ("0.0.0.0", "http://127.0.0.1:1/v1"),
        ("::1", "http://[::1]:1/v1"),
        ("box.lan", "http://box.lan:1/v1"),
    ],
)
def test_the_base_url_can_be_pasted(host: str, url: str) -> None:
    assert base_url(host, 1) == url


def test_the_banner_names_a_model_that_answers() -> None:
    chat = ChatSettings(url="http://h/v1")
    assert sample_model(Config()) == "demo-antiphon"
    assert sample_model(Config(backends=(ScriptedSettings(),))) == "scripted/recall"
    assert sample_model(Config(backends=(chat,))) == "MODEL"
    named = ChatSettings(url="http://h/v1", models=["gpt-*", "small"])
    assert sample_model(Config(backends=(named,))) == "small"
    local = LlamaCppSettings(path="/models/Tiny-Q8.gguf")
    assert sample_model(Config(backends=(local,))) == "Tiny-Q8"


@pytest.mark.requirement("process:banner:warns_when_open")
def test_the_banner_warns_only_when_others_can_connect_without_a_key() -> None:
    store = StoreSettings(file=":memory:")
    open_to_all = Config(server=ServerSettings(host="0.0.0.0"), store=store)
    assert "WARNING" in banner(open_to_all, 1)
    assert "WARNING" not in banner(Config(store=store), 1)
    keyed = Config(server=open_to_all.server, keys=(KeySettings(key="topsecret"),), store=store)
    assert "WARNING" not in banner(keyed, 1)
    assert "topsecret" not in banner(keyed, 1)
    assert "Authorization: Bearer YOUR_KEY" in banner(keyed, 1)


@pytest.mark.requirement("process:banner:engine_missing")
def test_the_banner_says_when_the_embedded_model_cannot_answer() -> None:
    config = Config(store=StoreSettings(file=":memory:"))
    said = banner(config, 1, engine_problem="No wheel. Use an upstream.")
    assert "WARNING: demo-antiphon cannot answer here. No wheel. Use an upstream." in said
    assert "demo-antiphon answers" not in said


def test_the_banner_says_which_model_names_an_upstream_answers() -> None:
    chat = ChatSettings(url="http://h/v1")
    assert "answers for every model name." in banner(Config(backends=(chat,)), 1)
    both = Config(backends=(ScriptedSettings(), chat))
    assert "answers for every other model name." in banner(both, 1)
