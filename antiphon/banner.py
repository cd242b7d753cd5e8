"""What ``antiphon serve`` prints when it is ready: where, how to ask, who answers."""

from __future__ import annotations

from textwrap import indent

from antiphon import __version__
from antiphon.config import (
    ChatSettings,
    Config,
    LlamaCppSettings,
    ResponsesSettings,
    ScriptedSettings,
    unnamed_projects,
)
from antiphon.config_base import place_of
from antiphon.config_text import without_secret

_SAMPLE = """\
curl {url}/responses{header} -H 'content-type: application/json' \\
  -d '{{"model": "{model}", "input": "Hello!"}}'

from openai import OpenAI
client = OpenAI(base_url="{url}", api_key="{key}")
first = client.responses.create(model="{model}", input="Hi, my name is Ada.")
again = client.responses.create(
    model="{model}", input="What is my name?", previous_response_id=first.id)
print(again.output_text)"""


def banner(config: Config, port: int, *, engine_problem: str | None = None) -> str:
    """The text, without a line break at its end. ``port`` is the one really in use,
    ``engine_problem`` why the embedded engine cannot run here."""
    url = base_url(config.server.host, port)
    header = " -H 'Authorization: Bearer YOUR_KEY'" if config.keys else ""
    key = "YOUR_KEY" if config.keys else "any"
    model = sample_model(config)
    lines = [
        f"Antiphon {__version__}: the Responses API is at {url}",
        "",
        indent(_SAMPLE.format(url=url, header=header, key=key, model=model), "    "),
        "",
        *_models(config, engine_problem),
        *_data(config),
        *_keys(config),
        *_projects(config),
        "Stop with Ctrl-C.",
    ]
    return "\n".join(lines)


def base_url(host: str, port: int) -> str:
    """The base URL as a client on this machine would write it."""
    if host in ("0.0.0.0", "::", ""):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def sample_model(config: Config) -> str:
    """A model name that will answer, or the word MODEL where only the upstream knows."""
    for backend in config.backends:
        match backend:
            case LlamaCppSettings():
                return backend.model_name
            case ScriptedSettings():
                return "scripted/recall"
            case ChatSettings() | ResponsesSettings():
                plain = [name for name in (*backend.models, *backend.rename) if "*" not in name]
                if plain:
                    return plain[0]
    return "MODEL"


def _models(config: Config, engine_problem: str | None) -> list[str]:
    lines = []
    for backend in config.backends:
        match backend:
            case LlamaCppSettings() if engine_problem:
                lines.append(f"WARNING: {backend.model_name} cannot answer here. {engine_problem}")
            case LlamaCppSettings(path=None):
                lines += [
                    f"{backend.model_name} answers, a tiny demonstration model that comes with "
                    "Antiphon. Connect a real one:",
                    "    antiphon serve --model PATH.gguf",
                    "    antiphon serve --upstream http://HOST:PORT/v1 [--upstream-key-env NAME]",
                ]
            case LlamaCppSettings():
                lines.append(f"{backend.model_name} answers, from {backend.path}.")
            case ScriptedSettings():
                lines.append("scripted/… models play their scripts; /v1/models lists them.")
            case ChatSettings() | ResponsesSettings():
                rest = "every other model name" if config.backends[1:] else "every model name"
                which = ", ".join(backend.models) or rest
                lines.append(f"{without_secret(backend.url)} answers for {which}.")
    return lines


def _data(config: Config) -> list[str]:
    store = config.store
    kept = f"{store.retention_days:g} days" if store.retention_days else "for ever"
    if store.url is not None:
        return [f"Responses are kept {kept} in PostgreSQL: {place_of(store.url)}"]
    if store.path == ":memory:":
        return ["Responses are kept in memory only."]
    return [f"Responses are kept {kept} in {store.path}"]


def _keys(config: Config) -> list[str]:
    if config.keys:
        count = len(config.keys)
        return [f"{count} {'key is' if count == 1 else 'keys are'} accepted."]
    if config.server.is_local:
        return ["No key is asked for; only this machine can connect."]
    return [
        "",
        f"WARNING: no key is asked for, and {config.server.host} can be reached from other "
        "machines: anybody",
        "WARNING: who can connect may use the model and read every response. "
        "Set a key: --api-key KEY",
        "",
    ]


def _projects(config: Config) -> list[str]:
    nothing = [one.name for one in config.projects if one.zero_retention]
    lines = [f"Nothing is stored of: {', '.join(nothing)}."] if nothing else []
    for name in unnamed_projects(config):
        lines.append(f"WARNING: no key names the project {name}: its settings hold for nobody.")
    return lines
