"""The child process that holds llama.cpp. Started by path; imports nothing of this package.

Protocol: one JSON line on stdin says what to load and with which key; one JSON line on stdout
answers ``{"url": …}`` or ``{"error": …, "kind": "import" | "load"}``. Nothing stands in the
arguments or the environment, where other users could read it. The child lives until its stdin
closes, so it cannot outlive its parent; on Linux the kernel sees to that even while it loads.

Signals meant for the server (Ctrl-C in a terminal, a stop of the whole group) are ignored: the
parent still has answers to finish and closes stdin when it is done.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from types import TracebackType
from typing import Any

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent = os.getppid()
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            return
    config: dict[str, Any] = json.loads(sys.stdin.readline())
    answers = os.dup(1)
    os.dup2(2, 1)  # native code prints to stdout; the answers' channel has to stay clean
    try:
        import xllamacpp
    except ImportError as error:
        _say(answers, {"kind": "import", "error": str(error)})
        os._exit(3)
    try:
        server = xllamacpp.Server(_params(xllamacpp, config))
    except (RuntimeError, ValueError, OSError) as error:
        _say(answers, {"kind": "load", "error": str(error)})
        os._exit(4)
    _say(answers, {"url": server.listening_address})
    while sys.stdin.readline():
        pass
    os._exit(0)


def _params(xllamacpp: Any, config: dict[str, Any]) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = config["model"]
    params.n_ctx = config["context_tokens"] * config["parallel"]
    params.n_parallel = config["parallel"]
    # One shared cache that runs full fails every answer under way, so each slot has its own.
    params.kv_unified = False
    params.ctx_shift = False
    params.cache_ram_mib = config["cache_ram_mib"]  # its own default is 8 GiB
    params.warmup = False
    params.verbosity = 1  # errors only: they carry the reason a model does not load
    params.api_keys = [config["key"]]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.cors_origins = ""
    params.ui = False
    params.endpoint_slots = True
    params.cpuparams.n_threads = config["threads"]
    params.cpuparams_batch.n_threads = config["threads"]
    return params


def _say(channel: int, answer: dict[str, Any]) -> None:
    os.write(channel, (json.dumps(answer) + "\n").encode())


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A normal end would wait for the server's threads for ever: its parent may be gone."""
    sys.__excepthook__(kind, error, trace)
    os._exit(1)


if __name__ == "__main__":
    sys.excepthook = _end
    main()
