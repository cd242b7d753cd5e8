-- Responses as runs of turns. The words in braces are the database's (store/sql.py, Dialect).

-- One row per response, written once, complete.
--   number    key in the order of arrival; small, so it is what other rows point at
--   chain     number of the chain's first response; the first child continues its parent's chain
--   position  0 for the chain's first response (exactly there number = chain), then 1, 2, ...
--   gone      0 living; 1 tombstone whose items living descendants still read; 2 blank tombstone
--   due_at    when the sweeper must look at the row: the expiry of a living one, the end of the
--             grace of a tombstone; NULL never (or: not before a child of it changes)
--   head, input, output, cuts   as in StoredResponse; NULL once erased
CREATE TABLE responses (
    number     {key},
    project    TEXT NOT NULL,
    id         TEXT NOT NULL,
    chain      {integer} NOT NULL,
    position   {integer} NOT NULL,
    parent     TEXT,
    created_at {integer} NOT NULL,
    due_at     {integer},
    status     TEXT NOT NULL,
    gone       {integer} NOT NULL,
    head       {blob},
    input      {blob},
    output     {blob},
    cuts       {blob}
);

-- Ids sort by time, so this index grows at its end (random ids cost 1.6 times as much to insert).
CREATE UNIQUE INDEX responses_id ON responses (project, id);

-- Later turns only: the first one of a chain is found by its number. Most responses are the only
-- one of their chain and so never pay for this index.
CREATE UNIQUE INDEX responses_turn ON responses (chain, position) WHERE position > 0;

CREATE INDEX responses_due ON responses (due_at) WHERE due_at IS NOT NULL;

-- One row per fork: a chain that begins below another chain's turn. Chains without a parent have
-- no row here. lineage: the whole way from the root to the parent as JSON, [[chain, up to
-- position], ...]; the last pair is (parent_chain, parent_position).
CREATE TABLE chains (
    chain           {key},
    project         TEXT NOT NULL,
    parent_chain    {integer} NOT NULL,
    parent_position {integer} NOT NULL,
    lineage         TEXT NOT NULL
);

CREATE INDEX chains_parent ON chains (parent_chain, parent_position);

-- One row, written by the readiness probe: being able to read proves nothing about the disk.
CREATE TABLE probe (
    one        {key},
    written_at {integer} NOT NULL
);

INSERT INTO probe (one, written_at) VALUES (1, 0);
