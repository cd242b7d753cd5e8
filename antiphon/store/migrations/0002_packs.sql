-- Turns that are read together, stored together. The words in braces: store/sql.py, Dialect.

-- One row per 32 turns of a chain, written with the last of them: what they hold, joined, so that
-- a long context is a few large reads. A cache of rows of responses and nothing else: every read
-- is right without it, and it goes in the transaction in which one of its turns is emptied.
--   number   key
--   chain    as in responses
--   block    0 for the positions 0 to 31 of the chain, 1 for 32 to 63, ...
--   items    JSON array: input and output of the first turn, of the second, ...
CREATE TABLE packs (
    number {key},
    chain  {integer} NOT NULL,
    block  {integer} NOT NULL,
    items  {blob} NOT NULL
);

CREATE UNIQUE INDEX packs_block ON packs (chain, block);
