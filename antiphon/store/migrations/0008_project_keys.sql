-- The key each project's content is encrypted with. The words in braces: store/sql.py, Dialect.

-- One data key per project. It is shut itself, under a master key that is in no database.
--   project     whose content it shuts
--   number      names the key in what it shut: 16 hex digits
--   wrapped     the key, shut
--   created_at  milliseconds since 1970
-- Dropping the row makes what the key shut unreadable for ever, in every copy of the database.
CREATE TABLE project_keys (
    project    TEXT NOT NULL PRIMARY KEY,
    number     TEXT NOT NULL,
    wrapped    {blob} NOT NULL,
    created_at {integer} NOT NULL
);
