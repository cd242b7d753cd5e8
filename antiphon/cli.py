"""The command ``antiphon``: serve, config, doctor, models, migrate, purge, export, import.

Says what a person needs on standard output; the log goes to standard error. Exit codes: 0 all
well, 1 something could not be started or is missing, 2 a mistake in the settings or arguments.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NoReturn, TypeVar

import click

from antiphon import __version__
from antiphon.config import LlamaCppSettings
from antiphon.config_sources import ConfigError, Flag, Loaded, load

Command = TypeVar("Command", bound=Callable[..., None])

# Option → where its value goes. Those that make a list are in ``_flags``.
_PATHS = {
    "host": "server.host",
    "port": "server.port",
    "data": "store.data",
    "database": "store.url",
    "bus": "bus.url",
    "api_profile": "server.profile",
    "log_format": "log.format",
    "log_level": "log.level",
}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="antiphon")
def main() -> None:
    """The whole Responses API, on your own machines, over any model."""


def settings_options(command: Command) -> Command:
    """The options that stand for settings; every command that looks at settings takes them."""
    options = [
        click.option("--config", "file", metavar="FILE", help="TOML file with settings."),
        click.option("--host", metavar="HOST", help="Address to listen on."),
        click.option("--port", type=int, metavar="N", help="TCP port; 0 takes any free one."),
        click.option("--data", metavar="DIR", help="Directory the responses are kept in."),
        click.option(
            "--database",
            metavar="URL",
            help="PostgreSQL to keep them in instead: postgresql://USER@HOST/NAME.",
        ),
        click.option(
            "--bus", metavar="URL", help="How replicas wake each other: nats://HOST:4222."
        ),
        click.option(
            "--api-key",
            "api_keys",
            multiple=True,
            metavar="KEY",
            help="Key callers must send. May be repeated: each key is a tenant of its own.",
        ),
        click.option("--upstream", metavar="URL", help="Model server to put in front."),
        click.option(
            "--upstream-api",
            metavar="NAME",
            help="What it speaks: chat (chat completions, the default) or responses.",
        ),
        click.option(
            "--upstream-key-env",
            metavar="NAME",
            help="Environment variable with the key of the upstream.",
        ),
        click.option("--profile", metavar="NAME", help="Whose habits the upstream has."),
        click.option("--model", metavar="PATH.gguf", help="GGUF file to serve from this machine."),
        click.option(
            "--scripted",
            is_flag=True,
            help="Serve the scripted models (for tests), not the demo model.",
        ),
        click.option(
            "--api-profile",
            metavar="NAME",
            help="openai or open-responses: whose rules hold where the two exclude each other.",
        ),
        click.option("--log-format", metavar="FORMAT", help="json, pretty or auto."),
        click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@settings_options
def serve(**options: Any) -> None:
    """Answer requests. Without options: the demo model, on http://127.0.0.1:8484/v1."""
    from antiphon import process
    from antiphon.app import engine_problem
    from antiphon.banner import banner
    from antiphon.errors import AntiphonError
    from antiphon.telemetry.logs import Logs

    config = _load(options).config
    try:
        listener = process.listen(config.server.host, config.server.port)
    except OSError as error:
        _stop(f"{error} (choose with --host and --port)", 2)
    port = listener.getsockname()[1]
    uses_engine = any(isinstance(backend, LlamaCppSettings) for backend in config.backends)
    problem = engine_problem() if uses_engine else None
    logs = Logs(config.log, sys.stderr, every_request=config.server.access_log)
    try:
        process.serve(
            config,
            listener,
            logs,
            started=lambda: click.echo(banner(config, port, engine_problem=problem)),
        )
    except (AntiphonError, OSError) as error:
        _stop(str(error), 1)
    except KeyboardInterrupt:
        sys.exit(130)


@main.group()
def config() -> None:
    """Look at the settings."""


@config.command()
@settings_options
def check(**options: Any) -> None:
    """Say whether the settings are good; if not, one line names the first mistake."""
    loaded = _load(options)
    sources = sorted(set(loaded.origins.values()))
    click.echo("ok: " + (", ".join(sources) if sources else "nothing but defaults"))


