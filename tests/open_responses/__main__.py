"""``python -m tests.open_responses --url http://127.0.0.1:8484/v1 --model NAME``.

One line per scenario; all start at the same time unless ``--one-by-one``. Ends with 1 if one of
the suite's failed. ``--json FILE`` keeps what was seen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

from tests.open_responses.client import Asking
from tests.open_responses.scenarios import OURS, PROFILE_ONLY, SCENARIOS, Scenario, outcome

VERSION = "2026-04-24"
SEEN = Path(__file__).parent / "seen.json"


async def trial(server: Asking, chosen: dict[str, Scenario], *, at_once: bool) -> dict[str, str]:
    """Scenario → what was wrong, empty where nothing was."""
    if at_once:
        found = await asyncio.gather(*(outcome(one, server) for one in chosen.values()))
        return dict(zip(chosen, found, strict=True))
    return {name: await outcome(one, server) for name, one in chosen.items()}


def seen(results: dict[str, str], server: str) -> dict[str, Any]:
    """What the compatibility page shows."""
    return {
        "specification": VERSION,
        "server": server,
        "scenarios": [
            {"id": name, "ok": not problem, "problem": problem}
            for name, problem in results.items()
        ],
    }


async def _main(options: argparse.Namespace) -> int:
    chosen = {**SCENARIOS, **OURS}
    if options.profile == "open-responses":
        chosen |= PROFILE_ONLY
    if options.only:
        chosen = {name: chosen[name] for name in options.only}
    async with httpx2.AsyncClient() as http:
        server = Asking(
            http, options.url, options.key, options.model, options.tool_model or options.model
        )
        began = time.perf_counter()
        results = await trial(server, chosen, at_once=not options.one_by_one)
    width = max(map(len, results))
    for name, problem in results.items():
        print(f"{name:{width}}  {'failed: ' + problem if problem else 'passed'}")
    passed = sum(not problem for problem in results.values())
    seconds = time.perf_counter() - began
    print(f"{passed} passed, {len(results) - passed} failed in {seconds:.1f} s")
    if options.json:
        told = json.dumps(seen(results, options.name), indent=1, ensure_ascii=False)
        options.json.write_text(told + "\n", encoding="utf-8")
    return 0 if all(not problem for problem in results.values()) else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.open_responses")
    parser.add_argument("--url", required=True, help="base URL, http://HOST:PORT/v1")
    parser.add_argument("--key", default="none", help="sent as Bearer")
    parser.add_argument("--model", required=True, help="the model that is asked")
    parser.add_argument("--tool-model", help="the model that is asked to call a tool")
    parser.add_argument("--profile", choices=["openai", "open-responses"], default="openai")
    parser.add_argument("--one-by-one", action="store_true")
    parser.add_argument("--only", nargs="*", metavar="ID")
    parser.add_argument("--name", default="antiphon", help="of the server, in the JSON")
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"e.g. {SEEN.name}")
    return asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
