"""Compiles the two C programs into bench/.build."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE / ".build"
FLAGS = ["-std=c11", "-O2", "-Wall", "-Wextra"]
SOURCES = {
    "mock_upstream": ["mock_upstream.c", "mock_answers.c", "mock_frames.c", "mock_bytes.c"],
    "load": ["load.c", "load_options.c", "load_samples.c"],
}
HEADERS = sorted(path.name for path in HERE.glob("*.h"))


class MissingTool(Exception):
    """A program this benchmark cannot do without; the text says how to get it."""


@dataclass(frozen=True)
class Programs:
    mock_upstream: Path
    load: Path


def compiler() -> str:
    """Path of the C compiler: $CC, or the first of cc, gcc, clang."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        found = shutil.which(name) if name else None
        if found:
            return found
    raise MissingTool(
        "No C compiler found: the benchmark's model server and load generator are C programs.\n"
        "Install one (Debian, Ubuntu: apt-get install gcc libc6-dev), or set CC."
    )


def build() -> Programs:
    """Compiles what is older than its sources."""
    BUILD.mkdir(exist_ok=True)
    for name, sources in SOURCES.items():
        target = BUILD / name
        newest = max((HERE / part).stat().st_mtime for part in [*sources, *HEADERS])
        if target.exists() and target.stat().st_mtime > newest:
            continue
        paths = [str(HERE / source) for source in sources]
        subprocess.run([compiler(), *FLAGS, "-o", str(target), *paths], check=True)
    return Programs(BUILD / "mock_upstream", BUILD / "load")
