"""Settings: where they come from, and what is said about a mistake."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest
from msgspec import inspect, structs

from antiphon import config as settings
from antiphon import config_backends
from antiphon.backends.profiles import PROFILES
from antiphon.banner import banner
from antiphon.config import (
    ChatSettings,
    Config,
    KeySettings,
    LlamaCppSettings,
    ScriptedSettings,
    ServerSettings,
    StoreSettings,
    project_of_key,
    projects,
)
from antiphon.config_base import Section
from antiphon.config_sources import ConfigError, Flag, Loaded, load
from antiphon.config_text import as_toml, without_secret

CHAT = '[[backends]]\nkind = "chat"\nurl = "http://127.0.0.1:1/v1"\n'


def from_toml(tmp_path: Path, text: str, **more: object) -> Loaded:
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    return load(file=str(tmp_path / "a.toml"), **more)  # type: ignore[arg-type]


@pytest.mark.requirement("config:sources:defaults")
def test_nothing_has_to_be_set() -> None:
    loaded = load()
    assert loaded.config == Config()
    assert loaded.config.backends == (LlamaCppSettings(),)
    assert loaded.config.server == ServerSettings(host="127.0.0.1", port=8484)
    assert loaded.origin(("server", "port")) == "default"


@pytest.mark.requirement("config:sources:precedence")
def test_flags_beat_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    loaded = from_toml(
        tmp_path,
        '[server]\nport = 1\nhost = "a"\nbody_limit_bytes = 2000\n',
        environment={"ANTIPHON__SERVER__PORT": "2", "ANTIPHON__SERVER__HOST": "b"},
        flags=[Flag("server.port", 3, "--port")],
    )
    server = loaded.config.server
    assert (server.port, server.host, server.body_limit_bytes) == (3, "b", 2000)
    assert loaded.origin(("server", "port")) == "--port"
    assert loaded.origin(("server", "host")) == "ANTIPHON__SERVER__HOST"
    assert loaded.origin(("server", "body_limit_bytes")) == str(tmp_path / "a.toml")
    assert loaded.origin(("server", "idle_seconds")) == "default"


@pytest.mark.requirement("config:sources:file_from_environment")
def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text("[server]\nport = 5\n")
    loaded = load(environment={"ANTIPHON_CONFIG": str(tmp_path / "b.toml")})
    assert loaded.config.server.port == 5


@pytest.mark.requirement("config:sources:environment_types")
def test_the_environment_sets_numbers_truths_lists_and_tables() -> None:
    loaded = load(
        environment={
            "ANTIPHON__SERVER__ACCESS_LOG": "true",
            "ANTIPHON__STORE__RETENTION_DAYS": "0.5",
            "ANTIPHON__AZURE__DEPLOYMENTS": '{"prod": "m"}',
            "ANTIPHON__BACKENDS__0__KIND": "chat",
            "ANTIPHON__BACKENDS__0__URL": "http://h/v1",
            "ANTIPHON__BACKENDS__0__MODELS": "a, b",
            "ANTIPHON__KEYS__0__KEY": "k0",
            "ANTIPHON__KEYS__1__KEY": "k1",
            "SOMETHING__ELSE": "ignored",
        }
    )
    config = loaded.config
    assert config.server.access_log is True
    assert config.store.retention_ms == 43_200_000
    assert config.azure.deployments == {"prod": "m"}
    assert config.backends == (ChatSettings(url="http://h/v1", models=["a", "b"]),)
    assert [key.key for key in config.keys] == ["k0", "k1"]


def test_a_variable_changes_one_field_of_an_element_of_the_file(tmp_path: Path) -> None:
    loaded = from_toml(
        tmp_path,
        CHAT + 'name = "one"\n',
        environment={"ANTIPHON__BACKENDS__0__RETRIES": "7"},
    )
    assert loaded.config.backends == (
        ChatSettings(url="http://127.0.0.1:1/v1", name="one", retries=7),
    )


def test_a_flag_replaces_a_list_as_a_whole(tmp_path: Path) -> None:
    flag = Flag("backends", [{"kind": "scripted"}], "--scripted")
    loaded = from_toml(tmp_path, CHAT, flags=[flag])
    assert loaded.config.backends == (ScriptedSettings(),)
    assert loaded.origin(("backends", 0, "kind")) == "--scripted"
    assert str(tmp_path) not in "".join(loaded.origins.values())


MISTAKES = {
    "unknown key": (
        "[server]\nprot = 1",
        "server.prot: there is no such setting; did you mean port?",
    ),
    "unknown section": ("[servers]", "servers: there is no such setting; did you mean server?"),
    "nothing like it": ("zzz = 1", "zzz: there is no such setting; there are server, keys, store"),
    "wrong type": (
        '[server]\nport = "x"',
        'server.port: expected an integer from 0 to 65535, got "x"',
    ),
    "a number for a truth": (
        "[server]\naccess_log = 1",
        "server.access_log: expected true or false",
    ),
    "too large": ("[server]\nport = 70000", "expected an integer from 0 to 65535, got 70000"),
    "too small": ("[server]\nidle_seconds = -1", "expected a number from 0 to 86400, got -1"),
    "not above": (
        "[runs]\nturn_seconds_max = 0",
        "expected a number above 0, at most 86400, got 0",
    ),
    "not one of": ('[runs]\nraw_reasoning = "x"', 'expected one of content, none, got "x"'),
    "no table": ("server = 3", "server: expected a table, got 3"),
    "no list": ("[keys]\nkey = 'topsecret'", "keys: expected a list of tables, got a table"),
    "missing": ("[[backends]]\nkind = 'chat'", "backends[0].url: must be set"),
    "no kind": (
        "[[backends]]\nurl = 'http://h'",
        "backends[0].kind: must be set: one of chat, responses, llamacpp, scripted",
    ),
    "wrong kind": (
        "[[backends]]\nkind = 'chap'",
        "backends[0].kind: there is no such kind: one of chat, responses, llamacpp, scripted",
    ),
    "unknown in element": (
        CHAT + "urll = 1",
        "backends[0].urll: there is no such setting; did you",
    ),
    "second element": (CHAT + "[[backends]]\nkind = 'chat'", "backends[1].url: must be set"),
    "bad address": (CHAT.replace("http:", "ftp:"), "backends[0]: url must look like http://HOST"),
    "unknown profile": (CHAT + "profile = 'x'", "backends[0].profile: expected one of anthropic,"),
    "list of wrong": (CHAT + "models = [3]", "backends[0].models[0]: expected text, got 3"),
    "table of wrong": (
        "[azure]\ndeployments = {a = 3}",
        'azure.deployments: expected a table of text, got {"a":3}',
    ),
    "no such gguf": (
        "[[backends]]\nkind = 'llamacpp'\npath = '/nowhere/m.gguf'",
        "backends[0].path: there is no file /nowhere/m.gguf",
    ),
    "not a gguf": (
        f"[[backends]]\nkind = 'llamacpp'\npath = '{__file__}'",
        f"backends[0].path: {__file__} is not a GGUF file",
    ),
    "no key at all": (
        "[[keys]]\nproject = 'x'",
        "keys[0]: one of key, key_env and key_file must be",
    ),
    "two keys": (
        "[[keys]]\nkey = 'topsecret'\nkey_env = 'B'",
        "keys[0]: only one of key, key_env and key_file may be set",
    ),
    "key is no text": ("[[keys]]\nkey = 123123", "keys[0].key: expected text, got something else"),
    "header is no text": (
        CHAT + "headers = {authorization = 123123}",
        "backends[0].headers: expected a table of text, got something else",
    ),
    "variable not set": (
        "[[keys]]\nkey_env = 'NOT_SET_ANYWHERE'",
        "keys[0].key_env: the environment variable NOT_SET_ANYWHERE is not set",
    ),
    "a key for a variable": (
        "[[keys]]\nkey_env = 'sk-topsecret'",
        "keys[0]: key_env takes the name of an environment variable, not the key",
    ),
    "no such key file": (
        "[[keys]]\nkey_file = '/no/file'",
        "keys[0].key_file: cannot read the key",
    ),
    "no such master key": (
        "[encryption]\nkey_env = 'NOT_SET_ANYWHERE'",
        "encryption.key_env: the environment variable NOT_SET_ANYWHERE is not set",
    ),
    "no such master key file": (
        "[encryption]\nkey_file = '/no/file'",
        "encryption.key_file: cannot read the key file /no/file",
    ),
    "same key twice": (
        "[[keys]]\nkey = 'topsecret'\n[[keys]]\nkey = 'topsecret'\nproject = 'b'",
        "keys: the same key is given twice",
    ),
    "a path for a name": ("[store]\nfile = '../x.db'", "store.file: expected a file name"),
}


@pytest.mark.requirement("config:mistake:one_line")
@pytest.mark.parametrize(("text", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_the_file_is_one_line_that_names_the_key(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        from_toml(tmp_path, text)
    line = str(caught.value)
    assert said in line
    assert line.endswith(f"({tmp_path / 'a.toml'})")
    assert "\n" not in line
    assert "topsecret" not in line and "123123" not in line


@pytest.mark.requirement("config:mistake:names_its_source")
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SERVER__PORT", "abc", 'server.port: expected an integer from 0 to 65535, got "abc" ('),
        ("SERVER__PROT", "1", "there is no setting server.prot; did you mean port?"),
        ("KEYS__1__KEY", "x", "keys takes a number from 0 to 0 here, not 1"),
        ("KEYS__FIRST__KEY", "x", "keys takes a number from 0 to 0 here, not FIRST"),
        ("BACKENDS__0__URL", "http://h", "backends[0].kind: must be set: one of chat,"),
        ("AZURE__DEPLOYMENTS", "x", 'azure.deployments: expected a table of text, got "x"'),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    variable: str, value: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environment={f"ANTIPHON__{variable}": value})
    assert said in str(caught.value)
    assert f"ANTIPHON__{variable}" in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml: cannot be read"):
        load(file=str(tmp_path / "missing.toml"))
    with pytest.raises(ConfigError, match=r"a\.toml: not valid TOML: .*line 1"):
        from_toml(tmp_path, "port = = 1")


@pytest.mark.requirement("config:keys:projects")
def test_each_key_is_a_project_of_its_own_unless_it_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "from-env")
    (tmp_path / "key").write_text(" from-file \n")
    config = Config(
        keys=(
            KeySettings(key="a"),
            KeySettings(key_env="A_KEY", project="team"),
            KeySettings(key_file=str(tmp_path / "key"), project="team"),
        )
    )
    assert projects(config) == {
        "a": "proj_" + hashlib.sha256(b"a").hexdigest()[:16],
        "from-env": "team",
        "from-file": "team",
    }
    assert project_of_key("a") != project_of_key("b")
    assert projects(Config()) == {}


@pytest.mark.requirement("config:show:sources")
def test_show_is_toml_that_gives_the_same_settings_again(tmp_path: Path) -> None:
    loaded = from_toml(
        tmp_path,
        CHAT + 'rename = { "a b" = "c" }\nmodels = ["x*"]\n[azure]\ndeployments = {p = "m"}\n',
        flags=[Flag("server.port", 1, "--port")],
    )
    text = as_toml(loaded)
    (tmp_path / "again.toml").write_text(text)
    assert load(file=str(tmp_path / "again.toml")).config == loaded.config
    lines = {line.split(" = ")[0]: line for line in text.splitlines() if " = " in line}
    assert lines["port"].endswith("# --port")
    assert lines["url"].endswith(f"# {tmp_path / 'a.toml'}")
    assert lines["host"].endswith("# default")


@pytest.mark.requirement("config:show:masks_secrets")
@pytest.mark.parametrize("place", ["user:topsecret@h", "topsecret@h"])
def test_no_secret_is_shown_or_printed(tmp_path: Path, place: str) -> None:
    loaded = from_toml(
        tmp_path,
        "[[keys]]\nkey = 'topsecret'\n"
        + CHAT.replace("127.0.0.1", place)
        + "key = 'topsecret'\nheaders = { authorization = 'topsecret' }\n",
    )
    assert loaded.config.keys[0].secret() == "topsecret"
    assert "topsecret" not in as_toml(loaded)
    assert "topsecret" not in banner(loaded.config, 1)
    assert "topsecret" not in repr(loaded.config)
    assert tomllib.loads(as_toml(loaded))["keys"][0]["key"] == "********"


def test_the_store_knows_its_place(tmp_path: Path) -> None:
    store = StoreSettings(data=str(tmp_path))
    assert store.path == tmp_path / "antiphon.db"
    assert store.retention_ms == 30 * 86_400_000
    assert StoreSettings(retention_days=0).retention_ms is None
    assert StoreSettings(file=":memory:").path == ":memory:"
    assert StoreSettings().directory.is_absolute()


def test_only_loopback_addresses_are_local() -> None:
    local = {"127.0.0.1", "127.9.9.9", "::1", "localhost"}
    for host in (*local, "0.0.0.0", "::", "192.168.1.2", "example.org"):
        assert ServerSettings(host=host).is_local == (host in local)


def test_the_profiles_that_can_be_set_are_those_there_are() -> None:
    assert set(config_backends.Profile.__args__) == {"auto", *PROFILES}  # type: ignore[attr-defined]


@pytest.mark.requirement("config:every_setting:documented")
def test_every_setting_has_a_sentence() -> None:
    sections = [
        kind
        for kind in vars(settings).values()
        if isinstance(kind, type) and issubclass(kind, Section) and kind is not Config
    ]
    assert len(sections) > 8
    for section in sections:
        assert section.__doc__ and section.__doc__.strip().endswith(".")
        info = inspect.type_info(section)
        assert isinstance(info, inspect.StructType)
        for field in info.fields:
            assert isinstance(field.type, inspect.Metadata), (section, field.name)
            sentence = (field.type.extra_json_schema or {})["description"]
            assert sentence.endswith("."), (section, field.name)
        assert len(info.fields) == len(structs.fields(section))


@pytest.mark.requirement("config:show:masks_secrets")
@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/mcp?api_key=abc&v=1", "https://h/mcp?api_key=********&v=1"),
        ("https://h/mcp?v=1&Token=a.b-c#x", "https://h/mcp?v=1&Token=********#x"),
        ("https://u:p@h/?sig=1", "https://u:********@h/?sig=********"),
        ("https://h/?v=token", "https://h/?v=token"),
        ("postgresql://u:p@h/d?sslmode=require", "postgresql://u:********@h/d?sslmode=require"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert without_secret(url) == shown
