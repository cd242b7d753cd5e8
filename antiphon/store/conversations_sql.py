"""Every statement about conversations, named. What the columns mean: ``migrations/``."""

from __future__ import annotations

SAVE_CONVERSATION = """
INSERT INTO conversations (project, id, created_at, metadata, edition, place, gone)
VALUES ($1, $2, $3, $4, 0, 0, 0)
"""

LOAD_CONVERSATION = """
SELECT created_at, metadata, edition, place FROM conversations
WHERE project = $1 AND id = $2 AND gone = 0
"""

SET_METADATA = """
UPDATE conversations SET metadata = $3 WHERE project = $1 AND id = $2 AND gone = 0
RETURNING created_at, metadata, edition, place
"""

TOUCH_CONVERSATION = """
UPDATE conversations SET place = place WHERE project = $1 AND id = $2 AND gone = 0
RETURNING created_at, metadata, edition, place
"""
"""Its fields; nobody else touches it before this transaction ends."""

TAKE_PLACES = """
UPDATE conversations SET place = place + $3 WHERE project = $1 AND id = $2 AND gone = 0
RETURNING edition, place
"""
"""Room for $3 more items; the new edition and place."""

NEW_EDITION = """
UPDATE conversations SET edition = edition + 1 WHERE project = $1 AND id = $2
"""
"""An item was removed: who knows the items has to read them again."""

SAVE_ITEM = """
INSERT INTO conversation_items (project, conversation, place, id, item)
VALUES ($1, $2, $3, $4, $5)
"""

LOAD_ITEMS = """
SELECT item FROM conversation_items
WHERE project = $1 AND conversation = $2 AND place >= $3 ORDER BY place
"""
"""The items from place $3 on."""

LOAD_PAGE_UP = """
SELECT id, item FROM conversation_items
WHERE project = $1 AND conversation = $2 AND place > $3 ORDER BY place LIMIT $4
"""

LOAD_PAGE_DOWN = """
SELECT id, item FROM conversation_items
WHERE project = $1 AND conversation = $2 AND place < $3 ORDER BY place DESC LIMIT $4
"""

FIND_ITEM = """
SELECT place, item FROM conversation_items WHERE project = $1 AND id = $2 AND conversation = $3
"""

FIND_ITEM_ANYWHERE = """
SELECT i.item FROM conversation_items i
WHERE i.project = $1 AND i.id = $2 AND EXISTS (
    SELECT 1 FROM conversations c WHERE c.project = $1 AND c.id = i.conversation AND c.gone = 0)
ORDER BY i.conversation DESC LIMIT 1
"""
"""An item of any living conversation; of several with this id, one of the newest conversation."""

ERASE_ITEM = """
DELETE FROM conversation_items WHERE project = $1 AND id = $2 AND conversation = $3
RETURNING place
"""

TAKE_LOCK = """
INSERT INTO conversation_locks (project, conversation, holder, held_until)
VALUES ($1, $2, $3, $4)
ON CONFLICT (project, conversation) DO UPDATE SET
    holder = excluded.holder,
    held_until = CASE
        WHEN conversation_locks.holder = excluded.holder
         AND conversation_locks.held_until > excluded.held_until
        THEN conversation_locks.held_until ELSE excluded.held_until END
WHERE conversation_locks.held_until <= $5 OR conversation_locks.holder = excluded.holder
RETURNING holder
"""
"""For holder $3 until $4; $5 is now. No row comes back if another one has it. Who has it already
keeps it, and for no shorter time than before."""

KEEP_LOCK = """
UPDATE conversation_locks SET held_until = held_until
WHERE project = $1 AND conversation = $2 AND holder = $3
RETURNING holder
"""
"""No row comes back if holder $3 has it no more."""

FIND_LOCK = """
SELECT holder, held_until FROM conversation_locks WHERE project = $1 AND conversation = $2
"""

RENEW_LOCK = """
UPDATE conversation_locks SET held_until = $4
WHERE project = $1 AND conversation = $2 AND holder = $3 AND held_until < $4
"""

RELEASE_LOCK = """
DELETE FROM conversation_locks WHERE project = $1 AND conversation = $2 AND holder = $3
RETURNING holder
"""

BREAK_LOCK = """
DELETE FROM conversation_locks WHERE project = $1 AND conversation = $2
"""
"""With the conversation, whoever holds it."""

ERASE_OLD_LOCKS = """
DELETE FROM conversation_locks WHERE held_until <= $1
"""

ERASE_LEASES = """
DELETE FROM conversation_locks WHERE held_until < $1
"""
"""All locks that would run out; $1: for ever."""

BURY_CONVERSATION = """
UPDATE conversations SET gone = 1, metadata = $3 WHERE project = $1 AND id = $2 AND gone = 0
RETURNING place
"""
"""From now on it is missing. $3: an empty object."""

FIND_BURIED = """
SELECT project, id, place FROM conversations WHERE gone = 1 ORDER BY id LIMIT $1
"""

ERASE_ITEMS_BELOW = """
DELETE FROM conversation_items WHERE project = $1 AND conversation = $2 AND place < $3
"""

ERASE_CONVERSATION = """
DELETE FROM conversations WHERE project = $1 AND id = $2 AND gone = 1
"""
