"""``antiphon`` that tells, at every SIGUSR2, what it holds: one JSON object in the file that the
environment names. For ``soak.py``; arguments are those of the command."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import tracemalloc
from types import FrameType

from antiphon.cli import main

FILE = "SOAK_FILE"
TRACE = "SOAK_TRACE"
"""Set: what Python allocates is counted to the byte, and everything is slower."""


def tell(number: int, frame: FrameType | None) -> None:
    gc.collect()  # what only the collector can free is no leak, and hides one
    held = {
        "tasks": len(asyncio.all_tasks()),
        "traced_bytes": tracemalloc.get_traced_memory()[0],
        "blocks": sys.getallocatedblocks(),
    }
    path = os.environ[FILE]
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(held, file)
    os.replace(f"{path}.new", path)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, tell)
    if os.environ.get(TRACE):
        tracemalloc.start()
    main()
