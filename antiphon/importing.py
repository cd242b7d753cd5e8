"""The commands ``antiphon import …``: from a file into the store, and what to tell about it.

The store is opened by itself: no backend, no bus, no sweeper. A SQLite store belongs to one
process, so the server must be stopped; several processes share a PostgreSQL store.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from antiphon.app import store_only
from antiphon.assistants import Export, Imported, carry_over, importable, read
from antiphon.config import Config
from antiphon.errors import AntiphonError, RemoteError
from antiphon.restoring import NoArchive, Restored, restore
from antiphon.runs.retention import Retention

_PROJECT = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LINES_TOLD_MAX = 20


class Refused(Exception):
    """The file was not imported; ``lines`` say why."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


async def import_threads(
    lines: Iterable[bytes],
    config: Config,
    project: str,
    *,
    dry_run: bool = False,
    skip_malformed: bool = False,
) -> list[str]:
    """Import an export of the Assistants API; what to tell. Raises ``Refused`` for malformed lines
    unless their threads are to be skipped, ``AntiphonError`` or ``OSError`` for a store that cannot
    be opened or written."""
    if not _PROJECT.fullmatch(project):
        raise Refused([f"{project!r} is no name of a project"])
    if Retention(None, config.projects).zero(project):
        raise Refused([f"nothing of the project {project} may be stored: zero_retention is set"])
    export = read(lines)
    if export.malformed and not skip_malformed:
        raise Refused(_malformed(export))
    threads = importable(export)
    if export.malformed and not threads:
        raise Refused([*_malformed(export), "no thread is left that none of them may belong to"])
    app = store_only(config)
    try:
        async with app.only_store():
            done = await carry_over(threads, app.runs.holding.kept, project, dry_run=dry_run)
    except RemoteError as error:
        raise explained(error, config, "import") from error
    return _told(export, done, project, len(threads), dry_run=dry_run)


async def import_archive(
    lines: Iterable[bytes],
    config: Config,
    project: str | None,
    *,
    dry_run: bool,
    progress: Callable[[int], None],
) -> tuple[list[str], bool]:
    """Import a file of `antiphon export`; what to tell, and whether every line was understood.
    Raises ``Refused`` for a file that is none, else as ``import_threads``."""
    try:
        found = await restore(lines, config, project, dry_run=dry_run, progress=progress)
    except NoArchive as error:
        raise Refused([str(error)]) from None
    except RemoteError as error:
        raise explained(error, config, "import") from error
    return _restored(found, dry_run=dry_run), found.whole and not found.wrong


def _restored(found: Restored, *, dry_run: bool) -> list[str]:
    done = found.done
    counted = [
        _count(done.responses, "response"),
        f"{_count(done.deleted, 'deleted response')} that others continue",
        f"{_count(done.conversations, 'conversation')} with {_count(done.items, 'item')}",
        _count(done.completions, "chat completion"),
    ]
    told = [f"{'would be imported' if dry_run else 'imported'}: {'; '.join(counted)}"]
    if found.known:
        told.append(f"there already, left as they are: {found.known}")
    if found.wrong:
        told.append(f"{_count(len(found.wrong), 'line')} left out:")
        told += [f"line {number}: {why}" for number, why in found.wrong[:_LINES_TOLD_MAX]]
        more = len(found.wrong) - _LINES_TOLD_MAX
        told += [f"and {more} more"] if more > 0 else []
    if not found.whole:
        told.append("the file has no end: it is a part of an export that broke off")
    return told


def explained(error: RemoteError, config: Config, doing: str) -> AntiphonError:
    """The error, and what to do where it is that a server has the database."""
    if config.store.url is not None or "process" not in error.message:
        return error
    return RemoteError(
        f"{error.message} Stop the server that uses it, {doing}, and start it again.",
        status=error.status,
    )


def _malformed(export: Export) -> list[str]:
    told = [f"line {line.number}: {line.why}" for line in export.malformed[:_LINES_TOLD_MAX]]
    more = len(export.malformed) - len(told)
    return [*told, f"and {more} more"] if more else told


def _told(export: Export, done: Imported, project: str, tried: int, *, dry_run: bool) -> list[str]:
    would = "would become" if dry_run else "became"
    told = [
        f"{_count(done.conversations, 'thread')} with {_count(done.messages, 'message')} "
        f"{would} conversations of project {project}"
    ]
    if done.known:
        told.append(f"{_count(done.known, 'thread')} imported before: left as they are")
    if export.malformed:
        skipped = len(export.threads) - tried
        told += [f"{_count(skipped, 'thread')} skipped:", *_malformed(export)]
    if export.left_out:
        told.append(f"left out: {_counts(export.left_out)}")
    if done.lost:
        told.append(f"not carried over: {_counts(done.lost)}")
    return told


def _counts(counted: Counter[str]) -> str:
    return ", ".join(_count(number, what) for what, number in sorted(counted.items()))


def _count(number: int, what: str) -> str:
    if number == 1:
        return f"1 {what}"
    head, comma, rest = what.partition(",")
    return f"{number} {head}s{comma}{rest}"
