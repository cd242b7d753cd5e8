-- Background responses that are being made. The words in braces: store/sql.py, Dialect.

-- One row per background response, from the moment it is asked for until its log is swept. Small,
-- because it is rewritten at every append: what is large is in run_bodies.
--   number       key in the order of arrival; never the only thing a write is conditional on,
--                because a database may give it again after the row is gone
--   version      of what request holds: a process claims only what it understands
--   status       queued, in_progress, completed, failed, incomplete, cancelled
--   owner        the process that has it, NULL nobody
--   epoch        counts the owners; a write names the epoch it belongs to and is refused if it is
--                no longer this one
--   lease_until  when the owner loses it; 0 if there is no owner
--   attempt      how often it was claimed to be made
--   events       how many events are in the log: the next one's sequence number
--   log_until    when the log goes and the row with it; NULL while it is not over
CREATE TABLE runs (
    number       {key},
    project      TEXT NOT NULL,
    id           TEXT NOT NULL,
    version      {integer} NOT NULL,
    status       TEXT NOT NULL,
    owner        TEXT,
    epoch        {integer} NOT NULL,
    lease_until  {integer} NOT NULL,
    cancel_asked {integer} NOT NULL,
    attempt      {integer} NOT NULL,
    streamed     {integer} NOT NULL,
    events       {integer} NOT NULL,
    conversation TEXT,
    created_at   {integer} NOT NULL,
    started_at   {integer},
    log_until    {integer}
);

CREATE UNIQUE INDEX runs_id ON runs (project, id);

-- The queue, one per project, in the order of arrival.
CREATE INDEX runs_queue ON runs (project, lease_until, number) WHERE status = 'queued';

-- Whose lease has run out, and how many a project has.
CREATE INDEX runs_leases ON runs (lease_until, project) WHERE status = 'in_progress';

CREATE INDEX runs_log ON runs (log_until) WHERE log_until IS NOT NULL;

-- What is large and seldom written.
--   request   all it takes to make the response, again if need be; NULL once it is over
--   head      the response as it is shown meanwhile; afterwards only if it has no row of its own
CREATE TABLE run_bodies (
    run     {integer} PRIMARY KEY,
    request {blob},
    head    {blob}
);

-- The log: consecutive events in one row. first: the sequence number of the first of them.
CREATE TABLE run_chunks (
    run    {integer} NOT NULL,
    first  {integer} NOT NULL,
    count  {integer} NOT NULL,
    epoch  {integer} NOT NULL,
    events {blob} NOT NULL,
    PRIMARY KEY (run, first)
);

-- What was done outside that must not be done twice. epoch: whose it was last. done: 0 begun,
-- 1 ended with this result.
CREATE TABLE run_steps (
    run    {integer} NOT NULL,
    step   TEXT NOT NULL,
    epoch  {integer} NOT NULL,
    done   {integer} NOT NULL,
    result {blob},
    PRIMARY KEY (run, step)
);
