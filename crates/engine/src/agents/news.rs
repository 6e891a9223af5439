//! Steps of an agent at other instances, until its state in memory follows them.

use std::sync::Arc;

use life_agent_domain::agent::record::apply_row;
use life_agent_domain::agent::state::AgentState;
use life_agent_observer::JournalRow;

use crate::views::Present;

/// Bytes of rows that are kept for an agent. More are read from the journal.
const MAX_BYTES: usize = 8 * 1024;

/// What has happened to an agent since its state in memory was current.
#[derive(Default)]
pub(super) enum News {
    /// Nothing.
    #[default]
    None,
    /// These rows, in order, and the bytes of their data.
    Steps(Vec<Arc<JournalRow>>, usize),
    /// Only the journal knows.
    Unknown,
}

impl News {
    /// Adds a row of another instance.
    pub(super) fn add(&mut self, row: &Arc<JournalRow>) {
        let added = row.data.get().len();
        match self {
            News::None if added <= MAX_BYTES => *self = News::Steps(vec![Arc::clone(row)], added),
            News::Steps(rows, bytes) if *bytes + added <= MAX_BYTES => {
                rows.push(Arc::clone(row));
                *bytes += added;
            }
            _ => *self = News::Unknown,
        }
    }
}

/// The state after the rows; `None` if they do not lead to the state that the last one states. Then the state in memory
/// has a step that was not taken.
pub(super) fn after(present: &Present, rows: &[Arc<JournalRow>]) -> Option<Present> {
    let last = rows.last()?.state_mark().ok()?;
    let mut state = AgentState::clone(&present.state);
    for row in rows {
        // A state that was loaded may be ahead of the rows that the instance follows.
        if row.state_mark().ok()?.state_version > state.version {
            apply_row(&mut state, row).ok()?;
        }
    }
    let state_hash = state.hash();
    (state.version == last.state_version && state_hash == last.state_hash)
        .then(|| Present { state: Arc::new(state), state_hash })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may")]
mod tests {
    use life_agent_domain::governance::command::Act;
    use life_agent_domain::governance::ids::{ActionName, AgentId, Principal};
    use life_agent_domain::governance::payload::Payload;
    use life_agent_observer::Filter;
    use life_agent_observer_sqlite::Sqlite;

    use super::*;
    use crate::{Config, Engine, RequestContext};

    /// The rows of some acts of an agent with the seed 0.
    async fn acts(actions: &[&str]) -> Vec<Arc<JournalRow>> {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { rate_limit_rps: 0, seed: 0, ..Config::below(dir.path()) };
        let engine = Engine::open(config, Sqlite::at(dir.path().join("agent.db"))).await.unwrap();
        let context = RequestContext::new(Principal::new("tester"), String::new());
        for action in actions {
            let agent = AgentId::new("a").unwrap();
            let action = ActionName::new(action).unwrap();
            let act = Act { agent, action, payload: Payload::default() };
            engine.act(&context, act).await.unwrap();
        }
        let filter = Filter::new(Some("obs.act"), None).unwrap();
        let rows = engine.journal().page(0, 100, filter).await.unwrap().rows;
        engine.close().await.unwrap();
        rows.into_iter().map(JournalRow::new).collect()
    }

    fn initial() -> Present {
        let state = AgentState::initial(0);
        Present { state_hash: state.hash(), state: Arc::new(state) }
    }

    #[tokio::test]
    async fn a_state_follows_steps_and_notices_that_one_of_its_own_was_not_taken() {
        let rows = acts(&["rest", "explore", "rest"]).await;
        let whole = after(&initial(), &rows).unwrap();
        assert_eq!(whole.state.version, 3);
        assert_eq!(whole.state_hash, rows[2].state_mark().unwrap().state_hash);
        // It was loaded after the first row had been written, and before the row was followed.
        let ahead = after(&initial(), &rows[..1]).unwrap();
        assert_eq!(after(&ahead, &rows), Some(whole.clone()));
        assert_eq!(after(&whole, &rows), Some(whole.clone()));
        // Another first step than the rows have, and a row that is missing.
        let own = after(&initial(), &acts(&["explore"]).await).unwrap();
        assert_eq!(after(&own, &rows[..1]), None);
        assert_eq!(after(&own, &rows), None);
        assert_eq!(after(&initial(), &rows[1..]), None);
    }

    #[tokio::test]
    async fn few_bytes_are_kept_for_an_agent() {
        let rows = acts(&["rest"]).await;
        let mut news = News::None;
        for _ in 0..=MAX_BYTES / rows[0].data.get().len() {
            assert!(!matches!(news, News::Unknown));
            news.add(&rows[0]);
        }
        assert!(matches!(news, News::Unknown));
        news.add(&rows[0]);
        assert!(matches!(news, News::Unknown));
    }
}