@config.command()
@settings_options
def show(**options: Any) -> None:
    """Print every setting as TOML, and where its value came from. Keys are masked."""
    from antiphon.config_text import as_toml

    click.echo(as_toml(_load(options)))


@main.command()
@settings_options
def doctor(**options: Any) -> None:
    """Check what this machine can and cannot do."""
    from antiphon.doctor import examine

    config = _load(options).config
    colors = {"ok": "green", "warn": "yellow", "fail": "red"}
    failed = False

    async def look() -> None:
        nonlocal failed
        async for finding in examine(config):
            failed = failed or finding.level == "fail"
            level = click.style(f"{finding.level:4}", fg=colors[finding.level])
            click.echo(f"{level}  {finding.about}: {finding.said}")
            if finding.remedy and finding.level != "ok":
                click.echo(f"      → {finding.remedy}")

    asyncio.run(look())
    sys.exit(1 if failed else 0)


@main.command()
@settings_options
@click.argument("project", metavar="PROJECT")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(project: str, yes: bool, **options: Any) -> None:
    """Make all encrypted content of PROJECT unreadable for ever, in backups too."""
    from antiphon import app
    from antiphon.errors import AntiphonError

    config = _load(options).config
    if not yes:
        click.confirm(f"Drop the key of project '{project}'? Nobody can undo this.", abort=True)
    try:
        dropped = asyncio.run(app.purge(config, project))
    except (AntiphonError, OSError) as error:
        _stop(str(error), 1)
    if not dropped:
        _stop(f"project '{project}' has no key: nothing of it is encrypted here", 1)
    click.echo(f"purged: nobody can read what project '{project}' stored encrypted")


@main.command()
@click.option("--check", is_flag=True, help="Only list what is pending; exit code 1 if any is.")
@settings_options
def migrate(check: bool, **options: Any) -> None:
    """Bring the database's schema up to date. `serve` does the same when it starts."""
    from antiphon.app import migrate_store, pending_migrations
    from antiphon.errors import AntiphonError

    config = _load(options).config
    try:
        found = asyncio.run(pending_migrations(config) if check else migrate_store(config))
    except (AntiphonError, OSError) as error:
        _stop(str(error), 1)
    for migration in found:
        click.echo(f"{migration.number:04} {migration.name}: {'pending' if check else 'applied'}")
    if not found:
        click.echo("The schema is up to date.")
    sys.exit(1 if check and found else 0)


@main.command()
@settings_options
def models(**options: Any) -> None:
    """List the models that would answer."""
    from antiphon.app import engine_problem, models_of
    from antiphon.errors import AntiphonError

    config = _load(options).config
    try:
        found = asyncio.run(models_of(config))
    except (AntiphonError, OSError) as error:
        _stop(str(error), 1)
    for model in found:
        click.echo(f"{model.id}  {model.about}".rstrip())
    if not found:
        click.echo(
            "The upstream lists none. Any model name is passed on to it; "
            "`antiphon doctor` says whether it can be reached."
        )
    embedded = [one for one in config.backends if isinstance(one, LlamaCppSettings)]
    if embedded and (problem := engine_problem()):
        names = ", ".join(one.model_name for one in embedded)
        _stop(f"{names} cannot answer here. {problem}", 1)


@main.group("import")
def import_() -> None:
    """Bring in what others kept. Meanwhile the server must be stopped, unless on PostgreSQL."""


@import_.command("assistants")
@click.argument("source", metavar="FILE.jsonl", type=click.File("rb"))
@click.option("--project", default="default", metavar="NAME", help="Whose conversations they are.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option(
    "--skip-malformed", is_flag=True, help="Leave out the threads that malformed lines belong to."
)
@settings_options
def import_assistants(
    source: BinaryIO, project: str, dry_run: bool, skip_malformed: bool, **options: Any
) -> None:
    """Make conversations of an Assistants API export: thread and message objects, one per line."""
    from antiphon.errors import AntiphonError
    from antiphon.importing import Refused, import_threads

    loaded = _load(options)
    try:
        for line in asyncio.run(
            import_threads(
                source, loaded.config, project, dry_run=dry_run, skip_malformed=skip_malformed
            )
        ):
            click.echo(line)
    except Refused as refused:
        for line in refused.lines:
            click.echo(line, err=True)
        _stop("nothing was imported", 1)
    except (AntiphonError, OSError) as error:
        _stop(f"{error}", 1)


