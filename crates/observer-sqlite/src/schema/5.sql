-- The hash of the state after the agent's last step (32 bytes): a step is stored only if the agent is
-- still in the state that the step was decided on. `NULL` where no row or snapshot states it any more.
ALTER TABLE agents ADD COLUMN state_hash BLOB;

UPDATE agents SET state_hash = unhex(coalesce(
    (SELECT CASE WHEN json_valid(data) THEN json_extract(data, '$.state_hash') END
        FROM events WHERE id = last_event),
    (SELECT state_hash FROM snapshots s
        WHERE s.agent_id = agents.agent_id AND s.version = state_version)));

UPDATE agents SET state_hash = NULL WHERE length(state_hash) <> 32;

-- A worker runs a job under a lease, which ends by itself if the worker dies.
ALTER TABLE jobs ADD COLUMN owner TEXT;
ALTER TABLE jobs ADD COLUMN lease_until TEXT;
