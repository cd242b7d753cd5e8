-- Webhooks: who wants to hear of what, and what has not been delivered yet. The words in braces:
-- store/sql.py, Dialect.

-- One row per endpoint. Times in ms.
--   event_types  JSON array of strings
--   secret       the signing secret, sealed for this project (sealing/)
--   hint         the part of it that may be shown
--   old_secret   the one before, if it still signs too, until old_until
CREATE TABLE webhook_endpoints (
    project     TEXT NOT NULL,
    id          TEXT NOT NULL,
    name        TEXT NOT NULL,
    url         TEXT NOT NULL,
    event_types TEXT NOT NULL,
    created_at  {integer} NOT NULL,
    updated_at  {integer} NOT NULL,
    secret      TEXT NOT NULL,
    hint        TEXT NOT NULL,
    old_secret  TEXT,
    old_until   {integer},
    PRIMARY KEY (project, id)
);

-- One row per event and endpoint, written with the end of the response; gone when delivered.
--   id          what the receiver tells repetitions by
--   event       the event type
--   subject     the response's id
--   body        the exact bytes
--   due_at      when to deliver it (again); whoever takes it moves this on, and so has it until then
--   attempts    how often it was taken: who settles it must have been the last
CREATE TABLE webhook_outbox (
    number     {key},
    project    TEXT NOT NULL,
    endpoint   TEXT NOT NULL,
    id         TEXT NOT NULL,
    event      TEXT NOT NULL,
    subject    TEXT NOT NULL,
    body       {blob} NOT NULL,
    created_at {integer} NOT NULL,
    due_at     {integer} NOT NULL,
    attempts   {integer} NOT NULL
);

CREATE INDEX webhook_outbox_due ON webhook_outbox (endpoint, due_at);