@import_.command("archive")
@click.argument("source", metavar="FILE.jsonl", type=click.File("rb"))
@click.option("--project", metavar="NAME", help="Only what is this project's.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@settings_options
def import_archive(source: BinaryIO, project: str | None, dry_run: bool, **options: Any) -> None:
    """Bring in what `antiphon export` wrote. What is there already stays as it is."""
    from antiphon import importing
    from antiphon.errors import AntiphonError

    config = _load(options).config
    try:
        told, whole = asyncio.run(
            importing.import_archive(
                source, config, project, dry_run=dry_run, progress=_lines_so_far
            )
        )
    except importing.Refused as refused:
        _stop(str(refused), 1)
    except (AntiphonError, OSError) as error:
        _stop(str(error), 1)
    for line in told:
        click.echo(line)
    sys.exit(0 if whole else 1)


@main.command()
@click.argument("target", metavar="FILE.jsonl")
@click.option("--project", metavar="NAME", help="Only what is this project's.")
@click.option("--in-clear", is_flag=True, help="Write what is encrypted in the database, readable.")
@settings_options
def export(target: str, project: str | None, in_clear: bool, **options: Any) -> None:
    """Write all responses, conversations and stored chat completions to a new file, in clear.

    Meanwhile the server must be stopped, unless on PostgreSQL.
    """
    from antiphon import exporting
    from antiphon.errors import AntiphonError

    config = _load(options).config
    if config.encryption.at_rest and not in_clear:
        _stop(
            "the database is encrypted and the file would not be: say --in-clear if that is "
            "what you want, and keep the file as you keep the keys",
            1,
        )
    try:
        told = exporting.export_to(target, config, project, _lines_so_far)
    except (AntiphonError, OSError) as error:
        _stop(str(error), 1)
    for line in told:
        click.echo(line)


def _lines_so_far(count: int) -> None:
    click.echo(f"{count} lines …", err=True)


def _load(options: Mapping[str, Any]) -> Loaded:
    try:
        return load(file=options["file"], environment=os.environ, flags=_flags(options))
    except ConfigError as error:
        _stop(str(error), 2)


def _flags(options: Mapping[str, Any]) -> list[Flag]:
    """What the options say, as settings."""
    flags = [
        Flag(path, options[name], "--" + name.replace("_", "-"))
        for name, path in _PATHS.items()
        if options[name] is not None
    ]
    if options["api_keys"]:
        flags.append(Flag("keys", [{"key": key} for key in options["api_keys"]], "--api-key"))
    backends: list[dict[str, Any]] = []
    if options["model"] is not None:
        backends.append({"kind": "llamacpp", "path": options["model"]})
    if options["scripted"]:
        backends.append({"kind": "scripted"})
    if options["upstream"] is not None:
        backends.append(_upstream(options))
    elif any(options[name] is not None for name in ("upstream_key_env", "upstream_api", "profile")):
        raise ConfigError("--upstream-key-env, --upstream-api and --profile need --upstream URL")
    if backends:
        given = [name for name in ("model", "scripted", "upstream") if options[name]]
        flags.append(Flag("backends", backends, "--" + ", --".join(given)))
    return flags


def _upstream(options: Mapping[str, Any]) -> dict[str, Any]:
    fields = {
        "url": options["upstream"],
        "key_env": options["upstream_key_env"],
        "profile": options["profile"],
    }
    given = {name: value for name, value in fields.items() if value is not None}
    api = options["upstream_api"] or "chat"
    if api not in ("chat", "responses"):
        raise ConfigError("--upstream-api takes chat or responses")
    return {"kind": api, **given}


def _stop(message: str, code: int) -> NoReturn:
    click.echo(f"antiphon: {message}", err=True)
    sys.exit(code)
