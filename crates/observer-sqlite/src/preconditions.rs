//! Checks a batch's preconditions in the transaction that writes it.

use life_agent_observer::{AgentStep, JobStatus, Precondition, Rejection, WriteBatch};
use rusqlite::{Connection, OptionalExtension};

use crate::agent_heads::AgentHeads;

/// The first precondition of the batch that does not hold after the batches before it.
pub(crate) fn check(
    connection: &Connection,
    heads: &mut AgentHeads,
    control: u64,
    now: &str,
    batch: &WriteBatch,
) -> rusqlite::Result<Option<Rejection>> {
    if let (Some(AgentStep { from: Some(from), .. }), Some(agent)) =
        (batch.step, batch.stepping_agent())
        && !heads.of(connection, agent)?.is_at(&from)
    {
        return Ok(Some(Rejection::AgentChanged(agent.clone())));
    }
    for precondition in &batch.preconditions {
        let rejection = match precondition {
            Precondition::Agent { agent, at } => {
                let holds = heads.of(connection, agent)?.is_at(at);
                (!holds).then(|| Rejection::AgentChanged(agent.clone()))
            }
            Precondition::Control { version } => {
                (*version != control).then_some(Rejection::ControlChanged { version: control })
            }
            Precondition::Plan { id, status } => {
                let sql = "SELECT status FROM plans WHERE id = ?1";
                let found: Option<String> =
                    connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
                let changed = found != *status;
                changed.then(|| Rejection::PlanChanged { id: id.clone(), status: found })
            }
            Precondition::KeyUnclaimed { key } => {
                let sql = "SELECT 1 FROM marks WHERE id = ?1";
                let claimed = connection.prepare_cached(sql)?.exists([key])?;
                claimed.then(|| Rejection::KeyClaimed { key: key.clone() })
            }
            Precondition::JobLease { id, owner } => {
                let sql = "SELECT 1 FROM jobs WHERE id = ?1 AND status = ?2 AND owner = ?3
                    AND lease_until > ?4";
                let running = JobStatus::Running.as_str();
                let held = connection.prepare_cached(sql)?.exists([id, running, owner, now])?;
                (!held).then(|| Rejection::LeaseLost { id: id.clone() })
            }
            // A condition that this backend does not know cannot hold.
            other => Some(unknown(other)),
        };
        if rejection.is_some() {
            return Ok(rejection);
        }
    }
    Ok(None)
}

fn unknown(precondition: &Precondition) -> Rejection {
    tracing::error!(?precondition, "this backend does not know a precondition");
    Rejection::ControlChanged { version: 0 }
}
