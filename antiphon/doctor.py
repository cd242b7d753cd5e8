"""What this machine can and cannot do: one finding per thing the server needs."""

from __future__ import annotations

import asyncio
import os
import platform
import shlex
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import apsw
from msgspec import Struct

from antiphon import app
from antiphon.config import (
    ChatSettings,
    Config,
    LlamaCppSettings,
    ResponsesSettings,
    unnamed_projects,
)
from antiphon.config_base import place_of
from antiphon.config_mcp import McpSettings, RemoteMcpSettings
from antiphon.errors import AntiphonError
from antiphon.process import listen
from antiphon.tools.mcp import Mcp
from antiphon.tools.mcp_base import McpFailed, McpPlace

PYTHON_MIN = (3, 11)
SQLITE_MIN = (3, 37)  # STRICT tables
FREE_BYTES_MIN = 64 * 2**20
FREE_BYTES_COMFORTABLE = 2**30
CONNECT_SECONDS_MAX = 5.0


class Finding(Struct, frozen=True):
    """``fail``: the server will not work as configured; ``warn``: less well than it could."""

    level: Literal["ok", "warn", "fail"]
    about: str
    said: str
    remedy: str = ""


async def examine(config: Config) -> AsyncIterator[Finding]:
    """Look at everything ``config`` needs, cheapest first."""
    yield _python()
    if config.store.url is None:
        for finding in _data(config.store.directory):
            yield finding
        yield _sqlite()
    else:
        yield await _postgres(config)
    yield _port(config)
    yield _exposure(config)
    yield _sealing(config)
    for name in unnamed_projects(config):
        said = f"no key names '{name}': its settings hold for nobody"
        yield Finding("warn", "projects", said, "Is the name the one in [[keys]]?")
    yield _library("llguidance", "grammars and schemas cannot be checked", level="fail")
    if sys.platform != "win32":
        yield _library("uvloop", "the server works, but slower", level="warn")
    for backend in config.backends:
        match backend:
            case LlamaCppSettings():
                yield _engine()
            case ChatSettings() | ResponsesSettings():
                yield await _upstream(backend)
    for server in config.mcp:
        yield await _mcp(server)


def _python() -> Finding:
    said = f"{platform.python_implementation()} {platform.python_version()}"
    if sys.version_info < PYTHON_MIN:
        return Finding("fail", "python", said, "Install Python 3.11 or newer.")
    match is_optimised(sysconfig.get_config_var("CONFIG_ARGS"), Path(sys.base_prefix)):
        case True:
            said += ", an optimised build"
        case False:
            remedy = "Choose one that was: it takes about a fifth less CPU. With pyenv, set "
            remedy += "PYTHON_CONFIGURE_OPTS=--enable-optimizations and install it again."
            return Finding(
                "warn", "python", f"{said}, built without --enable-optimizations", remedy
            )
    return Finding("ok", "python", said)


def is_optimised(built_with: str | None, home: Path) -> bool | None:
    """Whether an interpreter was built with profile-guided optimisation; None if it does not tell.

    ``built_with``: the words its ``configure`` was called with, ``home``: where it is installed.
    The packages of distributions and of conda are built twice, optimised and shared, and tell the
    words of the second only: there the absence of a word is no sign.
    """
    words = shlex.split(built_with or "")
    if "--enable-optimizations" in words:
        return True
    if not words or home == Path("/usr") or (home / "conda-meta").is_dir():
        return None
    return False


