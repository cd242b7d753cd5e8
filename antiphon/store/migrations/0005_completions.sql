-- Chat completions that were to be kept. The words in braces: store/sql.py, Dialect.

-- One row per completion, written in the transaction that ends it.
--   due_at    when it expires; NULL never
--   metadata  JSON object of texts; its pairs are in completion_metadata too
--   object    the chat.completion as JSON, without metadata
--   messages  the messages it was made from: JSON array, each with an id
CREATE TABLE completions (
    project    TEXT NOT NULL,
    id         TEXT NOT NULL,
    created_at {integer} NOT NULL,
    due_at     {integer},
    model      TEXT NOT NULL,
    metadata   TEXT NOT NULL,
    object     {blob} NOT NULL,
    messages   {blob} NOT NULL,
    PRIMARY KEY (project, id)
);

CREATE INDEX completions_order ON completions (project, created_at, id);

CREATE INDEX completions_model ON completions (project, model, created_at, id);

CREATE INDEX completions_due ON completions (due_at) WHERE due_at IS NOT NULL;

-- One row per pair of metadata, so that lists can be filtered by one without reading all.
CREATE TABLE completion_metadata (
    project    TEXT NOT NULL,
    name       TEXT NOT NULL,
    value      TEXT NOT NULL,
    created_at {integer} NOT NULL,
    id         TEXT NOT NULL,
    PRIMARY KEY (project, name, value, created_at, id)
);

CREATE INDEX completion_metadata_of ON completion_metadata (project, id);
