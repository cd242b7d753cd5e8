"""Installs every client and runs it against a server of its own: ``make clients``.

ARGS="openai langchain" chooses some. One line each: name, version, how many checks passed and
failed; below it what failed. Ends with 1 if anything did. What was seen goes to ``seen.json``,
and from there to docs/reference/compatibility.md; not with ``--before``, which puts the server in
front of another one (``roads.py``).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.clients import page, seen
from tests.clients.client import ROOT, Client
from tests.clients.installed import NotInstalled, command_of, install, missing_need
from tests.clients.registry import CLIENTS
from tests.clients.roads import LEFT_OUT, ROADS, before
from tests.clients.site import Site, site
from tests.clients.trial import Trial, attempt

WIDTH = max(len(client.name) for client in CLIENTS)


def main() -> int:
    chosen, road = _chosen()
    trials: list[Trial] = []
    good = True
    with tempfile.TemporaryDirectory(prefix="antiphon-clients-") as folder:
        (Path(folder) / "server").mkdir()
        here = Path(folder) / "server"
        with before(here, road) if road else site(here) as server:
            for client in chosen:
                if reason := missing_need(client):
                    print(f"{client.name:{WIDTH}}  skipped: {reason}", flush=True)
                    continue
                trial = _trial(client, server, Path(folder) / client.name)
                if road:
                    trial = trial.without(LEFT_OUT[road].get(client.name, frozenset()))
                trials.append(trial)
                good = good and trial.good
                _tell(trial)
        broken = server.broken()
        for told in broken:
            print(f"the server broke: {told}", flush=True)
    if not road:
        seen.keep([it for it in trials if it.checks], [client.name for client in CLIENTS])
        (ROOT / "docs" / "reference" / page.NAME).write_text(page.text(), encoding="utf-8")
    return 0 if good and not broken else 1


def _chosen() -> tuple[list[Client], str | None]:
    parser = argparse.ArgumentParser(prog="make clients")
    parser.add_argument("names", nargs="*", metavar="CLIENT", help="all, if none is named")
    parser.add_argument("--before", choices=ROADS, help="what the server is put in front of")
    asked = parser.parse_args()
    names = asked.names
    if unknown := set(names) - {client.name for client in CLIENTS}:
        parser.error(f"no such client: {', '.join(sorted(unknown))}")
    return [client for client in CLIENTS if not names or client.name in names], asked.before


def _trial(client: Client, server: Site, folder: Path) -> Trial:
    folder.mkdir()
    try:
        install(client)
    except NotInstalled as error:
        return Trial(client.name, "unknown", [], f"could not be installed: {error}")
    return attempt(client, command_of(client), server, folder)


def _tell(trial: Trial) -> None:
    counts = f"{len(trial.passed)} passed, {len(trial.failed)} failed"
    print(f"{trial.client:{WIDTH}}  {trial.version:10}  {counts}", flush=True)
    for check in trial.checks:
        if not check.ok:
            print(f"  {check.check}: {check.error}", flush=True)
    if trial.trouble:
        print(f"  {trial.trouble}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
