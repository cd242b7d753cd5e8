"""``python -m tests.open_responses --url http://127.0.0.1:8484/v1 --model NAME``.

One line per scenario; all start at the same time unless ``--one-by-one``. Ends with 1 if one
failed. Without ``--url`` a new server of each profile is asked, with scripted models, and what was
seen goes to ``seen.json``, and from there to docs/reference/open-responses.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

import httpx2

from tests.open_responses import page
from tests.open_responses.client import Asking
from tests.open_responses.scenarios import OURS, PROFILE_ONLY, SCENARIOS, Scenario, outcome
from tests.process.server import Server

VERSION = "2026-04-24"
PROFILES = ("openai", "open-responses")


def chosen(profile: str, only: list[str] | None = None) -> dict[str, Scenario]:
    """The scenarios that hold in a profile, or those named."""
    every = {**SCENARIOS, **OURS, **(PROFILE_ONLY if profile == "open-responses" else {})}
    return {name: scenario for name, scenario in every.items() if not only or name in only}


async def trial(server: Asking, every: dict[str, Scenario], *, at_once: bool) -> dict[str, str]:
    """Scenario → what was wrong, empty where nothing was."""
    if at_once:
        found = await asyncio.gather(*(outcome(one, server) for one in every.values()))
        return dict(zip(every, found, strict=True))
    return {name: await outcome(one, server) for name, one in every.items()}


async def judged(options: argparse.Namespace) -> dict[str, str]:
    """One server, asked and told of."""
    every = chosen(options.profile, options.only)
    began = time.perf_counter()
    async with httpx2.AsyncClient() as http:
        tool_model = options.tool_model or options.model
        server = Asking(http, options.url, options.key, options.model, tool_model)
        results = await trial(server, every, at_once=not options.one_by_one)
    width = max(map(len, results))
    for name, problem in results.items():
        print(f"{name:{width}}  {'failed: ' + problem if problem else 'passed'}")
    passed = sum(not problem for problem in results.values())
    seconds = time.perf_counter() - began
    print(f"{passed} passed, {len(results) - passed} failed in {seconds:.1f} s")
    return results


def ours(options: argparse.Namespace) -> dict[str, dict[str, str]]:
    """A new server of each profile; what was seen is kept."""
    seen: dict[str, dict[str, str]] = {}
    for profile in PROFILES:
        print(f"\nprofile {profile}")
        with (
            tempfile.TemporaryDirectory(prefix="antiphon-") as folder,
            Server(Path(folder), "--api-profile", profile) as server,
        ):
            options.url, options.profile = server.url, profile
            options.model, options.tool_model = "scripted/echo", "scripted/tool"
            seen[profile] = asyncio.run(judged(options))
    told = json.dumps({"specification": VERSION, "profiles": seen}, indent=1, ensure_ascii=False)
    page.SEEN.write_text(told + "\n", encoding="utf-8")
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.open_responses")
    parser.add_argument("--url", help="base URL, http://HOST:PORT/v1")
    parser.add_argument("--key", default="none", help="sent as Bearer")
    parser.add_argument("--model", help="the model that is asked")
    parser.add_argument("--tool-model", help="the model that is asked to call a tool")
    parser.add_argument("--profile", choices=PROFILES, default="openai")
    parser.add_argument("--one-by-one", action="store_true")
    parser.add_argument("--only", nargs="*", metavar="ID")
    options = parser.parse_args()
    if options.url is None:
        runs = list(ours(options).values())
    elif options.model is None:
        parser.error("--url needs --model")
    else:
        runs = [asyncio.run(judged(options))]
    return 0 if not any(problem for run in runs for problem in run.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
