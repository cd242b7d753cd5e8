"""Writes the lock files from pyproject.toml: ``make lock``.

    run.lock    what the server needs, and what builds the package
    local.lock  the embedded engine, apart because some platforms have no wheel of it
    dev.lock    run.lock and what the tests and checks need
    bench.lock  what draws the benchmark's charts and profiles under it: make bench-tools

Each file serves every platform and every Python we support, and names the hash of each archive
the public index offers. Settings of the machine it runs on (other indexes, wheel directories)
are left out on purpose: the hashes must be those everybody gets.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parent / "pyproject.toml"
OPTIONS = (
    "--quiet",
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-header",
    "--no-annotate",
    "--no-emit-index-url",
    "--no-emit-find-links",
)


def compile_lock(name: str, *sources: str, text: str = "") -> None:
    """One lock file; ``text`` is what a source ``-`` reads. Ends the program if it fails."""
    environment = {
        variable: value
        for variable, value in os.environ.items()
        if not variable.startswith(("PIP_", "UV_"))
    }
    command = [sys.executable, "-m", "uv", "pip", "compile", *OPTIONS, *sources]
    target = HERE / name
    extra = ["--upgrade"] if "--upgrade" in sys.argv[1:] else []
    done = subprocess.run(
        [*command, *extra, "--output-file", str(target)],
        input=text,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{name} was not written")


BENCH = ("matplotlib>=3.10", "py-spy>=0.4")


def main() -> None:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    engine = "\n".join(project["project"]["optional-dependencies"]["local"])
    compile_lock("run.lock", str(PROJECT), "--group=build")
    compile_lock("local.lock", "-", text=engine)
    compile_lock(
        "dev.lock",
        str(PROJECT),
        "--group=build",
        "--extra=dev",
        f"--constraint={HERE / 'run.lock'}",
    )
    compile_lock("bench.lock", "-", text="\n".join(BENCH))


if __name__ == "__main__":
    main()
