-- Turns that are taken later, in the order of their arrival. `input` is without credentials. `event_id`
-- is the row of the turn, written in the same transaction; `result` is what its caller is answered.
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    principal TEXT NOT NULL,
    request_id TEXT NOT NULL,
    input TEXT NOT NULL,
    created TEXT NOT NULL,
    started TEXT,
    finished TEXT,
    event_id INTEGER,
    result TEXT,
    error TEXT
);
CREATE INDEX jobs_open ON jobs (seq) WHERE finished IS NULL;

-- Calls that came with a key of their own (`Idempotency-Key`). `id` and `digest` are digests: neither the
-- key nor the body is kept. `event_id` is the first row of the effect, written in the same transaction,
-- or `job_id` the queued turn; the answer follows in a transaction of its own.
CREATE TABLE marks (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL,
    ts TEXT NOT NULL,
    event_id INTEGER,
    job_id TEXT,
    status INTEGER,
    headers TEXT,
    body BLOB
);
