-- Scripts read views (`docs/sql.md`), whose times and figures are numbers: in a comparison with a number, a time as
-- text would be the larger one, always. The tables have names of their own, so that they can change and the views stay.
DROP VIEW actions;
ALTER TABLE events RENAME TO journal;
ALTER TABLE proposals RENAME TO plans;
ALTER TABLE llm_usage RENAME TO usage;

-- The row of the call. All rows of a commit have the same time, so a call's row is the first of its request at that
-- time.
ALTER TABLE usage ADD COLUMN event_id INTEGER;
UPDATE usage SET event_id = called.row
FROM (
    SELECT usage.id AS id, min(journal.id) AS row
    FROM usage JOIN journal ON journal.request_id = usage.request_id AND journal.ts = usage.ts
    GROUP BY usage.id
) AS called
WHERE called.id = usage.id;

-- `ts` has the form 2026-11-29T05:38:48.000000Z. `julianday` and `%f` would round it, and `unixepoch(ts, 'subsec')`
-- needs a newer SQLite than scripts have.
CREATE VIEW events (id, ts, kind, data, time, agent_id, principal, request_id, action_type, outcome, ok, latency_ms,
    score, prev_hash, hash) AS
SELECT id,
    CAST(strftime('%s', substr(ts, 1, 19)) + substr(ts, 20, 7) AS REAL),
    kind,
    data,
    ts,
    agent_id,
    principal,
    request_id,
    CASE kind
        WHEN 'obs.act' THEN 'act'
        WHEN 'obs.turn' THEN 'turn'
        WHEN 'obs.plan' THEN 'plan'
        WHEN 'llm.chat' THEN 'chat'
        WHEN 'tool.requested' THEN 'tool'
        WHEN 'gate.denied' THEN json_extract(data, '$.kind')
        WHEN 'imported.action' THEN json_extract(data, '$.action_type')
    END,
    CASE
        WHEN kind IN ('gate.denied', 'auth.failed') THEN 'denied'
        WHEN kind = 'policy.rejected' THEN 'failed'
        WHEN kind = 'tool.finished' THEN CASE WHEN json_extract(data, '$.is_error') THEN 'failed' END
        WHEN kind = 'tool.requested' AND json_extract(data, '$.decision') <> 'allow' THEN 'denied'
        WHEN kind = 'llm.chat' AND json_extract(data, '$.outcome') <> 'answered' THEN 'failed'
        WHEN kind IN ('obs.act', 'obs.turn', 'obs.plan', 'llm.chat', 'tool.requested') THEN
            CASE WHEN json_array_length(data, '$.would_deny') > 0
                OR json_array_length(data, '$.answer.would_deny') > 0 THEN 'would_deny' ELSE 'allowed' END
    END,
    CASE
        WHEN kind IN ('gate.denied', 'auth.failed', 'policy.rejected') THEN 0
        WHEN kind = 'tool.finished' THEN CASE WHEN json_extract(data, '$.is_error') THEN 0 END
        WHEN kind = 'tool.requested' THEN json_extract(data, '$.decision') = 'allow'
        WHEN kind = 'llm.chat' THEN json_extract(data, '$.outcome') = 'answered'
        WHEN kind IN ('obs.act', 'obs.turn', 'obs.plan') THEN 1
    END,
    CAST(CASE kind
        WHEN 'imported.action' THEN json_extract(data, '$.latency_ms')
        ELSE json_extract(data, '$.timing.elapsed_us') / 1000.0
    END AS REAL),
    CAST(json_extract(data, '$.score') AS REAL),
    prev_hash,
    hash
FROM journal;

-- One line per request. The `+` keeps SQLite from sorting all lines of an index where the newest ones are wanted.
CREATE VIEW actions (id, ts, agent_id, action_type, latency_ms, input_size, output_size, score, meta, time, outcome,
    ok, kind, action, principal, request_id, session_id, code, gate, rule, data) AS
