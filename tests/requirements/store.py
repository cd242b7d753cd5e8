"""What a store promises."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "store:save:round-trip": Requirement(
        source="issue §3 State",
        behaviour="What was saved is loaded field by field as it was, and stays so for ever.",
    ),
    "store:save:any-text": Requirement(
        source="store/base.py",
        behaviour="Text a database cannot hold fails its own save, and is in no row.",
    ),
    "store:save:duplicate": Requirement(
        source="store/base.py",
        behaviour="An id that is taken fails its own save and no other save of the same batch.",
    ),
    "store:save:durable": Requirement(
        source="issue §6 (kill -9 between any two steps)",
        behaviour="A save that returned is there after kill -9 and after a power cut.",
    ),
    "store:save:reopen": Requirement(
        source="issue §1 (restart keeps everything)",
        behaviour="Closing and opening again keeps every response and every history.",
    ),
    "store:save:failure": Requirement(
        source="issue §6 (store failing at the Nth call)",
        behaviour="A failing step fails the saves it belongs to and leaves no half-written row.",
    ),
    "store:put:settled": Requirement(
        source="store/base.py",
        behaviour="What is put is settled exactly once, later, in order, whatever others do.",
    ),
    "store:put:flushed": Requirement(
        source="issue §6 (kill -9 between any two steps)",
        behaviour="No answer and no terminal event leaves before its row is on the disk.",
    ),
    "store:tenant:isolation": Requirement(
        source="issue §6 (a foreign id is indistinguishable from a missing one)",
        behaviour="Every read and every deletion with another project's id behaves as missing.",
    ),
    "store:history:branches": Requirement(
        source="issue §3 State (a tree, branching legal)",
        behaviour="A history is the ancestors oldest first; siblings never see each other.",
    ),
    "store:history:two-queries": Requirement(
        source="perf.md (queries to load any history)",
        behaviour="A history of any length and any number of forks costs at most two queries.",
    ),
    "store:context:same": Requirement(
        source="store/base.py",
        behaviour="A context is the items of the history, joined, whatever was packed or deleted.",
    ),
    "store:context:erased": Requirement(
        source="issue §3 State (deleting a parent neither breaks nor leaks)",
        behaviour="A pack is gone from the file as soon as one of its turns is emptied.",
    ),
    "store:history:linear-storage": Requirement(
        source="issue §3 State (O(new items) storage)",
        behaviour="A turn stores its new items only, however long the conversation is.",
    ),
    "store:history:dead-parent": Requirement(
        source="store/base.py",
        behaviour="A child whose parent was deleted or expired meanwhile joins its history.",
    ),
    "store:delete:tombstone": Requirement(
        source="issue §3 State (tombstones)",
        behaviour="A deleted response is missing at once for every reader, and its id stays taken.",
    ),
    "store:delete:descendants": Requirement(
        source="issue §3 State (deleting a parent neither breaks nor leaks)",
        behaviour="Living descendants keep the items of a deleted ancestor, marked as deleted.",
    ),
    "store:delete:erased": Requirement(
        source="issue §3 State (deleting a parent neither breaks nor leaks)",
        behaviour="What nobody living needs is erased from the file, not only hidden.",
    ),
    "store:expiry:invisible": Requirement(
        source="issue §3 State (retention)",
        behaviour="An expired response is missing from its very millisecond, swept or not.",
    ),
    "store:expiry:sweep": Requirement(
        source="issue §3 State (a sweeper)",
        behaviour="Sweeping counts each expired response once, obeys its limit, empties the store.",
    ),
    "store:life:one-process": Requirement(
        source="stack.md §3.3 (several processes over one file are not supported)",
        behaviour="A second process is told who has the file, and changes nothing.",
    ),
    "store:life:newer-schema": Requirement(
        source="stack.md §2.2 (migrations)",
        behaviour="A database of a newer version is refused naming both versions.",
    ),
    "store:life:readiness": Requirement(
        source="store/base.py",
        behaviour="ping writes to the disk and fails when writing fails.",
    ),
    "store:works:own-affair": Requirement(
        source="store/base.py",
        behaviour="What a work refuses undoes its own writes and its row, and nobody else's.",
    ),
    "store:replicas:forks": Requirement(
        source="issue §4 (several replicas over one database)",
        behaviour="Replicas that continue one response at once all join it; an id is given once.",
    ),
    "store:replicas:forgetting": Requirement(
        source="issue §4 (several replicas over one database)",
        behaviour="Storing, deleting and sweeping at once leaves whole histories and no rubbish.",
    ),
    "store:replicas:deadlock": Requirement(
        source="store/work.py",
        behaviour="Works that lock each other out are done again, and nobody notices.",
    ),
    "store:remote:restart": Requirement(
        source="issue §4 (a database that restarts)",
        behaviour="A restart of the database loses and doubles nothing; a long absence is a 503.",
    ),
    "store:remote:unknown-outcome": Requirement(
        source="ours",
        behaviour="A commit whose answer was lost is asked about, not repeated or called lost.",
    ),
    "store:life:rights": Requirement(
        source="ours",
        behaviour="A server on a current schema needs to read and write rows, and no more.",
    ),
    "store:life:migrating-together": Requirement(
        source="stack.md §2.2 (migrations)",
        behaviour="Replicas that start together on an empty database migrate it once.",
    ),
    "store:databases:whole-server": Requirement(
        source="issue §4",
        behaviour="Over every database the same requests have the same answers, restart included.",
    ),
    "store:databases:hot-road": Requirement(
        source="ours",
        behaviour="A turn that reads nothing from the store is begun at once over any of them.",
    ),
    "store:databases:odd-ids": Requirement(
        source="ours",
        behaviour="An id with NUL is missing, not a 500; items with ids no index takes get others.",
    ),
    "store:databases:replicas": Requirement(
        source="issue §4 (several replicas over one database)",
        behaviour="What one replica made, another continues, lists and sees deleted.",
    ),
    "store:life:migrate-command": Requirement(
        source="stack.md §2.2 (migrations)",
        behaviour="`antiphon migrate` applies what is pending; `--check` lists it and exits 1.",
    ),
    "store:databases:one-text": Requirement(
        source="stack.md §2.2",
        behaviour="SQLite and PostgreSQL understand every statement of the store as it is written.",
    ),
    "store:life:two-versions": Requirement(
        source="store/migrate.py (expand, contract later)",
        behaviour="A replica goes on while a newer version adds to the schema under it.",
    ),
}
