-- An agent's rows, found block by block: an entry goes to one of the few pages at the index's end, whoever the
-- agent is. Under (agent_id, kind, id) each row of a journal of many agents changed a page of its own, which
-- the log and then the file had to take as well.
--
-- Its steps lead back from `agents.last_event`, each by `prev_step` to the one before, the first to 0. Rows
-- that are no steps have none, and neither have those that a snapshot covered when this schema came.
ALTER TABLE events ADD COLUMN prev_step INTEGER;

-- The first step that the agent's snapshot does not cover; none if it covers all.
ALTER TABLE agents ADD COLUMN first_open INTEGER;

UPDATE agents SET first_open = (
    SELECT min(id) FROM events WHERE agent_id = agents.agent_id AND kind IN ('obs.act', 'obs.turn')
        AND id > ifnull((SELECT event_id FROM snapshots s WHERE s.agent_id = agents.agent_id), 0));

UPDATE events SET prev_step = max(
    ifnull((SELECT max(id) FROM events e
        WHERE e.agent_id = events.agent_id AND e.kind = 'obs.act' AND e.id < events.id), 0),
    ifnull((SELECT max(id) FROM events e
        WHERE e.agent_id = events.agent_id AND e.kind = 'obs.turn' AND e.id < events.id), 0))
WHERE kind IN ('obs.act', 'obs.turn')
    AND id >= (SELECT first_open FROM agents WHERE agents.agent_id = events.agent_id);

DROP INDEX events_agent;
CREATE INDEX events_agent ON events (id >> 9, agent_id, kind) WHERE agent_id IS NOT NULL;
