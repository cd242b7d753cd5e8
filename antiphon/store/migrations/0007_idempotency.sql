-- Keys of requests that may come again (header Idempotency-Key). Words in braces: store/sql.py.

--   digest      of the request: the same key with another one is a mistake
--   owner       who works on it; only that one may say how it ended
--   state       0 in the works; 1 answered, and the answer can be read again; 2 answered, not kept
--   answer      id of what was made; NULL while in the works
--   held_until  ms; then the row is as good as gone
CREATE TABLE idempotency (
    project    TEXT NOT NULL,
    key        TEXT NOT NULL,
    digest     TEXT NOT NULL,
    owner      TEXT NOT NULL,
    state      {integer} NOT NULL,
    answer     TEXT,
    held_until {integer} NOT NULL,
    PRIMARY KEY (project, key)
);

CREATE INDEX idempotency_due ON idempotency (held_until);
