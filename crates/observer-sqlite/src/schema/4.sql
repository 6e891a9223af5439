-- An agent's rows, found block by block: an entry goes to one of the few pages at the index's end, whoever the
-- agent is. Under (agent_id, kind, id) each row of a journal of many agents changed a page of its own, which
-- the log and then the file had to take as well. Refusals are few and wanted by agent alone.
--
-- Its steps lead back from `agents.last_event`, each by `prev_step` to the one before, the first to 0. Rows
-- that are no steps have none, and neither have those that were far back when this schema came.
ALTER TABLE events ADD COLUMN prev_step INTEGER;

-- The first step that the agent's snapshot does not cover; none if it covers all.
ALTER TABLE agents ADD COLUMN first_open INTEGER;

UPDATE agents SET first_open = (
    SELECT min(id) FROM events WHERE agent_id = agents.agent_id AND kind IN ('obs.act', 'obs.turn')
        AND id > ifnull((SELECT event_id FROM snapshots s WHERE s.agent_id = agents.agent_id), 0)
        AND id <= last_event);

UPDATE events SET prev_step = step.before
FROM (
    SELECT id, first_open, lag(id, 1, 0) OVER (PARTITION BY agent_id ORDER BY id) AS before,
        row_number() OVER (PARTITION BY agent_id ORDER BY id DESC) AS back
    FROM events JOIN agents USING (agent_id)
    WHERE kind IN ('obs.act', 'obs.turn') AND id <= last_event
) AS step
WHERE step.id = events.id AND (back <= 64 OR step.id >= first_open);

DROP INDEX events_agent;
CREATE INDEX events_agent ON events (id >> 9, agent_id, kind) WHERE agent_id IS NOT NULL;
CREATE INDEX events_denied ON events (agent_id, id) WHERE kind = 'gate.denied' AND agent_id IS NOT NULL;
