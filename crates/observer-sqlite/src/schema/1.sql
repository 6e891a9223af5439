-- The journal. Rows are only ever appended, and removed from the front by retention.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    ts TEXT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    agent_id TEXT,
    principal TEXT NOT NULL,
    request_id TEXT NOT NULL,
    prev_hash TEXT NOT NULL,
    hash TEXT NOT NULL
);
-- A page for some kinds, for an agent, or for both, reads one run of one of these per kind. With
-- (agent_id, id) alone, a rare kind of a busy agent would be searched through all of its rows.
CREATE INDEX events_kind ON events (kind, id);
CREATE INDEX events_agent ON events (agent_id, kind, id) WHERE agent_id IS NOT NULL;

-- Where each agent stands; `last_event` is its last step.
CREATE TABLE agents (
    agent_id TEXT PRIMARY KEY,
    state_version INTEGER NOT NULL,
    turns INTEGER NOT NULL,
    last_seen TEXT NOT NULL,
    last_event INTEGER NOT NULL
) WITHOUT ROWID;

-- The state of an agent after the row `event_id`.
CREATE TABLE snapshots (
    agent_id TEXT PRIMARY KEY,
    event_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    state_hash TEXT NOT NULL
);

-- `event_id` and `ts` are those of the row that created it.
CREATE TABLE proposals (
    id TEXT PRIMARY KEY,
    event_id INTEGER NOT NULL,
    ts TEXT NOT NULL,
    status TEXT NOT NULL,
    intent TEXT NOT NULL,
    artifact TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX proposals_newest ON proposals (event_id);
CREATE INDEX proposals_status ON proposals (status, event_id);

CREATE TABLE llm_usage (
    id INTEGER PRIMARY KEY,
    ts TEXT NOT NULL,
    request_id TEXT NOT NULL,
    principal TEXT NOT NULL,
    agent_id TEXT,
    model TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    total_tokens INTEGER NOT NULL
);

CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- For scripts that ask what was done.
CREATE VIEW actions AS
SELECT id, ts, agent_id,
       coalesce(json_extract(data, '$.action'), json_extract(data, '$.turn.action')) AS action,
       data
FROM events
WHERE kind IN ('obs.act', 'obs.turn');
