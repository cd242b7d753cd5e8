-- Conversations: items that outlive the responses they came from. Words in braces: store/sql.py.

-- One row per conversation; no expiry.
--   metadata  JSON object
--   edition   counts the removals of single items; while it stays the same, items are only added
--   place     where the next item goes
--   gone      1: deleted, and its items are being erased
CREATE TABLE conversations (
    project    TEXT NOT NULL,
    id         TEXT NOT NULL,
    created_at {integer} NOT NULL,
    metadata   {blob} NOT NULL,
    edition    {integer} NOT NULL,
    place      {integer} NOT NULL,
    gone       {integer} NOT NULL,
    PRIMARY KEY (project, id)
);

CREATE INDEX conversations_gone ON conversations (id) WHERE gone = 1;

-- One row per item, in the order of their places; places may have gaps. item: JSON object.
CREATE TABLE conversation_items (
    project      TEXT NOT NULL,
    conversation TEXT NOT NULL,
    place        {integer} NOT NULL,
    id           TEXT NOT NULL,
    item         {blob} NOT NULL,
    PRIMARY KEY (project, conversation, place)
);

-- An item is sought by its id alone too (item_reference).
CREATE UNIQUE INDEX conversation_items_id ON conversation_items (project, id, conversation);

-- Who may add the outcome of a response to a conversation: one at a time.
--   holder      the response being made
--   held_until  ms; whoever comes later may take the lock over
CREATE TABLE conversation_locks (
    project      TEXT NOT NULL,
    conversation TEXT NOT NULL,
    holder       TEXT NOT NULL,
    held_until   {integer} NOT NULL,
    PRIMARY KEY (project, conversation)
);
