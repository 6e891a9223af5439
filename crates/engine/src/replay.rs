//! Replays recorded requests: with the current policy and rules, or with another policy (a backtest). Reads
//! the journal and changes nothing.

mod player;
mod report;

use std::sync::Arc;

use life_agent_domain::governance::event::Row;
use life_agent_domain::governance::ids::AgentId;
use life_agent_observer::{Filter, Journal, Readers, Span, expand};

use crate::blocking::blocking;
use crate::config::{Config, OpaMode};
use crate::error::{EngineError, OpenError};
use crate::policy::{ActivePolicy, Extensions, PolicyFiles};
use crate::views::PolicySource;
use crate::workspace::Workspace;
use player::{Depth, Player};
pub use report::{Divergence, ReplayReport};

/// Rows read at a time.
const PAGE: usize = 1000;

/// Replays a journal with the policy that `config` names and compares decisions, outcomes and states of all
/// agents or of one. Calls `progress` with the number of the last row read after every thousand rows.
pub fn replay(
    journal: &dyn Readers,
    config: &Config,
    agent: Option<&AgentId>,
    progress: &mut dyn FnMut(u64),
) -> Result<ReplayReport, OpenError> {
    let workspace = Workspace::open(&config.workspace_dir, &config.plans_dir)
        .map_err(OpenError::at(&config.workspace_dir))?;
    // The past answers of a policy server are not available.
    let opa = match config.opa {
        OpaMode::Server(_) => OpaMode::Off,
        ref other => other.clone(),
    };
    let config = Config { opa, ..config.clone() };
    let files = PolicyFiles::new(&config, workspace.clone(), Extensions::default());
    let policy = ActivePolicy::first(&files, ActivePolicy::compile)?;
    let mut player = Player::new(&policy, &workspace, Depth::Everything, config.seed);
    let mut after = 0;
    loop {
        // Rows without an agent are always read: `service.started` states the seed.
        let wanted = |row: &&Row| match (agent, &row.agent_id) {
            (Some(agent), Some(of)) => agent.as_str() == of,
            _ => true,
        };
        let view = journal.view()?;
        let page = view.page(after, PAGE, &Filter::default())?;
        for row in page.rows.into_iter().filter(|row| wanted(&row)) {
            player.row(&expand(&*view, row)?);
        }
        progress(player.report.last);
        match page.next {
            Some(next) => after = next,
            None => return Ok(player.report),
        }
    }
}

/// Compares recorded decisions with those of another policy.
pub(crate) struct Backtests {
    files: PolicyFiles,
    workspace: Workspace,
    journal: Journal,
}

impl Backtests {
    pub(crate) fn new(files: PolicyFiles, workspace: Workspace, journal: Journal) -> Self {
        Self { files, workspace, journal }
    }

    /// Compares the recorded decisions of at most `limit` rows after `after` with those of another policy.
    pub(crate) async fn run(
        &self,
        source: PolicySource,
        after: u64,
        limit: usize,
    ) -> Result<ReplayReport, EngineError> {
        let files = self.files.clone();
        let policy = blocking(move || {
            let document = files.read(&source)?;
            ActivePolicy::compile(&document, &files).map_err(EngineError::PolicyInvalid)
        });
        let policy = Arc::new(policy.await??);
        let mut report = Player::new(&policy, &self.workspace, Depth::Decisions, 0).report;
        let (mut after, mut left) = (after, limit);
        while left > 0 {
            // One page at a time, so that other readers and a stop do not wait.
            let (policy, workspace) = (Arc::clone(&policy), self.workspace.clone());
            let (span, most) = (Span::after(after), left.min(PAGE));
            let page = self.journal.expanded_rows(span, most, Filter::default()).await?;
            let played = blocking(move || {
                let mut player = Player::new(&policy, &workspace, Depth::Decisions, 0);
                player.report = report;
                page.rows.iter().for_each(|row| player.row(row));
                (player.report, page)
            });
            let (so_far, page) = played.await?;
            report = so_far;
            left -= page.rows.len().min(left);
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        Ok(report)
    }
}
