-- Approved calls of MCP tools, each of which is made once. The words in braces: store/sql.py,
-- Dialect.

-- One row per approval that was taken.
--   project     whose it is
--   request     the id of the item that asked for it
--   response    the response that makes the call, and no other
--   expires_at  milliseconds since 1970; from then on the row may go
CREATE TABLE approvals (
    project    TEXT NOT NULL,
    request    TEXT NOT NULL,
    response   TEXT NOT NULL,
    expires_at {integer} NOT NULL,
    PRIMARY KEY (project, request)
);
CREATE INDEX approvals_by_expiry ON approvals (expires_at);