SELECT id,
    CAST(CASE kind WHEN 'imported.action' THEN json_extract(data, '$.source.ts') ELSE ts END AS REAL),
    coalesce(agent_id, json_extract(data, '$.agent_id')),
    action_type,
    latency_ms,
    CASE kind
        WHEN 'imported.action' THEN json_extract(data, '$.input_size')
        ELSE length(CAST(CASE kind
            WHEN 'obs.act' THEN json_extract(data, '$.payload')
            WHEN 'obs.turn' THEN json_extract(data, '$.input')
            WHEN 'obs.plan' THEN json_extract(data, '$.intent') || json_extract(data, '$.context')
            WHEN 'llm.chat' THEN coalesce(json_extract(data, '$.sent_messages'), json_extract(data, '$.messages'))
            WHEN 'tool.requested' THEN json_extract(data, '$.arguments')
            ELSE coalesce(json_extract(data, '$.request.payload'), json_extract(data, '$.request.input'),
                json_extract(data, '$.request.intent') || json_extract(data, '$.request.context'),
                json_extract(data, '$.request.messages'))
        END AS BLOB))
    END,
    CASE kind
        WHEN 'imported.action' THEN json_extract(data, '$.output_size')
        WHEN 'obs.turn' THEN length(CAST(json_extract(data, '$.response') AS BLOB))
        WHEN 'llm.chat' THEN length(CAST(json_extract(data, '$.content') AS BLOB))
    END,
    score,
    CASE kind
        WHEN 'imported.action' THEN json_extract(data, '$.meta')
        ELSE json_object('principal', principal, 'request_id', request_id,
            'policy_hash', json_extract(data, '$.policy_hash'))
    END,
    time,
    outcome,
    ok,
    kind,
    coalesce(json_extract(data, '$.action'), json_extract(data, '$.turn.action'), json_extract(data, '$.tool'),
        json_extract(data, '$.request.action')),
    principal,
    request_id,
    json_extract(data, '$.session_id'),
    json_extract(data, '$.code'),
    json_extract(data, '$.gate'),
    json_extract(data, '$.rule'),
    data
FROM events
WHERE +kind IN ('obs.act', 'obs.turn', 'obs.plan', 'llm.chat', 'tool.requested', 'gate.denied', 'imported.action');

-- The row of a plan's request names what the plan is about.
CREATE VIEW proposals (id, ts, description, artifact_path, target_files, meta, time, event_id, status, latency_ms,
    score) AS
SELECT plans.id,
    CAST(strftime('%s', substr(plans.ts, 1, 19)) + substr(plans.ts, 20, 7) AS REAL),
    plans.intent,
    plans.artifact,
    json_extract(asked.data, '$.target_paths'),
    plans.data,
    plans.ts,
    plans.event_id,
    plans.status,
    CAST(json_extract(asked.data, '$.timing.elapsed_us') / 1000.0 AS REAL),
    CAST(json_extract(asked.data, '$.score') AS REAL)
FROM plans LEFT JOIN journal AS asked ON asked.id = plans.event_id
UNION ALL
SELECT 'imported-' || json_extract(data, '$.source.id'),
    CAST(json_extract(data, '$.source.ts') AS REAL),
    json_extract(data, '$.description'),
    json_extract(data, '$.artifact_path'),
    json_extract(data, '$.target_files'),
    json_extract(data, '$.meta'),
    ts,
    id,
    NULL,
    NULL,
    NULL
FROM journal
WHERE kind = 'imported.proposal';

CREATE VIEW llm_usage (id, ts, model, prompt_tokens, completion_tokens, total_tokens, latency_ms, meta, time, event_id,
    principal, agent_id, request_id) AS
SELECT usage.id,
    CAST(strftime('%s', substr(usage.ts, 1, 19)) + substr(usage.ts, 20, 7) AS REAL),
    usage.model,
    usage.prompt_tokens,
    usage.completion_tokens,
    usage.total_tokens,
    CAST(coalesce(json_extract(called.data, '$.timing.model_us'), json_extract(called.data, '$.timing.elapsed_us'))
        / 1000.0 AS REAL),
    json_object('principal', usage.principal, 'request_id', usage.request_id),
    usage.ts,
    usage.event_id,
    usage.principal,
    usage.agent_id,
    usage.request_id
FROM usage LEFT JOIN journal AS called ON called.id = usage.event_id
UNION ALL
SELECT 'imported-' || json_extract(data, '$.source.id'),
    CAST(json_extract(data, '$.source.ts') AS REAL),
    json_extract(data, '$.model'),
    json_extract(data, '$.prompt_tokens'),
    json_extract(data, '$.completion_tokens'),
    json_extract(data, '$.total_tokens'),
    CAST(json_extract(data, '$.latency_ms') AS REAL),
    json_extract(data, '$.meta'),
    ts,
    id,
    principal,
    NULL,
    request_id
FROM journal
WHERE kind = 'imported.llm_usage';
