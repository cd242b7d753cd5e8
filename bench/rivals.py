"""Other projects' servers: `python -m bench.rivals` lists them, `... install [NAME...]` installs.

Each lives in a virtual environment of its own under $ANTIPHON_BENCH_RIVALS, by default
~/.cache/antiphon-bench. What they are and how they start is data: rivals.toml.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from string import Template

import msgspec

from bench.processes import Cores, Processes
from bench.subjects import API_KEY, Subject, first_answered, free_port
from bench.workloads import MODELS

HERE = Path(__file__).parent
FIRST_ANSWER_SECONDS_MAX = 60.0
STAMP = "installed.txt"


class Rival(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of rivals.toml; the fields are explained at its top."""

    name: str
    requirements: list[str]
    python: list[str]
    command: list[str]
    overrides: list[str] = []
    state: str = ""
    goal: str = ""
    environment: dict[str, str] = {}
    files: dict[str, str] = {}
    borrows: dict[str, str] = {}
    model: str = ""
    model_prefix: str = ""
    connections_max: int | None = None
    seconds_min: float = 0.0
    turns_max: int = 0
    idle_streams: tuple[int, int] = (100, 500)

    @property
    def version(self) -> str:
        return self.requirements[0].partition("==")[2]

    @property
    def place(self) -> Path:
        """Its virtual environment, whether there or not."""
        return home() / f"{self.name}-{self.version}"

    @property
    def pins(self) -> str:
        """What the stamp of a finished installation holds."""
        return "\n".join([*self.requirements, *self.overrides]) + "\n"


def home() -> Path:
    chosen = os.environ.get("ANTIPHON_BENCH_RIVALS")
    return Path(chosen) if chosen else Path.home() / ".cache" / "antiphon-bench"


def rivals(text: str | None = None) -> list[Rival]:
    """All of rivals.toml, in its order."""
    tables = tomllib.loads(text or (HERE / "rivals.toml").read_text())
    return [msgspec.convert({"name": name, **table}, Rival) for name, table in tables.items()]


def missing(rival: Rival) -> str:
    """Why it cannot be started; empty when it can."""
    stamp = rival.place / STAMP
    if stamp.exists() and stamp.read_text() == rival.pins:
        return ""
    if not interpreter(rival):
        return f"needs Python {' or '.join(rival.python)}, and none was found"
    older = "another installation is there" if stamp.exists() else "not installed"
    return f"{older}; `make bench-rivals` installs it"


def interpreter(rival: Rival) -> str | None:
    """A Python it runs on: this one, one on the PATH, or one of pyenv's."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in rival.python:
        if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
            return str(getattr(sys, "_base_executable", sys.executable))
        if managed := sorted(versions.glob(f"{version}.*/bin/python")):
            return str(managed[-1])
        if found := shutil.which(f"python{version}"):
            return found
    return None


def install(rival: Rival) -> str:
    """Makes its virtual environment anew. Returns what went wrong, empty for nothing."""
    python = interpreter(rival)
    if not python:
        return missing(rival)
    shutil.rmtree(rival.place, ignore_errors=True)
    rival.place.parent.mkdir(parents=True, exist_ok=True)
    own = str(rival.place / "bin" / "python")
    pip = [own, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-q"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as overrides:
        overrides.write("\n".join(rival.overrides))
        overrides.flush()
        steps = [[python, "-m", "venv", str(rival.place)], [*pip, *rival.requirements]]
        if rival.overrides:  # pip cannot put aside what a package demands
            uv = [own, "-m", "uv", "pip", "install", "-q", "--python", own]
            steps[1:] = [[*pip, "uv"], [*uv, "--override", overrides.name, *rival.requirements]]
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, check=False)
            if done.returncode:
                lines = done.stderr.strip().splitlines() or ["no message"]
                return "\n".join(line for line in lines[-8:] if not line.startswith("WARNING"))
    (rival.place / STAMP).write_text(rival.pins)
    return ""


def borrowed(rival: Rival) -> dict[str, str]:
    """Names for files that another rival's package brings; empty where that is not installed."""
    others = {other.name: other for other in rivals()} if rival.borrows else {}
    found = {}
    for name, source in rival.borrows.items():
        owner, _, path = source.partition(":")
        places = sorted(others[owner].place.glob(f"lib/python3*/site-packages/{path}"))
        found[name] = str(places[0]) if places else ""
    return found


def start_rival(
    processes: Processes, cores: Cores, mock: Subject, folder: Path, rival: Rival
) -> Subject:
    """Starts it in a new folder and waits for its first good answer (StartFailure if none)."""
    folder.mkdir()
    port = free_port()
    values = {
        "bin": str(rival.place / "bin"),
        "port": str(port),
        "port2": str(free_port()),
        "mock": str(mock.port),
        "folder": str(folder),
        "key": API_KEY,
        **borrowed(rival),
    }
    entries = [Template(rival.model).safe_substitute(values, model=model) for model in MODELS]
    values["models"] = ",\n".join(entries)
    for name, text in rival.files.items():
        (folder / name).write_text(Template(text).substitute(values))
    filled = {name: Template(text).substitute(values) for name, text in rival.environment.items()}
    log = folder / "server.log"
    process = processes.start(
        [Template(word).substitute(values) for word in rival.command],
        cores.server,
        log=log,
        folder=folder,
        environment={name: value for name, value in filled.items() if value},
    )
    subject = Subject(
        rival.name,
        process,
        port,
        store=bool(rival.state),
        folder=folder,
        model_prefix=rival.model_prefix,
        connections_max=rival.connections_max,
        seconds_min=rival.seconds_min,
    )
    return first_answered(subject, log, seconds_max=FIRST_ANSWER_SECONDS_MAX, patient=True)


def main() -> int:
    words = sys.argv[1:]
    known = {rival.name: rival for rival in rivals()}
    names = words[1:] or list(known)
    if (words and words[0] != "install") or set(names) - set(known):
        print(f"{__doc__}\nnames: {', '.join(known)}", file=sys.stderr)
        return 2
    failed = False
    for name in names:
        why = missing(known[name])
        if words and why:
            print(f"{name} {known[name].version}: installing …", flush=True)
            why = install(known[name])
            failed = failed or bool(why)
        print(f"{name} {known[name].version}: {why or 'installed'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