def _data(directory: Path) -> Iterator[Finding]:
    there = next(path for path in (directory, *directory.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        remedy = "Choose a directory you may write to: --data DIR."
        yield Finding("fail", "data", f"{there}: {error.strerror}", remedy)
        return
    yield Finding("ok", "data", f"{directory} can be written")
    free = shutil.disk_usage(there).free
    said = f"{free / 2**30:.1f} GiB free"
    if free < FREE_BYTES_COMFORTABLE:
        level: Literal["fail", "warn"] = "fail" if free < FREE_BYTES_MIN else "warn"
        yield Finding(level, "disk", said, "Make room, or choose another place: --data DIR.")
    else:
        yield Finding("ok", "disk", said)


def _sqlite() -> Finding:
    version = apsw.sqlite_lib_version()
    said = f"SQLite {version} (apsw {apsw.apsw_version()})"
    if tuple(map(int, version.split(".")[:2])) < SQLITE_MIN:
        return Finding("fail", "sqlite", said, "Upgrade the package apsw.")
    return Finding("ok", "sqlite", said)


async def _postgres(config: Config) -> Finding:
    where = f"PostgreSQL: {place_of(config.store.url or '')}"
    try:
        pending = await app.pending_migrations(config)
    except AntiphonError as error:
        remedy = "Is it running, and may this machine and user connect? See store.url."
        return Finding("fail", "database", str(error), remedy)
    if pending:
        said = f"{where} can be reached; {len(pending)} migrations are pending"
        return Finding("warn", "database", said, "`serve` and `antiphon migrate` apply them.")
    return Finding("ok", "database", f"{where} can be reached, its schema is up to date")


def _port(config: Config) -> Finding:
    host, port = config.server.host, config.server.port
    try:
        listen(host, port).close()
    except OSError as error:
        remedy = "Stop the program that has it, or choose another: --port N."
        return Finding("fail", "port", str(error), remedy)
    return Finding("ok", "port", f"{host} port {port} is free")


def _exposure(config: Config) -> Finding:
    if config.keys:
        return Finding("ok", "keys", f"{len(config.keys)} configured")
    if config.server.is_local:
        return Finding("ok", "keys", "none, and only this machine can connect")
    return Finding(
        "warn",
        "keys",
        f"none, and the server listens on {config.server.host}: everybody in reach may use it",
        "Set a key: --api-key KEY.",
    )


def _sealing(config: Config) -> Finding:
    remedy = "Set encryption.key_file; `openssl rand -base64 32` makes a key."
    try:
        app.check_keys(config)
    except AntiphonError as error:
        return Finding("fail", "encryption", str(error), remedy)
    named = config.encryption
    if named.key or named.key_env or named.key_file:
        return Finding("ok", "encryption", "the master keys can be read")
    if config.store.url is None:
        return Finding("ok", "encryption", "the master key is made beside the database")
    said = "no master key: reasoning, compactions and webhook secrets cannot be sealed"
    return Finding("fail" if named.at_rest else "warn", "encryption", said, remedy)


def _library(name: str, lack: str, *, level: Literal["warn", "fail"]) -> Finding:
    try:
        import_module(name)
    except ImportError as error:
        return Finding(level, name, f"{error}: {lack}", f"pip install {name}")
    return Finding("ok", name, metadata.version(name))


def _engine() -> Finding:
    problem = app.engine_problem()
    if problem is None:
        return Finding("ok", "engine", "the embedded engine can run here")
    return Finding("fail", "engine", problem)


async def _upstream(settings: ChatSettings | ResponsesSettings) -> Finding:
    about = f"upstream {settings.name}"
    parts = urlsplit(settings.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    where = f"{parts.scheme}://{parts.hostname} port {port}"
    async with app.backend_of(settings) as backend:
        models = await backend.models()
    if models:
        return Finding("ok", about, f"{where} serves {_some([model.id for model in models])}")
    try:
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except OSError as error:  # TimeoutError is one
        number = error.errno or 0  # not above 0 where a name is not known
        why = os.strerror(number) if number > 0 else error.strerror or "no answer"
        return Finding("fail", about, f"{where}: {why}", "Is it running?")
    writer.close()
    remedy = "Fine if it never lists them; else check the path (/v1), the key, a certificate."
    return Finding("warn", about, f"{where} answers, but lists no models", remedy)


async def _mcp(settings: McpSettings) -> Finding:
    """What the server lists, within its own limits; a program is started for it and ended."""
    about = f"mcp {settings.label}"
    servers = Mcp(RemoteMcpSettings())
    headers = settings.all_headers({}) if settings.url is not None else {}
    place = McpPlace(settings.label, settings.url, headers, settings)
    try:
        names = [tool.name for tool in await servers.session(place).tools()]
    except McpFailed as failure:
        remedy = "Is it running, and are its address and key right?"
        if settings.command is not None:
            remedy = "Does the command do something when you type it?"
        return Finding("fail", about, str(failure), remedy)
    finally:
        await servers.close()
    missing = {*settings.allowed_tools, *settings.presents.values()} - {*names}
    if missing:
        said = f"it has no tool {', '.join(sorted(missing))}; it has {_some(names)}"
        return Finding("fail", about, said, "Correct allowed_tools or presents.")
    return Finding("ok", about, f"has the tools {_some(names)}" if names else "has no tools")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + ("…" if len(names) > 5 else "")
