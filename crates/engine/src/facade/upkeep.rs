//! The work that keeps a journal within its bounds.

use life_agent_observer::{PruneReport, Retention};

use super::Engine;
use crate::error::EngineError;
use crate::idempotency::expiry::expire;

impl Engine {
    /// Removes the rows that `keep` does not cover, oldest first. Every agent keeps its state.
    ///
    /// Of several instances that share the journal, the leading one does.
    pub async fn prune(&self, keep: Retention) -> Result<PruneReport, EngineError> {
        if !self.0.journal.leads() {
            return Ok(PruneReport { upto: None, removed: 0, held_back: false });
        }
        self.0.retention.prune(keep).await
    }

    /// Removes ended jobs and stored responses that have expired.
    pub async fn forget(&self) -> Result<(), EngineError> {
        expire(&self.0.journal, &self.0.recorder).await
    }
}
